#include "store/vectors.h"

#include <lmdb.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/utf8.h"
#include "store/records.h"
#include "store/vector_map.h"
#include "store/vector_transactions.h"

namespace embedflow {
namespace {

// Vectors of one Put: LMDB keeps at most 131,071 changed pages in a transaction.
constexpr std::size_t kPutVectorsMax = 65536;
// How far the map may double. Address space, not memory.
constexpr std::size_t kMapBytesMax = std::size_t{1} << 45;
// After this many records have been looked at, the map's pages are given back. Linux maps 64 KiB
// around each touched page that is in its cache, two for a large value: 64 MiB at the most.
constexpr std::uint64_t kTouchedRecordsMax = 512;

std::uint64_t RecordChecksum(const VectorSpace& space, const ContentHash& hash,
                             std::string_view floats) {
  return Checksum(floats, Checksum(hash.view(), space.seed));
}

bool IsGood(const VectorSpace& space, const ContentHash& hash, std::string_view record) {
  if (record.size() != space.record_bytes()) return false;
  std::uint64_t checksum;
  std::memcpy(&checksum, record.data(), sizeof checksum);
  return checksum == RecordChecksum(space, hash, record.substr(sizeof checksum));
}

void WriteRecord(const VectorSpace& space, const Store::VectorPut& put, void* record) {
  const std::string_view floats(reinterpret_cast<const char*>(put.vector.data()),
                                put.vector.size_bytes());
  const std::uint64_t checksum = RecordChecksum(space, put.text_hash, floats);
  std::memcpy(record, &checksum, sizeof checksum);
  std::memcpy(static_cast<char*>(record) + sizeof checksum, floats.data(), floats.size());
}

}  // namespace

VectorStore::~VectorStore() {
  {
    MutexLock lock(mu_);
    for (MDB_txn* txn : idle_) mdb_txn_abort(txn);
  }
  mdb_env_close(env_);
}

Status VectorStore::Error(int result, const char* doing) const {
  if (result > 0) return IoError(path_, doing, result);
  const std::string what =
      "cannot " + std::string(doing) + " " + EscapeControl(path_) + ": " + mdb_strerror(result);
  switch (result) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_CURSOR_FULL:
      return Damage(path_, std::string("cannot ") + doing + " it: " + mdb_strerror(result));
    case MDB_VERSION_MISMATCH:
      return Status(Code::kUnsupported, what);
    case MDB_PANIC:
    case MDB_MAP_FULL:
      return Status(Code::kIo, what);
    case MDB_READERS_FULL:
      return Status(Code::kInUse, what).WithNext("close some of the programs that read it");
    default:
      return Status(Code::kInternal, what);
  }
}

Result<VectorStore::ReadTransaction> VectorStore::BeginRead() {
  // Twice is enough: once for a map that another process outgrew, once for slots of dead readers.
  constexpr int kAttemptsMax = 4;
  int result = 0;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    // A turnstile: shared_mutex lets readers pass a waiting mover for ever.
    { const MutexLock turn(turn_); }
    std::shared_lock<std::shared_mutex> hold(map_mu_);
    MDB_txn* txn = nullptr;
    {
      MutexLock lock(mu_);
      if (!idle_.empty()) {
        txn = idle_.back();
        idle_.pop_back();
      }
    }
    result = txn != nullptr ? mdb_txn_renew(txn) : mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn);
    if (result == MDB_SUCCESS) return ReadTransaction(this, std::move(hold), txn);
    if (txn != nullptr) mdb_txn_abort(txn);
    hold.unlock();
    if (result == MDB_MAP_RESIZED) {
      const MutexLock turn(turn_);
      const std::unique_lock<std::shared_mutex> alone(map_mu_);
      mdb_env_set_mapsize(env_, 0);
    } else if (result == MDB_READERS_FULL) {
      int dead = 0;
      mdb_reader_check(env_, &dead);
    } else {
      break;
    }
  }
  return Error(result, "read");
}

int VectorStore::OpenDatabase(const std::string& name, bool make, unsigned int* database) {
  MDB_txn* txn = nullptr;
  int result = mdb_txn_begin(env_, nullptr, make ? 0u : static_cast<unsigned>(MDB_RDONLY), &txn);
  if (result != MDB_SUCCESS) return result;
  result = mdb_dbi_open(txn, name.c_str(), make ? MDB_CREATE : 0, database);
  if (result == MDB_SUCCESS) return mdb_txn_commit(txn);
  mdb_txn_abort(txn);
  return result;
}

Result<const VectorSpace*> VectorStore::FindSpace(const Space& space, bool make) {
  return FindSpace(SpaceKey(space), static_cast<std::size_t>(space.dimensions), space.name(), make);
}

Result<const VectorSpace*> VectorStore::FindSpace(const ContentHash& key, std::size_t dimensions,
                                                  const std::string& name, bool make) {
  {
    MutexLock lock(mu_);
    const auto found = spaces_.find(key);
    if (found != spaces_.end()) return found->second.get();
  }
  // Beside no other transaction: see map_mu_.
  const MutexLock turn(turn_);
  const std::unique_lock<std::shared_mutex> alone(map_mu_);
  unsigned int database = 0;
  int result = OpenDatabase(key.hex(), make, &database);
  while (result == MDB_MAP_FULL) {
    EF_RETURN_IF_ERROR(DoubleMap());
    result = OpenDatabase(key.hex(), make, &database);
  }
  if (result == MDB_NOTFOUND) return static_cast<const VectorSpace*>(nullptr);
  if (result != MDB_SUCCESS) return Error(result, make ? "write" : "read");
  auto made = std::make_unique<VectorSpace>();
  *made = {database, key.high64(), dimensions, name, key};
  MutexLock lock(mu_);
  return (spaces_[key] = std::move(made)).get();
}

Status VectorStore::Has(const VectorSpace& space, std::span<const ContentHash> hashes,
                        std::span<char> found) {
  EF_CHECK(hashes.size() == found.size());
  EF_ASSIGN_OR_RETURN(const ReadTransaction read, BeginRead());
  const void* map = MapAddress(read.get());
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    Touch(map);
    MDB_val key = KeyOf(hashes[i]);
    MDB_val value;
    const int result = mdb_get(read.get(), space.database, &key, &value);
    found[i] = 0;
    if (result == MDB_NOTFOUND) continue;
    if (result != MDB_SUCCESS) return Error(result, "read");
    if (IsGood(space, hashes[i], View(value))) {
      found[i] = 1;
    } else {
      Log(LogLevel::kWarning, path_ + ": vector " + hashes[i].hex() + " of " + space.name +
                                  " is damaged; it counts as not there");
    }
  }
  return {};
}

Result<std::uint64_t> VectorStore::Put(const VectorSpace& space,
                                       std::span<const Store::VectorPut> vectors) {
  if (vectors.empty()) return std::uint64_t{0};
  if (vectors.size() > kPutVectorsMax) {
    return Status(Code::kInvalidArgument, "a group of vectors must hold at most 65536, got " +
                                              std::to_string(vectors.size()));
  }
  for (const Store::VectorPut& put : vectors) EF_CHECK(put.vector.size() == space.dimensions);
  // In the order of the keys, neighbours fall into the same page.
  std::vector<std::size_t> order(vectors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return vectors[a].text_hash < vectors[b].text_hash;
  });
  for (;;) {
    std::uint64_t already = 0;
    bool map_full = false;
    EF_RETURN_IF_ERROR(PutOnce(space, vectors, order, &already, &map_full));
    if (!map_full) return already;
    EF_RETURN_IF_ERROR(GrowMap());
  }
}

Status VectorStore::PutOnce(const VectorSpace& space, std::span<const Store::VectorPut> vectors,
                            std::span<const std::size_t> order, std::uint64_t* already,
                            bool* map_full) {
  WriteTransaction write(this);
  int result = write.result();
  MDB_cursor* cursor = nullptr;
  // Before the first change, which copies that page to other memory.
  const void* map = result == MDB_SUCCESS ? MapAddress(write.get()) : nullptr;
  // Looked up when it is needed: hardly ever.
  const auto map_begin = [&] { return map != nullptr ? MappingBegin(map) : nullptr; };
  if (result == MDB_SUCCESS) result = mdb_cursor_open(write.get(), space.database, &cursor);
  if (result != MDB_SUCCESS) return Error(result, "write");
  Status status;
  VectorTally added;
  for (const std::size_t i : order) {
    Touch(map);
    MDB_val key = KeyOf(vectors[i].text_hash);
    MDB_val value = {space.record_bytes(), nullptr};
    result = mdb_cursor_put(cursor, &key, &value, MDB_NOOVERWRITE | MDB_RESERVE);
    if (result == MDB_KEYEXIST) {
      if (IsGood(space, vectors[i].text_hash, View(value))) {
        ++*already;
        continue;
      }
      status = CheckBeforeDeletion(file_.get(), path_, page_bytes_, key.mv_size, View(value),
                                   map_begin());
      if (!status.ok()) break;
      value = {space.record_bytes(), nullptr};
      result = mdb_cursor_put(cursor, &key, &value, MDB_RESERVE);
    } else if (result == MDB_SUCCESS) {
      added.Add(vectors[i].text_hash.view(), space.seed);
    }
    if (result != MDB_SUCCESS) break;
    WriteRecord(space, vectors[i], value.mv_data);
  }
  mdb_cursor_close(cursor);
  if (!status.ok()) return status;
  if (result == MDB_SUCCESS || result == MDB_KEYEXIST) {
    result = ChangeSums(write.get(), space, added, {});
  }
  if (result == MDB_SUCCESS) result = write.Commit();
  *map_full = result == MDB_MAP_FULL;
  return result == MDB_SUCCESS || *map_full ? Status() : Error(result, "write");
}

Status VectorStore::GrowMap() {
  const MutexLock turn(turn_);
  const std::unique_lock<std::shared_mutex> alone(map_mu_);
  return DoubleMap();
}

Status VectorStore::DoubleMap() {
  MDB_envinfo info;
  mdb_env_info(env_, &info);
  if (info.me_mapsize > kMapBytesMax / 2) {
    return Status(Code::kUnsupported, EscapeControl(path_) + " has outgrown the address space");
  }
  const int result = mdb_env_set_mapsize(env_, info.me_mapsize * 2);
  return result == MDB_SUCCESS ? Status() : Error(result, "map");
}

Result<bool> VectorStore::Read(const VectorSpace& space, const ContentHash& hash,
                               std::span<float> vector) {
  EF_CHECK(vector.size() == space.dimensions);
  EF_ASSIGN_OR_RETURN(const ReadTransaction read, BeginRead());
  Touch(MapAddress(read.get()));
  MDB_val key = KeyOf(hash);
  MDB_val value;
  const int result = mdb_get(read.get(), space.database, &key, &value);
  if (result == MDB_NOTFOUND) return false;
  if (result != MDB_SUCCESS) return Error(result, "read");
  if (!IsGood(space, hash, View(value))) {
    return Damage(path_, "vector " + hash.hex() + " of " + space.name +
                             ": its checksum does not fit its content");
  }
  std::memcpy(vector.data(), static_cast<const char*>(value.mv_data) + sizeof(std::uint64_t),
              vector.size_bytes());
  return true;
}

Result<std::uint64_t> VectorStore::Count(const VectorSpace& space) {
  EF_ASSIGN_OR_RETURN(const ReadTransaction read, BeginRead());
  MDB_stat stat;
  const int result = mdb_stat(read.get(), space.database, &stat);
  if (result != MDB_SUCCESS) return Error(result, "read");
  return static_cast<std::uint64_t>(stat.ms_entries);
}

Result<std::uint64_t> VectorStore::Erase(const VectorSpace& space,
                                         std::span<const ContentHash> hashes) {
  for (;;) {
    std::uint64_t erased = 0;
    int result = 0;
    {
      WriteTransaction write(this);
      result = write.result();
      VectorTally removed;
      const void* map = result == MDB_SUCCESS ? MapAddress(write.get()) : nullptr;
      const char* const map_begin = map != nullptr ? MappingBegin(map) : nullptr;
      for (std::size_t i = 0; i < hashes.size() && result == MDB_SUCCESS; ++i) {
        Touch(map);
        MDB_val key = KeyOf(hashes[i]);
        MDB_val value;
        result = mdb_get(write.get(), space.database, &key, &value);
        if (result == MDB_NOTFOUND) {
          result = MDB_SUCCESS;
          continue;
        }
        if (result != MDB_SUCCESS) break;
        EF_RETURN_IF_ERROR(CheckBeforeDeletion(file_.get(), path_, page_bytes_, key.mv_size,
                                               View(value), map_begin));
        result = mdb_del(write.get(), space.database, &key, nullptr);
        if (result != MDB_SUCCESS) break;
        ++erased;
        removed.Add(hashes[i].view(), space.seed);
      }
      if (result == MDB_SUCCESS) result = ChangeSums(write.get(), space, {}, removed);
      if (result == MDB_SUCCESS) result = write.Commit();
    }
    if (result == MDB_SUCCESS) return erased;
    // Even a deletion needs new pages, for what it changes.
    if (result != MDB_MAP_FULL) return Error(result, "write");
    EF_RETURN_IF_ERROR(GrowMap());
  }
}

Result<std::size_t> VectorStore::Visit(
    const VectorSpace& space, std::optional<ContentHash>* after, std::size_t records_max,
    const std::function<void(const ContentHash& hash, bool good)>& visit) {
  EF_ASSIGN_OR_RETURN(const ReadTransaction read, BeginRead());
  const void* map = MapAddress(read.get());
  MDB_cursor* cursor = nullptr;
  int result = mdb_cursor_open(read.get(), space.database, &cursor);
  if (result != MDB_SUCCESS) return Error(result, "read");
  MDB_val key{};
  MDB_val value{};
  if (after->has_value()) {
    key = KeyOf(**after);
    result = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (result == MDB_SUCCESS && View(key) == (*after)->view()) {
      result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
  } else {
    result = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
  }
  std::size_t visited = 0;
  while (result == MDB_SUCCESS && visited < records_max) {
    if (key.mv_size != sizeof(ContentHash::bytes)) {
      result = MDB_CORRUPTED;
      break;
    }
    Touch(map);
    const ContentHash hash = ContentHash::FromBytes(View(key));
    visit(hash, IsGood(space, hash, View(value)));
    *after = hash;
    ++visited;
    result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
  }
  mdb_cursor_close(cursor);
  if (result != MDB_SUCCESS && result != MDB_NOTFOUND) return Error(result, "read");
  return visited;
}

// LMDB tells where the map is only by handing out a pointer into it. Null if there is no space yet.
const void* VectorStore::MapAddress(MDB_txn* txn) const {
  MDB_cursor* cursor = nullptr;
  if (mdb_cursor_open(txn, names_, &cursor) != MDB_SUCCESS) return nullptr;
  MDB_val key{};
  MDB_val value{};
  const int result = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
  mdb_cursor_close(cursor);
  return result == MDB_SUCCESS ? key.mv_data : nullptr;
}

void VectorStore::Touch(const void* map) {
  if (touched_records_.fetch_add(1, std::memory_order_relaxed) < kTouchedRecordsMax) return;
  touched_records_ = 0;
  if (map != nullptr) ReleaseMappingAround(map);
}

}  // namespace embedflow
