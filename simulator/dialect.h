// What tells the providers apart: paths, limits, models, headers. Facts, no behaviour.
// Threads: pure functions.
#ifndef EMBEDFLOW_SIMULATOR_DIALECT_H_
#define EMBEDFLOW_SIMULATOR_DIALECT_H_

#include <cstdint>
#include <string_view>

#include "simulator/exchange.h"

namespace embedflow {

// What a provider documents; 0: no limit.
struct SimulatorDialectFacts {
  std::string_view name;
  std::string_view key_header;  // In lower case; empty: no key.
  std::uint64_t inputs_max = 0;
  std::uint64_t request_tokens_max = 0;
  std::uint64_t input_tokens_max = 0;
  std::uint64_t body_bytes_max = 0;
  // Whether a text that is too long is cut in silence unless the request forbids it.
  bool cuts_by_default = false;
  bool needs_input_type = false;
};
const SimulatorDialectFacts& FactsOf(SimulatorDialect dialect);

// Sets dialect, shape and is_embeddings from the request's path. A path that several providers
// share, and one that none has, belongs to `otherwise`.
void RouteSimulatorRequest(SimulatorDialect otherwise, SimulatorRequest* request);

// The length of the vectors of a model; 0 where it is not known.
int DimensionsOfModel(std::string_view model);

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_DIALECT_H_
