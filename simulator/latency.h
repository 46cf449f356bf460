// How long requests take: a latency model, slow-downs, and a line before a limited number of
// places. Pure: it plans in advance when each request will be done.
// Threads: not thread-safe; one script call at a time.
#ifndef EMBEDFLOW_SIMULATOR_LATENCY_H_
#define EMBEDFLOW_SIMULATOR_LATENCY_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <queue>
#include <vector>

#include "base/clock.h"
#include "embedflow/simulator.h"

namespace embedflow {

class SimulatorTiming {
 public:
  // `options` must have passed Validate().
  explicit SimulatorTiming(const SimulatorOptions& options);

  // How long after `now` a request with `tokens` will be done, its time in line included; nothing
  // when the line is full. `number` draws the time; `begin` is when the first request came. Times
  // must not go back.
  std::optional<Duration> Plan(std::uint64_t number, std::uint64_t tokens, TimePoint begin,
                               TimePoint now);

 private:
  Duration Draw(std::uint64_t number, std::uint64_t tokens) const;
  double FactorAt(Duration since_begin) const;

  const SimulatorLatency latency_;
  const std::vector<SimulatorSlowDown> slow_downs_;
  const std::uint64_t seed_;
  const std::uint64_t capacity_;
  const std::optional<std::uint64_t> pending_max_;
  // When the places become free, the next one first; as many as were ever taken.
  std::priority_queue<TimePoint, std::vector<TimePoint>, std::greater<>> places_;
  std::deque<TimePoint> starts_;  // Of requests still in line.
};

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_LATENCY_H_
