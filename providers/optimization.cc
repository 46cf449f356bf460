// The seed's profiles and model constructors, number by number (docs/optimization.md).
#include "embedflow/optimization.h"

#include <utility>

#include "embedflow/options.h"
#include "embedflow/provider.h"

namespace embedflow {
namespace {

constexpr const char* kOpenAiUrl = "https://api.openai.com/v1";

ModelConfig Model(std::string name, int dimension, std::optional<std::string> base_url,
                  OptimizationConfig optimization) {
  ModelConfig config;
  config.model_name = std::move(name);
  config.embedding_dimension = dimension;
  config.base_url = std::move(base_url);
  config.optimization = std::move(optimization);
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
