// Decides what follows an attempt: keep the vectors, try again and when, split, give up on the
// text, or stop the run. A function of (options, outcome, attempt, rng): no timer, no socket, no
// state of its own.
#ifndef EMBEDFLOW_STAGES_RETRY_POLICY_H_
#define EMBEDFLOW_STAGES_RETRY_POLICY_H_

#include <chrono>
#include <cstddef>

#include "base/clock.h"
#include "base/random.h"
#include "embedflow/provider.h"

namespace embedflow {

struct RetryOptions {
  int retries_max = 3;
  std::chrono::milliseconds retry_delay{1000};  // Before retry 1; doubles with each.
  // Limits.
  std::chrono::milliseconds backoff_max{60000};       // Of our own backoff.
  std::chrono::milliseconds server_wait_max{120000};  // Longest wait a server may ask for.
};

struct Verdict {
  enum class Kind {
    kKeep,    // The vectors are good.
    kAgain,   // Send the same batch again, not before `delay` from now.
    kSplit,   // Send the two halves as batches of their own.
    kDead,    // The batch holds one text, and that text is refused.
    kStop,    // The run cannot go on; the outcome's status says why.
    kCancel,  // We gave up on the batch ourselves.
  };
  Kind kind = Kind::kKeep;
  std::chrono::milliseconds delay{0};
  bool operator==(const Verdict&) const = default;
};

// Backoff before retry n (1-based): d = min(retry_delay * 2^(n-1), backoff_max), then jittered:
// uniform in [d/2, d) for a throttle without a server's word, else uniform in [0, d) (full jitter,
// AWS Architecture Blog 2015). A server's wait is a floor: max(jittered, asked) * uniform[1, 1.1),
// and asked is cut to server_wait_max.
std::chrono::milliseconds BackoffBefore(int retry, const RetryOptions& options,
                                        const Outcome& outcome, Rng& rng);

// `attempt` counts from 1; `inputs` are the texts in the batch, at least 1.
// kTransient, kThrottled: again while attempt <= retries_max, then stop (the provider is
// unavailable; resumable). kBadReply: again once, then split, then dead. kOversize, kInvalid:
// split, at one text dead. kRefused: stop.
Verdict Decide(const RetryOptions& options, const Outcome& outcome, int attempt, std::size_t inputs,
               Rng& rng);

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_RETRY_POLICY_H_
