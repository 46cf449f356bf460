// The dead letters as the writer keeps them.
#ifndef EMBEDFLOW_STORE_LETTERS_H_
#define EMBEDFLOW_STORE_LETTERS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/database.h"
#include "store/records.h"

namespace embedflow {

// Every function runs inside a transaction of the writer and keeps its totals.
// Threads: not thread-safe. The writer must outlive it.
class Letters {
 public:
  static Result<std::unique_ptr<Letters>> Open(Writer* writer);

  // Adds the letter, or replaces the one about the same chunk and space or the same record.
  Status Put(const DeadLetter& letter, SpaceId space, std::int64_t run);
  // Forgets the letters about chunks of a document, in one space or (0) in all.
  Status DropOfDocument(std::string_view document_id, SpaceId space);
  // Forgets the letters of bad records in `file` that runs before `run` wrote.
  Status DropOfFile(std::string_view file, std::int64_t run);

 private:
  explicit Letters(Writer* writer) : writer_(writer) {}
  Status Drop(const std::vector<std::string>& keys);

  Writer* const writer_;
  Statement find_;
  Statement insert_;
  Statement delete_;
  Statement of_document_;
  Statement of_file_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_LETTERS_H_
