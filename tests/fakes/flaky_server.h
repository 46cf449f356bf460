// The simulator's server (simulator/server.h) under the names that tests use.
//
//   FlakyServer server({.dimensions = 8}, [](const FlakyRequest& request) {
//     FlakyReply reply;
//     if (request.number == 2) reply.status = 503;
//     return reply;
//   });
#ifndef EMBEDFLOW_TESTS_FAKES_FLAKY_SERVER_H_
#define EMBEDFLOW_TESTS_FAKES_FLAKY_SERVER_H_

#include <string_view>
#include <vector>

#include "simulator/server.h"

namespace embedflow {

using FlakyServer = SimulatorServer;
using FlakyOptions = SimulatorServerOptions;
using FlakyRequest = SimulatorRequest;
using FlakyReply = SimulatorReply;
using FlakyFlaw = SimulatorFlaw;
using FlakyWire = SimulatorWire;

// The unit vector this server gives for `text`.
inline std::vector<float> FlakyVector(std::string_view text, int dimensions) {
  return SimulatedVector(text, dimensions);
}

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_FLAKY_SERVER_H_
