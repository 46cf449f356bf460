// Decides when a request may leave so that a provider's requests and model tokens a minute are
// kept. Pure arithmetic over two token buckets; it never sleeps.
//
// Requests are spaced, not bursty: a bucket holds one second's worth, because some providers
// enforce a minute's limit over windows of one or ten seconds (reference: Azure OpenAI). A request
// that costs more than a bucket holds is let through when the bucket is full and leaves a debt. A
// known simplification: model tokens are our estimate and are not settled against the bill.
// Threads: not thread-safe; the graph runs it in a serial node.
#ifndef EMBEDFLOW_STAGES_RATE_LIMITER_H_
#define EMBEDFLOW_STAGES_RATE_LIMITER_H_

#include <cstddef>
#include <optional>

#include "base/clock.h"

namespace embedflow {

// One bucket that refills evenly.
class TokenBucket {
 public:
  // `per_minute` must be above 0; nullopt never limits. Buckets start full.
  explicit TokenBucket(std::optional<double> per_minute);
  // The earliest time, never before `now`, at which `cost` may be taken. Does not take it.
  TimePoint Earliest(double cost, TimePoint now) const;
  // Takes `cost` at `when`, which Earliest gave.
  void Take(double cost, TimePoint when);

 private:
  double LevelAt(TimePoint when) const;
  const double per_second_;  // 0: no limit.
  const double capacity_;
  double level_;
  std::optional<TimePoint> updated_;  // Empty before the first take.
};

class RateLimiter {
 public:
  RateLimiter(std::optional<double> requests_per_minute,
              std::optional<double> model_tokens_per_minute)
      : requests_(requests_per_minute), model_tokens_(model_tokens_per_minute) {}

  // Returns the earliest time one request of `model_tokens` may leave, never before `now`, and
  // takes the cost at once: a caller that does not send has spent it. Times returned never fall as
  // `now` grows.
  TimePoint Reserve(std::size_t model_tokens, TimePoint now);

 private:
  TokenBucket requests_;
  TokenBucket model_tokens_;
  std::optional<TimePoint> last_;  // Reservations leave in order.
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_RATE_LIMITER_H_
