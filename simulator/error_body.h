// Refusals in the words and shapes of each provider.
// Threads: pure functions.
#ifndef EMBEDFLOW_SIMULATOR_ERROR_BODY_H_
#define EMBEDFLOW_SIMULATOR_ERROR_BODY_H_

#include <cstdint>
#include <string>

#include "simulator/exchange.h"

namespace embedflow {

enum class SimulatorError {
  kBadKey,
  kForbidden,
  kNoModel,
  kNoPath,
  kBadRequest,     // `text` says what is wrong.
  kContextLength,  // One text of `got` tokens is above `limit`.
  kTooManyInputs,  // `got` above `limit`.
  kTooManyTokens,  // `got` in one request above `limit`.
  kBodyTooLarge,   // `limit` bytes.
  kRequestRate,    // `limit` a minute.
  kTokenRate,      // `limit` a minute; this request has `got`.
  kOverTokenRate,  // `got` is above a minute's `limit`: no waiting helps.
  kQuota,
  kServer,
  kOverload,
  kStatus,  // Nothing but a status.
};

struct SimulatorErrorDetails {
  int status = 0;  // 0: the provider's.
  std::uint64_t got = 0;
  std::uint64_t limit = 0;
  Duration retry_after{0};
  std::string text{};  // In place of the provider's words.
};

// Status and body; no headers but Content-Type.
SimulatorReply MakeSimulatorError(const SimulatorRequest& request, SimulatorError error,
                                  const SimulatorErrorDetails& details = {});

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_ERROR_BODY_H_
