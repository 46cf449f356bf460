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

  std::size_t limit() const { return limit_; }
  std::size_t in_flight() const { return in_flight_; }
  bool MayStart() const { return in_flight_ < limit_; }
  void Start(TimePoint now);
  // Every Start is ended once. `round_trip` and `model_tokens` count for kOk only.
  void End(Result result, Duration round_trip, double model_tokens, TimePoint now);

 private:
  // What the replies of some while looked like: enough to say what they would have looked like had
  // a token cost something else.
  struct Sample {
    double count = 0;
    double seconds = 0;
    double tokens = 0;
    double PerReply(double tokens_share) const;
  };
  enum class Phase {
    kQuick,   // Doubling until the first sign of congestion.
    kSteady,  // Feeling its way.
    kCut,     // The limit has just been lowered; do replies get faster by that?
    kProbe,   // Lowered for a moment, to learn anew what replies without queueing take.
  };

  void Observe(double seconds, double tokens);
  bool IsIntervalOver() const;
  void CloseInterval(TimePoint now);
  void JudgeQuick(const Sample& current);
  void JudgeSteady(const Sample& current);
  void JudgeCut(const Sample& current);
  void JudgeProbe(const Sample& current);
  void AddToBase(const Sample& current);
  void Cut(const Sample& current, double factor);
  void Grow(std::size_t by);
  void LearnTokensShare();
  double Noise() const;
  double Ratio(const Sample& current) const;
  bool IsFailing() const;

  const ConcurrencyOptions options_;
  std::size_t in_flight_ = 0;
  std::size_t limit_ = 1;
  Phase phase_ = Phase::kQuick;

  // The interval: replies to requests that were sent since the limit last changed.
  TimePoint since_{};
  bool has_begun_ = false;
  bool reached_limit_ = false;
  Sample current_;
  double sum_tokens_squared_ = 0, sum_seconds_tokens_ = 0, sum_seconds_squared_ = 0;

  // What a reply takes without queueing, as far as known.
  std::optional<Sample> base_;
  double tokens_share_ = 0;  // What a token adds to a reply's time, by what a reply takes anyway.
  // Deviations from an interval's mean, added up over intervals and slowly forgotten.
  double deviation_tokens_ = 0, deviation_both_ = 0, deviation_seconds_ = 0, deviation_count_ = 0;
  double variation_ = 0.2;  // Of one normalised reply time, by its mean.

  bool was_quick_ = false;        // The cut ended the doubling.
  Sample before_;                 // The interval before the cut or the probe,
  std::size_t limit_before_ = 1;  // and its limit.
  std::size_t congested_at_ = 0;  // The limit at which congestion was last seen; 0: never.
  int hold_ = 0;                  // Intervals to wait before that limit is tried again.
  int grown_in_a_row_ = 0;
  int since_probe_ = 0;                // Intervals.
  double results_ = 0, failures_ = 0;  // Slowly forgotten.
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_CONCURRENCY_LIMIT_H_
