#include "store/cache_records.h"

#include <lmdb.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/utf8.h"
#include "store/lmdb_pages.h"
#include "store/vector_map.h"

namespace embedflow {
namespace {

constexpr std::size_t kLmdbPageHeader = 16;

// A number that sorts as it counts, and the first half of a record's key.
struct NumberedKey {
  NumberedKey(std::uint64_t number, const ContentHash& key) {
    const std::uint64_t sorted = __builtin_bswap64(number);
    std::memcpy(bytes.data(), &sorted, sizeof sorted);
    std::memcpy(bytes.data() + sizeof sorted, key.bytes.data(), sizeof sorted);
  }
  MDB_val value() { return {bytes.size(), bytes.data()}; }
  std::array<unsigned char, 16> bytes;
};
static_assert(std::endian::native == std::endian::little);

// 0 for a key of another size, which only damage brings about.
std::uint64_t NumberOf(const MDB_val& key) {
  if (key.mv_size != sizeof(NumberedKey::bytes)) return 0;
  std::uint64_t sorted;
  std::memcpy(&sorted, key.mv_data, sizeof sorted);
  return __builtin_bswap64(sorted);
}

MDB_val KeyOf(const ContentHash& hash) {
  return {hash.bytes.size(), const_cast<unsigned char*>(hash.bytes.data())};
}

std::string_view View(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

std::uint64_t RecordChecksum(const ContentHash& key, std::span<const float> floats) {
  return Checksum(floats, Checksum(key.view(), floats.size()));
}

int ReadEntry(const MDB_val& value, CacheEntry* entry) {
  if (value.mv_size != sizeof *entry) return 0;
  std::memcpy(entry, value.mv_data, sizeof *entry);
  return 1;
}

std::size_t PieceBytes(std::size_t page_bytes) { return page_bytes - kLmdbPageHeader; }

// The number at an end; 0 if there is none. *where: an address beside it, null if there is none.
int NumberAt(MDB_cursor* cursor, MDB_cursor_op end, std::uint64_t* number, const void** where) {
  MDB_val key;
  MDB_val value;
  const int result = mdb_cursor_get(cursor, &key, &value, end);
  *number = result == MDB_SUCCESS ? NumberOf(key) : 0;
  *where = result == MDB_SUCCESS ? key.mv_data : nullptr;
  return result == MDB_NOTFOUND ? MDB_SUCCESS : result;
}

int ReadRange(MDB_cursor* cursor, CacheRange* range) {
  const int result = NumberAt(cursor, MDB_FIRST, &range->first, &range->map_address);
  if (result != MDB_SUCCESS) return result;
  return NumberAt(cursor, MDB_LAST, &range->last, &range->map_address);
}

}  // namespace

int FindCacheEntry(MDB_txn* txn, const CacheDatabases& databases, const ContentHash& key,
                   CacheEntry* entry) {
  MDB_val at = KeyOf(key);
  MDB_val value;
  const int result = mdb_get(txn, databases.entries, &at, &value);
  if (result == MDB_SUCCESS) return ReadEntry(value, entry);
  return result == MDB_NOTFOUND ? 0 : result;
}

int ReadCacheRecord(MDB_txn* txn, const CacheDatabases& databases, const ContentHash& key,
                    const CacheEntry& entry, std::size_t page_bytes, std::span<float> floats) {
  auto* out = reinterpret_cast<char*>(floats.data());
  std::size_t left = floats.size_bytes();
  for (std::uint64_t piece = entry.place; left > 0; ++piece) {
    NumberedKey place(piece, key);
    MDB_val at = place.value();
    MDB_val value;
    const int result = mdb_get(txn, databases.vectors, &at, &value);
    if (result == MDB_NOTFOUND) return 0;
    if (result != MDB_SUCCESS) return result;
    if (value.mv_size != std::min(left, PieceBytes(page_bytes))) return 0;
    std::memcpy(out, value.mv_data, value.mv_size);
    out += value.mv_size;
    left -= value.mv_size;
  }
  return entry.checksum == RecordChecksum(key, floats) ? 1 : 0;
}

int ReadCacheRange(MDB_txn* txn, const CacheDatabases& databases, CacheRange* range) {
  MDB_cursor* cursor = nullptr;
  int result = mdb_cursor_open(txn, databases.order, &cursor);
  if (result != MDB_SUCCESS) return result;
  result = ReadRange(cursor, range);
  mdb_cursor_close(cursor);
  return result;
}

std::uint64_t CachePieces(std::size_t record_bytes, std::size_t page_bytes) {
  return (record_bytes - 1) / PieceBytes(page_bytes) + 1;
}

CacheTransaction::~CacheTransaction() {
  // In a write transaction cursors are closed before it ends.
  for (MDB_cursor* cursor : {entries_, vectors_, order_}) {
    if (cursor != nullptr) mdb_cursor_close(cursor);
  }
}

int CacheTransaction::Begin() {
  int result = write_.result();
  if (result == MDB_SUCCESS) result = mdb_cursor_open(write_.get(), databases_.entries, &entries_);
  if (result == MDB_SUCCESS) result = mdb_cursor_open(write_.get(), databases_.vectors, &vectors_);
  if (result == MDB_SUCCESS) result = mdb_cursor_open(write_.get(), databases_.order, &order_);
  const void* unused = nullptr;
  if (result == MDB_SUCCESS) result = NumberAt(vectors_, MDB_LAST, &place_next_, &unused);
  if (result == MDB_SUCCESS) result = ReadRange(order_, &range_);
  if (result != MDB_SUCCESS) return result;
  // Damage may have made the last one any number; there is none behind the largest.
  if (place_next_ == UINT64_MAX || range_.last == UINT64_MAX) return MDB_CORRUPTED;
  if (range_.map_address != nullptr) map_begin_ = MappingBegin(range_.map_address);
  ++place_next_;
  used_next_ = range_.last + 1;
  return MDB_SUCCESS;
}

int CacheTransaction::SetUsed(const ContentHash& key, CacheEntry entry) {
  entry.used = used_next_++;
  range_.last = entry.used;
  NumberedKey used(entry.used, key);
  MDB_val at = used.value();
  MDB_val value = KeyOf(key);
  int result = mdb_cursor_put(order_, &at, &value, MDB_APPEND);
  if (result != MDB_SUCCESS) return result;
  at = KeyOf(key);
  value = {sizeof entry, &entry};
  return mdb_cursor_put(entries_, &at, &value, 0);
}

int CacheTransaction::Renew(const ContentHash& key, bool* renewed) {
  *renewed = false;
  CacheEntry entry;
  const int found = FindCacheEntry(write_.get(), databases_, key, &entry);
  if (found < 0 || found == 0) return found;
  if (!range_.IsOld(entry.used)) return MDB_SUCCESS;
  NumberedKey used(entry.used, key);
  MDB_val at = used.value();
  int result = mdb_del(write_.get(), databases_.order, &at, nullptr);
  if (result != MDB_SUCCESS && result != MDB_NOTFOUND) return result;
  *renewed = true;
  return SetUsed(key, entry);
}

int CacheTransaction::Put(const ContentHash& key, std::span<const float> floats, bool* added) {
  *added = false;
  CacheEntry entry;
  const int found = FindCacheEntry(write_.get(), databases_, key, &entry);
  if (found < 0) return found;
  if (found == 1) {
    there_.resize(floats.size());
    int result = ReadCacheRecord(write_.get(), databases_, key, entry, page_bytes_, there_);
    if (result != 0) return std::min(result, 0);
    NumberedKey used(entry.used, key);
    MDB_val at = used.value();
    result = mdb_del(write_.get(), databases_.order, &at, nullptr);
    if (result != MDB_SUCCESS && result != MDB_NOTFOUND) return result;
    std::uint64_t freed = 0;
    result = Erase(key, entry, &freed);
    if (result != MDB_SUCCESS) return result;
  }
  entry.place = place_next_;
  entry.checksum = RecordChecksum(key, floats);
  const int result =
      PutPieces(key, {reinterpret_cast<const char*>(floats.data()), floats.size_bytes()});
  if (result != MDB_SUCCESS) return result;
  *added = true;
  return SetUsed(key, entry);
}

int CacheTransaction::PutPieces(const ContentHash& key, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, PieceBytes(page_bytes_));
    bytes.remove_prefix(piece.size());
    NumberedKey place(place_next_++, key);
    MDB_val at = place.value();
    MDB_val value = {piece.size(), const_cast<char*>(piece.data())};
    const int result = mdb_cursor_put(vectors_, &at, &value, MDB_APPEND);
    if (result != MDB_SUCCESS) return result;
  }
  return MDB_SUCCESS;
}

int CacheTransaction::Erase(const ContentHash& key, const CacheEntry& entry, std::uint64_t* pages) {
  *pages = 0;
  MDB_val at;
  int result = MDB_SUCCESS;
  // The next record has another key's half, so its first piece is not taken for one of this.
  for (std::uint64_t piece = entry.place; result == MDB_SUCCESS; ++piece) {
    NumberedKey place(piece, key);
    at = place.value();
    MDB_val value;
    result = mdb_cursor_get(vectors_, &at, &value, MDB_SET);
    if (result != MDB_SUCCESS) break;
    damage_ = CheckBeforeDeletion(fd_, path_, page_bytes_, at.mv_size, View(value), map_begin_);
    if (!damage_.ok()) return MDB_CORRUPTED;
    result = mdb_cursor_del(vectors_, 0);
    ++*pages;
  }
  if (result != MDB_NOTFOUND) return result;
  at = KeyOf(key);
  result = mdb_del(write_.get(), databases_.entries, &at, nullptr);
  return result == MDB_NOTFOUND ? MDB_SUCCESS : result;
}

int CacheTransaction::EvictOldest(std::uint64_t* pages) {
  *pages = 0;
  MDB_val at;
  MDB_val value;
  int result = mdb_cursor_get(order_, &at, &value, MDB_FIRST);
  if (result == MDB_NOTFOUND) return MDB_SUCCESS;
  if (result != MDB_SUCCESS) return result;
  *pages = 1;
  const std::uint64_t used = NumberOf(at);
  const bool is_key = value.mv_size == sizeof(ContentHash::bytes);
  const ContentHash key = is_key ? ContentHash::FromBytes(View(value)) : ContentHash();
  result = mdb_cursor_del(order_, 0);
  if (result != MDB_SUCCESS || !is_key) return result;
  CacheEntry entry;
  const int found = FindCacheEntry(write_.get(), databases_, key, &entry);
  if (found < 0) return found;
  if (found == 0 || entry.used != used) return MDB_SUCCESS;
  result = Erase(key, entry, pages);
  *pages = std::max<std::uint64_t>(*pages, 1);
  return result;
}

std::uint64_t CacheTransaction::pages() const {
  constexpr unsigned int kFreeList = 0;
  std::uint64_t pages = 2;  // The two that lead to all others.
  for (const unsigned int database :
       {kFreeList, databases_.names, databases_.entries, databases_.vectors, databases_.order}) {
    MDB_stat stat;
    if (mdb_stat(write_.get(), database, &stat) != MDB_SUCCESS) continue;
    pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
  }
  return pages;
}

int CacheTransaction::Commit() {
  for (MDB_cursor** cursor : {&entries_, &vectors_, &order_}) {
    mdb_cursor_close(*cursor);
    *cursor = nullptr;
  }
  return write_.Commit();
}

}  // namespace embedflow
