#include <array>
#include <cmath>

#include "embedflow/simulator.h"
#include "embedflow/text.h"
#include "simulator/fault_table.h"
#include "simulator/faults.h"

namespace embedflow {
namespace {

constexpr double kRateMax = 1e12;
constexpr double kFactorMax = 1e6;
constexpr std::size_t kQuotedBytesMax = 80;
constexpr std::array<std::string_view, 5> kWindows = {"sliding-60s", "fixed-60s", "10s", "1s",
                                                      "bucket"};

Status Wrong(const std::string& what) { return {Code::kInvalidArgument, what}; }

Status CheckRate(const char* name, const std::optional<double>& rate) {
  if (!rate || (*rate >= 1 && *rate <= kRateMax)) return {};
  return Wrong(std::string(name) + " must be in [1, 1e12]");
}

// The two parts of "A<between>B", each a time.
std::optional<std::pair<double, double>> TwoTimes(std::string_view text, std::string_view between) {
  const std::size_t at = text.find(between);
  if (at == std::string_view::npos) return std::nullopt;
  const std::optional<double> first = ParseMilliseconds(text.substr(0, at));
  const std::optional<double> second = ParseMilliseconds(text.substr(at + between.size()));
  if (!first || !second) return std::nullopt;
  return std::pair(*first, *second);
}

std::optional<SimulatorLatency> ReadLatency(std::string_view kind, std::string_view value) {
  using Kind = SimulatorLatency::Kind;
  if (kind == "constant") {
    const std::optional<double> time = ParseMilliseconds(value);
    if (time) return SimulatorLatency{Kind::kConstant, *time, 0};
  }
  if (kind == "uniform") {
    const auto times = TwoTimes(value, "..");
    if (times && times->first <= times->second) {
      return SimulatorLatency{Kind::kUniform, times->first, times->second};
    }
  }
  if (kind == "linear") {
    const auto times = TwoTimes(value, ",");
    if (times) return SimulatorLatency{Kind::kLinear, times->first, times->second};
  }
  if (kind == "lognormal") {
    const std::size_t comma = value.find(',');
    if (comma == std::string_view::npos) return std::nullopt;
    const std::optional<double> median = ParseMilliseconds(value.substr(0, comma));
    const std::optional<double> deviation = ParseFinite(value.substr(comma + 1));
    if (median && deviation && *deviation >= 0 && *deviation <= 5) {
      return SimulatorLatency{Kind::kLogNormal, *median, *deviation};
    }
  }
  return std::nullopt;
}

Status ValidateSlowDown(const SimulatorSlowDown& slow) {
  if (slow.from_seconds >= 0 && slow.from_seconds < slow.until_seconds && slow.factor > 0 &&
      slow.factor <= kFactorMax) {
    return {};
  }
  return Wrong(
      "a slow-down must begin at 0 or later, end after it begins, and have a factor above "
      "0 and at most 1e6");
}

}  // namespace

const std::vector<std::string_view>& SimulatorWindowNames() {
  static const std::vector<std::string_view> kNames(kWindows.begin(), kWindows.end());
  return kNames;
}

std::optional<SimulatorWindow> FindSimulatorWindow(std::string_view name) {
  for (std::size_t i = 0; i < kWindows.size(); ++i) {
    if (kWindows[i] == name) return static_cast<SimulatorWindow>(i);
  }
  return std::nullopt;
}

Result<SimulatorLatency> ParseSimulatorLatency(std::string_view text) {
  const std::size_t colon = text.find(':');
  const bool has_kind = colon != std::string_view::npos;
  const std::optional<SimulatorLatency> latency = ReadLatency(
      has_kind ? text.substr(0, colon) : "constant", has_kind ? text.substr(colon + 1) : text);
  if (latency) return *latency;
  return Wrong(
      "a latency is 50ms, uniform:20ms..80ms, lognormal:50ms,0.5 or linear:10ms,0.02ms, "
      "got " +
      Printable(text, kQuotedBytesMax));
}

Result<SimulatorSlowDown> ParseSimulatorSlowDown(std::string_view text) {
  const std::size_t dots = text.find("..");
  const std::size_t colon = text.find(':');
  if (dots != std::string_view::npos && colon != std::string_view::npos && dots < colon) {
    const std::optional<double> from = ParseFinite(text.substr(0, dots));
    const std::optional<double> until = ParseFinite(text.substr(dots + 2, colon - dots - 2));
    const std::optional<double> factor = ParseFinite(text.substr(colon + 1));
    if (from && until && factor) {
      const SimulatorSlowDown slow{*from, *until, *factor};
      EF_RETURN_IF_ERROR(ValidateSlowDown(slow));
      return slow;
    }
  }
  return Wrong("a slow-down is FROM..TO:FACTOR in seconds, such as 10..20:3, got " +
               Printable(text, kQuotedBytesMax));
}

Status SimulatorOptions::Validate() const {
  if (dimensions && (*dimensions < 1 || *dimensions > 65536)) {
    return Wrong("dimensions must be in [1, 65536], got " + std::to_string(*dimensions));
  }
  if (!(latency.first_ms >= 0 && latency.second >= 0 && std::isfinite(latency.first_ms) &&
        std::isfinite(latency.second))) {
    return Wrong("latency must be finite and not negative");
  }
  for (const SimulatorSlowDown& slow : slow_downs) EF_RETURN_IF_ERROR(ValidateSlowDown(slow));
  for (const SimulatorFault& fault : faults) EF_RETURN_IF_ERROR(ValidateSimulatorFault(fault));
  EF_RETURN_IF_ERROR(CheckRate("rpm", limits.rpm));
  EF_RETURN_IF_ERROR(CheckRate("tpm", limits.tpm));
  if (limits.pending_max && limits.capacity == 0) {
    return Wrong("pending_max needs a capacity");
  }
  if (ledger_texts && ledger_path.empty()) return Wrong("ledger_texts needs a ledger");
  return {};
}

}  // namespace embedflow
