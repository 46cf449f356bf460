// What one group of documents changes in the database.
#ifndef EMBEDFLOW_STORE_COMMIT_H_
#define EMBEDFLOW_STORE_COMMIT_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "store/database.h"
#include "store/fields.h"
#include "store/letters.h"
#include "store/records.h"
#include "store/store.h"

namespace embedflow {

// What a transaction did to the spaces.
struct SpaceChanges {
  std::uint64_t spaces = 0;                              // Bits of those whose chunks have changed.
  std::array<std::int64_t, kSpacesMax + 1> documents{};  // By how many their documents have.
};

// Carries out Store::Commit inside a transaction that the caller begins and ends: sequence decides
// between records of one run, unchanged chunks keep their rows and ids.
// Threads: not thread-safe.
class Committer {
 public:
  // `writer` must outlive it.
  static Result<std::unique_ptr<Committer>> Open(Writer* writer);

  // What a caller may not ask for: kInvalidArgument, and the transaction need not be begun.
  Status Validate(const CommitGroup& group) const;
  Result<CommitResult> Run(const CommitGroup& group, SpaceChanges* changes);
  // See Store::RemoveDocuments.
  Result<Store::Removed> Remove(std::span<const std::int64_t> documents, SpaceChanges* changes);

 private:
  // What becomes of one document.
  struct Change {
    const DocumentCommit* commit = nullptr;
    const DocumentRow* old = nullptr;  // Null if there is none.
    bool same = false;                 // Text and chunking are as before.
    std::uint64_t spaces_before = 0;
    std::uint64_t spaces = 0;
    std::int64_t number = 0;
    std::uint32_t chunks_dead = 0;  // Set by MergeChunks.
  };
  explicit Committer(Writer* writer) : writer_(writer) {}
  Status PrepareDocuments();
  Status PrepareChunks();
  Result<std::optional<DocumentRow>> Find(std::string_view id);
  Result<std::optional<DocumentRow>> FindNumber(std::int64_t number);
  // Whether a later record of this run has been committed, as `old` or as an empty one.
  Result<bool> IsSuperseded(const CommitGroup& group, const DocumentCommit& commit,
                            const std::optional<DocumentRow>& old);
  Status CommitOne(const CommitGroup& group, std::size_t i, CommitResult* result);
  Status CommitEmpty(const CommitGroup& group, std::size_t i, const std::optional<DocumentRow>& old,
                     CommitResult* result);
  Status RemoveOne(const DocumentRow& old, std::vector<ChunkId>* removed);
  // Notes that a document's spaces are other ones than before.
  void ChangeSpaces(std::uint64_t before, std::uint64_t after);
  Status Move(const MovedDocument& moved);
  // `write` inserts or updates a row of documents.
  static Status WriteRow(Statement* write, const DocumentRow& row, std::uint64_t checksum);
  Status MergeChunks(const CommitGroup& group, Change* change, std::vector<ChunkId>* ids,
                     std::vector<char>* is_new, std::vector<ChunkId>* removed);
  Status ReadOldChunks(const DocumentRow& old);
  Status InsertChunk(StoredChunkRow* row, const ContentHash& key);
  Status CheckHolder(ChunkId id, const ContentHash& key);
  Status DeleteChunk(const StoredChunkRow& row);
  Status UpdateChunk(const StoredChunkRow& old, const StoredChunkRow& row);
  Status WriteDocument(const CommitGroup& group, const Change& change);
  Status WriteText(const Change& change, const DocumentRow& row, std::string_view metadata_json);
  Status CommitLetters(const CommitGroup& group, const CommitResult& result);

  Writer* const writer_;
  std::unique_ptr<Letters> letters_;
  std::unique_ptr<Fields> fields_;
  std::int64_t next_document_ = 1;
  bool has_empty_records_ = false;
  std::vector<StoredChunkRow> old_chunks_;  // Of the document in hand.
  SpaceChanges changes_;                    // Of the transaction in hand.

  Statement find_document_;
  Statement find_number_;
  Statement forget_maybe_paid_;
  Statement insert_document_;
  Statement update_document_;
  Statement delete_document_;
  Statement insert_text_;
  Statement update_text_;
  Statement delete_text_;
  Statement read_metadata_;
  Statement chunks_of_document_;
  Statement insert_chunk_;
  Statement update_chunk_;
  Statement delete_chunk_;
  Statement find_empty_;
  Statement put_empty_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_COMMIT_H_
