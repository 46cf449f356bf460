// How a provider is used: the settings of the system that embedflow carries on, field by field,
// with its four profiles and its model constructors. Serialised as JSON and TOML under the same
// names.
//
// Every field acts: FlowOptionsFor() and ProviderOptionsFor() turn them into what the pipeline and
// the provider run with. docs/optimization.md says what each one does and when to touch it.
// Threads: plain values.
#ifndef EMBEDFLOW_OPTIMIZATION_H_
#define EMBEDFLOW_OPTIMIZATION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "embedflow/status.h"

namespace embedflow {

// When an endpoint is left alone for a while.
struct CircuitBreakerConfig {
  std::uint32_t failure_threshold = 5;       // Failures in a row that open it, in [1, 1,000].
  std::uint32_t success_threshold = 2;       // Successes that close it again, in [1, 1,000].
  std::uint64_t timeout_seconds = 30;        // How long it stays open, in [1, 3,600].
  std::uint32_t half_open_max_attempts = 3;  // Probes at once while half open, in [1, 1,000].

  Status Validate() const;
  bool operator==(const CircuitBreakerConfig&) const = default;
};

struct OptimizationConfig {
  std::optional<std::uint64_t> timeout_seconds;  // Whole request, in [1, 3,600]. Unset: 60.
  std::uint32_t max_retries = 3;                 // After the first attempt, in [0, 100].
  std::uint64_t retry_delay_ms = 1000;           // Before the first retry; doubles. In [0, 60,000].
  std::optional<std::size_t> max_batch_size;     // Texts a request, at least 1. Unset: 100.
  std::optional<std::uint32_t> rate_limit_rpm;   // Requests a minute, at least 1. Unset: none.
  std::optional<std::uint64_t> rate_limit_tpm;   // Tokens a minute, at least 1. Unset: none.
  bool compression_enabled = false;              // Ask for compressed replies.
  // Request bodies below this stay plain where request compression is asked for as well.
  std::size_t compression_threshold_bytes = 1024;
  std::size_t connection_pool_size = 10;  // In [1, 1,024].
  bool enable_circuit_breaker = true;
  // Unset: the defaults above.
  std::optional<CircuitBreakerConfig> circuit_breaker_config = CircuitBreakerConfig{};
  bool enable_metrics = true;  // Keep latencies and waiting times, and show them in the summary.

  static OptimizationConfig OpenAi();
  static OptimizationConfig Mistral();
  static OptimizationConfig Azure();
  static OptimizationConfig Local();

  // What an unset field means.
  std::uint64_t GetTimeoutSeconds() const { return timeout_seconds.value_or(60); }
  std::size_t GetMaxBatchSize() const { return max_batch_size.value_or(100); }

  Status Validate() const;
  bool operator==(const OptimizationConfig&) const = default;
};

struct ModelConfig {
  std::string model_name = "sentence-transformers/all-MiniLM-L6-v2";
  int embedding_dimension = 384;            // In [1, 65,536].
  std::optional<std::string> base_url;      // Unset: the profile's.
  std::optional<std::string> api_endpoint;  // Path after base_url. Unset: the dialect's.
  OptimizationConfig optimization;
  // A JSON object whose members are added to every request body, and to the identity of the space.
  std::string parameters = "{}";

  static ModelConfig LocalSentenceTransformer(std::string model_name, int dimension);
  static ModelConfig OpenAiAda002();
  static ModelConfig OpenAi3Small();
  static ModelConfig OpenAi3Large();
  static ModelConfig MistralEmbed();
  static ModelConfig AzureOpenAi(std::string deployment, std::string resource,
                                 std::string api_version, int dimension);
  static ModelConfig Custom(std::string model_name, int dimension, std::string base_url,
                            std::optional<std::string> api_endpoint = std::nullopt);

  // Where requests go: base_url, one slash, api_endpoint; by default OpenAI's.
  std::string EmbeddingsUrl() const;

  Status Validate() const;
  bool operator==(const ModelConfig&) const = default;
};

// JSON objects and TOML documents. Reading: a missing field takes the default above, null means
// unset, an unknown field and a value out of range are kInvalidArgument with the field's path.
std::string ToJson(const OptimizationConfig& config);
std::string ToJson(const ModelConfig& config);
std::string ToToml(const OptimizationConfig& config);
std::string ToToml(const ModelConfig& config);
Result<OptimizationConfig> OptimizationConfigFromJson(std::string_view json);
Result<ModelConfig> ModelConfigFromJson(std::string_view json);
Result<OptimizationConfig> OptimizationConfigFromToml(std::string_view toml);
Result<ModelConfig> ModelConfigFromToml(std::string_view toml);

}  // namespace embedflow

#endif  // EMBEDFLOW_OPTIMIZATION_H_
