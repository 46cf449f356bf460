// The dataflow: documents in, committed and indexed vectors out.
//
// Two ways in. Pull: Run(source) reads a Source to its end. Push, for programs that already have a
// loop of their own: Start(), Push() a document at a time, Finish(). Backfill() and RetryDead()
// take documents that the corpus holds. A Pipeline serves one run.
#ifndef EMBEDFLOW_PIPELINE_H_
#define EMBEDFLOW_PIPELINE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "embedflow/corpus.h"
#include "embedflow/options.h"
#include "embedflow/provider.h"
#include "embedflow/source.h"
#include "embedflow/status.h"
#include "embedflow/types.h"

namespace embedflow {

enum class RunOutcome { kComplete, kPartial, kBudget, kRefused, kInterrupted, kFailed };
// "complete", "partial", ...
const char* RunOutcomeName(RunOutcome outcome);

// What a run did. After a run: documents.read = unchanged + ingested + replaced + empty + dead +
// cancelled.
struct RunSummary {
  RunOutcome outcome = RunOutcome::kFailed;
  struct Documents {
    std::uint64_t read = 0;
    std::uint64_t unchanged = 0;
    std::uint64_t ingested = 0;  // Committed, new or changed.
    std::uint64_t replaced = 0;  // Gave way to a later record of the same id in this run.
    std::uint64_t empty = 0;     // Nothing but white space.
    std::uint64_t deleted = 0;
    std::uint64_t dead = 0;       // Bad records, and documents of which no chunk could be embedded.
    std::uint64_t cancelled = 0;  // Read, but not committed when the run stopped.
  } documents;
  struct Chunks {
    std::uint64_t total = 0;     // Of committed documents.
    std::uint64_t embedded = 0;  // Vectors bought and stored.
    std::uint64_t reused = 0;  // Chunks whose text had a vector, or shared one that was under way.
    std::uint64_t dead = 0;
  } chunks;
  struct Provider {
    std::uint64_t requests = 0;  // Sends.
    std::uint64_t retries = 0;   // Sends of a batch after its first.
    std::uint64_t throttled = 0;
    std::uint64_t model_tokens = 0;  // Billed, by the provider's count where it gives one.
    // Vectors that may have been paid for more than once: bought by a request that was sent again,
    // or in flight when an earlier run was killed.
    std::uint64_t vectors_bought_twice = 0;
  } provider;
  // Texts that the corpus lacked and PipelineOptions::cache_directory was asked for.
  struct Cache {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    // In [0, 1]. Unset: it was never asked.
    std::optional<double> hit_rate() const {
      if (hits + misses == 0) return std::nullopt;
      return static_cast<double>(hits) / static_cast<double>(hits + misses);
    }
  } cache;
  // One entry an endpoint, the provider's own first. In-process providers have none.
  struct Endpoint {
    std::string place;     // "api.openai.com:443".
    std::string role;      // "primary", "replica" or "fallback".
    bool admitted = true;  // False: its canary vectors did not agree, or it never answered them.
    std::uint64_t requests = 0;
    std::uint64_t failures = 0;  // Replies of no use: none came, or the server's fault.
    std::uint64_t throttled = 0;
    std::string breaker;  // "closed", "open", "half_open" or "off".
    std::uint64_t breaker_opened = 0;
    std::size_t concurrency = 0;  // Requests in flight it takes now.
    // Caps learnt from its errors; unset: none.
    std::optional<std::size_t> learnt_inputs_max, learnt_model_tokens_max;
    // Only with metrics enabled.
    struct Metrics {
      double latency_p50_ms = 0, latency_p95_ms = 0, latency_p99_ms = 0;  // Of answered requests.
      double allowance_wait_seconds = 0;  // Time in which only the limits held requests back.
      double tokens_per_estimated = 1;    // What the bill says, by our estimate.
    };
    std::optional<Metrics> metrics;
  };
  std::vector<Endpoint> endpoints;
  std::optional<double> cost_usd;  // Unset: no known price. 0 for in-process providers.
  double seconds = 0;
  double chunks_per_second = 0;
  std::uint64_t peak_rss_bytes = 0;
  std::uint64_t dead_letters = 0;  // In the corpus after the run.
};

// A snapshot while the run goes on.
struct Progress {
  RunSummary so_far;  // Counters until now; outcome is meaningless.
  SourceProgress source;
  std::size_t requests_in_flight = 0;
  std::size_t requests_in_flight_max = 0;
  std::size_t admitted_bytes = 0;
  std::size_t admitted_bytes_max = 0;
  // What holds requests back at this moment: "", "limit" (requests or tokens a minute), "retry"
  // (backoff), "breaker" (the provider fails). Never null.
  const char* waits_for = "";
  bool stopping = false;
  bool indexing = false;  // All is committed; the index is being written.
};

// A further server for the vectors of the same space.
struct EndpointOptions {
  enum class Role {
    kReplica,   // Serves along with the provider's own, by health.
    kFallback,  // Serves while no endpoint before it can.
  };
  Role role = Role::kFallback;
  std::shared_ptr<const Provider> provider;  // Must have a dialect, and the space's dimensions.
  FlowOptions flow;  // Timeout, retries, limits, breaker and pool of this endpoint.
};

struct PipelineOptions {
  // Behaviour.
  ChunkerOptions chunker;
  IndexOptions index;
  FlowOptions flow;
  // How the provider was made, recorded with the space so that search, backfill and retries of dead
  // letters find it again. Never a key, nor the file of one: who hands over a corpus must not be
  // able to make its reader send a file.
  ProviderOptions recorded;
  // Admitted once their vectors of a few canary texts point where the provider's own do; else the
  // run ends with the word space_mismatch before anything is bought.
  std::vector<EndpointOptions> endpoints;
  // Deletes the documents that earlier runs read from one of the source's inputs, and from no
  // other, and that this run did not find there any more: only after a complete scan of all inputs
  // without a bad record. Needs a source with inputs().
  bool sync = false;
  // Called with how many documents are gone, before any of them is deleted. An error ends the run,
  // and nothing is deleted. Empty: they are deleted.
  std::function<Status(std::uint64_t gone)> before_deleting;
  // A directory with vectors that corpora and processes share (docs/cache.md). Trouble with it is a
  // warning and never ends a run. The built-in provider does not use it. Empty: none.
  std::string cache_directory;
  std::uint64_t cache_bytes_max = std::uint64_t{8} << 30;  // In [16 MiB, 1 TiB].
  // Seeds the jitter of retries.
  std::uint64_t seed = 1;
  // Called with the chunks of each durable commit, after it. From the writer's thread; it may
  // block, and holds up the next commit while it does. An error stops the run.
  std::function<Status(std::span<const ChunkId> committed)> on_commit;
  // Called every `progress_interval` from a thread of the pipeline; must return quickly.
  std::function<void(const Progress&)> on_progress;
  std::chrono::milliseconds progress_interval{250};

  Status Validate() const;
};

// Threads: Run, Start, Push and Finish are called by one thread. RequestStop and Abort may be
// called from any thread at any time and return at once.
class Pipeline {
 public:
  // `corpus` must be open for writing and outlive the pipeline.
  static Result<std::unique_ptr<Pipeline>> Open(Corpus& corpus,
                                                std::shared_ptr<const Provider> provider,
                                                PipelineOptions options);
  // A run that was started and not finished is aborted.
  ~Pipeline();

  // Reads `source` to its end and returns when everything admitted is settled. The summary is
  // returned also for a run that ended early; `summary()` then tells what is in and the Status
  // tells why it ended.
  Status Run(Source& source);

  // Instead of a source: the documents of the corpus that have no vectors in the provider's space
  // yet, cut as they are. Can be stopped and begun again.
  Status Backfill();
  // Instead of a source: the documents with chunks that the provider refused in its space. What
  // succeeds leaves the dead letters.
  Status RetryDead();

  // Push mode. Push waits while the budget is used up, and fails once the run has ended early.
  Status Start();
  Status Push(Document document);
  Status Finish();

  // After Run or Finish, whatever they returned.
  const RunSummary& summary() const;

  // Reads no more, drains what is in flight, commits, returns kCancelled from Run or Finish.
  void RequestStop();
  // Gives up what is in flight as well; commits what has arrived.
  void Abort();

 private:
  struct Rep;
  explicit Pipeline(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_H_
