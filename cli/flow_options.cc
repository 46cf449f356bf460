#include "cli/flow_options.h"

#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <string>

#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kQuotedBytesMax = 60;

void Override(std::chrono::milliseconds* field, const std::optional<double>& seconds) {
  if (seconds) *field = std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * 1000));
}

void Override(std::optional<std::chrono::milliseconds>* field,
              const std::optional<double>& seconds) {
  if (seconds) Override(&field->emplace(), seconds);
}

void Override(bool* field, const Arguments& arguments, std::string_view option) {
  if (arguments.Has(option)) *field = arguments.Text(option) == "true";
}

// "5/2/30/3".
Result<CircuitBreakerConfig> BreakerOf(const std::string& text) {
  std::array<std::uint32_t, 4> parts{};
  const char* at = text.data();
  const char* const end = at + text.size();
  bool is_good = true;
  for (std::size_t i = 0; i < parts.size() && is_good; ++i) {
    if (i > 0) is_good = at != end && *at++ == '/';
    const auto read = std::from_chars(at, end, parts[i]);
    is_good = is_good && read.ec == std::errc();
    at = read.ptr;
  }
  if (!is_good || at != end) {
    return UsageError("--circuit-breaker must be four whole numbers like 5/2/30/3, got " +
                      Printable(text, kQuotedBytesMax));
  }
  const CircuitBreakerConfig breaker{parts[0], parts[1], parts[2], parts[3]};
  const Status status = breaker.Validate();
  if (!status.ok()) return UsageError("--circuit-breaker: " + status.message());
  return breaker;
}

Status OverrideBreaker(const Arguments& arguments, const Profile& profile, FlowOptions* flow) {
  const bool has_switch = arguments.Has("--enable-circuit-breaker");
  const bool is_on = arguments.Text("--enable-circuit-breaker") == "true";
  if (arguments.Has("--circuit-breaker")) {
    if (has_switch && !is_on) {
      return UsageError("--circuit-breaker has no effect with --enable-circuit-breaker false");
    }
    EF_ASSIGN_OR_RETURN(flow->circuit_breaker, BreakerOf(arguments.Text("--circuit-breaker")));
  } else if (has_switch && !is_on) {
    flow->circuit_breaker = std::nullopt;
  } else if (has_switch && !flow->circuit_breaker) {
    flow->circuit_breaker =
        profile.optimization.circuit_breaker_config.value_or(CircuitBreakerConfig{});
  }
  return {};
}

Status OverrideCompression(const Arguments& arguments, const Profile& profile, FlowOptions* flow) {
  Override(&flow->compression_enabled, arguments, "--compression-enabled");
  Override(&flow->request_gzip_enabled, arguments, "--request-gzip");
  if (flow->request_gzip_enabled && profile.request_gzip == Profile::RequestGzip::kNo) {
    return UsageError("--request-gzip: the provider " + profile.name +
                      " does not read compressed requests");
  }
  if (const auto bytes = arguments.Integer("--compression-threshold-bytes")) {
    flow->request_gzip_bytes_min = static_cast<std::size_t>(*bytes);
  }
  return {};
}

}  // namespace

ProviderOptions ProviderOptionsOf(const Arguments& arguments) {
  ProviderOptions provider;
  provider.name = arguments.Text("--provider", provider.name);
  provider.model = arguments.Text("--model");
  if (const auto dimensions = arguments.Integer("--dimensions")) {
    provider.dimensions = static_cast<int>(*dimensions);
  }
  provider.base_url = arguments.Text("--base-url");
  provider.api_endpoint = arguments.Text("--api-endpoint");
  provider.api_version = arguments.Text("--api-version");
  provider.output_dtype = arguments.Text("--output-dtype");
  provider.parameters = arguments.Text("--parameters");
  if (arguments.Text("--auth") == "bearer") {
    provider.authentication = ProviderOptions::Authentication::kBearer;
  }
  provider.api_key_env = arguments.Text("--api-key-env");
  provider.api_key_file = arguments.Text("--api-key-file");
  if (const auto inputs = arguments.Integer("--max-batch-size")) {
    provider.batch_inputs_max = static_cast<std::size_t>(*inputs);
  }
  return provider;
}

Result<FlowOptions> FlowOptionsOf(const Arguments& arguments, const Profile& profile) {
  FlowOptions flow = FlowOptionsFor(profile);
  Override(&flow.timeout, arguments.Number("--timeout-seconds"));
  Override(&flow.connect_timeout, arguments.Number("--connect-timeout-seconds"));
  Override(&flow.stall_timeout, arguments.Number("--stall-timeout-seconds"));
  Override(&flow.item_deadline, arguments.Number("--item-deadline-seconds"));
  if (const auto retries = arguments.Integer("--max-retries")) {
    flow.retries_max = static_cast<int>(*retries);
  }
  if (const auto delay = arguments.Integer("--retry-delay-ms")) {
    flow.retry_delay = std::chrono::milliseconds(*delay);
  }
  if (arguments.Text("--jitter") == "none") flow.jitter = FlowOptions::Jitter::kNone;
  EF_RETURN_IF_ERROR(OverrideBreaker(arguments, profile, &flow));
  EF_RETURN_IF_ERROR(OverrideCompression(arguments, profile, &flow));
  Override(&flow.http2_enabled, arguments, "--http2");
  Override(&flow.metrics_enabled, arguments, "--enable-metrics");
  if (const auto connections = arguments.Integer("--connection-pool-size")) {
    flow.connections_max = static_cast<std::size_t>(*connections);
  }
  if (const auto in_flight = arguments.Integer("--max-concurrency")) {
    flow.requests_in_flight_max = static_cast<std::size_t>(*in_flight);
  }
  Override(&flow.adaptive_concurrency_enabled, arguments, "--adaptive-concurrency");
  Override(&flow.allowance_is_shared, arguments, "--share-limits");
  if (const auto rpm = arguments.Number("--rate-limit-rpm")) flow.requests_per_minute = rpm;
  if (const auto inputs = arguments.Number("--inputs-per-minute")) flow.inputs_per_minute = inputs;
  if (const auto tpm = arguments.Number("--rate-limit-tpm")) flow.model_tokens_per_minute = tpm;
  return flow;
}

}  // namespace embedflow::cli
