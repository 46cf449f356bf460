// Every field of OptimizationConfig and ModelConfig changes something that a server can see: the
// real pipeline and transport against a server on loopback.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "embedflow/corpus.h"
#include "embedflow/optimization.h"
#include "embedflow/options.h"
#include "embedflow/pipeline.h"
#include "embedflow/provider.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;

constexpr int kDimensions = 8;

struct Ran {
  Status status;
  RunSummary summary;
  const RunSummary::Endpoint& endpoint() const { return summary.endpoints.at(0); }
};

class Effect : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_effect_XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // A model on `server`, without limits and waits of its own.
  static ModelConfig Model(const FlakyServer& server) {
    ModelConfig model = ModelConfig::Custom("mine", kDimensions, server.base_url());
    model.optimization.max_batch_size = 1;
    model.optimization.retry_delay_ms = 1;
    return model;
  }

  // Sends `texts` different texts as `model` says. `change` may set what only FlowOptions have.
  Ran Run(const ModelConfig& model, int texts, void (*change)(FlowOptions*) = nullptr) {
    ProviderOptions provider_options = ProviderOptionsFor(model, "local");
    provider_options.api_key_env = "none";
    Ran ran;
    Result<std::shared_ptr<const Provider>> provider = MakeProvider(provider_options);
    Result<std::unique_ptr<Corpus>> corpus =
        Corpus::Open(directory_ + "/" + std::to_string(++runs_), Corpus::Mode::kCreate);
    EXPECT_TRUE(corpus.ok()) << corpus.status().ToString();
    if (!provider.ok() || !corpus.ok()) {
      ran.status = provider.status();
      return ran;
    }
    PipelineOptions options;
    options.flow = FlowOptionsFor(model.optimization);
    options.flow.allowance_is_shared = false;
    options.flow.adaptive_concurrency_enabled = false;
    options.flow.jitter = FlowOptions::Jitter::kNone;
    if (change != nullptr) change(&options.flow);
    Result<std::unique_ptr<Pipeline>> pipeline =
        Pipeline::Open(**corpus, *provider, std::move(options));
    EXPECT_TRUE(pipeline.ok()) << pipeline.status().ToString();
    ran.status = (*pipeline)->Start();
    for (int i = 0; i < texts && ran.status.ok(); ++i) {
      const std::string id = std::to_string(i);
      ran.status = (*pipeline)->Push({id, text_ + id, {}});
    }
    const Status finished = (*pipeline)->Finish();
    if (ran.status.ok()) ran.status = finished;
    ran.summary = (*pipeline)->summary();
    return ran;
  }

  std::string directory_;
  std::string text_ = "the text of number ";
  int runs_ = 0;
};

FlakyReply StatusReply(int status) {
  FlakyReply reply;
  reply.status = status;
  reply.body = R"({"error":{"message":"try later"}})";
  return reply;
}

TEST_F(Effect, TimeoutSeconds) {
  // The first reply takes longer than one second, and less than two.
  const auto slow_first = [](const FlakyRequest& request) {
    FlakyReply reply;
    if (request.number == 1) reply.delay = milliseconds(1500);
    return reply;
  };
  FlakyServer impatient({.dimensions = kDimensions}, slow_first);
  ModelConfig model = Model(impatient);
  model.optimization.timeout_seconds = 1;
  const Ran hasty = Run(model, 1);
  EXPECT_TRUE(hasty.status.ok()) << hasty.status.ToString();
  EXPECT_EQ(hasty.summary.provider.retries, 1u);
  EXPECT_EQ(hasty.summary.provider.vectors_bought_twice, 1u);
  FlakyServer patient({.dimensions = kDimensions}, slow_first);
  model.base_url = patient.base_url();
  model.optimization.timeout_seconds = 60;
  EXPECT_EQ(Run(model, 1).summary.provider.requests, 1u);
}

TEST_F(Effect, MaxRetries) {
  FlakyServer server({.dimensions = kDimensions},
                     [](const FlakyRequest&) { return StatusReply(503); });
  for (const std::uint32_t retries : {0u, 1u, 3u}) {
    ModelConfig model = Model(server);
    model.optimization.max_retries = retries;
    const Ran ran = Run(model, 1);
    EXPECT_EQ(ran.status.code(), Code::kUnavailable) << ran.status.ToString();
    EXPECT_EQ(ran.summary.provider.requests, 1 + retries);
  }
}

TEST_F(Effect, RetryDelayMs) {
  for (const std::uint64_t delay_ms : {0u, 400u}) {
    FlakyServer server({.dimensions = kDimensions}, [](const FlakyRequest& request) {
      return request.number == 1 ? StatusReply(503) : FlakyReply();
    });
    ModelConfig model = Model(server);
    model.optimization.retry_delay_ms = delay_ms;
    const Ran ran = Run(model, 1);
    EXPECT_TRUE(ran.status.ok()) << ran.status.ToString();
    EXPECT_EQ(ran.summary.provider.retries, 1u);
    EXPECT_GE(ran.summary.seconds, static_cast<double>(delay_ms) / 1000);
  }
}

TEST_F(Effect, MaxBatchSize) {
  for (const std::size_t size : {1u, 7u}) {
    FlakyServer server({.dimensions = kDimensions});
    ModelConfig model = Model(server);
    model.optimization.max_batch_size = size;
    EXPECT_TRUE(Run(model, 21).status.ok());
    std::size_t most = 0;
    for (const FlakyRequest& request : server.ledger()) most = std::max(most, request.texts.size());
    EXPECT_EQ(most, size);
  }
}

TEST_F(Effect, RateLimitRpm) {
  FlakyServer server({.dimensions = kDimensions});
  ModelConfig model = Model(server);
  EXPECT_EQ(Run(model, 6).endpoint().metrics.value().allowance_wait_seconds, 0);
  model.optimization.rate_limit_rpm = 600;  // One in 100 ms.
  const Ran limited = Run(model, 6);
  EXPECT_TRUE(limited.status.ok()) << limited.status.ToString();
  EXPECT_GE(limited.summary.seconds, 0.4);
  EXPECT_GT(limited.endpoint().metrics.value().allowance_wait_seconds, 0);
}

TEST_F(Effect, RateLimitTpm) {
  FlakyServer server({.dimensions = kDimensions});
  ModelConfig model = Model(server);
  model.optimization.rate_limit_tpm = 3000;  // 50 tokens a second; a text has 5 to 8.
  const Ran limited = Run(model, 6);
  EXPECT_TRUE(limited.status.ok()) << limited.status.ToString();
  EXPECT_GE(limited.summary.seconds, 0.3);
  EXPECT_GT(limited.endpoint().metrics.value().allowance_wait_seconds, 0);
}

TEST_F(Effect, CompressionEnabled) {
  FlakyServer server({.dimensions = kDimensions});
  ModelConfig model = Model(server);
  EXPECT_TRUE(Run(model, 1).status.ok());
  EXPECT_EQ(server.ledger().back().header("accept-encoding"), "");
  model.optimization.compression_enabled = true;
  EXPECT_TRUE(Run(model, 1).status.ok());
  EXPECT_NE(server.ledger().back().header("accept-encoding").find("gzip"), std::string::npos);
}

TEST_F(Effect, CompressionThresholdBytes) {
  // A server that does not read compressed requests gets the same one plain.
  FlakyServer server({.dimensions = kDimensions}, [](const FlakyRequest& request) {
    return request.header("content-encoding").empty() ? FlakyReply() : StatusReply(415);
  });
  ModelConfig model = Model(server);
  const auto compress = [](FlowOptions* flow) { flow->request_gzip_enabled = true; };
  for (int i = 0; i < 50; ++i) text_ += "again and again ";  // Something to compress.
  model.optimization.compression_threshold_bytes = 100'000;
  EXPECT_TRUE(Run(model, 1, compress).status.ok());
  EXPECT_EQ(server.ledger().back().number, 1u);
  model.optimization.compression_threshold_bytes = 10;
  const Ran ran = Run(model, 1, compress);
  EXPECT_TRUE(ran.status.ok()) << ran.status.ToString();
  ASSERT_EQ(server.ledger().size(), 3u);
  EXPECT_EQ(server.ledger()[1].header("content-encoding"), "gzip");
  EXPECT_EQ(server.ledger()[2].header("content-encoding"), "");
}

TEST_F(Effect, ConnectionPoolSize) {
  for (const std::size_t size : {1u, 4u}) {
    FlakyServer server({.dimensions = kDimensions}, [](const FlakyRequest&) {
      FlakyReply reply;
      reply.delay = milliseconds(30);
      return reply;
    });
    ModelConfig model = Model(server);
    model.optimization.connection_pool_size = size;
    EXPECT_TRUE(Run(model, 16).status.ok());
    EXPECT_EQ(server.connections(), size);
  }
}

// Answers one request, then six with 503, then all. A breaker never opens before a first success.
std::unique_ptr<FlakyServer> FailsSixTimes() {
  return std::make_unique<FlakyServer>(
      FlakyOptions{.dimensions = kDimensions}, [](const FlakyRequest& request) {
        return request.number > 1 && request.number < 8 ? StatusReply(503) : FlakyReply();
      });
}

TEST_F(Effect, EnableCircuitBreaker) {
  for (const bool is_on : {false, true}) {
    const std::unique_ptr<FlakyServer> server = FailsSixTimes();
    ModelConfig model = Model(*server);
    model.optimization.max_retries = 20;
    model.optimization.connection_pool_size = 1;
    model.optimization.enable_circuit_breaker = is_on;
    model.optimization.circuit_breaker_config = CircuitBreakerConfig{6, 1, 1, 1};
    const Ran ran = Run(model, 2);
    EXPECT_TRUE(ran.status.ok()) << ran.status.ToString();
    EXPECT_EQ(ran.endpoint().breaker_opened, is_on ? 1u : 0u);
    EXPECT_EQ(ran.endpoint().breaker, is_on ? "closed" : "off");
    if (is_on) {
      EXPECT_GE(ran.summary.seconds, 0.9);
    }
  }
}

TEST_F(Effect, CircuitBreakerConfig) {
  const std::unique_ptr<FlakyServer> server = FailsSixTimes();
  ModelConfig model = Model(*server);
  model.optimization.max_retries = 20;
  model.optimization.connection_pool_size = 1;
  model.optimization.enable_circuit_breaker = true;
  model.optimization.circuit_breaker_config = CircuitBreakerConfig{7, 1, 1, 1};
  const Ran ran = Run(model, 2);
  EXPECT_TRUE(ran.status.ok()) << ran.status.ToString();
  EXPECT_EQ(ran.endpoint().breaker_opened, 0u);  // One failure short of the threshold.
}

TEST_F(Effect, EnableMetrics) {
  FlakyServer server({.dimensions = kDimensions});
  ModelConfig model = Model(server);
  const Ran with = Run(model, 3);
  EXPECT_GT(with.endpoint().metrics.value().latency_p50_ms, 0);
  model.optimization.enable_metrics = false;
  EXPECT_FALSE(Run(model, 3).endpoint().metrics.has_value());
}

TEST_F(Effect, FieldsOfTheModel) {
  FlakyServer server({.dimensions = kDimensions});
  ModelConfig model = Model(server);
  EXPECT_TRUE(Run(model, 1).status.ok());
  EXPECT_EQ(server.ledger().back().model, "mine");
  EXPECT_EQ(server.ledger().back().target, "/v1/embeddings");
  EXPECT_EQ(server.ledger().back().body.find("\"user\""), std::string::npos);
  model.model_name = "another";
  model.api_endpoint = "/other/place";
  model.parameters = R"({"user":"someone"})";
  EXPECT_TRUE(Run(model, 1).status.ok());
  EXPECT_EQ(server.ledger().back().model, "another");
  EXPECT_EQ(server.ledger().back().target, "/v1/other/place");
  EXPECT_NE(server.ledger().back().body.find(R"("user":"someone")"), std::string::npos);
  // Vectors of another length are refused whole.
  model.embedding_dimension = kDimensions + 1;
  EXPECT_FALSE(Run(model, 1).status.ok());
}

}  // namespace
}  // namespace embedflow
