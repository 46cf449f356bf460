// What decides whether a document that is read again has changed, and which documents were read.
#ifndef EMBEDFLOW_CORPUS_CHANGE_H_
#define EMBEDFLOW_CORPUS_CHANGE_H_

#include <cstdint>
#include <vector>

#include "store/store.h"

namespace embedflow {

// True if the stored document is as it is read, and has its vectors in the space.
inline bool IsUnchanged(const DocumentState& stored, const ContentHash& text_hash,
                        const ContentHash& metadata_hash, const ContentHash& chunking,
                        SpaceId space) {
  return stored.text_hash == text_hash && stored.metadata_hash == metadata_hash &&
         stored.chunking == chunking && (stored.spaces >> space & 1) != 0;
}

// The documents of the corpus that a run has met, a bit each.
// Threads: not thread-safe.
class SeenDocuments {
 public:
  // `number` is a document's, from 1.
  void Add(std::int64_t number) {
    const auto at = static_cast<std::size_t>(number);
    if (at >= seen_.size()) seen_.resize(at + 1 + at / 2);
    seen_[at] = true;
  }
  bool Has(std::int64_t number) const {
    const auto at = static_cast<std::size_t>(number);
    return at < seen_.size() && seen_[at];
  }

 private:
  std::vector<bool> seen_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_CORPUS_CHANGE_H_
