// Reads everything a corpus keeps and says what is not as it was written.
#ifndef EMBEDFLOW_STORE_CHECK_H_
#define EMBEDFLOW_STORE_CHECK_H_

#include <memory>
#include <string>

#include "store/sqlite.h"
#include "store/store.h"
#include "store/vectors.h"

namespace embedflow {

// See StoreReader::Check. `database` is inside a read transaction. `*vectors` is opened if it is
// null; if that fails, that is a fault. Memory: one document, and what SQLite's sorter needs.
Result<StoreCheck> CheckStore(const std::string& directory, Database* database,
                              std::shared_ptr<VectorStore>* vectors);

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

#endif  // EMBEDFLOW_STORE_CHECK_H_
