// Leaves an endpoint alone while it fails, and finds out gently when it is well again.
//
// Closed: everything may go. It opens after failure_threshold failures in a row, or when at least
// half of the attempts of the last 30 s failed, of 10 or more. Open: nothing goes for
// timeout_seconds, give or take a tenth. Half open: half_open_max_attempts probes at once;
// success_threshold successes close it, one failure opens it again. A probe that is cancelled gives
// its permit back. Only failures of the server count: throttles and refused texts are answers.
// Before the first success of its life it never opens: a provider that was never there is reported
// by the retry policy, within its own time.
// Threads: not thread-safe; time is a parameter.
#ifndef EMBEDFLOW_STAGES_CIRCUIT_BREAKER_H_
#define EMBEDFLOW_STAGES_CIRCUIT_BREAKER_H_

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/random.h"
#include "embedflow/optimization.h"

namespace embedflow {

class CircuitBreaker {
 public:
  enum class State { kOff, kClosed, kOpen, kHalfOpen };
  enum class Result { kSuccess, kFailure, kNeutral };

  // nullopt: off, everything may go.
  CircuitBreaker(const std::optional<CircuitBreakerConfig>& config, std::uint64_t seed);

  // True if a request may start at `now`; it must then be reported by Start. Turns open into half
  // open when its time has come.
  bool MayStart(TimePoint now);
  void Start(TimePoint now);
  // Every Start is ended once.
  void End(Result result, TimePoint now);
  // While open: when it will half open.
  std::optional<TimePoint> reopens_at() const;
  State state() const;
  std::uint64_t times_opened() const { return times_opened_; }

 private:
  // What ended in one tenth of the last 30 s.
  struct Slice {
    std::int64_t number = -1;  // Of the tenth, counted from the clock's zero.
    std::uint32_t attempts = 0;
    std::uint32_t failures = 0;
  };

  void Record(bool is_failure, TimePoint now);
  bool IsHalfFailing(TimePoint now) const;
  void EndProbe(Result result, TimePoint now);
  void Open(TimePoint now);
  void CloseAgain();

  const std::optional<CircuitBreakerConfig> config_;
  Rng rng_;
  State state_ = State::kClosed;
  bool has_succeeded_ = false;  // Ever.
  std::uint64_t times_opened_ = 0;
  std::uint32_t failures_in_a_row_ = 0;
  std::array<Slice, 10> slices_;
  TimePoint reopens_at_{};
  std::uint64_t in_flight_ = 0;
  // Requests that were under way when it opened and have not ended: they say nothing about probes.
  std::uint64_t stale_ = 0;
  std::uint32_t probes_ = 0;           // Under way.
  std::uint32_t probe_successes_ = 0;  // Since it half opened.
};

// "off", "closed", "open", "half_open".
const char* BreakerStateName(CircuitBreaker::State state);

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_CIRCUIT_BREAKER_H_
