// Which fault falls on which request. Pure: it draws from the seed and the request's number.
// Threads: not thread-safe; one script call at a time.
#ifndef EMBEDFLOW_SIMULATOR_FAULTS_H_
#define EMBEDFLOW_SIMULATOR_FAULTS_H_

#include <cstdint>
#include <vector>

#include "simulator/exchange.h"

namespace embedflow {

class SimulatorFaultPlan {
 public:
  // `faults` must have passed Validate().
  SimulatorFaultPlan(std::vector<SimulatorFault> faults, std::uint64_t seed)
      : faults_(std::move(faults)), seed_(seed) {}

  // The first fault whose conditions hold and that can change a reply of the request's shape; null
  // if there is none. `number` counts the requests that reached this point, from 1.
  const SimulatorFault* Choose(const SimulatorRequest& request, std::uint64_t number,
                               Duration since_first) const;

 private:
  const std::vector<SimulatorFault> faults_;
  const std::uint64_t seed_;
};

// Makes `reply`, a right one, go wrong. Its note is the fault's kind if that changed anything: a
// fault for large requests leaves small ones alone.
void ApplySimulatorFault(const SimulatorFault& fault, const SimulatorRequest& request,
                         SimulatorReply* reply);

// Whether a reply that is sent whole holds the right vectors in a form that it may have.
bool IsRightReply(const SimulatorReply& reply);

// Names what is wrong with `fault`.
Status ValidateSimulatorFault(const SimulatorFault& fault);

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_FAULTS_H_
