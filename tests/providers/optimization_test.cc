// The seed's configuration: its numbers, its texts, and what becomes of every field.
#include "embedflow/optimization.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "embedflow/options.h"
#include "embedflow/provider.h"
#include "stages/packer.h"
#include "stages/retry_policy.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Seed, optimization_config_defaults) {
  const OptimizationConfig config;
  EXPECT_EQ(config.timeout_seconds, std::nullopt);
  EXPECT_EQ(config.GetTimeoutSeconds(), 60u);
  EXPECT_EQ(config.max_retries, 3u);
  EXPECT_EQ(config.retry_delay_ms, 1000u);
  EXPECT_EQ(config.max_batch_size, std::nullopt);
  EXPECT_EQ(config.GetMaxBatchSize(), 100u);
  EXPECT_EQ(config.rate_limit_rpm, std::nullopt);
  EXPECT_EQ(config.rate_limit_tpm, std::nullopt);
  EXPECT_FALSE(config.compression_enabled);
  EXPECT_EQ(config.compression_threshold_bytes, 1024u);
  EXPECT_EQ(config.connection_pool_size, 10u);
  EXPECT_TRUE(config.enable_circuit_breaker);
  EXPECT_EQ(config.circuit_breaker_config, (CircuitBreakerConfig{5, 2, 30, 3}));
  EXPECT_TRUE(config.enable_metrics);
  EXPECT_TRUE(config.Validate().ok());
}

TEST(Seed, optimization_config_openai) {
  const OptimizationConfig config = OptimizationConfig::OpenAi();
  EXPECT_EQ(config.timeout_seconds, 60u);
  EXPECT_EQ(config.max_retries, 3u);
  EXPECT_EQ(config.retry_delay_ms, 1000u);
  EXPECT_EQ(config.max_batch_size, 2048u);
  EXPECT_EQ(config.rate_limit_rpm, 3000u);
  EXPECT_EQ(config.rate_limit_tpm, 1'000'000u);
  EXPECT_TRUE(config.compression_enabled);
  EXPECT_EQ(config.compression_threshold_bytes, 1024u);
  EXPECT_EQ(config.connection_pool_size, 20u);
  EXPECT_TRUE(config.enable_circuit_breaker);
  EXPECT_EQ(config.circuit_breaker_config, (CircuitBreakerConfig{5, 2, 30, 3}));
  EXPECT_TRUE(config.enable_metrics);
}

TEST(Seed, optimization_config_mistral) {
  const OptimizationConfig config = OptimizationConfig::Mistral();
  EXPECT_EQ(config.timeout_seconds, 30u);
  EXPECT_EQ(config.max_retries, 3u);
  EXPECT_EQ(config.retry_delay_ms, 500u);
  EXPECT_EQ(config.max_batch_size, 128u);
  EXPECT_EQ(config.rate_limit_rpm, 100u);
  EXPECT_EQ(config.rate_limit_tpm, 100'000u);
  EXPECT_TRUE(config.compression_enabled);
  EXPECT_EQ(config.compression_threshold_bytes, 512u);
  EXPECT_EQ(config.connection_pool_size, 10u);
  EXPECT_TRUE(config.enable_circuit_breaker);
  EXPECT_EQ(config.circuit_breaker_config, (CircuitBreakerConfig{3, 2, 20, 2}));
  EXPECT_TRUE(config.enable_metrics);
}

TEST(Seed, optimization_config_azure) {
  const OptimizationConfig config = OptimizationConfig::Azure();
  EXPECT_EQ(config.timeout_seconds, 90u);
  EXPECT_EQ(config.max_retries, 4u);
  EXPECT_EQ(config.retry_delay_ms, 2000u);
  EXPECT_EQ(config.max_batch_size, 2048u);
  EXPECT_EQ(config.rate_limit_rpm, 300u);
  EXPECT_EQ(config.rate_limit_tpm, 300'000u);
  EXPECT_TRUE(config.compression_enabled);
  EXPECT_EQ(config.compression_threshold_bytes, 1024u);
  EXPECT_EQ(config.connection_pool_size, 15u);
  EXPECT_TRUE(config.enable_circuit_breaker);
  EXPECT_EQ(config.circuit_breaker_config, (CircuitBreakerConfig{5, 3, 60, 3}));
  EXPECT_TRUE(config.enable_metrics);
}

TEST(Seed, optimization_config_local) {
  const OptimizationConfig config = OptimizationConfig::Local();
  EXPECT_EQ(config.timeout_seconds, 10u);
  EXPECT_EQ(config.max_retries, 2u);
  EXPECT_EQ(config.retry_delay_ms, 100u);
  EXPECT_EQ(config.max_batch_size, 32u);
  EXPECT_EQ(config.rate_limit_rpm, std::nullopt);
  EXPECT_EQ(config.rate_limit_tpm, std::nullopt);
  EXPECT_FALSE(config.compression_enabled);
  EXPECT_EQ(config.compression_threshold_bytes, 2048u);
  EXPECT_EQ(config.connection_pool_size, 5u);
  EXPECT_FALSE(config.enable_circuit_breaker);
  EXPECT_EQ(config.circuit_breaker_config, std::nullopt);
  EXPECT_TRUE(config.enable_metrics);
}

TEST(Seed, model_config_includes_optimization) {
  const ModelConfig plain;
  EXPECT_EQ(plain.model_name, "sentence-transformers/all-MiniLM-L6-v2");
  EXPECT_EQ(plain.embedding_dimension, 384);
  EXPECT_EQ(plain.optimization, OptimizationConfig());
  const struct {
    ModelConfig config;
    const char* model;
    int dimension;
    OptimizationConfig optimization;
  } cases[] = {
      {ModelConfig::OpenAiAda002(), "text-embedding-ada-002", 1536, OptimizationConfig::OpenAi()},
      {ModelConfig::OpenAi3Small(), "text-embedding-3-small", 1536, OptimizationConfig::OpenAi()},
      {ModelConfig::OpenAi3Large(), "text-embedding-3-large", 3072, OptimizationConfig::OpenAi()},
      {ModelConfig::MistralEmbed(), "mistral-embed", 1024, OptimizationConfig::Mistral()},
      {ModelConfig::AzureOpenAi("dep", "res", "2023-05-15", 1536), "dep", 1536,
       OptimizationConfig::Azure()},
      {ModelConfig::LocalSentenceTransformer("bge", 512), "bge", 512, OptimizationConfig::Local()},
      {ModelConfig::Custom("mine", 64, "http://localhost:1234/v1"), "mine", 64,
       OptimizationConfig::Local()},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(c.config.model_name, c.model);
    EXPECT_EQ(c.config.embedding_dimension, c.dimension);
    EXPECT_EQ(c.config.optimization, c.optimization) << c.model;
    EXPECT_TRUE(c.config.Validate().ok()) << c.model << ": " << c.config.Validate().ToString();
  }
  EXPECT_EQ(ModelConfig::LocalSentenceTransformer("bge", 512).parameters,
            R"({"normalize":true,"pooling":"mean"})");
}

TEST(Seed, provider_uses_optimization_timeout) {
  ModelConfig config = ModelConfig::OpenAi3Small();
  EXPECT_EQ(FlowOptionsFor(config.optimization).timeout, seconds(60));
  config.optimization.timeout_seconds = 120;
  EXPECT_EQ(FlowOptionsFor(config.optimization).timeout, seconds(120));
  config.optimization.timeout_seconds = std::nullopt;
  EXPECT_EQ(FlowOptionsFor(config.optimization).timeout, seconds(60));
}

// How many requests the packer makes of `texts` short texts under a provider's limits.
std::size_t Requests(const RequestLimits& limits, std::size_t texts) {
  Packer packer(limits);
  std::size_t requests = 0;
  const PackCost cost{8, 32};
  for (std::size_t i = 0; i < texts; ++i) {
    if (packer.MustCloseBefore(cost)) {
      ++requests;
      packer.Close();
    }
    if (packer.Add(cost)) {
      ++requests;
      packer.Close();
    }
  }
  return requests + (packer.inputs() > 0 ? 1 : 0);
}

TEST(Seed, provider_uses_optimization_batch_size) {
  const struct {
    ModelConfig config;
    const char* profile;
    std::size_t requests;
  } cases[] = {
      {ModelConfig::OpenAi3Small(), "openai", 3},
      {ModelConfig::MistralEmbed(), "mistral", 40},
      {ModelConfig::AzureOpenAi("text-embedding-3-small", "res", "2023-05-15", 1536), "azure", 3},
      {ModelConfig::Custom("all-minilm", 384, "http://127.0.0.1:9/v1"), "local", 157},
  };
  for (const auto& c : cases) {
    ProviderOptions options = ProviderOptionsFor(c.config, c.profile);
    options.api_key_env = "none";
    const auto provider = MakeProvider(options);
    ASSERT_TRUE(provider.ok()) << c.profile << ": " << provider.status().ToString();
    EXPECT_EQ(Requests((*provider)->limits(), 5000), c.requests) << c.profile;
  }
}

// All waits before the retries of one request, as the retry policy computes them.
milliseconds TotalBackoff(const OptimizationConfig& config) {
  const FlowOptions flow = FlowOptionsFor(config);
  RetryOptions options;
  options.retries_max = flow.retries_max;
  options.retry_delay = flow.retry_delay;
  options.jitter = FlowOptions::Jitter::kNone;
  Rng rng(1);
  milliseconds total{0};
  for (int retry = 1; retry <= options.retries_max; ++retry) {
    total += BackoffBefore(retry, options, Outcome(), rng);
  }
  return total;
}

TEST(OptimizationConfig, WaitsOfTheSeedsExamplesWithoutJitter) {
  EXPECT_EQ(TotalBackoff(OptimizationConfig::OpenAi()), milliseconds(7000));
  EXPECT_EQ(TotalBackoff(OptimizationConfig::Mistral()), milliseconds(3500));
  EXPECT_EQ(TotalBackoff(OptimizationConfig::Azure()), milliseconds(30'000));
  EXPECT_EQ(TotalBackoff(OptimizationConfig::Local()), milliseconds(300));
  OptimizationConfig config;
  config.max_retries = 5;
  config.retry_delay_ms = 2000;
  EXPECT_EQ(TotalBackoff(config), milliseconds(62'000));
  config.max_retries = 2;
  config.retry_delay_ms = 500;
  EXPECT_EQ(TotalBackoff(config), milliseconds(1500));
}

TEST(ModelConfig, WhereRequestsGo) {
  EXPECT_EQ(ModelConfig().EmbeddingsUrl(), "https://api.openai.com/v1/embeddings");
  EXPECT_EQ(ModelConfig::OpenAi3Small().EmbeddingsUrl(), "https://api.openai.com/v1/embeddings");
  EXPECT_EQ(ModelConfig::MistralEmbed().EmbeddingsUrl(), "https://api.mistral.ai/v1/embeddings");
  EXPECT_EQ(
      ModelConfig::AzureOpenAi("my-deployment", "my-resource", "2023-05-15", 1536).EmbeddingsUrl(),
      "https://my-resource.openai.azure.com/openai/deployments/my-deployment/"
      "embeddings?api-version=2023-05-15");
  const struct {
    const char* base;
    std::optional<std::string> endpoint;
    const char* url;
  } cases[] = {
      {"https://api.example.com/v1", "/custom/embeddings",
       "https://api.example.com/v1/custom/embeddings"},
      {"https://api.example.com/v1", std::nullopt, "https://api.example.com/v1/embeddings"},
      {"https://api.example.com/v1", "custom-path", "https://api.example.com/v1/custom-path"},
      {"https://api.example.com/v1/", "/embeddings", "https://api.example.com/v1/embeddings"},
      {"https://api.example.com/v1//", "embeddings", "https://api.example.com/v1/embeddings"},
      {"http://localhost:1234/v1", std::nullopt, "http://localhost:1234/v1/embeddings"},
      {"http://localhost:11434/v1", std::nullopt, "http://localhost:11434/v1/embeddings"},
      {"http://localhost:8080/v1", std::nullopt, "http://localhost:8080/v1/embeddings"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(ModelConfig::Custom("m", 3, c.base, c.endpoint).EmbeddingsUrl(), c.url);
  }
}

TEST(ModelConfig, AnAzureNameCannotLeaveItsPlaceInTheAddress) {
  const ModelConfig config = ModelConfig::AzureOpenAi("a/../b?c", "evil.example/x", "1&y", 8);
  EXPECT_EQ(config.api_endpoint, "/openai/deployments/a%2F..%2Fb%3Fc/embeddings?api-version=1%26y");
  EXPECT_FALSE(config.Validate().ok());  // No host has a percent sign.
}

TEST(ModelConfig, EveryFieldReachesTheProvider) {
  ModelConfig config = ModelConfig::Custom("mine", 64, "http://localhost:1234/v1", "/embed");
  config.parameters = R"({"user":"x"})";
  config.optimization.max_batch_size = 7;
  const ProviderOptions options = ProviderOptionsFor(config, "local");
  EXPECT_EQ(options.name, "local");
  EXPECT_EQ(options.model, "mine");
  EXPECT_EQ(options.dimensions, 64);
  EXPECT_EQ(options.base_url, "http://localhost:1234/v1");
  EXPECT_EQ(options.api_endpoint, "/embed");
  EXPECT_EQ(options.parameters, R"({"user":"x"})");
  EXPECT_EQ(options.batch_inputs_max, 7u);
  const ProviderOptions plain = ProviderOptionsFor(ModelConfig(), "local");
  EXPECT_EQ(plain.base_url, "");
  EXPECT_EQ(plain.api_endpoint, "");
  EXPECT_EQ(plain.parameters, "");
  EXPECT_EQ(plain.batch_inputs_max, 100u);
}

TEST(FlowOptions, TakeEveryFieldOfTheConfiguration) {
  OptimizationConfig config;
  config.timeout_seconds = 7;
  config.max_retries = 9;
  config.retry_delay_ms = 11;
  config.rate_limit_rpm = 13;
  config.rate_limit_tpm = 17;
  config.compression_enabled = true;
  config.compression_threshold_bytes = 19;
  config.connection_pool_size = 23;
  config.circuit_breaker_config = CircuitBreakerConfig{1, 2, 3, 4};
  config.enable_metrics = false;
  FlowOptions flow = FlowOptionsFor(config);
  EXPECT_EQ(flow.timeout, seconds(7));
  EXPECT_EQ(flow.retries_max, 9);
  EXPECT_EQ(flow.retry_delay, milliseconds(11));
  EXPECT_EQ(flow.requests_per_minute, 13.0);
  EXPECT_EQ(flow.model_tokens_per_minute, 17.0);
  EXPECT_TRUE(flow.compression_enabled);
  EXPECT_EQ(flow.request_gzip_bytes_min, 19u);
  EXPECT_EQ(flow.connections_max, 23u);
  EXPECT_EQ(flow.circuit_breaker, (CircuitBreakerConfig{1, 2, 3, 4}));
  EXPECT_FALSE(flow.metrics_enabled);
  EXPECT_TRUE(flow.Validate().ok());
  config.circuit_breaker_config = std::nullopt;
  EXPECT_EQ(FlowOptionsFor(config).circuit_breaker, CircuitBreakerConfig());
  config.enable_circuit_breaker = false;
  EXPECT_EQ(FlowOptionsFor(config).circuit_breaker, std::nullopt);
}

TEST(FlowOptions, ValidateNamesTheField) {
  using Change = void (*)(FlowOptions*);
  const struct {
    Change change;
    const char* message;
  } cases[] = {
      {[](FlowOptions* flow) { flow->timeout = milliseconds(0); },
       "timeout must be in [1, 3600000] ms, got 0"},
      {[](FlowOptions* flow) { flow->connect_timeout = milliseconds(600'001); },
       "connect_timeout must be in [1, 600000] ms, got 600001"},
      {[](FlowOptions* flow) { flow->stall_timeout = milliseconds(0); },
       "stall_timeout must be in [1, 3600000] ms, got 0"},
      {[](FlowOptions* flow) { flow->retries_max = 101; },
       "retries_max must be in [0, 100], got 101"},
      {[](FlowOptions* flow) { flow->retry_delay = milliseconds(-1); },
       "retry_delay must be in [0, 60000] ms, got -1"},
      {[](FlowOptions* flow) { flow->item_deadline = std::chrono::hours(25); },
       "item_deadline must be in [1, 86400000] ms, got 90000000"},
      {[](FlowOptions* flow) { flow->circuit_breaker->success_threshold = 0; },
       "circuit_breaker.success_threshold must be in [1, 1000], got 0"},
      {[](FlowOptions* flow) { flow->connections_max = 0; },
       "connections_max must be in [1, 1024], got 0"},
      {[](FlowOptions* flow) { flow->requests_in_flight_max = 0; },
       "requests_in_flight_max must be in [1, 1024], got 0"},
      {[](FlowOptions* flow) { flow->requests_per_minute = 0; },
       "requests_per_minute must be above 0 and at most 1e15, got 0.000000"},
      {[](FlowOptions* flow) { flow->inputs_per_minute = -1; },
       "inputs_per_minute must be above 0 and at most 1e15, got -1.000000"},
      {[](FlowOptions* flow) { flow->model_tokens_per_minute = 0; },
       "model_tokens_per_minute must be above 0 and at most 1e15, got 0.000000"},
      {[](FlowOptions* flow) { flow->allowance_directory = std::string("a\0b", 3); },
       "allowance_directory must be a path of at most 4096 bytes without NUL"},
      {[](FlowOptions* flow) { flow->admitted_bytes_max = 1; },
       "admitted_bytes_max must be in [1048576, 68719476736], got 1"},
  };
  EXPECT_TRUE(FlowOptions().Validate().ok());
  for (const auto& c : cases) {
    FlowOptions flow;
    c.change(&flow);
    EXPECT_EQ(flow.Validate().message(), c.message);
  }
}

// A configuration in which no field has its default.
ModelConfig Unlike() {
  ModelConfig config;
  config.model_name = "a \"model\"\\of\nmine \xC3\xA9 \x7F";
  config.embedding_dimension = 12;
  config.base_url = "https://example.com/v1";
  config.api_endpoint = "/e?x=1";
  config.parameters = R"({"a":[1.10,null,{"b":"\u00e9"}],"c":12345678901234567890})";
  OptimizationConfig& optimization = config.optimization;
  optimization.timeout_seconds = 1;
  optimization.max_retries = 100;
  optimization.retry_delay_ms = 0;
  optimization.max_batch_size = 1'000'000;
  optimization.rate_limit_rpm = 4'294'967'295;
  optimization.rate_limit_tpm = 1'000'000'000'000;
  optimization.compression_enabled = true;
  optimization.compression_threshold_bytes = 0;
  optimization.connection_pool_size = 1024;
  optimization.enable_circuit_breaker = false;
  optimization.circuit_breaker_config = CircuitBreakerConfig{1, 1000, 3600, 7};
  optimization.enable_metrics = false;
  return config;
}

TEST(ConfigText, GoesRoundThroughJsonAndToml) {
  ModelConfig no_breaker = Unlike();
  no_breaker.optimization.circuit_breaker_config = std::nullopt;
  for (const ModelConfig& config :
       {ModelConfig(), Unlike(), no_breaker, ModelConfig::OpenAi3Large(),
        ModelConfig::MistralEmbed(), ModelConfig::LocalSentenceTransformer("x", 3),
        ModelConfig::AzureOpenAi("d", "r", "v", 3)}) {
    const auto from_json = OptimizationConfigFromJson(ToJson(config.optimization));
    ASSERT_TRUE(from_json.ok()) << from_json.status().ToString() << ToJson(config.optimization);
    EXPECT_EQ(*from_json, config.optimization);
    const auto from_toml = OptimizationConfigFromToml(ToToml(config.optimization));
    ASSERT_TRUE(from_toml.ok()) << from_toml.status().ToString() << ToToml(config.optimization);
    EXPECT_EQ(*from_toml, config.optimization);
    const auto model_json = ModelConfigFromJson(ToJson(config));
    ASSERT_TRUE(model_json.ok()) << model_json.status().ToString() << ToJson(config);
    // JSON keeps the meaning of parameters, not their spelling: the second pass changes nothing.
    EXPECT_EQ(ToJson(*ModelConfigFromJson(ToJson(*model_json))), ToJson(*model_json));
    ModelConfig same = *model_json;
    same.parameters = config.parameters;
    EXPECT_EQ(same, config);
    const auto model_toml = ModelConfigFromToml(ToToml(config));
    ASSERT_TRUE(model_toml.ok()) << model_toml.status().ToString() << ToToml(config);
    EXPECT_EQ(*model_toml, config);
  }
}

TEST(ConfigText, MissingFieldsTakeTheDefaultsOfTheOneTable) {
  // The origin read a missing enable_circuit_breaker as false, against its own default.
  EXPECT_EQ(*OptimizationConfigFromJson("{}"), OptimizationConfig());
  EXPECT_EQ(*OptimizationConfigFromToml(""), OptimizationConfig());
  EXPECT_EQ(*ModelConfigFromJson("{}"), ModelConfig());
  EXPECT_EQ(*ModelConfigFromToml(""), ModelConfig());
  OptimizationConfig config;
  config.max_retries = 5;
  config.circuit_breaker_config->timeout_seconds = 9;
  EXPECT_EQ(*OptimizationConfigFromJson(
                R"({"max_retries":5,"circuit_breaker_config":{"timeout_seconds":9}})"),
            config);
}

TEST(ConfigText, NullIsUnset) {
  OptimizationConfig config;
  config.circuit_breaker_config = std::nullopt;
  EXPECT_EQ(*OptimizationConfigFromJson(
                R"({"timeout_seconds":null,"max_batch_size":null,"rate_limit_rpm":null,)"
                R"("rate_limit_tpm":null,"circuit_breaker_config":null})"),
            config);
  EXPECT_EQ(*OptimizationConfigFromToml("circuit_breaker_config = \"none\"\n"), config);
  EXPECT_EQ(OptimizationConfigFromJson(R"({"max_retries":null})").status().message(),
            "max_retries must be a whole number, got null");
}

TEST(ConfigText, AnErrorNamesThePath) {
  const struct {
    const char* json;
    const char* message;
  } cases[] = {
      {R"({"optimization":{"max_retry":1}})", "there is no field optimization.max_retry"},
      {R"({"optimization":{"circuit_breaker_config":{"x":1}}})",
       "there is no field optimization.circuit_breaker_config.x"},
      {R"({"optimization":{"circuit_breaker_config":{"failure_threshold":0}}})",
       "optimization.circuit_breaker_config.failure_threshold must be in [1, 1000], got 0"},
      {R"({"optimization":{"timeout_seconds":0}})",
       "optimization.timeout_seconds must be in [1, 3600], got 0"},
      {R"({"optimization":{"max_retries":101}})",
       "optimization.max_retries must be in [0, 100], got 101"},
      {R"({"optimization":{"retry_delay_ms":60001}})",
       "optimization.retry_delay_ms must be in [0, 60000], got 60001"},
      {R"({"optimization":{"max_batch_size":0}})",
       "optimization.max_batch_size must be at least 1, got 0"},
      {R"({"optimization":{"rate_limit_rpm":0}})",
       "optimization.rate_limit_rpm must be at least 1, got 0"},
      {R"({"optimization":{"rate_limit_tpm":0}})",
       "optimization.rate_limit_tpm must be in [1, 1000000000000000], got 0"},
      {R"({"optimization":{"connection_pool_size":1025}})",
       "optimization.connection_pool_size must be in [1, 1024], got 1025"},
      {R"({"optimization":3})", "optimization must be a table of fields, got 3"},
      {R"({"model_name":""})", "model_name must be UTF-8 of 1 to 200 bytes, got 0"},
      {R"({"embedding_dimension":0})", "embedding_dimension must be in [1, 65536], got 0"},
      {R"({"base_url":""})", "base_url must be unset or an address, got \"\""},
      {R"({"parameters":[]})", "parameters must be a table, got an array"},
      {R"({"parameters":"[1]"})", "parameters: must be a JSON object, got an array"},
      {R"({"modelname":"x"})", "there is no field modelname"},
  };
  for (const auto& c : cases) {
    const auto config = ModelConfigFromJson(c.json);
    ASSERT_FALSE(config.ok()) << c.json;
    EXPECT_EQ(config.status().code(), Code::kInvalidArgument);
    EXPECT_EQ(config.status().message(), c.message);
  }
  EXPECT_EQ(
      ModelConfigFromToml("model_name = \"m\"\n[optimization]\nmax_retry = 3\n").status().message(),
      "line 3, column 1: there is no field optimization.max_retry");
  EXPECT_FALSE(ModelConfigFromJson(R"({"base_url":"ftp://x"})").ok());
  EXPECT_FALSE(ModelConfigFromJson(R"({"base_url":"https://user:pass@x/v1"})").ok());
}

}  // namespace
}  // namespace embedflow
