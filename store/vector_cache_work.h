// What a VectorCache has still to write. For vector_cache*.cc only.
#ifndef EMBEDFLOW_STORE_VECTOR_CACHE_WORK_H_
#define EMBEDFLOW_STORE_VECTOR_CACHE_WORK_H_

#include <cstdint>
#include <span>
#include <vector>

#include "store/vector_cache.h"

namespace embedflow {

// How far it has come; taken over with each transaction that was committed.
struct CacheProgress {
  std::size_t items_done = 0;
  std::size_t used_done = 0;
  std::uint64_t kept = 0;
  std::uint64_t renewed = 0;
  std::uint64_t evicted = 0;
};

struct VectorCache::Work : CacheProgress {
  using Done = CacheProgress;
  struct Item {
    ContentHash key;
    std::span<const float> floats;
  };
  std::vector<Item> items;
  std::vector<ContentHash> used;
  bool done() const { return items_done == items.size() && used_done == used.size(); }
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_VECTOR_CACHE_WORK_H_
