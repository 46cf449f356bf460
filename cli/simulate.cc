#include <cmath>
#include <memory>
#include <semaphore>
#include <string>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/process.h"
#include "embedflow/simulator.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kKindColumns = 26;

Status AsUsage(const Status& status) {
  if (status.ok()) return status;
  return UsageError(status.message(), "embedflow simulate --help");
}

std::optional<std::uint64_t> Unsigned(const Arguments& arguments, std::string_view option) {
  const std::optional<std::int64_t> value = arguments.Integer(option);
  if (!value) return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

// Leaves `field` as it is where the option is not given.
template <typename T, typename V>
void Override(const std::optional<V>& value, T* field) {
  if (value) *field = static_cast<T>(*value);
}

void ReadLimits(const Arguments& arguments, SimulatorLimits* limits) {
  if (const auto rpm = arguments.Number("--limit-rpm")) limits->rpm = rpm;
  if (const auto tpm = arguments.Number("--limit-tpm")) limits->tpm = tpm;
  Override(FindSimulatorWindow(arguments.Text("--limit-window")), &limits->window);
  if (arguments.Has("--limit-counts-refused")) limits->refused_count = true;
  if (const auto most = Unsigned(arguments, "--max-inputs")) limits->inputs_max = most;
  if (const auto most = Unsigned(arguments, "--max-request-tokens")) {
    limits->request_tokens_max = most;
  }
  if (const auto most = Unsigned(arguments, "--max-input-tokens")) limits->input_tokens_max = most;
  if (const auto most = Unsigned(arguments, "--max-body-bytes")) limits->body_bytes_max = most;
  Override(Unsigned(arguments, "--capacity"), &limits->capacity);
  if (const auto most = Unsigned(arguments, "--max-pending")) limits->pending_max = most;
}

Result<SimulatorOptions> OptionsFrom(const Arguments& arguments) {
  SimulatorOptions options;
  if (arguments.Has("--scenario")) {
    EF_RETURN_IF_ERROR(AsUsage(ReadSimulatorScenario(arguments.Text("--scenario"), &options)));
  }
  Override(arguments.Integer("--port"), &options.port);
  Override(FindSimulatorDialect(arguments.Text("--dialect")), &options.dialect);
  Override(arguments.Integer("--seed"), &options.seed);
  if (const auto dimensions = arguments.Integer("--dimensions")) {
    options.dimensions = static_cast<int>(*dimensions);
  }
  if (arguments.Has("--require-key")) options.requires_key = true;
  if (arguments.Has("--latency")) {
    const Result<SimulatorLatency> latency = ParseSimulatorLatency(arguments.Text("--latency"));
    if (!latency.ok()) return AsUsage(latency.status());
    options.latency = *latency;
  }
  for (const std::string& text : arguments.All("--slow")) {
    const Result<SimulatorSlowDown> slow = ParseSimulatorSlowDown(text);
    if (!slow.ok()) return AsUsage(slow.status());
    options.slow_downs.push_back(*slow);
  }
  for (const std::string& text : arguments.All("--fault")) {
    Result<SimulatorFault> fault = ParseSimulatorFault(text);
    if (!fault.ok()) {
      return UsageError(fault.status().message(), "embedflow simulate --list-faults");
    }
    options.faults.push_back(*std::move(fault));
  }
  ReadLimits(arguments, &options.limits);
  if (arguments.Has("--ledger")) options.ledger_path = arguments.Text("--ledger");
  if (arguments.Has("--ledger-texts")) options.ledger_texts = true;
  EF_RETURN_IF_ERROR(AsUsage(options.Validate()));
  return options;
}

std::string FaultList() {
  std::string text;
  std::string_view group;
  for (const SimulatorFaultKind& kind : SimulatorFaultKinds()) {
    if (kind.group != group) {
      group = kind.group;
      text += (text.empty() ? "" : "\n") + std::string(group) + "\n";
    }
    std::string name(kind.name);
    if (!kind.value_name.empty()) name += "=" + std::string(kind.value_name);
    text += "  " + PadRight(name, kKindColumns - 1) + " " + std::string(kind.line);
    if (!kind.default_text.empty()) text += " [" + std::string(kind.default_text) + "]";
    text += "\n";
  }
  return text;
}

std::string Percent(double share) {
  const auto tenths = static_cast<std::uint64_t>(std::lround(share * 1000));
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " %";
}

std::string SummaryText(const SimulatorStats& stats) {
  std::string text = Count(stats.requests, "request") + ", " + WithCommas(stats.answered) +
                     " answered, " + WithCommas(stats.throttled) + " throttled, " +
                     WithCommas(stats.overloaded) + " overloaded, " + WithCommas(stats.refused) +
                     " refused; at most " + WithCommas(stats.concurrency_max) + " at once over " +
                     Count(stats.connections, "connection") + "\n";
  text += Count(stats.texts_received, "text") + " received, " + WithCommas(stats.texts_answered) +
          " answered, " + WithCommas(stats.texts_repeated) + " of " +
          WithCommas(stats.texts_distinct) + " different ones more than once\n";
  if (stats.requests_allowance_used) {
    text += Percent(*stats.requests_allowance_used) + " of the requests allowed were used\n";
  }
  if (stats.tokens_allowance_used) {
    text += Percent(*stats.tokens_allowance_used) + " of the tokens allowed were used\n";
  }
  for (const auto& [kind, count] : stats.faults) {
    text += "fault " + kind + ": " + Count(count, "time") + "\n";
  }
  return text;
}

}  // namespace

int Simulate(const Invocation& call) {
  if (call.arguments.Has("--list-faults")) return call.End(call.Print(FaultList()));
  const Result<SimulatorOptions> options = OptionsFrom(call.arguments);
  if (!options.ok()) return call.End(options.status());
  // Clients send their keys.
  ForbidCoreFiles();
  std::binary_semaphore stopped(0);
  const StopSignals signals([&stopped](int, int count) {
    if (count == 1) stopped.release();
  });
  const Result<std::unique_ptr<Simulator>> server = Simulator::Start(*options);
  if (!server.ok()) return call.End(server.status());
  Status status = call.Print("listening on " + (*server)->base_url() + "\n");
  if (!status.ok()) return call.End(status);
  stopped.acquire();
  const SimulatorStats stats = (*server)->stats();
  status = call.Print(call.json ? stats.ToJson() + "\n" : SummaryText(stats));
  if (status.ok()) status = (*server)->ledger_status();
  return call.End(status);
}

}  // namespace embedflow::cli
