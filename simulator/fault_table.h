// What can go wrong, by name.
// Threads: constant after first use.
#ifndef EMBEDFLOW_SIMULATOR_FAULT_TABLE_H_
#define EMBEDFLOW_SIMULATOR_FAULT_TABLE_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "simulator/exchange.h"

namespace embedflow {

struct SimulatorFaultRow {
  SimulatorFaultKind kind;
  // One of the three acts: a flaw of the body, a way over the wire, or a change of the reply.
  SimulatorFlaw flaw = SimulatorFlaw::kNone;
  SimulatorWire wire = SimulatorWire::kWhole;
  void (*apply)(const SimulatorRequest& request, std::string_view value,
                SimulatorReply* reply) = nullptr;
  // The least and greatest number that the value may be; none for values that are any text.
  std::optional<double> value_min{};
  double value_max = 0;
  bool is_time = false;  // The value is a time, "50ms".
};

const std::vector<SimulatorFaultRow>& SimulatorFaultRows();
// Null if there is no such kind.
const SimulatorFaultRow* FindSimulatorFaultRow(std::string_view name);

// Milliseconds of "50ms", "2s", "1.5m", "100us"; nothing if it is none, negative or above a day.
std::optional<double> ParseMilliseconds(std::string_view text);
// Nothing unless all of `text` is a finite number.
std::optional<double> ParseFinite(std::string_view text);

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_FAULT_TABLE_H_
