#include "store/match_vectors.h"

#include <optional>

#include "store/records.h"

namespace embedflow {
namespace {

// Vectors read in one LMDB transaction: a writer that wants to grow its map waits for no more.
constexpr std::size_t kSliceVectors = 1024;

}  // namespace

Result<std::uint64_t> MatchVectors(Database* database, SpaceId id, VectorStore* vectors,
                                   const VectorSpace* space, const VectorMatch& match) {
  static_assert(kOrdinalBits == 26);
  EF_ASSIGN_OR_RETURN(
      Statement needed,
      database->Prepare("SELECT c.text_hash, count(*), min(c.place) FROM chunks c JOIN documents d"
                        " ON d.document = c.place >> 26"
                        " WHERE (d.spaces & ?1) != 0 AND (c.dead_spaces & ?1) = 0"
                        " GROUP BY c.text_hash ORDER BY c.text_hash"));
  needed.BindUnsigned(SpaceBit(id));
  EF_ASSIGN_OR_RETURN(bool more, needed.Step());
  Status status;
  const auto advance = [&] {
    Result<bool> next = needed.Step();
    if (!next.ok()) status = next.status();
    more = next.ok() && *next;
  };
  const auto missing_before = [&](const ContentHash* hash) {
    while (more && (hash == nullptr || needed.Bytes(0) < hash->view())) {
      match.missing(needed.Bytes(0), needed.Unsigned(1), needed.Int(2));
      advance();
    }
  };
  std::uint64_t total = 0;
  std::optional<ContentHash> after;
  while (space != nullptr && status.ok()) {
    EF_ASSIGN_OR_RETURN(
        const std::size_t visited,
        vectors->Visit(*space, &after, kSliceVectors, [&](const ContentHash& hash, bool good) {
          missing_before(&hash);
          if (!good) match.damaged(hash);
          if (more && needed.Bytes(0) == hash.view()) {
            advance();
          } else if (status.ok()) {
            match.orphan(hash);
          }
        }));
    if (visited == 0) break;
    total += visited;
  }
  EF_RETURN_IF_ERROR(status);
  missing_before(nullptr);
  EF_RETURN_IF_ERROR(status);
  return total;
}

}  // namespace embedflow
