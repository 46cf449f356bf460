// Holds a minute's limits strictly. Pure arithmetic over arrivals; it never sleeps.
// Threads: not thread-safe; one script call at a time.
#ifndef EMBEDFLOW_SIMULATOR_LIMITS_H_
#define EMBEDFLOW_SIMULATOR_LIMITS_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "embedflow/simulator.h"

namespace embedflow {

// One quantity under one kind of window.
class SimulatorMeter {
 public:
  enum class Kind { kSliding, kFixed, kBucket };
  // At most `allowance` in `window`; for a bucket, its size and the time in which it fills.
  SimulatorMeter(Kind kind, double allowance, Duration window)
      : kind_(kind), allowance_(allowance), window_(window), level_(allowance) {}

  // How long after `now` `amount` will fit if nothing else comes: 0 if it does at once. Times must
  // not go back. Meaningless for amounts above the allowance.
  Duration WaitFor(double amount, TimePoint now);
  void Take(double amount, TimePoint now);
  double allowance() const { return allowance_; }
  double Remaining(TimePoint now);
  // Until all of it is free again.
  Duration TimeToFull(TimePoint now);

 private:
  struct Use {
    TimePoint at;
    double amount;
  };
  void Advance(TimePoint now);

  const Kind kind_;
  const double allowance_;
  const Duration window_;
  double used_ = 0;         // kSliding, kFixed.
  std::deque<Use> uses_;    // kSliding, oldest first.
  double level_;            // kBucket.
  bool has_begun_ = false;  // kFixed, kBucket: begin_ is set by the first call.
  TimePoint begin_{};       // kFixed: of the window. kBucket: when level_ was right.
};

class SimulatorRateLimiter {
 public:
  struct Verdict {
    bool is_admitted = true;
    bool is_for_tokens = false;   // Refused for tokens, not for requests.
    bool can_never_pass = false;  // It alone needs more tokens than a minute has.
    Duration retry_after{0};      // When it would pass if nothing else came.
  };
  // What the headers tell.
  struct State {
    double limit = 0;
    double remaining = 0;
    Duration reset{0};
  };

  // `limits` must have passed Validate().
  explicit SimulatorRateLimiter(const SimulatorLimits& limits);

  // Decides on a request that arrives `now`, which must not go back, and takes what it needs if it
  // is admitted.
  Verdict Admit(std::uint64_t tokens, TimePoint now);
  // Unset where there is no limit.
  std::optional<State> RequestState(TimePoint now);
  std::optional<State> TokenState(TimePoint now);

 private:
  const bool refused_count_;
  // The minute's first, then what spaces requests inside it.
  std::vector<SimulatorMeter> requests_;
  std::vector<SimulatorMeter> tokens_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_LIMITS_H_
