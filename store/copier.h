// The parts of the copy of a database. For copy_*.cc only; see copy_database.h.
#ifndef EMBEDFLOW_STORE_COPIER_H_
#define EMBEDFLOW_STORE_COPIER_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "store/copy_database.h"
#include "store/fields.h"
#include "store/records.h"
#include "store/sqlite.h"

namespace embedflow {

// Whether `status` is what a damaged database says to a statement that should work.
inline bool IsDamageOfSource(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kInternal ||
         status.code() == Code::kInvalidArgument;
}

// Copies once. Each table ends where the old database can give no more of it.
class Copier {
 public:
  Copier(Database* from, Database* to, const Totals& known) : from_(from), to_(to), known_(known) {}

  Result<DatabaseCopy> Run() {
    EF_RETURN_IF_ERROR(to_->Execute("BEGIN IMMEDIATE"));
    EF_RETURN_IF_ERROR(PrepareWrites());
    if (from_ != nullptr) EF_RETURN_IF_ERROR(CopyAll());
    EF_RETURN_IF_ERROR(Settle());
    EF_RETURN_IF_ERROR(to_->Execute("COMMIT"));
    return std::move(copy_);
  }

 private:
  Status CopyAll() {
    EF_RETURN_IF_ERROR(Try(CopySpaces(), "spaces"));
    EF_RETURN_IF_ERROR(Try(CopyLetters(), "dead letters"));
    EF_RETURN_IF_ERROR(Try(CopySources(), "sources"));
    EF_RETURN_IF_ERROR(Try(CopyDocuments(), "documents"));
    EF_RETURN_IF_ERROR(Try(CopyMaybePaid(), "texts that may have been paid"));
    EF_RETURN_IF_ERROR(Try(CopyRuns(), "runs"));
    return Try(CopySamples(), "samples of runs");
  }

  // Whatever the old database cannot give any more ends the copy of that table alone.
  Status Try(const Status& status, const std::string& what) {
    if (status.ok() || !write_failed_.ok()) return write_failed_;
    if (!IsDamageOfSource(status)) return status;
    copy_.notes.push_back("not all " + what + " could be read");
    return {};
  }
  // A failure of the new database is one of the repair.
  Status Written(Status status) {
    if (!status.ok() && write_failed_.ok()) write_failed_ = status;
    return status;
  }

  Status PrepareWrites();
  Status CopySpaces();
  Status CopyLetters();
  Status CopyDocuments();
  Result<bool> ReadWhole(std::int64_t number);
  Status ReadChunks();
  Status WriteWhole();
  Status MendDeadChunks();
  Status Replace(const std::string& id);
  Status CopySources();
  Status CopyMaybePaid();
  Status CopyRuns();
  Status CopySamples();
  Status Settle();

  Database* const from_;
  Database* const to_;
  const Totals known_;
  DatabaseCopy copy_;
  Status write_failed_;
  std::set<std::int64_t> sources_;
  std::vector<SpaceRecord> spaces_;
  std::uint64_t space_bits_ = 0;
  std::uint64_t letters_lost_ = 0;
  std::int64_t last_run_ = 0;  // That a document or letter names.

  // The document in hand.
  DocumentRow document_;
  std::string metadata_;
  std::string text_;
  std::vector<StoredChunkRow> chunks_;

  Statement read_document_, read_text_, read_chunks_;
  Statement write_document_, write_text_, write_chunk_, write_letter_, find_letter_, find_document_;
  std::unique_ptr<Fields> fields_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_COPIER_H_
