// The vectors: LMDB, one named database a space, key = hash of the text, value = checksum and
// floats.
//
// One environment a file and process: LMDB forbids a second one, because closing it would drop the
// locks of the first. Open() therefore hands out the environment that is already there.
#ifndef EMBEDFLOW_STORE_VECTORS_H_
#define EMBEDFLOW_STORE_VECTORS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/mutex.h"
#include "embedflow/status.h"
#include "embedflow/types.h"
#include "store/directory.h"
#include "store/lmdb_pages.h"
#include "store/store.h"
#include "store/vector_sums.h"

struct MDB_env;
struct MDB_txn;

namespace embedflow {

// A space as LMDB knows it. Constant once made.
struct VectorSpace {
  unsigned int database = 0;
  std::uint64_t seed = 0;  // Of the checksums of its records.
  std::size_t dimensions = 0;
  std::string name;  // Space::name(), for messages.
  ContentHash key;   // SpaceKey.
  std::size_t record_bytes() const { return sizeof(std::uint64_t) + dimensions * sizeof(float); }
};

// Threads: all functions may be called from any thread; Put and Erase from one at a time.
class VectorStore {
 public:
  enum class Access { kRead, kWrite, kMake };
  // Makes the file of a corpus that is being made, and makes it durable. One that is there stays,
  // unless its making was cut off.
  static Status Make(const std::string& directory);
  // Examines the file before LMDB maps it. `map_bytes` is the first size of the map. Errors:
  // kCorruption, also if the file is missing; kUnsupported, kIo.
  static Result<std::shared_ptr<VectorStore>> Open(const std::string& directory, Access access,
                                                   std::size_t map_bytes);
  ~VectorStore();

  // The space's database; null if there is none and `make` is false. Lives as long as this object.
  Result<const VectorSpace*> FindSpace(const Space& space, bool make);
  // The same for a space of which only its key is known; `name` is for messages.
  Result<const VectorSpace*> FindSpace(const ContentHash& space_key, std::size_t dimensions,
                                       const std::string& name, bool make);

  // See Store::HasVectors, Store::PutVectors and StoreReader::ReadVector.
  Status Has(const VectorSpace& space, std::span<const ContentHash> hashes, std::span<char> found);
  Result<std::uint64_t> Put(const VectorSpace& space, std::span<const Store::VectorPut> vectors);
  Result<bool> Read(const VectorSpace& space, const ContentHash& hash, std::span<float> vector);
  Result<std::uint64_t> Count(const VectorSpace& space);
  // Deletes what is there of `hashes`, in one synced transaction. Returns how many were.
  Result<std::uint64_t> Erase(const VectorSpace& space, std::span<const ContentHash> hashes);

  // Visits records in the order of their keys, from the first key above `*after` (nullopt: from the
  // start), at most `records_max` of them, and sets *after to the last. `good` tells whether the
  // checksum fits. Returns how many were visited: 0 at the end. Holds the map for that long.
  Result<std::size_t> Visit(const VectorSpace& space, std::optional<ContentHash>* after,
                            std::size_t records_max,
                            const std::function<void(const ContentHash& hash, bool good)>& visit);

  // Walks all pages, headers of large values included, and tells what it met.
  Result<VectorTallies> Examine();
  // Counts the vectors of all spaces and keeps that as their tallies, in one synced transaction.
  Status Recount();

 private:
  class ReadTransaction;
  class WriteTransaction;
  VectorStore(std::string path, MDB_env* env) : path_(std::move(path)), env_(env) {}
  static Result<std::shared_ptr<VectorStore>> OpenNew(const std::string& path, Access access,
                                                      std::size_t map_bytes);
  Status Map(Access access, std::size_t map_bytes);
  Status Walk(const LmdbWalk& walk);
  Result<VectorTallies> Tally(LmdbWalk walk);
  // Examines what only a writer follows, and gives a file of earlier days its tallies.
  Status PrepareToWrite();
  Status WriteSums(const VectorTallies& tallies);
  int ChangeSums(MDB_txn* txn, const VectorSpace& space, const VectorTally& added,
                 const VectorTally& removed);
  Result<ReadTransaction> BeginRead();
  Status PutOnce(const VectorSpace& space, std::span<const Store::VectorPut> vectors,
                 std::span<const std::size_t> order, std::uint64_t* already, bool* map_full);
  // `txn` must be a read transaction, or a write transaction that has changed nothing yet.
  const void* MapAddress(MDB_txn* txn) const;
  // To be called for each record that is looked at, inside a transaction, with its map's address:
  // now and then gives the pages of the map that this process has touched back to the system. They
  // would count as its memory, and are read again from the page cache.
  void Touch(const void* map);
  Status GrowMap();
  // With map_mu_ held exclusively.
  Status DoubleMap();
  int OpenDatabase(const std::string& name, bool make, unsigned int* database);
  Status Error(int result, const char* doing) const;

  // Constant once open.
  const std::string path_;
  MDB_env* const env_;
  FileDescriptor file_;  // For reads by pread.
  FileDescriptor lock_;  // DIR/LOCK, held shared where readers cannot enter themselves with LMDB.
  std::size_t page_bytes_ = 0;
  unsigned int names_ = 0;  // The unnamed database, which lists the others.
  bool read_only_ = false;

  // The writer's.
  bool has_sums_ = false;
  unsigned int sums_ = 0;  // The database of tallies, if has_sums_.

  // Own synchronisation. Shared by transactions, exclusive for whatever moves the map or opens a
  // database: LMDB allows neither beside a transaction.
  std::shared_mutex map_mu_;
  Mutex turn_;  // Held by whoever waits for map_mu_ alone; taken before it.
  std::atomic<std::uint64_t> touched_records_{0};

  Mutex mu_;
  // Reset read transactions, ready for use again: each keeps its slot in LMDB's reader table.
  std::vector<MDB_txn*> idle_ EF_GUARDED_BY(mu_);
  std::map<ContentHash, std::unique_ptr<VectorSpace>> spaces_ EF_GUARDED_BY(mu_);
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_VECTORS_H_
