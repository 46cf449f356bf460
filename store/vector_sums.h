// What is kept about a whole space of vectors: how many there are, and a sum over their keys.
//
// A vector's own checksum tells whether it is right, not whether all are there. So LMDB keeps, in
// a named database of ours, a record a space that every transaction changes together with the
// vectors: a vector that is lost or extra shows even if no chunk needs it. The sum is over keys
// alone, because a vector never changes except where a damaged one is replaced, whose old share
// nobody could know.
#ifndef EMBEDFLOW_STORE_VECTOR_SUMS_H_
#define EMBEDFLOW_STORE_VECTOR_SUMS_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace embedflow {

// Beside the databases of the spaces, whose names are 32 hexadecimal digits.
inline constexpr const char* kSumsDatabase = "sums";

struct VectorTally {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;  // Wrapping, of the checksums of the keys; no order.
  bool operator==(const VectorTally&) const = default;
  void Add(std::string_view key, std::uint64_t seed) {
    ++count;
    sum += Checksum(key, seed);
  }
};

// A tally as it is kept: count, sum, checksum.
using TallyImage = std::array<std::uint64_t, 3>;
TallyImage ImageOf(const ContentHash& space_key, const VectorTally& tally);
// Nullopt if it is not what was written.
std::optional<VectorTally> TallyOf(const ContentHash& space_key, std::string_view image);

// What a file of vectors holds, and what it says that it holds.
struct VectorTallies {
  // One that was written before tallies were kept has none.
  bool has_sums = false;
  // By SpaceKey. In `kept`, nullopt is a damaged record.
  std::map<ContentHash, VectorTally> counted;
  std::map<ContentHash, std::optional<VectorTally>> kept;

  // Whether both agree about a space.
  bool Agrees(const ContentHash& space_key) const;
  // Takes note of an entry of a named database.
  void Note(std::string_view database, std::string_view key, std::string_view value);
};

// The SpaceKey that a database is named after; nullopt for other databases.
std::optional<ContentHash> SpaceKeyOfDatabase(std::string_view name);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_VECTOR_SUMS_H_
