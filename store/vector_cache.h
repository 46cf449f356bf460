// Vectors by text across corpora: what one corpus has bought, another need not buy.
//
// A directory with one LMDB file of at most `bytes_max` bytes. What was used longest ago leaves
// first. It may be lost at any time without loss of anything but money, so no trouble with it ever
// stops a run: it says so in one warning and is off from then on.
#ifndef EMBEDFLOW_STORE_VECTOR_CACHE_H_
#define EMBEDFLOW_STORE_VECTOR_CACHE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "embedflow/status.h"
#include "embedflow/types.h"
#include "store/cache_records.h"
#include "store/lmdb_environment.h"
#include "store/store.h"

namespace embedflow {

// Whose vectors are looked for. Vectors of different spaces never meet, nor do those of servers at
// different addresses: a server of one's own may call any model by any name.
struct CacheSpace {
  // `address`: where requests for it go, empty for a provider in this process.
  static CacheSpace Of(const Space& space, std::string_view address);
  ContentHash key;
  std::size_t dimensions = 0;
};

struct VectorCacheOptions {
  // Bytes of the file, in [kCacheBytesMin, kCacheBytesMax]. Where processes differ, each evicts by
  // its own and the file may grow to the largest; it never shrinks.
  std::uint64_t bytes_max = 0;
  // How long a process waits for others that open the cache or write to it.
  std::chrono::milliseconds turn_wait{2000};
};
// What an open cache may hold in memory: pages of the map that were read, 64 KiB around each, until
// they are given back; what a transaction changes; and which records were used.
inline constexpr std::size_t kCacheMemoryBytes = 104u << 20;
inline constexpr std::uint64_t kCacheBytesMin = std::uint64_t{16} << 20;
inline constexpr std::uint64_t kCacheBytesMax = std::uint64_t{1} << 40;

// Several processes may use one cache at once; in a process all users of a directory share one
// object. A process that is killed leaves it usable.
//
// Every vector carries a checksum: a damaged one is not found. A record that damage has cut off
// from the order of use keeps its room for ever; the file is made anew once damage reaches its
// pages, at the next opening.
//
// Threads: Find from any thread, and it waits for nobody; the rest from any thread but TBB's,
// because it writes and waits.
class VectorCache {
 public:
  // Makes the directory (0700) and the files (0600) if they are not there, and examines the file
  // before it is mapped: one that is damaged is made anew. Errors: kInUse after `turn_wait`,
  // kUnsupported (network file system, other format), kIo, kInvalidArgument. Never fork() while one
  // is open.
  static Result<std::shared_ptr<VectorCache>> Open(const std::string& directory,
                                                   const VectorCacheOptions& options);
  // Notes what was used lately.
  ~VectorCache();

  // Sets found[i] to 1 if there is a vector for hashes[i], else 0, and appends the vectors that
  // were found to `rows`, in order. Returns how many. Reads mapped memory only.
  std::size_t Find(const CacheSpace& space, std::span<const ContentHash> hashes,
                   std::span<char> found, std::vector<float>* rows);

  // Keeps the vectors, evicts what must give way, and notes what was used lately. Durable up to the
  // last transaction. What finds no room or no turn is dropped.
  void Put(const CacheSpace& space, std::span<const Store::VectorPut> puts) EF_EXCLUDES(put_mu_);

  // Of this object; but `bytes` is the file's size.
  struct Counts {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t damaged = 0;  // Among the misses.
    std::uint64_t kept = 0;
    std::uint64_t evicted = 0;
    std::uint64_t renewed = 0;
    std::uint64_t dropped = 0;
    std::uint64_t bytes = 0;
  };
  Counts counts() const;
  bool is_off() const { return off_.load(std::memory_order_acquire); }

 private:
  struct Work;
  using DirectoryId = std::pair<std::uint64_t, std::uint64_t>;
  VectorCache(std::string directory, const VectorCacheOptions& options);
  static struct VectorCacheRegistry& TheRegistry();

  Status Map();
  Status MapOnce();
  Status Walk();
  Status OpenDatabases();
  // Unlinks the files; whoever has them open goes on with what nobody else will see. Needs the
  // turn.
  Status MakeAnew();
  // Takes lock_; false if others held it for `wait`.
  bool TakeTurn(std::chrono::milliseconds wait);
  void GiveTurn();

  void Write(Work* work) EF_REQUIRES(put_mu_);
  // One transaction. *map_full: it was too large for the room there is, and nothing was done.
  Status WriteSome(Work* work, std::uint64_t pages_max, bool* map_full) EF_REQUIRES(put_mu_);
  void WriteAll(Work* work, bool even_if_little) EF_EXCLUDES(put_mu_);
  void Remember(const std::vector<ContentHash>& keys) EF_EXCLUDES(used_mu_);
  void TurnOff(const Status& why);
  // The first time only.
  void Warn(const std::string& what);

  // Constant once open.
  const std::string directory_;
  const std::string path_;
  const VectorCacheOptions options_;
  std::optional<DirectoryId> registered_as_;
  FileDescriptor lock_;  // Held by flock while the cache is opened or written to.
  FileDescriptor file_;  // For reads by pread.
  std::unique_ptr<LmdbEnvironment> environment_;
  CacheDatabases databases_;
  std::uint64_t room_pages_ = 0;         // What may be in use.
  std::uint64_t transaction_pages_ = 0;  // What a transaction may change.

  // Own synchronisation.
  std::atomic<bool> off_{false};
  std::atomic<bool> is_full_{false};  // Writing has failed: it is only read from now on.
  std::atomic<bool> warned_{false};
  std::atomic<std::uint64_t> hits_{0}, misses_{0}, damaged_{0};
  std::atomic<std::uint64_t> kept_{0}, evicted_{0}, renewed_{0}, dropped_{0};
  std::atomic<std::uint64_t> touched_{0};

  Mutex put_mu_;
  // The next one does not wait.
  bool had_no_turn_ EF_GUARDED_BY(put_mu_) = false;
  bool had_no_room_ EF_GUARDED_BY(put_mu_) = false;

  Mutex used_mu_;
  // Found since the last Put, and old enough to be worth noting.
  std::unordered_set<ContentHash> used_ EF_GUARDED_BY(used_mu_);
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_VECTOR_CACHE_H_
