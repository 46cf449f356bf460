// How many requests a server takes at once before it only queues them: found by watching reply
// times, as Vector's adaptive request concurrency does (reference/retry.md, section 7).
//
// Reply times are compared after dividing by what their tokens let expect, so that a change in the
// mix of batches does not look like congestion. Throttles by our own allowance never come here.
// Threads: not thread-safe; time is a parameter.
#ifndef EMBEDFLOW_STAGES_CONCURRENCY_LIMIT_H_
#define EMBEDFLOW_STAGES_CONCURRENCY_LIMIT_H_

#include <cstddef>
#include <optional>

#include "base/clock.h"

namespace embedflow {

struct ConcurrencyOptions {
  // Behaviour.
  bool is_adaptive = true;  // Off: the limit is always `max`.
  // Limits.
  std::size_t max = 10;  // At least 1.
};

class ConcurrencyLimit {
 public:
  enum class Result {
    kOk,
    kCongested,  // A timeout, a 5xx, a throttle that is not our own quota's.
    kNeutral,    // Says nothing about load: a refusal, a bad text, a cancelled request.
  };

  explicit ConcurrencyLimit(const ConcurrencyOptions& options);

  std::size_t limit() const;
  std::size_t in_flight() const { return in_flight_; }
  bool MayStart() const { return in_flight_ < limit(); }
  void Start(TimePoint now);
  // Every Start is ended once. `round_trip` and `model_tokens` count for kOk only.
  void End(Result result, Duration round_trip, double model_tokens, TimePoint now);

 private:
  const ConcurrencyOptions options_;
  std::size_t in_flight_ = 0;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_CONCURRENCY_LIMIT_H_
