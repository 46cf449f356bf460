// What the simulator answers: checks, limits, faults, time, in that order. Pure: it never waits.
// Threads: not thread-safe; one script call at a time.
#ifndef EMBEDFLOW_SIMULATOR_POLICY_H_
#define EMBEDFLOW_SIMULATOR_POLICY_H_

#include <cstdint>
#include <optional>

#include "simulator/exchange.h"
#include "simulator/faults.h"
#include "simulator/latency.h"
#include "simulator/limits.h"

namespace embedflow {

class SimulatorPolicy {
 public:
  struct Decision {
    SimulatorReply reply;
    bool is_admitted = false;  // The limits on rates let it pass.
  };

  // `options` must have passed Validate().
  explicit SimulatorPolicy(const SimulatorOptions& options);

  // Decides on a request that embeds, which came at `request.arrived`.
  Decision Decide(const SimulatorRequest& request);

 private:
  // Refusals for what the request is, whenever it comes.
  std::optional<SimulatorReply> CheckForm(const SimulatorRequest& request) const;
  std::optional<SimulatorReply> CheckSize(const SimulatorRequest& request,
                                          std::size_t* cut_bytes) const;
  SimulatorReply RefuseForRate(const SimulatorRequest& request,
                               const SimulatorRateLimiter::Verdict& verdict) const;
  int DimensionsFor(const SimulatorRequest& request) const;

  const SimulatorOptions options_;
  const SimulatorFaultPlan faults_;
  SimulatorRateLimiter limiter_;
  SimulatorTiming timing_;
  std::optional<TimePoint> begin_;  // When the first request came.
  TimePoint now_{};                 // Never goes back.
  std::uint64_t admitted_ = 0;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_POLICY_H_
