// The view of what is committed.
#ifndef EMBEDFLOW_STORE_READER_H_
#define EMBEDFLOW_STORE_READER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/database.h"
#include "store/store.h"
#include "store/vectors.h"

namespace embedflow {

// See StoreReader. LMDB is opened by the first call that needs vectors, because opening it walks
// its pages, which a search by index has no use for.
class Reader : public StoreReader {
 public:
  // `vectors` may be null.
  static Result<std::unique_ptr<StoreReader>> Open(const std::string& directory,
                                                   std::shared_ptr<VectorStore> vectors);

  Status HoldView() override;
  void ReleaseView() override;
  Result<std::vector<SpaceRecord>> Spaces() override;
  Result<StoreCounts> Counts() override;
  Result<std::optional<DocumentState>> FindDocument(std::string_view id) override;
  Result<std::uint64_t> VectorCount(SpaceId space) override;
  Result<bool> ReadVector(SpaceId space, const ContentHash& text_hash,
                          std::span<float> vector) override;
  Status ScanChunks(bool with_text,
                    const std::function<Status(const ChunkScan&, std::string_view text,
                                               std::string_view metadata_json)>& visit) override;
  Result<std::optional<ChunkText>> FindChunk(ChunkId id) override;
  Result<std::vector<ChunkId>> FilterChunks(
      const std::vector<std::pair<std::string, std::string>>& pairs) override;
  Result<std::vector<DeadLetter>> DeadLetters() override;
  Result<std::vector<StoredDocument>> DocumentsWithout(SpaceId space, std::int64_t after,
                                                       std::size_t documents_max,
                                                       std::size_t bytes_max) override;
  Result<std::vector<StoredDocument>> DocumentsWithLetters(SpaceId space, std::string_view after,
                                                           std::size_t documents_max,
                                                           std::size_t bytes_max) override;
  Result<std::vector<std::int64_t>> DocumentsOfSources(
      std::span<const std::int64_t> sources, std::int64_t run, std::int64_t after,
      std::size_t documents_max, const std::function<bool(std::int64_t number)>& keep) override;
  Result<std::vector<std::int64_t>> FindSources(std::span<const std::string> names) override;
  Result<StoreCheck> Check() override;

 private:
  Reader(std::string directory, std::unique_ptr<Database> database,
         std::shared_ptr<VectorStore> vectors)
      : directory_(std::move(directory)),
        database_(std::move(database)),
        vectors_(std::move(vectors)) {}
  Status Prepare();
  // True if the document stored after the last one found has this id: then row_ is filled.
  Result<bool> IsNextDocument(std::string_view id);
  // Null if the space has no vectors yet. Errors: kNotFound if there is no such space.
  Result<const VectorSpace*> FindVectors(SpaceId space);

  const std::string directory_;
  const std::unique_ptr<Database> database_;
  std::shared_ptr<VectorStore> vectors_;    // Null until needed.
  std::vector<const VectorSpace*> opened_;  // By space id; null where not opened yet.
  DocumentRow row_;                         // Kept for its memory.
  bool holds_view_ = false;
  std::int64_t found_number_ = 0;  // Of the document last found by FindDocument.
  bool is_in_order_ = false;       // It is stored after the one found before it.
  Statement begin_;
  Statement commit_;
  Statement find_document_;
  Statement find_chunk_;
  Statement document_by_number_;
  Statement metadata_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_READER_H_
