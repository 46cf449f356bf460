// Reads what can be read out of a file of vectors that LMDB must not map.
//
// Vectors are bought, so none that can be read may be lost. Every page of the file is searched for
// records, whatever its header and the tree above it say: a record carries a checksum that is
// seeded by its space and its key, so one that fits is genuine wherever it lies.
#ifndef EMBEDFLOW_STORE_VECTOR_SALVAGE_H_
#define EMBEDFLOW_STORE_VECTOR_SALVAGE_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "base/hash.h"
#include "embedflow/status.h"
#include "store/vectors.h"

namespace embedflow {

// The SpaceKeys that the file names anywhere: of databases, and of the tallies of spaces. Not all
// of them need be genuine. Empty if there is no file. Errors: kIo.
Result<std::set<ContentHash>> FindSpaceKeys(const std::string& directory);

// Whether the file holds, or has ever held, a vector: a large one is taken at its size. Errors:
// kIo.
Result<bool> HoldsVectors(const std::string& directory);

// How many records of `spaces` the file holds that LMDB does not find, not counting those that
// `wanted` (may be null) does not want. Errors: kIo.
Result<std::uint64_t> CountHidden(
    const std::string& directory, VectorStore* store, const std::set<ContentHash>& spaces,
    const std::function<bool(const ContentHash& space_key, const ContentHash& hash)>& wanted);

struct VectorSalvage {
  std::uint64_t vectors = 0;
  std::string kept_as;  // The name that the damaged file has now; empty if there was none.
};
// Makes the directory's file of vectors anew from every record of the old one that fits `spaces` or
// the spaces that it names itself. The old file stays under another name. At every instant one of
// the two is in place. The caller holds the directory's lock and has the file closed. Needs as much
// room on the disk as the vectors. Errors: kIo; the old file is then as it was.
Result<VectorSalvage> SalvageVectors(const std::string& directory, std::set<ContentHash> spaces);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_VECTOR_SALVAGE_H_
