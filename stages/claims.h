// Which texts are being bought at this moment, so that identical texts are bought once.
//
// The first to claim a text owns it and must Release() it exactly once, when its vector is durable
// or it will never come. Others that ask meanwhile wait; Release hands them back. Bounded by what
// is admitted: every entry belongs to a chunk inside the pipeline. Threads: any; each call locks
// one of 64 shards for well under a microsecond.
#ifndef EMBEDFLOW_STAGES_CLAIMS_H_
#define EMBEDFLOW_STAGES_CLAIMS_H_

#include <array>
#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "base/mutex.h"

namespace embedflow {

template <typename Waiter>
class Claims {
 public:
  // True if the caller now owns `text_hash`; otherwise `waiter` is kept until the owner releases
  // it.
  bool Claim(const ContentHash& text_hash, Waiter waiter) {
    Shard& shard = ShardOf(text_hash);
    MutexLock lock(shard.mu);
    const auto [entry, fresh] = shard.waiting.try_emplace(text_hash);
    if (!fresh) entry->second.push_back(std::move(waiter));
    return fresh;
  }

  // Ends the claim, which must exist. Returns who waited, in the order they came.
  std::vector<Waiter> Release(const ContentHash& text_hash) {
    Shard& shard = ShardOf(text_hash);
    MutexLock lock(shard.mu);
    const auto entry = shard.waiting.find(text_hash);
    EF_CHECK(entry != shard.waiting.end());
    std::vector<Waiter> waiters = std::move(entry->second);
    shard.waiting.erase(entry);
    return waiters;
  }

  // Claims in force; for tests and the end of a run.
  std::size_t size() {
    std::size_t sum = 0;
    for (Shard& shard : shards_) {
      MutexLock lock(shard.mu);
      sum += shard.waiting.size();
    }
    return sum;
  }

 private:
  struct Shard {
    Mutex mu;
    std::unordered_map<ContentHash, std::vector<Waiter>> waiting EF_GUARDED_BY(mu);
  };
  Shard& ShardOf(const ContentHash& hash) { return shards_[hash.bytes[15] % shards_.size()]; }
  std::array<Shard, 64> shards_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_CLAIMS_H_
