// Takes documents out of a space.
#ifndef EMBEDFLOW_STORE_FORGET_SPACE_H_
#define EMBEDFLOW_STORE_FORGET_SPACE_H_

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "embedflow/status.h"
#include "store/sqlite.h"
#include "store/store.h"

namespace embedflow {

// Ids of documents that a report names.
inline constexpr std::size_t kIdsTold = 100;

struct SpaceNeedy {
  std::uint64_t chunks = 0;             // Living ones whose text is among those asked for.
  std::vector<std::int64_t> documents;  // Their documents, ascending.
  std::vector<std::string> ids;         // Of the first kIdsTold of them.
};
// Who needs the vectors of `texts` (ascending) in the space.
Result<SpaceNeedy> FindNeedy(Database* database, SpaceId space, std::span<const ContentHash> texts);
// Adds them to what is to be bought again; `*counted` keeps each document from being counted twice.
void AddNeedy(const Space& space, const SpaceNeedy& needy, std::set<std::int64_t>* counted,
              ToBuyAgain* to_buy_again);
// Adds the documents that are in no space at all: an earlier repair took them out.
Status AddHomeless(Database* database, const std::set<std::int64_t>& counted,
                   ToBuyAgain* to_buy_again);

// Clears the space's bit of every document that needs one of `texts`: its chunks leave the space's
// index, and the next ingest or backfill takes it up again. Its dead letters stay. One transaction
// for 1,000 documents: after an error or a kill, calling it again does the rest. The caller holds
// the directory's lock.
Result<SpaceNeedy> ForgetSpace(const std::string& directory, SpaceId space,
                               std::span<const ContentHash> texts);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_FORGET_SPACE_H_
