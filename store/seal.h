// A small file beside the database that says how far the database has come.
//
// A bit flipped in the WAL makes SQLite drop the commits that follow it without a word, and an
// older copy of the database is as good as the newest to it. The seal tells. It is written after
// each commit and not synced: after a power cut it may be behind the database, never ahead.
#ifndef EMBEDFLOW_STORE_SEAL_H_
#define EMBEDFLOW_STORE_SEAL_H_

#include <memory>
#include <string>

#include "embedflow/status.h"
#include "store/directory.h"
#include "store/records.h"

namespace embedflow {

// Threads: not thread-safe.
class Seal {
 public:
  // Errors: kCorruption, also if the file is missing; kIo.
  static Result<Totals> Read(const std::string& directory);
  // Makes one that has seen nothing, durable, unless a good one is there. To be called before the
  // database gets its schema, so that a corpus without a seal has lost it. Errors: kIo.
  static Status Make(const std::string& directory);
  // For writing; made as by Make() if there is no good one.
  static Result<std::unique_ptr<Seal>> Open(const std::string& directory);
  // Visible to Read at once, durable when the system pleases.
  Status Write(const Totals& totals);

 private:
  Seal(std::string path, FileDescriptor file) : path_(std::move(path)), file_(std::move(file)) {}
  const std::string path_;
  const FileDescriptor file_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_SEAL_H_
