#include "store/repair.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/utf8.h"
#include "store/database.h"
#include "store/forget_space.h"
#include "store/match_vectors.h"
#include "store/records.h"
#include "store/repair_database.h"
#include "store/vector_salvage.h"
#include "store/vectors.h"

namespace embedflow {
namespace {

constexpr std::size_t kMapBytes = std::size_t{1} << 24;
// Vectors deleted in one LMDB transaction.
constexpr std::size_t kEraseVectors = 4096;

// What a space lacks. Hashes are ascending.
struct SpaceNeeds {
  SpaceRecord record;
  std::vector<ContentHash> missing;
  std::vector<ContentHash> damaged;
  std::vector<ContentHash> orphans;  // Only if they are to be dropped.
};

bool Contains(const std::vector<ContentHash>& sorted, const ContentHash& hash) {
  return std::binary_search(sorted.begin(), sorted.end(), hash);
}

class StoreRepairer {
 public:
  StoreRepairer(const std::string& directory, const StoreRepairOptions& options)
      : directory_(directory), options_(options), file_(directory + "/" + kVectorFile) {}

  Result<StoreRepair> Run() {
    EF_RETURN_IF_ERROR(ExamineDirectory(directory_));
    EF_ASSIGN_OR_RETURN(repair_.lock, DirectoryLock::Take(directory_));
    EF_ASSIGN_OR_RETURN(DatabaseRepair database,
                        RepairDatabase(directory_, options_.forget_indexes));
    repair_.notes = std::move(database.notes);
    repair_.lost = database.lost;
    repair_.documents_dropped = database.documents_dropped;
    repair_.dropped_ids = std::move(database.dropped_ids);
    EF_RETURN_IF_ERROR(RepairVectors());
    EF_RETURN_IF_ERROR(ForgetMissing());
    if (options_.drop_orphans) EF_RETURN_IF_ERROR(DropOrphans());
    EF_ASSIGN_OR_RETURN(const VectorTallies tallies, vectors_->Examine());
    for (const auto& [space, tally] : tallies.counted) repair_.vectors += tally.count;
    return std::move(repair_);
  }

 private:
  void Note(std::string note) { repair_.notes.push_back(std::move(note)); }

  Status RepairVectors();
  // True if the vectors are whole now; false if they are to be looked at again.
  Result<bool> RepairOnce(int attempt);
  Status Match(const VectorTallies& tallies);
  Result<std::uint64_t> Hidden(bool only_wanted);
  Status EraseAll(const SpaceNeeds& needs, const std::vector<ContentHash>& hashes,
                  std::uint64_t* erased);
  Status Salvage();
  Status ForgetMissing();
  Status DropOrphans();

  const std::string& directory_;
  const StoreRepairOptions& options_;
  const std::string file_;
  StoreRepair repair_;
  std::shared_ptr<VectorStore> vectors_;  // Null while the file is not open.
  std::set<ContentHash> spaces_;          // That the database knows.
  std::vector<SpaceNeeds> needs_;
  bool sums_agree_ = true;
};

Status StoreRepairer::RepairVectors() {
  // The first attempt mends in place, the second makes the file anew, the third finds it whole.
  constexpr int kAttemptsMax = 3;
  for (int attempt = 1; attempt <= kAttemptsMax; ++attempt) {
    EF_ASSIGN_OR_RETURN(const bool whole, RepairOnce(attempt));
    if (whole) return {};
  }
  return Status(Code::kCorruption, EscapeControl(file_) + " is damaged again as soon as it is made")
      .WithNext("look at the disk: it does not keep what is written");
}

Result<bool> StoreRepairer::RepairOnce(int attempt) {
  const auto look = [&]() -> Status {
    EF_ASSIGN_OR_RETURN(vectors_,
                        VectorStore::Open(directory_, VectorStore::Access::kWrite, kMapBytes));
    EF_ASSIGN_OR_RETURN(const VectorTallies tallies, vectors_->Examine());
    return Match(tallies);
  };
  const Status looked = look();
  if (looked.code() == Code::kCorruption) {
    EF_RETURN_IF_ERROR(Salvage());
    return false;
  }
  EF_RETURN_IF_ERROR(looked);
  bool any_damaged = false;
  bool any_missing = false;
  for (const SpaceNeeds& needs : needs_) {
    any_damaged = any_damaged || !needs.damaged.empty();
    any_missing = any_missing || !needs.missing.empty();
  }
  if (sums_agree_ && !any_damaged && !any_missing) return true;
  // Before anything is written, which could take the pages where they lie.
  EF_ASSIGN_OR_RETURN(const std::uint64_t hidden, attempt > 2 ? 0 : Hidden(sums_agree_));
  if (hidden > 0 || (attempt == 2 && any_damaged)) {
    EF_RETURN_IF_ERROR(Salvage());
    return false;
  }
  std::uint64_t erased = 0;
  for (const SpaceNeeds& needs : needs_) {
    const Status status = EraseAll(needs, needs.damaged, &erased);
    if (status.code() == Code::kCorruption) {
      EF_RETURN_IF_ERROR(Salvage());
      return false;
    }
    EF_RETURN_IF_ERROR(status);
  }
  if (erased > 0) {
    Note(EscapeControl(file_) + ": " + std::to_string(erased) + " damaged vectors were deleted");
  }
  if (!sums_agree_) {
    EF_RETURN_IF_ERROR(vectors_->Recount());
    Note(EscapeControl(file_) + ": the vectors of each space were counted anew");
  }
  // What is only missing stays so: it is to be forgotten.
  return sums_agree_ && !any_damaged;
}

Status StoreRepairer::Match(const VectorTallies& tallies) {
  needs_.clear();
  spaces_.clear();
  sums_agree_ = tallies.has_sums;
  for (const auto& [key, tally] : tallies.counted) sums_agree_ &= tallies.Agrees(key);
  for (const auto& [key, tally] : tallies.kept) sums_agree_ &= tallies.Agrees(key);
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, OpenForReading(directory_));
  EF_ASSIGN_OR_RETURN(Statement rows, database->Prepare(kAllSpaces));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    SpaceNeeds& needs = needs_.emplace_back();
    EF_RETURN_IF_ERROR(ReadSpace(*database, rows, &needs.record));
    spaces_.insert(SpaceKey(needs.record.space));
    EF_ASSIGN_OR_RETURN(const VectorSpace* space, vectors_->FindSpace(needs.record.space, false));
    VectorMatch match;
    match.missing = [&](std::string_view hash, std::uint64_t, std::int64_t) {
      needs.missing.push_back(ContentHash::FromBytes(hash));
    };
    match.orphan = [&](const ContentHash& hash) {
      if (options_.drop_orphans && !repair_.lost) needs.orphans.push_back(hash);
    };
    match.damaged = [&](const ContentHash& hash) { needs.damaged.push_back(hash); };
    EF_RETURN_IF_ERROR(
        MatchVectors(database.get(), needs.record.id, vectors_.get(), space, match).status());
  }
}

// Vectors that lie somewhere in the file and that LMDB does not find.
Result<std::uint64_t> StoreRepairer::Hidden(bool only_wanted) {
  std::map<ContentHash, const SpaceNeeds*> by_key;
  for (const SpaceNeeds& needs : needs_) by_key[SpaceKey(needs.record.space)] = &needs;
  std::function<bool(const ContentHash&, const ContentHash&)> wanted;
  if (only_wanted) {
    wanted = [&](const ContentHash& space_key, const ContentHash& hash) {
      const auto found = by_key.find(space_key);
      return found != by_key.end() &&
             (Contains(found->second->missing, hash) || Contains(found->second->damaged, hash));
    };
  }
  EF_ASSIGN_OR_RETURN(std::set<ContentHash> spaces, FindSpaceKeys(directory_));
  spaces.insert(spaces_.begin(), spaces_.end());
  return CountHidden(directory_, vectors_.get(), spaces, wanted);
}

Status StoreRepairer::EraseAll(const SpaceNeeds& needs, const std::vector<ContentHash>& hashes,
                               std::uint64_t* erased) {
  if (hashes.empty()) return {};
  EF_ASSIGN_OR_RETURN(const VectorSpace* space, vectors_->FindSpace(needs.record.space, false));
  if (space == nullptr) return {};
  for (std::size_t i = 0; i < hashes.size(); i += kEraseVectors) {
    const std::size_t count = std::min(kEraseVectors, hashes.size() - i);
    EF_ASSIGN_OR_RETURN(const std::uint64_t gone,
                        vectors_->Erase(*space, std::span(hashes).subspan(i, count)));
    *erased += gone;
  }
  return {};
}

Status StoreRepairer::Salvage() {
  vectors_.reset();
  if (spaces_.empty()) {
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, OpenForReading(directory_));
    EF_ASSIGN_OR_RETURN(Statement rows, database->Prepare(kAllSpaces));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      SpaceRecord space;
      EF_RETURN_IF_ERROR(ReadSpace(*database, rows, &space));
      spaces_.insert(SpaceKey(space.space));
    }
  }
  EF_ASSIGN_OR_RETURN(const VectorSalvage salvage, SalvageVectors(directory_, spaces_));
  if (salvage.kept_as.empty()) {
    Note(EscapeControl(file_) + " was missing or empty");
  } else {
    Note(EscapeControl(file_) + " was damaged: " + std::to_string(salvage.vectors) +
         " vectors were read out of it; it is kept as " + EscapeControl(salvage.kept_as));
  }
  return {};
}

Status StoreRepairer::ForgetMissing() {
  std::set<std::int64_t> counted;
  for (const SpaceNeeds& needs : needs_) {
    if (needs.missing.empty()) continue;
    EF_ASSIGN_OR_RETURN(const SpaceNeedy needy,
                        ForgetSpace(directory_, needs.record.id, needs.missing));
    AddNeedy(needs.record.space, needy, &counted, &repair_.to_buy_again);
    Note(std::to_string(needy.documents.size()) + " documents left " +
         EscapeControl(needs.record.space.name()) + ", because the vectors of " +
         std::to_string(needy.chunks) + " of their chunks are gone");
  }
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, OpenForReading(directory_));
  return AddHomeless(database.get(), counted, &repair_.to_buy_again);
}

Status StoreRepairer::DropOrphans() {
  if (repair_.lost) {
    Note("vectors without a chunk are kept, because documents that may need them were lost");
    return {};
  }
  for (const SpaceNeeds& needs : needs_) {
    EF_RETURN_IF_ERROR(EraseAll(needs, needs.orphans, &repair_.orphans_dropped));
  }
  if (repair_.orphans_dropped > 0) {
    Note(std::to_string(repair_.orphans_dropped) + " vectors without a chunk were deleted");
  }
  return {};
}

}  // namespace

Result<StoreRepair> RepairStore(const std::string& directory, const StoreRepairOptions& options) {
  return StoreRepairer(directory, options).Run();
}

}  // namespace embedflow
