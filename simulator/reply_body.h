// The bodies of replies with status 200, right and wrong, in every dialect's form.
// Threads: pure functions.
#ifndef EMBEDFLOW_SIMULATOR_REPLY_BODY_H_
#define EMBEDFLOW_SIMULATOR_REPLY_BODY_H_

#include <string>

#include "base/random.h"
#include "simulator/exchange.h"

namespace embedflow {

// The body that answers `request` with vectors, spoilt by `reply.flaw` where the request's shape
// has what the flaw spoils. `dimensions` must be positive; `rng` draws orders.
std::string WriteSimulatorBody(const SimulatorRequest& request, const SimulatorReply& reply,
                               int dimensions, Rng& rng);

// Whether `flaw` changes replies of this shape: those without an index cannot have a wrong one.
bool FlawApplies(SimulatorFlaw flaw, SimulatorShape shape);

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_REPLY_BODY_H_
