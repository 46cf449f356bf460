// What a run counts. Every number is counted once, where it happens; progress, summary and samples
// are copies.
#ifndef EMBEDFLOW_PIPELINE_COUNTERS_H_
#define EMBEDFLOW_PIPELINE_COUNTERS_H_

#include <atomic>
#include <cstdint>

#include "embedflow/pipeline.h"
#include "store/store.h"

namespace embedflow {

// Threads: any; counters are independent, a snapshot is not one instant.
struct Counters {
  using Count = std::atomic<std::uint64_t>;
  // Documents.
  Count read{0}, unchanged{0}, ingested{0}, replaced{0}, empty{0}, documents_dead{0},
      documents_cancelled{0}, deleted{0};
  Count bad_records{0};  // Of documents_dead.
  // Chunks.
  Count chunks{0}, embedded{0}, reused{0}, chunks_dead{0};
  // Provider.
  Count requests{0}, retries{0}, throttled{0}, model_tokens{0}, bought_twice{0};
  // Cache.
  Count cache_hits{0}, cache_misses{0};
  // Conservation: admitted = settled + inside, for documents and for batches.
  Count admitted{0}, settled{0}, batches{0}, batches_settled{0};
  std::atomic<std::int64_t> in_flight{0};

  // A document that is in the corpus as it is. Its chunks that the provider refused in an earlier
  // run are still not in.
  void CountUnchanged(const DocumentState& stored) {
    ++unchanged;
    chunks_dead += stored.chunks_dead;
  }

  // Copies what a summary shows; times, money and memory are the caller's.
  void CopyTo(RunSummary* summary) const;
};

// The most memory this process has had resident, in bytes.
std::uint64_t PeakRssBytes();

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_COUNTERS_H_
