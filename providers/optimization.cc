// The seed's profiles and model constructors, number by number (docs/optimization.md).
#include "embedflow/optimization.h"

#include <cstdint>
#include <utility>

#include "base/config_value.h"
#include "base/utf8.h"
#include "embedflow/options.h"
#include "embedflow/provider.h"
#include "providers/url.h"

namespace embedflow {
namespace {

constexpr const char* kOpenAiUrl = "https://api.openai.com/v1";
constexpr const char* kOpenAiEndpoint = "/embeddings";
constexpr std::size_t kNameBytesMax = 200;
// What a limit a minute can be: as a double it must stay exact, and no provider comes near.
constexpr std::uint64_t kPerMinuteMax = 1'000'000'000'000'000;

Status InRange(const char* field, std::uint64_t value, std::uint64_t low, std::uint64_t high) {
  if (value >= low && value <= high) return {};
  return {Code::kInvalidArgument, std::string(field) + " must be in [" + std::to_string(low) +
                                      ", " + std::to_string(high) + "], got " +
                                      std::to_string(value)};
}

Status AtLeastOne(const char* field, const std::optional<std::uint64_t>& value) {
  if (!value || *value > 0) return {};
  return {Code::kInvalidArgument, std::string(field) + " must be at least 1, got 0"};
}

// A name as a part of an address: what would end the part is escaped.
std::string Escaped(std::string_view part) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string text;
  for (const char c : part) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                          (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' ||
                          byte == '_' || byte == '~';
    if (is_plain) {
      text += c;
    } else {
      text += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return text;
}

ModelConfig Model(std::string name, int dimension, std::optional<std::string> base_url,
                  const OptimizationConfig& optimization) {
  ModelConfig config;
  config.model_name = std::move(name);
  config.embedding_dimension = dimension;
  config.base_url = std::move(base_url);
  config.optimization = optimization;
  return config;
}

}  // namespace

OptimizationConfig OptimizationConfig::OpenAi() {
  OptimizationConfig config;
  config.timeout_seconds = 60;
  config.max_batch_size = 2048;
  config.rate_limit_rpm = 3000;
  config.rate_limit_tpm = 1'000'000;
  config.compression_enabled = true;
  config.connection_pool_size = 20;
  return config;
}

OptimizationConfig OptimizationConfig::Mistral() {
  OptimizationConfig config;
  config.timeout_seconds = 30;
  config.retry_delay_ms = 500;
  config.max_batch_size = 128;
  config.rate_limit_rpm = 100;
  config.rate_limit_tpm = 100'000;
  config.compression_enabled = true;
  config.compression_threshold_bytes = 512;
  config.circuit_breaker_config = CircuitBreakerConfig{3, 2, 20, 2};
  return config;
}

OptimizationConfig OptimizationConfig::Azure() {
  OptimizationConfig config;
  config.timeout_seconds = 90;
  config.max_retries = 4;
  config.retry_delay_ms = 2000;
  config.max_batch_size = 2048;
  config.rate_limit_rpm = 300;
  config.rate_limit_tpm = 300'000;
  config.compression_enabled = true;
  config.connection_pool_size = 15;
  config.circuit_breaker_config = CircuitBreakerConfig{5, 3, 60, 3};
  return config;
}

OptimizationConfig OptimizationConfig::Local() {
  OptimizationConfig config;
  config.timeout_seconds = 10;
  config.max_retries = 2;
  config.retry_delay_ms = 100;
  config.max_batch_size = 32;
  config.compression_threshold_bytes = 2048;
  config.connection_pool_size = 5;
  config.enable_circuit_breaker = false;
  config.circuit_breaker_config = std::nullopt;
  return config;
}

ModelConfig ModelConfig::LocalSentenceTransformer(std::string model_name, int dimension) {
  ModelConfig config =
      Model(std::move(model_name), dimension, std::nullopt, OptimizationConfig::Local());
  config.parameters = R"({"normalize":true,"pooling":"mean"})";
  return config;
}

ModelConfig ModelConfig::OpenAiAda002() {
  return Model("text-embedding-ada-002", 1536, kOpenAiUrl, OptimizationConfig::OpenAi());
}

ModelConfig ModelConfig::OpenAi3Small() {
  return Model("text-embedding-3-small", 1536, kOpenAiUrl, OptimizationConfig::OpenAi());
}

ModelConfig ModelConfig::OpenAi3Large() {
  return Model("text-embedding-3-large", 3072, kOpenAiUrl, OptimizationConfig::OpenAi());
}

ModelConfig ModelConfig::MistralEmbed() {
  return Model("mistral-embed", 1024, "https://api.mistral.ai/v1", OptimizationConfig::Mistral());
}

// By value as the other constructors, which keep what they are given.
// NOLINTBEGIN(performance-unnecessary-value-param)
ModelConfig ModelConfig::AzureOpenAi(std::string deployment, std::string resource,
                                     std::string api_version, int dimension) {
  ModelConfig config =
      Model(deployment, dimension, "https://" + Escaped(resource) + ".openai.azure.com",
            OptimizationConfig::Azure());
  config.api_endpoint = "/openai/deployments/" + Escaped(deployment) +
                        "/embeddings?api-version=" + Escaped(api_version);
  return config;
}
// NOLINTEND(performance-unnecessary-value-param)

ModelConfig ModelConfig::Custom(std::string model_name, int dimension, std::string base_url,
                                std::optional<std::string> api_endpoint) {
  ModelConfig config =
      Model(std::move(model_name), dimension, std::move(base_url), OptimizationConfig::Local());
  config.api_endpoint = std::move(api_endpoint);
  return config;
}

std::string ModelConfig::EmbeddingsUrl() const {
  std::string url = base_url.value_or(kOpenAiUrl);
  const std::string endpoint = api_endpoint.value_or(kOpenAiEndpoint);
  while (url.ends_with('/')) url.pop_back();
  return url + (endpoint.starts_with('/') ? "" : "/") + endpoint;
}

Status CircuitBreakerConfig::Validate() const {
  EF_RETURN_IF_ERROR(InRange("failure_threshold", failure_threshold, 1, 1000));
  EF_RETURN_IF_ERROR(InRange("success_threshold", success_threshold, 1, 1000));
  EF_RETURN_IF_ERROR(InRange("timeout_seconds", timeout_seconds, 1, 3600));
  return InRange("half_open_max_attempts", half_open_max_attempts, 1, 1000);
}

Status OptimizationConfig::Validate() const {
  if (timeout_seconds) {
    EF_RETURN_IF_ERROR(InRange("timeout_seconds", *timeout_seconds, 1, 3600));
  }
  EF_RETURN_IF_ERROR(InRange("max_retries", max_retries, 0, 100));
  EF_RETURN_IF_ERROR(InRange("retry_delay_ms", retry_delay_ms, 0, 60'000));
  EF_RETURN_IF_ERROR(AtLeastOne("max_batch_size", max_batch_size));
  EF_RETURN_IF_ERROR(AtLeastOne("rate_limit_rpm", rate_limit_rpm));
  if (rate_limit_tpm) {
    EF_RETURN_IF_ERROR(InRange("rate_limit_tpm", *rate_limit_tpm, 1, kPerMinuteMax));
  }
  EF_RETURN_IF_ERROR(InRange("connection_pool_size", connection_pool_size, 1, 1024));
  if (!circuit_breaker_config) return {};
  const Status breaker = circuit_breaker_config->Validate();
  // The path of a field within a field, as the JSON reader names it.
  return breaker.ok() ? breaker
                      : Status(breaker.code(), "circuit_breaker_config." + breaker.message());
}

Status ModelConfig::Validate() const {
  if (model_name.empty() || model_name.size() > kNameBytesMax || !IsValidUtf8(model_name)) {
    return {Code::kInvalidArgument, "model_name must be UTF-8 of 1 to " +
                                        std::to_string(kNameBytesMax) + " bytes, got " +
                                        std::to_string(model_name.size())};
  }
  if (embedding_dimension < 1 || embedding_dimension > 65536) {
    return {Code::kInvalidArgument, "embedding_dimension must be in [1, 65536], got " +
                                        std::to_string(embedding_dimension)};
  }
  if (base_url && base_url->empty()) {
    return {Code::kInvalidArgument, "base_url must be unset or an address, got \"\""};
  }
  if (api_endpoint && api_endpoint->empty()) {
    return {Code::kInvalidArgument, "api_endpoint must be unset or a path, got \"\""};
  }
  EF_RETURN_IF_ERROR(ParseUrl(EmbeddingsUrl()).status());
  const Result<ConfigValue> object = ParseJsonConfig(parameters, {});
  if (!object.ok()) return object.status().WithContext("parameters");
  const Status status = optimization.Validate();
  return status.ok() ? status : Status(status.code(), "optimization." + status.message());
}

ProviderOptions ProviderOptionsFor(const ModelConfig& config, std::string profile) {
  ProviderOptions options;
  options.name = std::move(profile);
  options.model = config.model_name;
  options.dimensions = config.embedding_dimension;
  options.base_url = config.base_url.value_or("");
  options.api_endpoint = config.api_endpoint.value_or("");
  options.parameters = config.parameters == "{}" ? "" : config.parameters;
  options.batch_inputs_max = config.optimization.GetMaxBatchSize();
  return options;
}

FlowOptions FlowOptionsFor(const OptimizationConfig& config) {
  FlowOptions flow;
  flow.timeout = std::chrono::seconds(config.GetTimeoutSeconds());
  flow.retries_max = static_cast<int>(config.max_retries);
  flow.retry_delay = std::chrono::milliseconds(config.retry_delay_ms);
  flow.compression_enabled = config.compression_enabled;
  flow.request_gzip_bytes_min = config.compression_threshold_bytes;
  flow.circuit_breaker = std::nullopt;
  if (config.enable_circuit_breaker) {
    flow.circuit_breaker = config.circuit_breaker_config.value_or(CircuitBreakerConfig{});
  }
  flow.metrics_enabled = config.enable_metrics;
  flow.connections_max = config.connection_pool_size;
  if (config.rate_limit_rpm) flow.requests_per_minute = *config.rate_limit_rpm;
  if (config.rate_limit_tpm) {
    flow.model_tokens_per_minute = static_cast<double>(*config.rate_limit_tpm);
  }
  return flow;
}

FlowOptions FlowOptionsFor(const Profile& profile) {
  FlowOptions flow = FlowOptionsFor(profile.optimization);
  flow.inputs_per_minute = profile.inputs_per_minute;
  flow.inputs_count_as_requests = profile.inputs_count_as_requests;
  flow.requests_in_flight_max = profile.requests_in_flight_max;
  return flow;
}

}  // namespace embedflow
