#include "stages/retry_policy.h"

#include <algorithm>
#include <limits>

namespace embedflow {
namespace {

using std::chrono::milliseconds;

constexpr int kServerError = 500;
// How often a throttle that says how long may come for each retry, while no other request succeeds.
constexpr int kToldThrottlesPerRetry = 3;

milliseconds Scale(milliseconds duration, double factor) {
  return milliseconds(static_cast<std::int64_t>(static_cast<double>(duration.count()) * factor));
}

milliseconds Unjittered(int retry, const RetryOptions& options) {
  milliseconds backoff = std::min(options.retry_delay, options.backoff_max);
  // Doubling one by one saturates at the cap; a shift by `retry` would overflow.
  for (int n = 1; n < retry && backoff < options.backoff_max; ++n) {
    backoff = std::min(backoff * 2, options.backoff_max);
  }
  return backoff;
}

// Again, if a retry is left and can start before the deadline; else nullopt.
std::optional<Verdict> Again(const RetryOptions& options, const Outcome& outcome, int attempt,
                             int retries_max, const RetryFacts& facts, Rng& rng) {
  if (attempt > retries_max) return std::nullopt;
  Verdict verdict{Verdict::Kind::kAgain, BackoffBefore(attempt, options, outcome, rng)};
  verdict.is_server_wait_cut =
      outcome.retry_after && *outcome.retry_after > options.server_wait_max;
  // What a server asks for is waited for: the deadline is for what it does not say.
  const bool is_told = outcome.kind == Outcome::Kind::kThrottled && outcome.retry_after &&
                       !verdict.is_server_wait_cut;
  if (options.item_deadline && !is_told && verdict.delay > *options.item_deadline - facts.elapsed) {
    return std::nullopt;
  }
  return verdict;
}

}  // namespace

milliseconds BackoffBefore(int retry, const RetryOptions& options, const Outcome& outcome,
                           Rng& rng) {
  const milliseconds backoff = Unjittered(retry, options);
  const milliseconds asked =
      std::clamp(outcome.retry_after.value_or(milliseconds(0)), milliseconds(0),
                 std::max(options.server_wait_max, milliseconds(0)));
  if (options.jitter == FlowOptions::Jitter::kNone) return std::max(backoff, asked);
  const double low = outcome.kind == Outcome::Kind::kThrottled ? 0.5 : 0.0;
  const milliseconds jittered = Scale(backoff, low + (1.0 - low) * rng.Uniform());
  if (!outcome.retry_after) return jittered;
  return std::max(jittered, Scale(asked, 1.0 + 0.1 * rng.Uniform()));
}

milliseconds BackoffTotal(const RetryOptions& options) {
  milliseconds total{0};
  for (int retry = 1; retry <= options.retries_max; ++retry) total += Unjittered(retry, options);
  return total;
}

Verdict Decide(const RetryOptions& options, const Outcome& outcome, int attempt, std::size_t inputs,
               Rng& rng, const RetryFacts& facts) {
  const Verdict split_or_dead{inputs > 1 ? Verdict::Kind::kSplit : Verdict::Kind::kDead, {}};
  // Without a success beside it the part may have met an outage, and gets the full time.
  const int retries_max = facts.is_split_off && facts.others_succeed
                              ? std::min(options.retries_max, options.retries_after_split_max)
                              : options.retries_max;
  switch (outcome.kind) {
    case Outcome::Kind::kOk:
      return {Verdict::Kind::kKeep, {}};
    case Outcome::Kind::kThrottled:
    case Outcome::Kind::kTransient: {
      int left = outcome.should_retry.value_or(true) ? retries_max : 0;
      // A throttle is no fault. While others are served, or the server says how long, it may come
      // again and again.
      if (outcome.kind == Outcome::Kind::kThrottled && left > 0) {
        if (facts.others_succeed) {
          left = std::numeric_limits<int>::max();
        } else if (outcome.retry_after) {
          left *= kToldThrottlesPerRetry;
        }
      }
      if (const auto again = Again(options, outcome, attempt, left, facts, rng)) return *again;
      // llama.cpp answers 500 to a text that is too long, each time, and a text can make a server
      // hang; the run must not end of it. 502, 503 and 504 are about the server.
      const bool is_batchs_own = outcome.kind == Outcome::Kind::kTransient &&
                                 (facts.http_status == kServerError || facts.has_timed_out) &&
                                 facts.others_succeed;
      return is_batchs_own ? split_or_dead : Verdict{Verdict::Kind::kStop, {}};
    }
    case Outcome::Kind::kBadReply:
      return Again(options, outcome, attempt, std::min(retries_max, 1), facts, rng)
          .value_or(split_or_dead);
    case Outcome::Kind::kInvalid: {
      const int left = outcome.should_retry.value_or(false) ? retries_max : 0;
      return Again(options, outcome, attempt, left, facts, rng).value_or(split_or_dead);
    }
    case Outcome::Kind::kOversize:
      return split_or_dead;
    case Outcome::Kind::kRefused:
      return {Verdict::Kind::kStop, {}};
    case Outcome::Kind::kCancelled:
      return {Verdict::Kind::kCancel, {}};
  }
  return {Verdict::Kind::kStop, {}};
}

}  // namespace embedflow
