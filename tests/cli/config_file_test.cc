#include "cli/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cli/ingest_options.h"

namespace embedflow::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;

class ConfigFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_config_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    file_ = directory_ + "/c.toml";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Result<Arguments> ParseWith(const std::string& toml, std::vector<std::string> words = {}) {
    std::ofstream(file_, std::ios::binary) << toml;
    words.insert(words.begin(), {"notes", "--config", file_});
    return Parse(kIngest, words);
  }
  Result<IngestOptions> IngestWith(const std::string& toml, std::vector<std::string> words = {}) {
    words.insert(words.end(), {"--into", "corpus"});
    EF_ASSIGN_OR_RETURN(const Arguments arguments, ParseWith(toml, std::move(words)));
    return IngestOptionsOf(arguments);
  }

  std::string directory_, file_;
};

TEST_F(ConfigFile, KeysAreNamesOfOptions) {
  const Result<IngestOptions> options = IngestWith(
      "provider = \"openai\"\n"
      "chunk_size = 100\n"
      "chunk-overlap = 5\n"
      "timeout_seconds = 2.5\n"
      "compression-enabled = false\n"
      "index = \"none\"\n"
      "fallback = [\"openai,base-url=http://a/v1\", \"openai,base-url=http://b/v1\"]\n");
  ASSERT_TRUE(options.ok()) << options.status().ToString();
  EXPECT_EQ(options->run.provider.name, "openai");
  EXPECT_EQ(options->run.pipeline.chunker.size_tokens, 100);
  EXPECT_EQ(options->run.pipeline.chunker.overlap_tokens, 5);
  EXPECT_EQ(options->run.pipeline.flow.timeout, std::chrono::milliseconds(2500));
  EXPECT_FALSE(options->run.pipeline.flow.compression_enabled);
  EXPECT_EQ(options->run.pipeline.index.kind, "none");
  ASSERT_EQ(options->run.endpoints.size(), 2u);
  EXPECT_EQ(options->run.endpoints[1].provider.base_url, "http://b/v1");
}

TEST_F(ConfigFile, TheCommandLineWinsOverTheFileAndTheFileOverTheProfile) {
  const std::string toml =
      "max_retries = 7\nretry_delay_ms = 5\nprovider = \"openai\"\n"
      "replica = [\"openai,base-url=http://a/v1\"]\n";
  const Result<IngestOptions> options =
      IngestWith(toml, {"--max-retries", "9", "--replica", "openai,base-url=http://c/v1"});
  ASSERT_TRUE(options.ok()) << options.status().ToString();
  EXPECT_EQ(options->run.pipeline.flow.retries_max, 9);
  EXPECT_EQ(options->run.pipeline.flow.retry_delay, std::chrono::milliseconds(5));
  EXPECT_EQ(options->run.pipeline.flow.requests_per_minute, 3000);  // The profile's.
  ASSERT_EQ(options->run.endpoints.size(), 1u);
  EXPECT_EQ(options->run.endpoints[0].provider.base_url, "http://c/v1");
}

TEST_F(ConfigFile, TablesHoldTheFieldsOfTheConfigurations) {
  const Result<IngestOptions> options = IngestWith(
      "provider = \"local\"\n"
      "[model]\n"
      "model_name = \"mine\"\n"
      "embedding_dimension = 12\n"
      "base_url = \"http://127.0.0.1:1/v1\"\n"
      "api_endpoint = \"/embed\"\n"
      "parameters = { normalize = true, deep = { a = [1, 2.5] } }\n"
      "[model.optimization]\n"
      "timeout_seconds = 7\n"
      "max_retries = 9\n"
      "retry_delay_ms = 11\n"
      "max_batch_size = 13\n"
      "rate_limit_rpm = 15\n"
      "rate_limit_tpm = 17\n"
      "compression_enabled = true\n"
      "compression_threshold_bytes = 19\n"
      "connection_pool_size = 21\n"
      "enable_circuit_breaker = true\n"
      "enable_metrics = false\n"
      "[model.optimization.circuit_breaker_config]\n"
      "failure_threshold = 23\n"
      "half_open_max_attempts = 25\n");
  ASSERT_TRUE(options.ok()) << options.status().ToString();
  EXPECT_EQ(options->run.provider.model, "mine");
  EXPECT_EQ(options->run.provider.dimensions, 12);
  EXPECT_EQ(options->run.provider.base_url, "http://127.0.0.1:1/v1");
  EXPECT_EQ(options->run.provider.api_endpoint, "/embed");
  EXPECT_EQ(options->run.provider.parameters, R"({"normalize":true,"deep":{"a":[1,2.5]}})");
  EXPECT_EQ(options->run.provider.batch_inputs_max, 13u);
  OptimizationConfig config;
  config.timeout_seconds = 7;
  config.max_retries = 9;
  config.retry_delay_ms = 11;
  config.rate_limit_rpm = 15;
  config.rate_limit_tpm = 17;
  config.compression_enabled = true;
  config.compression_threshold_bytes = 19;
  config.connection_pool_size = 21;
  config.circuit_breaker_config = CircuitBreakerConfig{23, 2, 30, 25};
  config.enable_metrics = false;
  const FlowOptions expected = FlowOptionsFor(config);
  const FlowOptions& flow = options->run.pipeline.flow;
  EXPECT_EQ(flow.timeout, expected.timeout);
  EXPECT_EQ(flow.retries_max, expected.retries_max);
  EXPECT_EQ(flow.retry_delay, expected.retry_delay);
  EXPECT_EQ(flow.requests_per_minute, expected.requests_per_minute);
  EXPECT_EQ(flow.model_tokens_per_minute, expected.model_tokens_per_minute);
  EXPECT_EQ(flow.compression_enabled, expected.compression_enabled);
  EXPECT_EQ(flow.request_gzip_bytes_min, expected.request_gzip_bytes_min);
  EXPECT_EQ(flow.connections_max, expected.connections_max);
  EXPECT_EQ(flow.circuit_breaker, expected.circuit_breaker);
  EXPECT_EQ(flow.metrics_enabled, expected.metrics_enabled);
}

// Whatever the library writes as TOML is a table of this file.
TEST_F(ConfigFile, TakesWhatTheLibraryWrites) {
  const ModelConfig model = ModelConfig::MistralEmbed();
  const Result<IngestOptions> own =
      IngestWith("provider = \"mistral\"\n[optimization]\n" + [](std::string toml) {
        // Its own table is a table within the table.
        toml.replace(toml.find("[circuit"), 1, "[optimization.");
        return toml;
      }(ToToml(model.optimization)));
  ASSERT_TRUE(own.ok()) << own.status().ToString();
  EXPECT_EQ(own->run.pipeline.flow.circuit_breaker, (CircuitBreakerConfig{3, 2, 20, 2}));
  EXPECT_EQ(own->run.provider.batch_inputs_max, 128u);
}

TEST_F(ConfigFile, TheCommandLineDecidesWhetherThereIsABreaker) {
  const std::string on =
      "provider = \"openai\"\n[optimization.circuit_breaker_config]\n"
      "failure_threshold = 7\n";
  const std::string off =
      "provider = \"openai\"\n[optimization]\nenable_circuit_breaker = false\n"
      "[optimization.circuit_breaker_config]\nfailure_threshold = 7\n";
  const auto breaker = [this](const std::string& toml, std::vector<std::string> words = {}) {
    const Result<IngestOptions> options = IngestWith(toml, std::move(words));
    EXPECT_TRUE(options.ok()) << options.status().ToString();
    return options.ok() ? options->run.pipeline.flow.circuit_breaker : std::nullopt;
  };
  const CircuitBreakerConfig files{7, 2, 30, 3};
  EXPECT_EQ(breaker(on), files);
  EXPECT_EQ(breaker(on, {"--enable-circuit-breaker", "false"}), std::nullopt);
  EXPECT_EQ(breaker("provider = \"openai\"\ncircuit-breaker = \"7/2/30/3\"\n",
                    {"--enable-circuit-breaker", "false"}),
            std::nullopt);
  EXPECT_EQ(breaker(off), std::nullopt);
  EXPECT_EQ(breaker(off, {"--enable-circuit-breaker", "true"}), files);
  EXPECT_EQ(breaker(off, {"--circuit-breaker", "1/1/1/1"}), (CircuitBreakerConfig{1, 1, 1, 1}));
  // On the command line itself the two still contradict each other.
  EXPECT_FALSE(
      IngestWith(off, {"--circuit-breaker", "1/1/1/1", "--enable-circuit-breaker", "false"}).ok());
}

TEST_F(ConfigFile, ErrorsAreUsageWithFileAndLine) {
  const struct {
    std::string toml, message;
  } cases[] = {
      {"chunk_sise = 3\n", "line 1: there is no setting chunk_sise; a similar one is chunk-size"},
      {"config = \"x\"\n", "line 1: there is no setting config"},
      {"a = 1\n", "line 1: there is no setting a"},
      {"\nmax_retries = 500\n", "line 2: --max-retries must be in [0, 100], got 500"},
      {"max_retries = \"5\"\n", "line 1: --max-retries must be a number without quotes"},
      {"max_retries = 1.5\n", "line 1: --max-retries must be a whole number, got 1.5"},
      {"rate_limit_rpm = inf\n", "line 1: --rate-limit-rpm must be a number, got null"},
      {"http2 = \"true\"\n", "line 1: --http2 must be true or false, without quotes"},
      {"model = 5\n", "line 1: --model must be a string"},
      {"model = [\"a\"]\n", "line 1: --model takes one value, got an array"},
      {"replica = [[\"a\"]]\n", "line 1, column 1: replica must be an array of one kind of value"},
      {"replica = [\"a\", 1]\n", "line 1, column 1: replica must be an array of one kind of value"},
      {"model = \"a\"\n[model2]\nx = 1\n", "line 3: there is no setting model2.x"},
      {"max_retries = 1\n[optimization]\nmax_retries = 2\n",
       "line 3: --max-retries is set by line 1 already"},
      {"[optimization]\nmax_retry = 2\n", "line 2: there is no field optimization.max_retry"},
      {"[model]\nname = \"x\"\n", "line 2: there is no field model.name"},
      {"[optimization]\ncircuit_breaker_config = 3\n",
       "line 2: optimization.circuit_breaker_config must be a table or \"none\""},
      {"[optimization.circuit_breaker_config]\nx = 3\n",
       "line 2: there is no field optimization.circuit_breaker_config.x"},
      {"[optimization.circuit_breaker_config]\nfailure_threshold = 0\n",
       "line 2: circuit_breaker_config.failure_threshold must be in [1, 1000], got 0"},
      {"[optimization.circuit_breaker_config]\nfailure_threshold = \"1\"\n",
       "line 2: failure_threshold must be a number"},
      {"x = = 1\n", "line 1, column 5: "},
  };
  for (const auto& c : cases) {
    const Result<Arguments> arguments = ParseWith(c.toml, {"--into", "corpus"});
    ASSERT_FALSE(arguments.ok()) << c.toml;
    EXPECT_TRUE(IsUsageError(arguments.status()));
    EXPECT_EQ(arguments.status().message().rfind(file_ + ", " + c.message, 0), 0u)
        << arguments.status().message();
  }
}

TEST_F(ConfigFile, AFileThatCannotBeReadIsUsage) {
  for (const std::string& file : {directory_ + "/none.toml", directory_}) {
    const Result<Arguments> arguments =
        Parse(kIngest, std::vector<std::string>{"notes", "--into", "c", "--config", file});
    ASSERT_FALSE(arguments.ok());
    EXPECT_TRUE(IsUsageError(arguments.status()));
    EXPECT_EQ(arguments.status().message().rfind(file + ": cannot be read: ", 0), 0u)
        << arguments.status().message();
  }
  const Result<Arguments> large = ParseWith(std::string((1u << 20) + 1, '#'), {"--into", "c"});
  ASSERT_FALSE(large.ok());
  EXPECT_THAT(large.status().message(), EndsWith(": longer than 1048576 bytes"));
}

TEST_F(ConfigFile, MayGiveWhatTheCommandNeeds) {
  const Result<Arguments> arguments = ParseWith("into = \"corpus\"\n");
  ASSERT_TRUE(arguments.ok()) << arguments.status().ToString();
  EXPECT_EQ(arguments->Text("--into"), "corpus");
  EXPECT_THAT(arguments->positionals(), ElementsAre("notes"));
}

}  // namespace
}  // namespace embedflow::cli
