// Opening a cache: one object a directory and process, its file examined before it is mapped.
#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "store/directory.h"
#include "store/lmdb_pages.h"
#include "store/vector_cache.h"
#include "store/vector_cache_work.h"

namespace embedflow {
namespace {

constexpr const char* kCacheFile = "cache.lmdb";
constexpr const char* kCacheLock = "cache.lock";
constexpr unsigned int kDatabases = 3;
// 32 MiB: what a transaction changes is held in memory until it is committed.
constexpr std::uint64_t kTransactionPagesMax = 8192;
// What a transaction changes takes new pages; what it and the one before it freed is not yet used
// again. Two shares are set aside for that.
constexpr std::uint64_t kTransactionShares = 16;

}  // namespace

struct VectorCacheRegistry {
  Mutex mu;
  CondVar closed;
  // An entry stays until its environment is closed: LMDB forbids two for one file.
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::weak_ptr<VectorCache>> open
      EF_GUARDED_BY(mu);
};

VectorCacheRegistry& VectorCache::TheRegistry() {
  static VectorCacheRegistry registry;
  return registry;
}

VectorCache::VectorCache(std::string directory, const VectorCacheOptions& options)
    : directory_(std::move(directory)), path_(directory_ + "/" + kCacheFile), options_(options) {}

Result<std::shared_ptr<VectorCache>> VectorCache::Open(const std::string& directory,
                                                       const VectorCacheOptions& options) {
  if (options.bytes_max < kCacheBytesMin || options.bytes_max > kCacheBytesMax) {
    return Status(Code::kInvalidArgument, "a cache must be of " + std::to_string(kCacheBytesMin) +
                                              " to " + std::to_string(kCacheBytesMax) +
                                              " bytes, got " + std::to_string(options.bytes_max));
  }
  EF_RETURN_IF_ERROR(MakeDirectory(directory));
  struct stat status;
  if (stat(directory.c_str(), &status) != 0) return IoError(directory, "examine", errno);
  if (!S_ISDIR(status.st_mode)) return IoError(directory, "use as a cache", ENOTDIR);
  EF_RETURN_IF_ERROR(ExamineDirectory(directory));
  const DirectoryId id(status.st_dev, status.st_ino);
  VectorCacheRegistry& registry = TheRegistry();
  MutexLock lock(registry.mu);
  for (auto entry = registry.open.find(id); entry != registry.open.end();
       entry = registry.open.find(id)) {
    if (std::shared_ptr<VectorCache> open = entry->second.lock()) return open;
    registry.closed.Wait(registry.mu);
  }
  std::shared_ptr<VectorCache> made(new VectorCache(directory, options));
  EF_RETURN_IF_ERROR(made->Map());
  made->registered_as_ = id;
  registry.open[id] = made;
  return made;
}

VectorCache::~VectorCache() {
  if (!registered_as_) return;
  Work none;
  WriteAll(&none, true);
  environment_.reset();
  VectorCacheRegistry& registry = TheRegistry();
  MutexLock lock(registry.mu);
  registry.open.erase(*registered_as_);
  registry.closed.SignalAll();
}

bool VectorCache::TakeTurn(std::chrono::milliseconds wait) {
  // By trying: a process that was stopped, not killed, keeps its lock, and a run must not wait for
  // it for ever.
  constexpr std::chrono::milliseconds kPauseMax{16};
  const TimePoint until = SystemClock().Now() + wait;
  for (std::chrono::milliseconds pause{1};; pause = std::min(2 * pause, kPauseMax)) {
    if (flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) return false;
    if (SystemClock().Now() >= until) return false;
    std::this_thread::sleep_for(pause);
  }
}

void VectorCache::GiveTurn() { flock(lock_.get(), LOCK_UN); }

Status VectorCache::Map() {
  const std::string lock_path = directory_ + "/" + kCacheLock;
  EF_RETURN_IF_ERROR(MakePrivateFile(lock_path));
  lock_ = FileDescriptor(open(lock_path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!lock_.ok()) return IoError(lock_path, "open", errno);
  if (!TakeTurn(options_.turn_wait)) {
    return Status(Code::kInUse, "another process has been writing to the cache " +
                                    EscapeControl(directory_) + " for " +
                                    std::to_string(options_.turn_wait.count()) + " ms");
  }
  Status status = MapOnce();
  if (status.code() == Code::kCorruption) {
    environment_.reset();
    Log(LogLevel::kWarning, "the cache is damaged and made anew: " + status.message());
    status = MakeAnew();
    if (status.ok()) status = MapOnce();
  }
  GiveTurn();
  return status;
}

Status VectorCache::MakeAnew() {
  file_ = FileDescriptor();
  for (const std::string& path : {path_, path_ + "-lock"}) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return IoError(path, "remove", errno);
  }
  return {};
}

Status VectorCache::MapOnce() {
  EF_RETURN_IF_ERROR(MakePrivateFile(path_));
  EF_RETURN_IF_ERROR(MakePrivateFile(path_ + "-lock"));
  file_ = FileDescriptor(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file_.ok()) return IoError(path_, "open", errno);
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path_));
  auto used = static_cast<std::uint64_t>(bytes);
  if (bytes > 0) {
    EF_ASSIGN_OR_RETURN(const LmdbMeta meta, ReadLmdbMeta(file_.get(), path_));
    used = std::max(used, (meta.last_page + 1) * meta.page_bytes);
  }
  const auto system_page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  LmdbEnvironment::Options options;
  std::uint64_t map_bytes = options_.bytes_max;
  // A file of a larger bound may be full to the brim: even what is evicted needs pages at first.
  if (used > map_bytes) {
    map_bytes = used + 2 * kTransactionPagesMax * system_page;
  }
  options.map_bytes = map_bytes / system_page * system_page;
  options.databases_max = kDatabases;
  // A power cut may cost the last transaction, never the file.
  options.flags = MDB_NOMETASYNC;
  EF_ASSIGN_OR_RETURN(environment_, LmdbEnvironment::Open(path_, options));
  const std::uint64_t pages = options_.bytes_max / environment_->page_bytes();
  transaction_pages_ = std::min(pages / kTransactionShares, kTransactionPagesMax);
  room_pages_ = pages - 2 * transaction_pages_;
  EF_RETURN_IF_ERROR(Walk());
  return OpenDatabases();
}

Status VectorCache::Walk() {
  // Only we have the turn, so nobody commits between the meta pages and the transaction; LMDB's own
  // tools might.
  constexpr int kAttemptsMax = 10;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    EF_ASSIGN_OR_RETURN(const LmdbEnvironment::Read read, environment_->BeginRead());
    const std::uint64_t transaction = mdb_txn_id(read.get());
    EF_ASSIGN_OR_RETURN(const LmdbMeta meta, ReadLmdbMeta(file_.get(), path_, transaction));
    if (transaction != meta.transaction) continue;
    return WalkLmdbPages(file_.get(), path_, meta, {.free_list = true, .overflow_headers = false});
  }
  return Status(Code::kInUse, EscapeControl(path_) + " changes too fast to be examined");
}

Status VectorCache::OpenDatabases() {
  LmdbEnvironment::Write write(environment_.get());
  int result = write.result();
  MDB_stat stat{};
  if (result == MDB_SUCCESS) result = mdb_dbi_open(write.get(), nullptr, 0, &databases_.names);
  if (result == MDB_SUCCESS) result = mdb_stat(write.get(), databases_.names, &stat);
  const bool is_new = stat.ms_entries == 0;
  const unsigned int flags = is_new ? MDB_CREATE : 0;
  for (const auto& [name, database] :
       {std::pair(kCacheEntries, &databases_.entries),
        std::pair(kCacheVectors, &databases_.vectors), std::pair(kCacheOrder, &databases_.order)}) {
    if (result == MDB_SUCCESS) result = mdb_dbi_open(write.get(), name, flags, database);
  }
  if (result == MDB_NOTFOUND || (result == MDB_SUCCESS && !is_new && stat.ms_entries != kDatabases))
    return Status(Code::kUnsupported,
                  EscapeControl(path_) + " is a cache of another version of embedflow")
        .WithNext("name another directory, or remove this one");
  if (result == MDB_SUCCESS) result = write.Commit();
  return result == MDB_SUCCESS ? Status() : environment_->Error(result, "open");
}

}  // namespace embedflow
