#include "embedflow/options.h"

#include <chrono>
#include <string>

namespace embedflow {
namespace {

template <typename T>
Status InRange(const char* field, T value, T low, T high, const char* unit = "") {
  if (value >= low && value <= high) return {};
  return {Code::kInvalidArgument, std::string(field) + " must be in [" + std::to_string(low) +
                                      ", " + std::to_string(high) + "]" + unit + ", got " +
                                      std::to_string(value)};
}

Status AboveZero(const char* field, const std::optional<double>& value) {
  if (!value || (*value > 0 && *value <= 1e15)) return {};
  return {Code::kInvalidArgument,
          std::string(field) + " must be above 0 and at most 1e15, got " + std::to_string(*value)};
}

constexpr std::chrono::milliseconds::rep kHourMs = 3'600'000;
constexpr std::size_t kPathBytesMax = 4096;

}  // namespace

Status FlowOptions::Validate() const {
  using Count = std::chrono::milliseconds::rep;
  EF_RETURN_IF_ERROR(InRange<Count>("timeout", timeout.count(), 1, kHourMs, " ms"));
  EF_RETURN_IF_ERROR(
      InRange<Count>("connect_timeout", connect_timeout.count(), 1, kHourMs / 6, " ms"));
  if (stall_timeout) {
    EF_RETURN_IF_ERROR(InRange<Count>("stall_timeout", stall_timeout->count(), 1, kHourMs, " ms"));
  }
  EF_RETURN_IF_ERROR(InRange("retries_max", retries_max, 0, 100));
  EF_RETURN_IF_ERROR(InRange<Count>("retry_delay", retry_delay.count(), 0, 60000, " ms"));
  if (item_deadline) {
    EF_RETURN_IF_ERROR(
        InRange<Count>("item_deadline", item_deadline->count(), 1, 24 * kHourMs, " ms"));
  }
  if (circuit_breaker) {
    const Status breaker = circuit_breaker->Validate();
    if (!breaker.ok()) return {breaker.code(), "circuit_breaker." + breaker.message()};
  }
  EF_RETURN_IF_ERROR(InRange<std::size_t>("connections_max", connections_max, 1, 1024));
  if (requests_in_flight_max) {
    EF_RETURN_IF_ERROR(
        InRange<std::size_t>("requests_in_flight_max", *requests_in_flight_max, 1, 1024));
  }
  EF_RETURN_IF_ERROR(AboveZero("requests_per_minute", requests_per_minute));
  EF_RETURN_IF_ERROR(AboveZero("inputs_per_minute", inputs_per_minute));
  EF_RETURN_IF_ERROR(AboveZero("model_tokens_per_minute", model_tokens_per_minute));
  if (allowance_directory.size() > kPathBytesMax ||
      allowance_directory.find('\0') != std::string::npos) {
    return {Code::kInvalidArgument, "allowance_directory must be a path of at most " +
                                        std::to_string(kPathBytesMax) + " bytes without NUL"};
  }
  return InRange<std::size_t>("admitted_bytes_max", admitted_bytes_max, 1u << 20,
                              std::size_t{64} << 30);
}

}  // namespace embedflow
