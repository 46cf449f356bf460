// What all parts of one run share.
#ifndef EMBEDFLOW_PIPELINE_RUN_H_
#define EMBEDFLOW_PIPELINE_RUN_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/clock.h"
#include "base/mutex.h"
#include "embedflow/pipeline.h"
#include "pipeline/active_ids.h"
#include "pipeline/batch.h"
#include "pipeline/budget.h"
#include "pipeline/counters.h"
#include "pipeline/probe.h"
#include "stages/claims.h"
#include "store/in_flight.h"
#include "store/store.h"
#include "store/vector_cache.h"

namespace embedflow {

// The word of a run that ended because the provider refuses every request, whatever its texts.
inline constexpr const char* kRequestRefused = "request_refused";
// The word of a run that ended because no reply could be used.
inline constexpr const char* kRepliesUnusable = "replies_unusable";

// A chunk that waits for the vector of its text to become durable.
using Claimed = BatchItem;

// Threads: any, member by member as said.
class RunState {
 public:
  RunState(Store& store, std::shared_ptr<const Provider> the_provider, PipelineOptions the_options,
           Clock& the_clock)
      : corpus_store(store),
        provider(std::move(the_provider)),
        options(std::move(the_options)),
        clock(the_clock),
        budget(options.flow.admitted_bytes_max) {}

  // Constant after construction, or set before any thread starts.
  Store& corpus_store;
  const std::shared_ptr<const Provider> provider;
  const PipelineOptions options;
  Clock& clock;
  SpaceRecord space;
  ContentHash chunking;  // ChunkingFingerprint of the options.
  std::int64_t run = 0;
  // By Origin::input: the numbers of the source's inputs, see Store::AddSources.
  std::vector<std::int64_t> sources;
  // Vectors of other corpora; null: none.
  std::shared_ptr<VectorCache> cache;
  CacheSpace cache_space;
  TimePoint started{};
  // Names what is sent until it is durable. Null for an in-process provider, which is not paid.
  std::unique_ptr<InFlight> in_flight;
  // Texts of the space that earlier runs may have paid for; the writer's once it has started.
  std::unordered_set<ContentHash> maybe_paid;
  ProbeSender send_probe = EmbedNow;
  // Wakes what waits once the run is to end: the source, and requests that were not sent.
  std::function<void()> on_halt;

  // Own synchronisation.
  Budget budget;
  Counters counters;
  Claims<Claimed> claims;
  ActiveIds active_ids;

  // Set once a foreign exception may have left a message half done: then sums need not add up.
  std::atomic<bool> threw{false};
  // Set once the store has failed to write: it takes no more.
  std::atomic<bool> store_failed{false};

  // Makes the ledger of texts in flight anew, before anything is sent. `charge_min`: what a chunk
  // takes from the budget at least, in bytes. Errors: kIo.
  Status OpenInFlight(const std::string& directory, const Store::RunBegin& begin,
                      std::size_t charge_min);
  // Makes durable what the run leaves in it. `is_complete`: all there was to buy is bought, and
  // with it whatever earlier runs may have paid for and nobody knew by name. Errors: kIo.
  Status CloseInFlight(bool is_complete);

  // Records why the run cannot go on (the first reason wins) and halts it.
  void Fail(Status status) EF_EXCLUDES(mu_);
  // Nothing new is read or sent; what is in flight is taken in. Idempotent.
  void Halt();
  bool halting() const { return halting_.load(std::memory_order_acquire); }
  // OK while nothing failed.
  Status failure() EF_EXCLUDES(mu_);

 private:
  std::atomic<bool> halting_{false};
  Mutex mu_;
  Status failure_ EF_GUARDED_BY(mu_);
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_RUN_H_
