#include "store/check_vectors.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "base/utf8.h"
#include "store/forget_space.h"
#include "store/match_vectors.h"
#include "store/records.h"

namespace embedflow {
namespace {

constexpr std::size_t kFaultsMax = 100;
constexpr std::size_t kReaderMapBytes = 1u << 20;

class VectorChecker {
 public:
  VectorChecker(const std::string& directory, Database* database,
                std::shared_ptr<VectorStore>* vectors, StoreCheck* check)
      : directory_(directory), database_(database), vectors_(vectors), check_(check) {}

  Status Run() {
    if (*vectors_ == nullptr) {
      EF_ASSIGN_OR_RETURN(
          *vectors_, VectorStore::Open(directory_, VectorStore::Access::kRead, kReaderMapBytes));
    }
    EF_ASSIGN_OR_RETURN(const VectorTallies tallies, (*vectors_)->Examine());
    std::map<ContentHash, std::string> names;
    for (const auto& [key, tally] : tallies.counted) names[key] = "space " + key.hex();
    for (const auto& [key, tally] : tallies.kept) names[key] = "space " + key.hex();
    EF_ASSIGN_OR_RETURN(Statement rows, database_->Prepare(kAllSpaces));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      SpaceRecord space;
      if (!ReadSpace(*database_, rows, &space).ok()) continue;
      EF_RETURN_IF_ERROR(CheckSpace(space));
      const ContentHash key = SpaceKey(space.space);
      CheckTally(tallies, key, EscapeControl(space.space.name()));
      names.erase(key);
    }
    EF_RETURN_IF_ERROR(AddHomeless(database_, needy_, &check_->to_buy_again));
    // Of spaces that the database does not know: bought, and waiting for their texts.
    for (const auto& [key, name] : names) {
      CheckTally(tallies, key, name);
      const auto counted = tallies.counted.find(key);
      if (counted == tallies.counted.end()) continue;
      check_->vectors += counted->second.count;
      check_->orphan_vectors += counted->second.count;
    }
    return {};
  }

 private:
  void CheckTally(const VectorTallies& tallies, const ContentHash& key, const std::string& name) {
    if (!tallies.has_sums || tallies.Agrees(key)) return;
    const auto counted = tallies.counted.find(key);
    const std::uint64_t is = counted == tallies.counted.end() ? 0 : counted->second.count;
    const auto kept = tallies.kept.find(key);
    const std::string file = EscapeControl(directory_) + "/" + kVectorFile + ": ";
    if (kept == tallies.kept.end() || !kept->second) {
      AddFault(check_,
               file + "the record of how many vectors " + name + " has is missing or damaged");
      return;
    }
    AddFault(check_, file + "vectors of " + name +
                         " are missing, extra or changed: " + std::to_string(is) + " are there, " +
                         std::to_string(kept->second->count) + " were written");
  }

  Status CheckSpace(const SpaceRecord& record) {
    const std::string file = EscapeControl(directory_) + "/" + kVectorFile;
    const std::string name = EscapeControl(record.space.name());
    EF_ASSIGN_OR_RETURN(const VectorSpace* space, (*vectors_)->FindSpace(record.space, false));
    std::vector<ContentHash> gone;
    VectorMatch match;
    match.missing = [&](std::string_view hash, std::uint64_t chunks, std::int64_t place) {
      check_->missing_vectors += chunks;
      gone.push_back(ContentHash::FromBytes(hash));
      AddLine(check_, file + ": the vector of " + ChunkName(place) + " in " + name + " is missing");
    };
    match.orphan = [&](const ContentHash&) { ++check_->orphan_vectors; };
    match.damaged = [&](const ContentHash& hash) {
      gone.push_back(hash);
      AddFault(check_, file + ": vector " + hash.hex() + " of " + name + ": its checksum is wrong");
    };
    EF_ASSIGN_OR_RETURN(const std::uint64_t vectors,
                        MatchVectors(database_, record.id, vectors_->get(), space, match));
    check_->vectors += vectors;
    if (gone.empty()) return {};
    std::sort(gone.begin(), gone.end());
    EF_ASSIGN_OR_RETURN(const SpaceNeedy needy, FindNeedy(database_, record.id, gone));
    AddNeedy(record.space, needy, &needy_, &check_->to_buy_again);
    return {};
  }

  const std::string& directory_;
  Database* const database_;
  std::shared_ptr<VectorStore>* const vectors_;
  StoreCheck* const check_;
  std::set<std::int64_t> needy_;  // Documents that need vectors that are gone.
};

}  // namespace

void AddLine(StoreCheck* check, const std::string& what) {
  if (check->faults.size() < kFaultsMax) check->faults.push_back(what);
}

void AddFault(StoreCheck* check, const std::string& what) {
  ++check->corrupt;
  AddLine(check, what);
}

Status CheckVectors(const std::string& directory, Database* database,
                    std::shared_ptr<VectorStore>* vectors, StoreCheck* check) {
  return VectorChecker(directory, database, vectors, check).Run();
}

}  // namespace embedflow
