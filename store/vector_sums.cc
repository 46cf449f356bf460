#include "store/vector_sums.h"

#include <lmdb.h>

#include <cstring>

#include "base/log.h"
#include "store/vector_transactions.h"

namespace embedflow {
namespace {

// Seed of the checksums of tallies. On disk for ever.
constexpr std::uint64_t kTallySeed = 12;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

TallyImage ImageOf(const ContentHash& space_key, const VectorTally& tally) {
  TallyImage image = {tally.count, tally.sum, 0};
  const std::string_view bytes(reinterpret_cast<const char*>(image.data()), 16);
  image[2] = Checksum(bytes, Checksum(space_key.view(), kTallySeed));
  return image;
}

std::optional<VectorTally> TallyOf(const ContentHash& space_key, std::string_view image) {
  TallyImage stored;
  if (image.size() != sizeof stored) return std::nullopt;
  std::memcpy(stored.data(), image.data(), sizeof stored);
  const VectorTally tally = {stored[0], stored[1]};
  if (ImageOf(space_key, tally) != stored) return std::nullopt;
  return tally;
}

std::optional<ContentHash> SpaceKeyOfDatabase(std::string_view name) {
  ContentHash key;
  if (name.size() != 2 * key.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < key.bytes.size(); ++i) {
    const int high = HexDigit(name[2 * i]);
    const int low = HexDigit(name[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    key.bytes[i] = static_cast<unsigned char>(16 * high + low);
  }
  return key;
}

bool VectorTallies::Agrees(const ContentHash& space_key) const {
  const auto count = counted.find(space_key);
  const VectorTally is = count == counted.end() ? VectorTally() : count->second;
  const auto keep = kept.find(space_key);
  // A space without vectors may have no record yet.
  if (keep == kept.end()) return is == VectorTally();
  return keep->second.has_value() && *keep->second == is;
}

void VectorTallies::Note(std::string_view database, std::string_view key, std::string_view value) {
  if (database == kSumsDatabase) {
    const ContentHash space_key = ContentHash::FromBytes(key);
    kept[space_key] = TallyOf(space_key, value);
    return;
  }
  const std::optional<ContentHash> space_key = SpaceKeyOfDatabase(database);
  if (space_key) counted[*space_key].Add(key, space_key->high64());
}

Status VectorStore::PrepareToWrite() {
  if (has_sums_) return {};
  // Readers of this process may have opened the file without looking at what only a writer follows.
  EF_ASSIGN_OR_RETURN(const VectorTallies tallies,
                      Tally({.free_list = true, .overflow_headers = false}));
  if (!tallies.has_sums) return WriteSums(tallies);
  for (const auto& [space_key, counted] : tallies.counted) {
    if (tallies.Agrees(space_key)) continue;
    Log(LogLevel::kWarning, path_ + ": vectors of space " + space_key.hex() +
                                " are missing or extra; embedflow verify tells more");
  }
  const MutexLock turn(turn_);
  const std::unique_lock<std::shared_mutex> alone(map_mu_);
  const int result = OpenDatabase(kSumsDatabase, false, &sums_);
  has_sums_ = result == MDB_SUCCESS;
  return has_sums_ ? Status() : Error(result, "read");
}

Status VectorStore::Recount() {
  EF_ASSIGN_OR_RETURN(const VectorTallies tallies,
                      Tally({.free_list = true, .overflow_headers = false}));
  return WriteSums(tallies);
}

// The database and its records in one transaction, so that a file has either all of them or none.
Status VectorStore::WriteSums(const VectorTallies& tallies) {
  for (;;) {
    int result = 0;
    {
      const MutexLock turn(turn_);
      const std::unique_lock<std::shared_mutex> alone(map_mu_);
      MDB_txn* txn = nullptr;
      result = mdb_txn_begin(env_, nullptr, 0, &txn);
      if (result != MDB_SUCCESS) return Error(result, "write");
      result = mdb_dbi_open(txn, kSumsDatabase, MDB_CREATE, &sums_);
      if (result == MDB_SUCCESS) result = mdb_drop(txn, sums_, 0);
      for (auto at = tallies.counted.begin(); at != tallies.counted.end() && result == MDB_SUCCESS;
           ++at) {
        TallyImage image = ImageOf(at->first, at->second);
        MDB_val key = KeyOf(at->first);
        MDB_val value = {sizeof image, image.data()};
        result = mdb_put(txn, sums_, &key, &value, 0);
      }
      if (result == MDB_SUCCESS) {
        result = mdb_txn_commit(txn);
      } else {
        mdb_txn_abort(txn);
      }
    }
    has_sums_ = result == MDB_SUCCESS;
    if (has_sums_) return {};
    if (result != MDB_MAP_FULL) return Error(result, "write");
    EF_RETURN_IF_ERROR(GrowMap());
  }
}

int VectorStore::ChangeSums(MDB_txn* txn, const VectorSpace& space, const VectorTally& added,
                            const VectorTally& removed) {
  if (added.count == 0 && removed.count == 0) return MDB_SUCCESS;
  MDB_val key = KeyOf(space.key);
  MDB_val value{};
  int result = mdb_get(txn, sums_, &key, &value);
  if (result != MDB_SUCCESS && result != MDB_NOTFOUND) return result;
  VectorTally tally;
  if (result == MDB_SUCCESS) {
    const std::optional<VectorTally> kept = TallyOf(space.key, View(value));
    // A damaged one stays as it is, so that verify names it and its repair counts anew.
    if (!kept) return MDB_SUCCESS;
    tally = *kept;
  }
  tally.count += added.count - removed.count;
  tally.sum += added.sum - removed.sum;
  TallyImage image = ImageOf(space.key, tally);
  value = {sizeof image, image.data()};
  return mdb_put(txn, sums_, &key, &value, 0);
}

}  // namespace embedflow
