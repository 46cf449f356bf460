// Headers of replies in each provider's words: what is left of the limits, and when to come back.
// Threads: pure functions.
#ifndef EMBEDFLOW_SIMULATOR_HEADERS_H_
#define EMBEDFLOW_SIMULATOR_HEADERS_H_

#include <optional>
#include <string>

#include "simulator/exchange.h"
#include "simulator/limits.h"

namespace embedflow {

// "12ms", "1s", "6m0s", as Go writes durations; rounded up to milliseconds.
std::string GoDuration(Duration time);

struct SimulatorHeaderFacts {
  std::optional<SimulatorRateLimiter::State> requests;
  std::optional<SimulatorRateLimiter::State> tokens;
  std::optional<Duration> retry_after;  // Of a refusal for a limit.
  std::uint64_t request_tokens = 0;
  Duration service{0};
};

// Adds to `reply` what the provider of `request.dialect` sends with a reply like it.
void AddSimulatorHeaders(const SimulatorRequest& request, const SimulatorHeaderFacts& facts,
                         SimulatorReply* reply);

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_HEADERS_H_
