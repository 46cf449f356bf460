#include "store/vector_cache.h"

#include <lmdb.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "base/check.h"
#include "base/log.h"
#include "base/utf8.h"
#include "store/directory.h"
#include "store/records.h"
#include "store/vector_cache_work.h"
#include "store/vector_map.h"

namespace embedflow {
namespace {

// After this many records have been found the map's pages are given back: they would count as this
// process's memory. A record takes four reads at random, and Linux maps 64 KiB around each.
constexpr std::uint64_t kTouchedRecordsMax = 256;
// Records found that are remembered until the next Put: 65,536 keys are a few MiB.
constexpr std::size_t kUsedMax = 65536;
// Fewer than these are not worth a transaction of their own.
constexpr std::size_t kUsedMin = 4096;
// Noting a use changes a page of entries and one of the order; a record's place in both trees costs
// as much.
constexpr std::uint64_t kPagesToNote = 2;
// A full map although there is room: readers keep the pages that were freed, or a list of free
// pages is too long for what lies side by side. So the transaction is halved each time, after a
// pause: in all a quarter of a second.
constexpr int kMapFullMax = 8;
// More than a record of the largest dimension takes.
constexpr std::uint64_t kTransactionPagesMin = 128;

ContentHash RecordKey(const CacheSpace& space, const ContentHash& text_hash) {
  const std::array<std::string_view, 2> parts = {space.key.view(), text_hash.view()};
  return HashContent(parts);
}

}  // namespace

CacheSpace CacheSpace::Of(const Space& space, std::string_view address) {
  const ContentHash key = SpaceKey(space);
  const std::array<std::string_view, 2> parts = {key.view(), address};
  return {HashContent(parts), static_cast<std::size_t>(space.dimensions)};
}

std::size_t VectorCache::Find(const CacheSpace& space, std::span<const ContentHash> hashes,
                              std::span<char> found, std::vector<float>* rows) {
  EF_CHECK(hashes.size() == found.size());
  std::fill(found.begin(), found.end(), 0);
  if (is_off() || hashes.empty()) return 0;
  Result<LmdbEnvironment::Read> read = environment_->BeginRead();
  if (!read.ok()) {
    TurnOff(read.status());
    return 0;
  }
  CacheRange range;
  int result = ReadCacheRange(read->get(), databases_, &range);
  std::vector<ContentHash> used;
  std::size_t hits = 0;
  std::size_t damaged = 0;
  for (std::size_t i = 0; i < hashes.size() && result >= 0; ++i) {
    const ContentHash key = RecordKey(space, hashes[i]);
    CacheEntry entry;
    result = FindCacheEntry(read->get(), databases_, key, &entry);
    if (result != 1) continue;
    const std::size_t begin = rows->size();
    rows->resize(begin + space.dimensions);
    result = ReadCacheRecord(read->get(), databases_, key, entry, environment_->page_bytes(),
                             std::span(*rows).subspan(begin));
    if (result != 1) {
      rows->resize(begin);
      ++damaged;
      continue;
    }
    found[i] = 1;
    ++hits;
    if (range.IsOld(entry.used)) used.push_back(key);
    if (touched_.fetch_add(1, std::memory_order_relaxed) >= kTouchedRecordsMax) {
      touched_ = 0;
      ReleaseMappingAround(range.map_address);
    }
  }
  if (damaged > 0) Warn("a vector in the cache " + EscapeControl(directory_) + " is damaged");
  if (result < 0) TurnOff(environment_->Error(result, "read"));
  hits_ += hits;
  misses_ += hashes.size() - hits;
  damaged_ += damaged;
  if (!used.empty()) Remember(used);
  return hits;
}

void VectorCache::Remember(const std::vector<ContentHash>& keys) {
  MutexLock lock(used_mu_);
  for (const ContentHash& key : keys) {
    if (used_.size() >= kUsedMax) return;
    used_.insert(key);
  }
}

void VectorCache::Put(const CacheSpace& space, std::span<const Store::VectorPut> puts) {
  Work work;
  work.items.reserve(puts.size());
  for (const Store::VectorPut& put : puts) {
    EF_CHECK(put.vector.size() == space.dimensions);
    work.items.push_back({RecordKey(space, put.text_hash), put.vector});
  }
  WriteAll(&work, false);
}

void VectorCache::WriteAll(Work* work, bool even_if_little) {
  if (is_off()) return;
  {
    MutexLock lock(used_mu_);
    const bool enough = even_if_little || !work->items.empty() || used_.size() >= kUsedMin;
    if (!enough) return;
    work->used.assign(used_.begin(), used_.end());
    used_.clear();
  }
  if (work->done()) return;
  if (is_full_) {
    dropped_ += work->items.size();
    return;
  }
  // In the order of the keys, neighbours fall into the same page of entries.
  std::sort(work->items.begin(), work->items.end(),
            [](const auto& a, const auto& b) { return a.key < b.key; });
  std::sort(work->used.begin(), work->used.end());
  MutexLock lock(put_mu_);
  const bool has_turn = TakeTurn(had_no_turn_ ? std::chrono::milliseconds{0} : options_.turn_wait);
  had_no_turn_ = !has_turn;
  if (has_turn) {
    Write(work);
    GiveTurn();
  } else {
    Warn("the cache " + EscapeControl(directory_) +
         " is held by another process; vectors bought meanwhile are not kept there");
  }
  dropped_ += work->items.size() - work->items_done;
}

void VectorCache::Write(Work* work) {
  std::uint64_t pages_max = transaction_pages_;
  int map_full_count = 0;
  while (!work->done()) {
    bool map_full = false;
    Status status = WriteSome(work, pages_max, &map_full);
    if (status.ok()) {
      if (!map_full) {
        had_no_room_ = false;
        continue;
      }
      if (had_no_room_ || map_full_count == kMapFullMax) {
        had_no_room_ = true;
        Warn("readers of the cache " + EscapeControl(directory_) +
             " keep it full; vectors bought meanwhile are not kept there");
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1 << map_full_count++));
      pages_max = std::max(pages_max / 2, kTransactionPagesMin);
      continue;
    }
    if (status.code() == Code::kCorruption) {
      if (MakeAnew().ok()) status = status.WithNext("the next run makes it anew");
      TurnOff(status);
    } else {
      is_full_ = true;
      Warn("nothing more is kept in the cache " + EscapeControl(directory_) + ": " +
           status.ToString());
    }
    return;
  }
}

Status VectorCache::WriteSome(Work* work, std::uint64_t pages_max, bool* map_full) {
  CacheTransaction transaction(environment_.get(), databases_, file_.get(), path_);
  Work::Done done = *work;
  std::uint64_t pages = 0;
  int result = transaction.Begin();
  for (; done.used_done < work->used.size() && result == MDB_SUCCESS; ++done.used_done) {
    // Half is for the records.
    if (2 * (pages + kPagesToNote) > pages_max) break;
    bool renewed = false;
    result = transaction.Renew(work->used[done.used_done], &renewed);
    if (renewed) pages += kPagesToNote;
    done.renewed += renewed ? 1 : 0;
  }
  bool has_room = true;
  while (done.items_done < work->items.size() && result == MDB_SUCCESS) {
    const Work::Item& item = work->items[done.items_done];
    const std::uint64_t cost =
        CachePieces(item.floats.size_bytes(), environment_->page_bytes()) + kPagesToNote;
    if (pages > 0 && pages + cost > pages_max) break;
    if (transaction.pages() + cost > room_pages_) {
      std::uint64_t freed = 0;
      result = transaction.EvictOldest(&freed);
      has_room = freed > 0;
      if (!has_room) break;
      pages += freed + 1;
      ++done.evicted;
      continue;
    }
    bool added = false;
    result = transaction.Put(item.key, item.floats, &added);
    if (result != MDB_SUCCESS) break;
    ++done.items_done;
    if (!added) continue;
    pages += cost;
    ++done.kept;
  }
  if (result == MDB_SUCCESS && transaction.map_address() != nullptr) {
    ReleaseMappingAround(transaction.map_address());
  }
  if (result == MDB_SUCCESS) result = transaction.Commit();
  *map_full = result == MDB_MAP_FULL || !has_room;
  if (!transaction.damage().ok()) return transaction.damage();
  if (result == MDB_MAP_FULL) return {};
  if (result != MDB_SUCCESS) return environment_->Error(result, "write");
  renewed_ += done.renewed - work->renewed;
  kept_ += done.kept - work->kept;
  evicted_ += done.evicted - work->evicted;
  static_cast<Work::Done&>(*work) = done;
  return {};
}

void VectorCache::TurnOff(const Status& why) {
  off_.store(true, std::memory_order_release);
  Warn("the run goes on without the cache " + EscapeControl(directory_) + ": " + why.ToString());
}

void VectorCache::Warn(const std::string& what) {
  if (!warned_.exchange(true)) Log(LogLevel::kWarning, what);
}

VectorCache::Counts VectorCache::counts() const {
  Counts counts;
  counts.hits = hits_;
  counts.misses = misses_;
  counts.damaged = damaged_;
  counts.kept = kept_;
  counts.evicted = evicted_;
  counts.renewed = renewed_;
  counts.dropped = dropped_;
  if (const Result<long long> bytes = FileBytes(path_); bytes.ok() && *bytes > 0) {
    counts.bytes = static_cast<std::uint64_t>(*bytes);
  }
  return counts;
}

}  // namespace embedflow
