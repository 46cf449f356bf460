// What the file of a VectorCache holds, and one write transaction on it.
//
// Three databases, keys of 16 bytes:
//   entries: the record's key -> its place, when it was used last, checksum; 8 bytes each
//   vectors: its place, with the key's first half -> floats, in pieces of a page
//   order:   when it was used last, with the key's first half -> the record's key
// A record's key is the hash of (space, text hash). Places and times of use are numbers that only
// grow, so vectors and order are written at their ends, in full pages; what is read at random and
// changed at random is small.
//
// A value larger than a page would need pages side by side, which a file that is always full and
// always changing soon has not. So a record's floats take places one after the other, each of them
// no more than LMDB puts on one page.
#ifndef EMBEDFLOW_STORE_CACHE_RECORDS_H_
#define EMBEDFLOW_STORE_CACHE_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "embedflow/status.h"
#include "store/lmdb_environment.h"

struct MDB_cursor;

namespace embedflow {

// The names carry the format version.
inline constexpr const char* kCacheEntries = "entries 1";
inline constexpr const char* kCacheVectors = "vectors 1";
inline constexpr const char* kCacheOrder = "order 1";

struct CacheDatabases {
  unsigned int names = 0;  // The unnamed one, which lists the others.
  unsigned int entries = 0;
  unsigned int vectors = 0;
  unsigned int order = 0;
};

struct CacheEntry {
  std::uint64_t place = 0;
  std::uint64_t used = 0;
  std::uint64_t checksum = 0;  // Of the key, the dimensions and the floats.
};

// 1 if there is one, 0 if not; else an LMDB result below 0.
int FindCacheEntry(MDB_txn* txn, const CacheDatabases& databases, const ContentHash& key,
                   CacheEntry* entry);
// Fills `floats` from the entry's record. 1 if it is whole and belongs to `key`, 0 if not; else an
// LMDB result below 0.
int ReadCacheRecord(MDB_txn* txn, const CacheDatabases& databases, const ContentHash& key,
                    const CacheEntry& entry, std::size_t page_bytes, std::span<float> floats);

// The first and the last time of use that the order knows; 0 if it is empty.
struct CacheRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  const void* map_address = nullptr;  // Somewhere in the map; null if the order is empty.
  // Uses in the newest eighth of the range are not worth noting again: a record that is used all
  // the time would be written all the time.
  bool IsOld(std::uint64_t used) const { return used < last && last - used > (last - first) / 8; }
};
int ReadCacheRange(MDB_txn* txn, const CacheDatabases& databases, CacheRange* range);

// Pieces of a record of so many bytes, at least 1: the most pages it can take in `vectors`.
std::uint64_t CachePieces(std::size_t record_bytes, std::size_t page_bytes);

// One write transaction. Every function but pages() returns an LMDB result; kCorruption of a large
// value's page, which LMDB would believe, is told by damage(). Threads: not thread-safe.
class CacheTransaction {
 public:
  // All outlive it. `fd` reads the file.
  CacheTransaction(LmdbEnvironment* environment, const CacheDatabases& databases, int fd,
                   const std::string& path)
      : write_(environment),
        databases_(databases),
        fd_(fd),
        path_(path),
        page_bytes_(environment->page_bytes()) {}
  ~CacheTransaction();

  int Begin();
  // Marks the record as used now, unless it was used lately or is not there.
  int Renew(const ContentHash& key, bool* renewed);
  // Adds the record. One that is there and whole is left alone.
  int Put(const ContentHash& key, std::span<const float> floats, bool* added);
  // Removes the record that was used longest ago. *pages: what that freed; 0 if there is none.
  int EvictOldest(std::uint64_t* pages);
  // In use by all trees, as far as this transaction has come.
  std::uint64_t pages() const;
  int Commit();

  const Status& damage() const { return damage_; }
  // Somewhere in the map; null if there was no record.
  const void* map_address() const { return range_.map_address; }

 private:
  int SetUsed(const ContentHash& key, CacheEntry entry);
  int PutPieces(const ContentHash& key, std::string_view bytes);
  int Erase(const ContentHash& key, const CacheEntry& entry, std::uint64_t* pages);

  LmdbEnvironment::Write write_;
  const CacheDatabases& databases_;
  const int fd_;
  const std::string& path_;
  const std::size_t page_bytes_;
  MDB_cursor* entries_ = nullptr;
  MDB_cursor* vectors_ = nullptr;
  MDB_cursor* order_ = nullptr;
  CacheRange range_;
  const char* map_begin_ = nullptr;  // Null where the system does not tell.
  std::uint64_t place_next_ = 1;
  std::uint64_t used_next_ = 1;
  Status damage_;
  std::vector<float> there_;  // A record that is compared.
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_CACHE_RECORDS_H_
