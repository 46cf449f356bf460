// The documents of the corpus as what a run reads, in place of a source: cut as they are.
#ifndef EMBEDFLOW_PIPELINE_STORED_DOCUMENTS_H_
#define EMBEDFLOW_PIPELINE_STORED_DOCUMENTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/batch.h"
#include "store/store.h"

namespace embedflow {

// Threads: one at a time. Errors: those of the reader.
class StoredDocuments {
 public:
  enum class Which {
    kWithoutVectors,  // Those that lack the space.
    kDead,            // Those with dead letters in the space.
  };
  // Read at a time: at most so many, and no more once their texts have reached so many bytes. No
  // state of the store is held from one slice to the next, or its WAL would grow for hours.
  static constexpr std::size_t kSliceDocuments = 256;
  static constexpr std::size_t kSliceBytes = 4u << 20;

  // `reader` must outlive it.
  StoredDocuments(StoreReader& reader, SpaceId space, Which which)
      : reader_(reader), space_(space), which_(which) {}

  // The next document, null at the end. Every document comes once, also if it still is one of those
  // asked for by then.
  Result<DocumentPtr> Next();

 private:
  StoreReader& reader_;
  const SpaceId space_;
  const Which which_;
  std::vector<StoredDocument> slice_;
  std::size_t next_ = 0;  // In slice_.
  std::int64_t after_ = 0;
  std::string after_id_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_STORED_DOCUMENTS_H_
