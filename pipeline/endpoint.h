// One server of the run's space, and everything that decides whether a request may go to it now:
// circuit breaker, concurrency limit, retry budget, allowance; in this order, so that the last one,
// which is used up by asking, is asked last.
// Threads: not thread-safe; the dispatcher's lock guards it. What is constant may be read by any.
#ifndef EMBEDFLOW_PIPELINE_ENDPOINT_H_
#define EMBEDFLOW_PIPELINE_ENDPOINT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/histogram.h"
#include "embedflow/pipeline.h"
#include "providers/transport.h"
#include "stages/allowance.h"
#include "stages/circuit_breaker.h"
#include "stages/concurrency_limit.h"
#include "stages/retry_budget.h"
#include "stages/retry_policy.h"
#include "stages/token_correction.h"

namespace embedflow {

// A run's, the provider's own included: a batch notes in a bit each which have used it up.
inline constexpr std::size_t kEndpointsMax = 32;

enum class EndpointRole { kPrimary, kReplica, kFallback };

// Lowers `caps` to what was told; 0 tells nothing.
void LowerCaps(LearntCaps* caps, const LearntCaps& told);

class Endpoint {
 public:
  // What stands between a batch and the wire.
  enum class Gate { kOpen, kBreaker, kConcurrency, kRetryBudget, kAllowance };
  struct Answer {
    Gate gate = Gate::kOpen;
    // When it is worth asking again; unset where an answer opens the gate.
    std::optional<TimePoint> ask_again{};
  };

  // What is asked for one attempt, and held until its end.
  struct Permit {
    AllowanceCost cost;
    std::size_t estimated_tokens = 0;
    bool is_retry = false;
    bool after_throttle = false;
  };

  // What became of an attempt that was started.
  struct Ended {
    const Outcome* outcome = nullptr;
    bool was_sent = false;
    Duration round_trip{};
    Duration pause{};  // For a throttle: how long the batch itself waits.
  };

  // `provider` must have a dialect.
  Endpoint(std::shared_ptr<const Provider> provider, const FlowOptions& flow, EndpointRole role,
           std::uint64_t seed, TimePoint now);

  const Provider& provider() const { return *provider_; }
  const Dialect& dialect() const { return *provider_->dialect(); }
  EndpointRole role() const { return role_; }
  const std::shared_ptr<const SendOptions>& send_options() const { return send_; }
  const RetryOptions& retry() const { return retry_; }
  const FlowOptions& flow() const { return flow_; }
  // From a batch's first attempt to its last.
  Duration deadline() const { return *retry_.item_deadline; }
  static std::size_t InFlightMax(const FlowOptions& flow) {
    return flow.requests_in_flight_max.value_or(flow.connections_max);
  }

  // Whether request bodies are compressed; a server that refuses turns it off for the run.
  bool compresses_requests() const { return compresses_.load(std::memory_order_relaxed); }
  void StopCompressing() { compresses_.store(false, std::memory_order_relaxed); }

  // The permit for a request of `inputs` texts and `tokens` by our estimate.
  Permit PermitFor(std::size_t inputs, std::size_t tokens, bool is_retry,
                   bool after_throttle) const;
  // Starts an attempt if every gate is open; otherwise takes nothing.
  Answer TryStart(const Permit& permit, TimePoint now);
  void End(const Permit& permit, const Ended& ended, TimePoint now);

  // Not to be used any more in this run, or not before a time.
  void Disable(const Status& why);
  void RestUntil(TimePoint when) { rests_until_ = when; }
  bool is_resting(TimePoint now) const { return now < rests_until_; }
  const Status& disabled() const { return disabled_; }
  bool is_usable() const { return disabled_.ok(); }

  std::size_t in_flight() const { return concurrency_.in_flight(); }
  std::size_t limit() const { return concurrency_.limit(); }
  std::uint64_t successes() const { return successes_; }
  // A text was accepted that no permit was for.
  void NoteSuccess() { ++successes_; }
  double tokens_per_estimated() const { return correction_.ratio(); }
  void AddAllowanceWait(Duration waited) { allowance_wait_ += waited; }
  const LearntCaps& caps() const { return caps_; }
  void NoteCaps(const LearntCaps& told) { LowerCaps(&caps_, told); }

  RunSummary::Endpoint Summary() const;

 private:
  CircuitBreaker::Result BreakerResult(const Ended& ended) const;
  ConcurrencyLimit::Result LoadResult(const Ended& ended) const;
  void TakeThrottle(const Ended& ended, TimePoint now);
  // Logs the breaker's state where it has changed.
  void NoteBreaker(TimePoint now);

  // Constant after construction.
  const std::shared_ptr<const Provider> provider_;
  const FlowOptions flow_;
  const EndpointRole role_;
  const RetryOptions retry_;  // With a deadline.
  const bool has_limits_;
  const std::shared_ptr<const SendOptions> send_;

  std::atomic<bool> compresses_;
  CircuitBreaker breaker_;
  CircuitBreaker::State told_state_;  // As last logged.
  ConcurrencyLimit concurrency_;
  RetryBudget budget_;
  TokenCorrection correction_;
  std::unique_ptr<Allowance> allowance_;
  AllowanceCost under_way_{0, 0, 0};
  // Of the last few answers, how many were throttles: an average that forgets.
  double throttled_share_ = 0;
  Status disabled_;
  TimePoint rests_until_{};

  std::uint64_t requests_ = 0, failures_ = 0, throttled_ = 0, successes_ = 0;
  LearntCaps caps_;
  LatencyHistogram latency_;
  Duration allowance_wait_{};
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_ENDPOINT_H_
