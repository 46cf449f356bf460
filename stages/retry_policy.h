// Decides what follows an attempt: keep the vectors, try again and when, split, give up on the
// text, or stop the run. A function of (options, outcome, attempt, rng): no timer, no socket, no
// state of its own.
#ifndef EMBEDFLOW_STAGES_RETRY_POLICY_H_
#define EMBEDFLOW_STAGES_RETRY_POLICY_H_

#include <chrono>
#include <cstddef>
#include <optional>

#include "base/clock.h"
#include "base/random.h"
#include "embedflow/options.h"
#include "embedflow/provider.h"

namespace embedflow {

struct RetryOptions {
  int retries_max = 3;
  std::chrono::milliseconds retry_delay{1000};  // Before retry 1; doubles with each.
  // kNone: the delays are exactly retry_delay * 2^(n-1), and a server's wait exactly that.
  FlowOptions::Jitter jitter = FlowOptions::Jitter::kFull;
  // Limits.
  std::chrono::milliseconds backoff_max{60000};       // Of our own backoff.
  std::chrono::milliseconds server_wait_max{120000};  // Longest wait a server may ask for.
  // From a text's first attempt to the start of its last. Unset: retries_max alone decides.
  std::optional<std::chrono::milliseconds> item_deadline;
  // Of a batch that was split off another because of a server's error, while others succeed: what
  // made the server fail is then likely one text, and each halving would pay for all retries anew.
  int retries_after_split_max = 1;
};

// What the policy must know of an attempt besides its outcome.
struct RetryFacts {
  // Since the first attempt of the batch, or of the one it was split from.
  std::chrono::milliseconds elapsed{0};
  int http_status = 0;  // 0: no whole reply came.
  // Other requests to the endpoint succeeded since this batch was first sent: the server lives, and
  // an error that comes back each time is this batch's.
  bool others_succeed = false;
  bool has_timed_out = false;  // No reply came within the time of a whole request.
  // The batch was split off another because of a server's error.
  bool is_split_off = false;
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
  // The server asked for a wait above server_wait_max, and `delay` is shorter: worth a log line.
  bool is_server_wait_cut = false;
  bool operator==(const Verdict&) const = default;
};

// Backoff before retry n (1-based): d = min(retry_delay * 2^(n-1), backoff_max), then jittered:
// uniform in [d/2, d) for a throttle without a server's word, else uniform in [0, d) (full jitter,
// AWS Architecture Blog 2015). A server's wait is a floor: max(jittered, asked) * uniform[1, 1.1),
// and asked is cut to server_wait_max. With Jitter::kNone: max(d, asked).
std::chrono::milliseconds BackoffBefore(int retry, const RetryOptions& options,
                                        const Outcome& outcome, Rng& rng);

// The sum of the waits before retries 1 to retries_max, as the schedule has them without jitter and
// without a server's word.
std::chrono::milliseconds BackoffTotal(const RetryOptions& options);

// `attempt` counts from 1; `inputs` are the texts in the batch, at least 1.
// kTransient: again while attempt <= retries_max and the retry can start before the item's
// deadline, then stop (the provider is unavailable; resumable). A status of 500 or a timeout that
// is used up while others succeed is the batch's own: split, at one text dead. kThrottled: the
// same, but while others succeed any number of times, and three times as often where the server
// says how long; such a wait, up to server_wait_max, also passes the deadline. kBadReply: again
// once, then split, then dead. kOversize, kInvalid: split, at one text dead. kRefused: stop. The
// server's should_retry: false takes all retries from kTransient and kThrottled; true gives
// kInvalid the retries of a transient outcome before it is split.
Verdict Decide(const RetryOptions& options, const Outcome& outcome, int attempt, std::size_t inputs,
               Rng& rng, const RetryFacts& facts = {});

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_RETRY_POLICY_H_
