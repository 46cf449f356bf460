// Which vectors the chunks need, and which there are.
#ifndef EMBEDFLOW_STORE_MATCH_VECTORS_H_
#define EMBEDFLOW_STORE_MATCH_VECTORS_H_

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/hash.h"
#include "embedflow/status.h"
#include "store/sqlite.h"
#include "store/store.h"
#include "store/vectors.h"

namespace embedflow {

// Compares the vectors of a space with the chunks that need them, both in the order of their
// hashes. `missing` gets a hash, how many chunks need it and the place of one; `orphan` a vector
// that none needs; `damaged` a vector whose checksum is wrong, needed or not.
struct VectorMatch {
  std::function<void(std::string_view hash, std::uint64_t chunks, std::int64_t place)> missing;
  std::function<void(const ContentHash& hash)> orphan;
  std::function<void(const ContentHash& hash)> damaged;
};
// `space` may be null: no vectors. Returns how many vectors there are.
Result<std::uint64_t> MatchVectors(Database* database, SpaceId id, VectorStore* vectors,
                                   const VectorSpace* space, const VectorMatch& match);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_MATCH_VECTORS_H_
