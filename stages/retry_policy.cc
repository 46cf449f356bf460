#include "stages/retry_policy.h"

#include <algorithm>

namespace embedflow {
namespace {

std::chrono::milliseconds Scale(std::chrono::milliseconds duration, double factor) {
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(static_cast<double>(duration.count()) * factor));
}

}  // namespace

std::chrono::milliseconds BackoffBefore(int retry, const RetryOptions& options,
                                        const Outcome& outcome, Rng& rng) {
  std::chrono::milliseconds backoff = std::min(options.retry_delay, options.backoff_max);
  // Doubling one by one saturates at the cap; a shift by `retry` would overflow.
  for (int n = 1; n < retry && backoff < options.backoff_max; ++n) {
    backoff = std::min(backoff * 2, options.backoff_max);
  }
  const bool throttled = outcome.kind == Outcome::Kind::kThrottled;
  const double low = throttled ? 0.5 : 0.0;
  const std::chrono::milliseconds jittered = Scale(backoff, low + (1.0 - low) * rng.Uniform());
  if (!outcome.retry_after) return jittered;
  const std::chrono::milliseconds asked =
      std::clamp(*outcome.retry_after, std::chrono::milliseconds(0), options.server_wait_max);
  return std::max(jittered, Scale(asked, 1.0 + 0.1 * rng.Uniform()));
}

Verdict Decide(const RetryOptions& options, const Outcome& outcome, int attempt, std::size_t inputs,
               Rng& rng) {
  const Verdict split_or_dead{inputs > 1 ? Verdict::Kind::kSplit : Verdict::Kind::kDead, {}};
  switch (outcome.kind) {
    case Outcome::Kind::kOk:
      return {Verdict::Kind::kKeep, {}};
    case Outcome::Kind::kThrottled:
    case Outcome::Kind::kTransient:
      if (attempt > options.retries_max) return {Verdict::Kind::kStop, {}};
      return {Verdict::Kind::kAgain, BackoffBefore(attempt, options, outcome, rng)};
    case Outcome::Kind::kBadReply:
      if (attempt == 1 && options.retries_max > 0) {
        return {Verdict::Kind::kAgain, BackoffBefore(attempt, options, outcome, rng)};
      }
      return split_or_dead;
    case Outcome::Kind::kOversize:
    case Outcome::Kind::kInvalid:
      return split_or_dead;
    case Outcome::Kind::kRefused:
      return {Verdict::Kind::kStop, {}};
    case Outcome::Kind::kCancelled:
      return {Verdict::Kind::kCancel, {}};
  }
  return {Verdict::Kind::kStop, {}};
}

}  // namespace embedflow
