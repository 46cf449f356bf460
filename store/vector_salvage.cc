#include "store/vector_salvage.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "store/directory.h"
#include "store/lmdb_pages.h"
#include "store/set_aside.h"
#include "store/vector_sums.h"
#include "store/vectors.h"

namespace embedflow {
namespace {

// The new file is made in a directory of its own and then renamed.
constexpr const char* kWorkshop = "vectors.salvage";
constexpr std::size_t kMapBytes = std::size_t{1} << 24;
// A file without any space is a few pages long.
constexpr long long kScannedBytesMax = 1 << 20;
// What is gathered before it is written, in one transaction.
constexpr std::size_t kGatheredBytesMax = std::size_t{32} << 20;
constexpr std::size_t kGatheredRecordsMax = 16384;

std::string VectorPath(const std::string& directory) { return directory + "/" + kVectorFile; }

// Tells records of spaces from what only looks like one.
class Matcher {
 public:
  using Take = std::function<Status(const ContentHash& space_key, const ContentHash& hash,
                                    std::string_view floats)>;
  Matcher(const std::set<ContentHash>& spaces, Take take)
      : spaces_(spaces), take_(std::move(take)) {}

  Status Offer(std::string_view key, std::string_view value) {
    std::uint64_t checksum = 0;
    if (value.size() <= sizeof checksum || value.size() % sizeof(float) != 0) return {};
    std::memcpy(&checksum, value.data(), sizeof checksum);
    const std::string_view floats = value.substr(sizeof checksum);
    for (const ContentHash& space_key : spaces_) {
      // The first genuine record tells how long all of its space are.
      const auto known = floats_bytes_.find(space_key);
      if (known != floats_bytes_.end() && known->second != floats.size()) continue;
      if (Checksum(floats, Checksum(key, space_key.high64())) != checksum) continue;
      floats_bytes_[space_key] = floats.size();
      return take_(space_key, ContentHash::FromBytes(key), floats);
    }
    return {};
  }

 private:
  const std::set<ContentHash>& spaces_;
  const Take take_;
  std::map<ContentHash, std::size_t> floats_bytes_;
};

// Gathers vectors by space and puts them into the new file.
class Gatherer {
 public:
  explicit Gatherer(std::shared_ptr<VectorStore> store) : store_(std::move(store)) {}

  Status Take(const ContentHash& space_key, const ContentHash& hash, std::string_view floats) {
    Gathered& gathered = spaces_[space_key];
    const std::size_t dimensions = floats.size() / sizeof(float);
    if (gathered.space == nullptr) {
      EF_ASSIGN_OR_RETURN(gathered.space, store_->FindSpace(space_key, dimensions,
                                                            "space " + space_key.hex(), true));
    }
    gathered.hashes.push_back(hash);
    std::memcpy(gathered.vectors.emplace_back(dimensions).data(), floats.data(), floats.size());
    const bool full = gathered.hashes.size() * floats.size() >= kGatheredBytesMax ||
                      gathered.hashes.size() >= kGatheredRecordsMax;
    return full ? Write(&gathered) : Status();
  }

  Status Finish() {
    for (auto& [space_key, gathered] : spaces_) EF_RETURN_IF_ERROR(Write(&gathered));
    return {};
  }
  std::uint64_t vectors() const { return vectors_; }

 private:
  struct Gathered {
    const VectorSpace* space = nullptr;
    std::vector<ContentHash> hashes;
    std::deque<std::vector<float>> vectors;
  };

  Status Write(Gathered* gathered) {
    if (gathered->hashes.empty()) return {};
    std::vector<Store::VectorPut> puts;
    for (std::size_t i = 0; i < gathered->hashes.size(); ++i) {
      puts.push_back({gathered->hashes[i], gathered->vectors[i]});
    }
    // Pages that were given up and not used again hold records a second time.
    EF_ASSIGN_OR_RETURN(const std::uint64_t already, store_->Put(*gathered->space, puts));
    vectors_ += puts.size() - already;
    gathered->hashes.clear();
    gathered->vectors.clear();
    return {};
  }

  const std::shared_ptr<VectorStore> store_;
  std::map<ContentHash, Gathered> spaces_;
  std::uint64_t vectors_ = 0;
};

// Hands every record of `spaces` that the directory's file holds to `take`. No file, no record.
Status ScanRecords(const std::string& directory, const std::set<ContentHash>& spaces,
                   Matcher::Take take) {
  const std::string path = VectorPath(directory);
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.ok()) return errno == ENOENT ? Status() : IoError(path, "open", errno);
  Matcher matcher(spaces, std::move(take));
  LmdbScan scan;
  scan.record = [&](std::string_view key, std::string_view value) {
    return matcher.Offer(key, value);
  };
  return ScanLmdbPages(file.get(), path, scan);
}

Status ClearWorkshop(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory + "/" + kWorkshop, error);
  if (error) return IoError(directory + "/" + kWorkshop, "remove", error.value());
  return {};
}

// The new file takes the old one's place, whose second name is durable before that.
Result<std::string> Swap(const std::string& directory) {
  const std::string path = VectorPath(directory);
  const std::string made = directory + "/" + kWorkshop + "/" + kVectorFile;
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path));
  const std::string kept = bytes > 0 ? FreeDamagedName(path) : "";
  if (!kept.empty()) EF_RETURN_IF_ERROR(AlsoName(path, kept));
  EF_RETURN_IF_ERROR(SyncDirectory(directory));
  // The table of readers knows transactions of the old file.
  for (const std::string& lock : {path + "-lock", made + "-lock"}) {
    if (unlink(lock.c_str()) != 0 && errno != ENOENT) return IoError(lock, "remove", errno);
  }
  if (rename(made.c_str(), path.c_str()) != 0) return IoError(path, "make", errno);
  EF_RETURN_IF_ERROR(SyncDirectory(directory));
  return kept;
}

}  // namespace

Result<std::set<ContentHash>> FindSpaceKeys(const std::string& directory) {
  std::set<ContentHash> keys;
  const std::string path = VectorPath(directory);
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.ok()) {
    if (errno == ENOENT) return keys;
    return IoError(path, "open", errno);
  }
  LmdbScan scan;
  scan.database = [&](std::string_view name) {
    if (const auto key = SpaceKeyOfDatabase(name)) keys.insert(*key);
  };
  scan.record = [&](std::string_view key, std::string_view value) -> Status {
    const ContentHash space_key = ContentHash::FromBytes(key);
    if (TallyOf(space_key, value)) keys.insert(space_key);
    return {};
  };
  scan.value_bytes_max = sizeof(TallyImage);
  EF_RETURN_IF_ERROR(ScanLmdbPages(file.get(), path, scan));
  return keys;
}

Result<bool> HoldsVectors(const std::string& directory) {
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(VectorPath(directory)));
  if (bytes > kScannedBytesMax) return true;
  EF_ASSIGN_OR_RETURN(const std::set<ContentHash> spaces, FindSpaceKeys(directory));
  return !spaces.empty();
}

Result<std::uint64_t> CountHidden(
    const std::string& directory, VectorStore* store, const std::set<ContentHash>& spaces,
    const std::function<bool(const ContentHash& space_key, const ContentHash& hash)>& wanted) {
  // A page that was given up may hold one twice; it counts twice then.
  std::uint64_t hidden = 0;
  EF_RETURN_IF_ERROR(
      ScanRecords(directory, spaces,
                  [&](const ContentHash& space_key, const ContentHash& hash,
                      std::string_view floats) -> Status {
                    if (wanted && !wanted(space_key, hash)) return {};
                    EF_ASSIGN_OR_RETURN(const VectorSpace* space,
                                        store->FindSpace(space_key, floats.size() / sizeof(float),
                                                         "space " + space_key.hex(), false));
                    char found = 0;
                    if (space != nullptr) {
                      const Status status = store->Has(*space, {&hash, 1}, {&found, 1});
                      if (!status.ok()) return status;
                    }
                    if (found == 0) ++hidden;
                    return {};
                  }));
  return hidden;
}

Result<VectorSalvage> SalvageVectors(const std::string& directory, std::set<ContentHash> spaces) {
  EF_RETURN_IF_ERROR(ClearWorkshop(directory));
  EF_ASSIGN_OR_RETURN(const std::set<ContentHash> named, FindSpaceKeys(directory));
  spaces.insert(named.begin(), named.end());
  const std::string workshop = directory + "/" + kWorkshop;
  EF_RETURN_IF_ERROR(MakeDirectory(workshop));
  EF_RETURN_IF_ERROR(VectorStore::Make(workshop));
  VectorSalvage salvage;
  {
    EF_ASSIGN_OR_RETURN(std::shared_ptr<VectorStore> store,
                        VectorStore::Open(workshop, VectorStore::Access::kWrite, kMapBytes));
    Gatherer gatherer(std::move(store));
    EF_RETURN_IF_ERROR(ScanRecords(
        directory, spaces,
        [&](const ContentHash& space_key, const ContentHash& hash, std::string_view floats) {
          return gatherer.Take(space_key, hash, floats);
        }));
    EF_RETURN_IF_ERROR(gatherer.Finish());
    salvage.vectors = gatherer.vectors();
  }
  EF_ASSIGN_OR_RETURN(salvage.kept_as, Swap(directory));
  EF_RETURN_IF_ERROR(ClearWorkshop(directory));
  return salvage;
}

}  // namespace embedflow
