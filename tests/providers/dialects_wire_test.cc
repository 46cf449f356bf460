// Every dialect over a real socket against the simulator, which was written from the providers'
// pages without looking at the dialects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ostream>
#include <string>
#include <vector>

#include "embedflow/provider.h"
#include "embedflow/simulator.h"
#include "tests/providers/wire.h"

namespace embedflow {
namespace {

using Kind = Outcome::Kind;

// Of the models of servers of one's own.
constexpr int kOwnDimensions = 768;
constexpr const char* kWireKey = "EMBEDFLOW_WIRE_KEY";

struct DialectRow {
  const char* name;
  const char* model;
  SimulatorDialect dialect;
  const char* path;        // Of the base URL, after host and port.
  std::size_t inputs_max;  // That the simulator enforces and tells; 0: none.

  friend std::ostream& operator<<(std::ostream& out, const DialectRow& row) {
    return out << row.name << row.path;
  }
};

class OverTheWire : public testing::TestWithParam<DialectRow> {
 protected:
  OverTheWire() { ::setenv(kWireKey, "wire-key-0123456789", 1); }
  ~OverTheWire() override { ::unsetenv(kWireKey); }

  void Start(SimulatorOptions options = {}) {
    options.dialect = GetParam().dialect;
    options.requires_key = true;
    // Its requests name no model: the server has one.
    if (options.dialect == SimulatorDialect::kTei) options.dimensions = kOwnDimensions;
    auto started = Simulator::Start(options);
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    server_ = *std::move(started);
  }

  std::shared_ptr<const Provider> Make(const char* key = kWireKey) {
    const DialectRow& row = GetParam();
    ProviderOptions options;
    options.name = row.name;
    options.model = row.model;
    const bool is_azure = options.name == "azure";
    if (is_azure || FindProfile(row.name)->is_model_required)
      options.dimensions = is_azure ? 1536 : kOwnDimensions;
    options.base_url = "http://127.0.0.1:" + std::to_string(server_->port()) + row.path;
    options.api_key_env = key;
    const auto made = MakeProvider(options);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return made.ok() ? *made : nullptr;
  }

  // Sends `texts` and puts what comes back into vectors_.
  Outcome Send(const Provider& provider, const std::vector<std::string>& texts) {
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    const Dialect& dialect = *provider.dialect();
    const TransportAnswer answer =
        wire_.Send(dialect.Write(views), dialect.reply_bytes_max(texts.size()));
    vectors_.resize(texts.size() * static_cast<std::size_t>(dialect.space().dimensions));
    return dialect.Read(answer.reply, texts.size(), vectors_);
  }

  std::unique_ptr<Simulator> server_;
  Wire wire_;
  std::vector<float> vectors_;
};

TEST_P(OverTheWire, EachVectorIsThatOfItsText) {
  Start();
  const auto provider = Make();
  const std::vector<std::string> texts = {"alpha", "\"beta\"\n\t\\",
                                          "\xE2\x82\xAC \xF0\x9F\x8C\x8D", "alpha", "</script>"};
  const Outcome outcome = Send(*provider, texts);
  ASSERT_EQ(outcome.kind, Kind::kOk) << outcome.status.ToString();
  std::vector<float> expected;
  for (const std::string& text : texts) {
    const std::vector<float> vector = SimulatedVector(text, provider->space().dimensions);
    expected.insert(expected.end(), vector.begin(), vector.end());
  }
  ASSERT_EQ(vectors_.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(vectors_[i], expected[i], 1e-6) << "float " << i;
  }
  EXPECT_EQ(server_->stats().texts_received, texts.size());
  const bool is_billed = GetParam().dialect != SimulatorDialect::kGemini &&
                         GetParam().dialect != SimulatorDialect::kTei;
  if (is_billed || GetParam().path == std::string("/v1")) {
    EXPECT_GT(outcome.model_tokens.value_or(0), 0u);
  } else {
    EXPECT_EQ(outcome.model_tokens, std::nullopt);
  }
}

TEST_P(OverTheWire, LongTextsAreRefusedNotCut) {
  // Known traps: these two addresses cut and cannot be told not to (docs/providers.md).
  const bool is_openai_address = GetParam().path == std::string("/v1");
  if (is_openai_address && (GetParam().dialect == SimulatorDialect::kOllama ||
                            GetParam().dialect == SimulatorDialect::kTei)) {
    return;
  }
  SimulatorOptions options;
  options.limits.input_tokens_max = 100;
  Start(options);
  const Outcome outcome = Send(*Make(), {"short", std::string(1000, 'x')});
  EXPECT_TRUE(outcome.kind == Kind::kInvalid || outcome.kind == Kind::kOversize)
      << outcome.status.ToString();
  EXPECT_EQ(outcome.status.word(), "text_too_long") << outcome.status.ToString();
}

TEST_P(OverTheWire, TooManyTextsTellTheCap) {
  if (GetParam().inputs_max == 0) return;
  Start();
  const auto provider = Make();
  const std::vector<std::string> texts(GetParam().inputs_max + 1, "a");
  const Outcome outcome = Send(*provider, texts);
  EXPECT_EQ(outcome.kind, Kind::kOversize) << outcome.status.ToString();
  if (GetParam().dialect != SimulatorDialect::kMistral) {
    EXPECT_EQ(outcome.caps.inputs_max, GetParam().inputs_max) << outcome.status.ToString();
  }
  EXPECT_EQ(Send(*provider, {texts.begin() + 1, texts.end()}).kind, Kind::kOk);
}

TEST_P(OverTheWire, TooManyTokensAreOversize) {
  SimulatorOptions options;
  options.limits.request_tokens_max = 100;
  options.limits.input_tokens_max = 0;
  Start(options);
  const Outcome outcome = Send(*Make(), std::vector<std::string>(20, std::string(40, 'x')));
  EXPECT_EQ(outcome.kind, Kind::kOversize) << outcome.status.ToString();
}

TEST_P(OverTheWire, ThrottlesSayHowLong) {
  SimulatorOptions options;
  options.limits.rpm = 1;
  Start(options);
  const auto provider = Make();
  EXPECT_EQ(Send(*provider, {"a"}).kind, Kind::kOk);
  const Outcome outcome = Send(*provider, {"b"});
  EXPECT_EQ(outcome.kind, Kind::kThrottled) << outcome.status.ToString();
  EXPECT_EQ(outcome.status.word(), "throttled");
}

TEST_P(OverTheWire, AMissingKeyIsRefused) {
  const std::string_view name = GetParam().name;
  if (name == "ollama") return;  // It knows no keys.
  Start();
  const Outcome outcome = Send(*Make("none"), {"a"});
  EXPECT_EQ(outcome.kind, Kind::kRefused) << outcome.status.ToString();
}

INSTANTIATE_TEST_SUITE_P(
    Dialects, OverTheWire,
    testing::Values(
        DialectRow{"openai", "text-embedding-3-small", SimulatorDialect::kOpenAi, "/v1", 2048},
        DialectRow{"azure", "my-deployment", SimulatorDialect::kAzure, "", 2048},
        DialectRow{"azure", "my-deployment", SimulatorDialect::kAzure, "/openai/v1", 2048},
        DialectRow{"mistral", "mistral-embed", SimulatorDialect::kMistral, "/v1", 512},
        DialectRow{"cohere", "embed-v4.0", SimulatorDialect::kCohere, "", 96},
        DialectRow{"voyage", "voyage-4", SimulatorDialect::kVoyage, "/v1", 1000},
        DialectRow{"gemini", "gemini-embedding-001", SimulatorDialect::kGemini, "/v1beta", 100},
        DialectRow{"jina", "jina-embeddings-v3", SimulatorDialect::kJina, "/v1", 512},
        DialectRow{"ollama", "nomic-embed-text", SimulatorDialect::kOllama, "", 0},
        DialectRow{"ollama", "nomic-embed-text", SimulatorDialect::kOllama, "/v1", 0},
        DialectRow{"llamacpp", "nomic-embed-text", SimulatorDialect::kLlamaCpp, "/v1", 0},
        DialectRow{"tei", "nomic-embed-text", SimulatorDialect::kTei, "", 32},
        DialectRow{"tei", "nomic-embed-text", SimulatorDialect::kTei, "/v1", 32},
        DialectRow{"vllm", "nomic-embed-text", SimulatorDialect::kOpenAi, "/v1", 2048},
        DialectRow{"local", "nomic-embed-text", SimulatorDialect::kOpenAi, "/v1", 2048}),
    [](const auto& test) {
      std::string name = test.param.name + std::string(test.param.path);
      for (char& c : name) {
        if (c == '/') c = '_';
      }
      return name;
    });

}  // namespace
}  // namespace embedflow
