// The database file of a corpus: its format, and the transactions of its one writer.
#ifndef EMBEDFLOW_STORE_DATABASE_H_
#define EMBEDFLOW_STORE_DATABASE_H_

#include <memory>
#include <string>

#include "embedflow/status.h"
#include "store/records.h"
#include "store/schema.h"
#include "store/seal.h"
#include "store/sqlite.h"

namespace embedflow {

// The word of a corpus of an older format, which a writer brings forward.
inline constexpr const char* kOlderFormat = "older_format";
bool IsOlderFormat(const Status& status);

// What to say where the directory's database is missing or empty: kNotFound, or kCorruption where
// other files tell that it held something. Errors: kIo.
Status NoDatabase(const std::string& directory);

// Opens a corpus's database for reading; also on a directory that cannot be written to. Errors:
// kNotFound; kUnsupported for another format (kOlderFormat, "newer_format"); kCorruption if it is
// not ours or is behind its seal; kIo.
Result<std::unique_ptr<Database>> OpenForReading(const std::string& directory);
struct OpenedDatabase {
  std::unique_ptr<Database> database;
  bool empty = false;     // There is no schema yet: LayFormat is to be called.
  bool is_older = false;  // Migrate is to be called.
};
// Opens it for writing, making the file if it is not there. The caller holds the directory's lock.
// Errors: as OpenForReading; a file of a newer format is left as it is. One of an older format is
// to be migrated before it is used.
Result<OpenedDatabase> OpenForWriting(const std::string& directory);
// Everything that changes the database goes through one of these: it keeps the totals and refuses
// to go on after an error.
// Threads: one at a time.
class Writer {
 public:
  // Reads the totals.
  static Result<std::unique_ptr<Writer>> Open(const std::string& directory,
                                              std::unique_ptr<Database> database);
  ~Writer();

  // Begins a transaction. Errors: the first error of an earlier one.
  Status Begin();
  // Ends it: OK commits durably; anything else, here or in `status`, rolls back, and all later
  // transactions are refused, unless the caller asked for something invalid. Returns what happened.
  Status End(Status status);
  // What is there, changed in place during a transaction.
  Totals& totals() { return totals_; }
  Database& database() { return *database_; }

 private:
  Writer(std::unique_ptr<Database> database, std::unique_ptr<Seal> seal)
      : database_(std::move(database)), seal_(std::move(seal)) {}
  Status Commit();
  // Copies the WAL into the file once it is long enough. Nobody else does, see Database::Access.
  Status Checkpoint();

  std::unique_ptr<Database> database_;
  std::unique_ptr<Seal> seal_;
  Totals totals_;
  Totals totals_before_;  // The transaction in hand.
  Statement update_totals_;
  Status failed_;
  int wal_pages_ = 0;  // In the WAL after the last commit.
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_DATABASE_H_
