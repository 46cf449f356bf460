// What every dialect writes and reads, byte for byte: tests/golden/<dialect>/. Each file there is
// used by a row below.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "embedflow/provider.h"

namespace embedflow {
namespace {

using Kind = Outcome::Kind;
using Side = ProviderOptions::Side;

constexpr int kDimensions = 8;
constexpr const char* kKey = "golden-0123456789abcdef";

// Without the newline that ends the file.
std::string Golden(const std::string& file) {
  std::ifstream in(std::string(EMBEDFLOW_GOLDEN_DIR) + "/" + file, std::ios::binary);
  EXPECT_TRUE(in.good()) << file;
  std::ostringstream text;
  text << in.rdbuf();
  std::string all = text.str();
  if (!all.empty() && all.back() == '\n') all.pop_back();
  return all;
}

// Every key of the table is this one, where the provider takes one.
std::shared_ptr<const Provider> Make(ProviderOptions options) {
  ::setenv("EMBEDFLOW_GOLDEN_KEY", kKey, 1);
  if (!FindProfile(options.name)->api_key_env.empty()) options.api_key_env = "EMBEDFLOW_GOLDEN_KEY";
  const auto made = MakeProvider(options);
  EXPECT_TRUE(made.ok()) << options.name << ": " << made.status().ToString();
  return made.ok() ? *made : nullptr;
}

struct RequestRow {
  const char* file;
  ProviderOptions options;
  const char* url;
  const char* key_header;  // Empty: no key is sent.
};

std::vector<RequestRow> RequestRows() {
  const char* const bearer = "Authorization";
  const char* const openai = "https://api.openai.com/v1/embeddings";
  const char* const cohere = "https://api.cohere.com/v2/embed";
  const char* const voyage = "https://api.voyageai.com/v1/embeddings";
  const char* const jina = "https://api.jina.ai/v1/embeddings";
  const char* const mistral = "https://api.mistral.ai/v1/embeddings";
  const std::string gemini = "https://generativelanguage.googleapis.com/v1beta/models/";
  static const std::string gemini_first = gemini + "gemini-embedding-001:batchEmbedContents";
  static const std::string gemini_second = gemini + "gemini-embedding-2:batchEmbedContents";
  return {
      {"openai/request.json", {.name = "openai"}, openai, bearer},
      {"openai/request_dimensions.json",
       {.name = "openai", .model = "text-embedding-3-large", .dimensions = 256},
       openai,
       bearer},
      {"openai/request_parameters.json",
       {.name = "openai", .parameters = R"({ "user" : "u1" })"},
       openai,
       bearer},
      {"azure/request_classic.json",
       {.name = "azure",
        .model = "my deployment",
        .dimensions = 1536,
        .base_url = "https://res.openai.azure.com"},
       "https://res.openai.azure.com/openai/deployments/my%20deployment/"
       "embeddings?api-version=2024-10-21",
       "api-key"},
      {"azure/request_v1.json",
       {.name = "azure",
        .model = "my deployment",
        .dimensions = 1536,
        .base_url = "https://res.openai.azure.com/openai/v1/"},
       "https://res.openai.azure.com/openai/v1/embeddings",
       "api-key"},
      {"mistral/request.json", {.name = "mistral"}, mistral, bearer},
      {"mistral/request_int8.json",
       {.name = "mistral", .model = "codestral-embed", .dimensions = 512, .output_dtype = "int8"},
       mistral,
       bearer},
      {"cohere/request_document.json", {.name = "cohere"}, cohere, bearer},
      {"cohere/request_query.json",
       {.name = "cohere", .dimensions = 512, .side = Side::kQuery},
       cohere,
       bearer},
      {"cohere/request_int8.json", {.name = "cohere", .output_dtype = "int8"}, cohere, bearer},
      {"voyage/request_document.json", {.name = "voyage"}, voyage, bearer},
      {"voyage/request_query.json",
       {.name = "voyage", .dimensions = 256, .side = Side::kQuery},
       voyage,
       bearer},
      {"voyage/request_ubinary.json",
       {.name = "voyage", .output_dtype = "ubinary"},
       voyage,
       bearer},
      {"gemini/request_document.json", {.name = "gemini"}, gemini_first.c_str(), "x-goog-api-key"},
      {"gemini/request_query.json",
       {.name = "gemini", .dimensions = 768, .side = Side::kQuery},
       gemini_first.c_str(),
       "x-goog-api-key"},
      {"gemini/request_second.json",
       {.name = "gemini", .model = "gemini-embedding-2", .side = Side::kQuery},
       gemini_second.c_str(),
       "x-goog-api-key"},
      {"gemini/request_parameters.json",
       {.name = "gemini", .parameters = R"({"title":"t"})"},
       gemini_first.c_str(),
       "x-goog-api-key"},
      {"jina/request_document.json", {.name = "jina"}, jina, bearer},
      {"jina/request_query.json",
       {.name = "jina", .dimensions = 512, .side = Side::kQuery},
       jina,
       bearer},
      {"jina/request_v2.json",
       {.name = "jina",
        .model = "jina-embeddings-v2-base-en",
        .dimensions = 768,
        .side = Side::kQuery},
       jina,
       bearer},
      {"ollama/request.json",
       {.name = "ollama", .model = "nomic-embed-text"},
       "http://localhost:11434/api/embed",
       ""},
      {"llamacpp/request.json",
       {.name = "llamacpp", .model = "bge-m3"},
       "http://localhost:8080/v1/embeddings",
       ""},
      {"tei/request.json",
       {.name = "tei", .model = "BAAI/bge-m3"},
       "http://localhost:8080/embed",
       ""},
      {"vllm/request.json",
       {.name = "vllm", .model = "BAAI/bge-m3"},
       "http://localhost:8000/v1/embeddings",
       ""},
      {"lmstudio/request.json",
       {.name = "lmstudio", .model = "nomic-embed-text"},
       "http://localhost:1234/v1/embeddings",
       ""},
      // The same bodies at other addresses.
      {"lmstudio/request.json",
       {.name = "ollama", .model = "nomic-embed-text", .base_url = "http://localhost:11434/v1"},
       "http://localhost:11434/v1/embeddings",
       ""},
      {"vllm/request.json",
       {.name = "tei", .model = "BAAI/bge-m3", .base_url = "http://localhost:8080/v1/"},
       "http://localhost:8080/v1/embeddings",
       ""},
  };
}

TEST(Golden, Requests) {
  const std::vector<std::string_view> texts = {"first text", "a \"second\"\n\xE2\x82\xAC"};
  for (const RequestRow& row : RequestRows()) {
    const auto provider = Make(row.options);
    ASSERT_NE(provider, nullptr) << row.file;
    const HttpRequest request = provider->dialect()->Write(texts);
    EXPECT_EQ(request.body, Golden(row.file)) << row.file;
    EXPECT_EQ(request.url, row.url) << row.file;
    std::vector<std::string> names;
    for (const auto& [name, value] : request.headers) {
      names.push_back(name);
      if (value.find(kKey) == std::string::npos) continue;
      EXPECT_EQ(name, row.key_header) << row.file;
      EXPECT_EQ(value, (name == "Authorization" ? "Bearer " : "") + std::string(kKey));
    }
    if (*row.key_header != '\0') {
      EXPECT_THAT(names, testing::Contains(row.key_header)) << row.file;
    }
  }
}

// A provider whose vectors have eight dimensions, as those of the golden replies.
std::shared_ptr<const Provider> Small(const std::string& name, const std::string& dtype = {}) {
  ProviderOptions options;
  options.name = name;
  options.model = "a-model";
  options.dimensions = kDimensions;
  options.output_dtype = dtype;
  if (name == "azure") options.base_url = "https://res.openai.azure.com";
  return Make(options);
}

float Float(int i, int j) { return static_cast<float>(i + 1) * 0.5f + static_cast<float>(j) / 4; }
float Byte(int i, int j) { return static_cast<float>(j * 10 - 30 - i); }
// 0xA5 and 0x3C, the highest bit first.
float Bit(int i, int j) { return (((i == 0 ? 0xA5 : 0x3C) >> (7 - j)) & 1) != 0 ? 1.0f : -1.0f; }

struct ReplyRow {
  const char* file;
  std::optional<std::uint64_t> model_tokens;
  const char* dtype = "";
  float (*value)(int i, int j) = Float;
};

constexpr ReplyRow kReplies[] = {
    {"openai/reply.json", 8},
    {"openai/reply_floats.json", 8},
    {"azure/reply.json", 8},
    {"mistral/reply.json", 9},
    {"mistral/reply_int8.json", 9, "int8", Byte},
    {"mistral/reply_uint8.json", 9, "uint8", Byte},
    {"mistral/reply_binary.json", 9, "binary", Bit},
    {"mistral/reply_ubinary.json", 9, "ubinary", Bit},
    {"cohere/reply.json", 7},
    {"cohere/reply_floats.json", 7},
    {"cohere/reply_int8.json", 7, "int8", Byte},
    {"voyage/reply.json", 10},
    {"voyage/reply_ubinary.json", 10, "ubinary", Bit},
    {"gemini/reply.json", std::nullopt},
    {"jina/reply.json", 11},
    {"ollama/reply.json", 12},
    {"llamacpp/reply.json", 8},
    {"tei/reply.json", std::nullopt},
    {"vllm/reply.json", 8},
    {"lmstudio/reply.json", 0},
};

std::string DialectOf(const std::string& file) { return file.substr(0, file.find('/')); }

TEST(Golden, Replies) {
  for (const ReplyRow& row : kReplies) {
    const auto provider = Small(DialectOf(row.file), row.dtype);
    ASSERT_NE(provider, nullptr) << row.file;
    HttpReply reply;
    reply.status = 200;
    reply.body = Golden(row.file);
    std::vector<float> vectors(2 * kDimensions);
    const Outcome outcome = provider->dialect()->Read(reply, 2, vectors);
    ASSERT_EQ(outcome.kind, Kind::kOk) << row.file << ": " << outcome.status.ToString();
    EXPECT_EQ(outcome.model_tokens, row.model_tokens) << row.file;
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < kDimensions; ++j) {
        EXPECT_EQ(vectors[static_cast<std::size_t>(i * kDimensions + j)], row.value(i, j))
            << row.file << " vector " << i << " dimension " << j;
      }
    }
    EXPECT_LE(reply.body.size(), provider->dialect()->reply_bytes_max(2)) << row.file;
    // The same reply to one text, or to three, is no reply.
    for (const std::size_t inputs : {std::size_t{1}, std::size_t{3}}) {
      std::vector<float> others(inputs * kDimensions);
      EXPECT_EQ(provider->dialect()->Read(reply, inputs, others).kind, Kind::kBadReply) << row.file;
    }
  }
}

// Whatever is cut off, nothing of the rest is taken; whatever is spoilt, nothing breaks, and what
// is taken for vectors can be kept.
TEST(Golden, CutAndSpoiltRepliesAreRefusedOrUsable) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  for (const ReplyRow& row : kReplies) {
    const auto provider = Small(DialectOf(row.file), row.dtype);
    ASSERT_NE(provider, nullptr) << row.file;
    const std::string whole = Golden(row.file);
    std::vector<float> vectors(2 * kDimensions);
    HttpReply reply;
    reply.status = 200;
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      reply.body = whole.substr(0, bytes);
      EXPECT_EQ(provider->dialect()->Read(reply, 2, vectors).kind, Kind::kBadReply)
          << row.file << " cut to " << bytes;
    }
    for (int round = 0; round < 500; ++round) {
      reply.body = whole;
      for (std::uint64_t i = 0; i <= rng.Below(3); ++i) {
        reply.body[rng.Below(whole.size())] = "\"[]{},:0-.eE\\nx\xff"[rng.Below(17)];
      }
      if (provider->dialect()->Read(reply, 2, vectors).kind != Kind::kOk) continue;
      for (const float value : vectors) ASSERT_TRUE(std::isfinite(value)) << reply.body;
    }
  }
}

struct ErrorRow {
  const char* file;
  Kind kind;
  const char* word;
};

constexpr ErrorRow kErrors[] = {
    {"openai/error_400_tokens_per_request.json", Kind::kOversize, "oversize"},
    {"openai/error_400_context_length.json", Kind::kInvalid, "text_too_long"},
    {"openai/error_401.json", Kind::kRefused, "key_refused"},
    {"openai/error_429_rate.json", Kind::kThrottled, "throttled"},
    {"openai/error_429_too_large.json", Kind::kOversize, "oversize"},
    {"openai/error_429_quota.json", Kind::kRefused, "quota"},
    {"openai/error_429_slow_down.json", Kind::kThrottled, "throttled"},
    {"azure/error_404.json", Kind::kRefused, "model_unknown"},
    {"azure/error_413.json", Kind::kOversize, "oversize"},
    {"azure/error_429.json", Kind::kThrottled, "throttled"},
    {"mistral/error_400_tokens.json", Kind::kOversize, "oversize"},
    {"mistral/error_400_batch.json", Kind::kOversize, "oversize"},
    {"mistral/error_422.json", Kind::kInvalid, "invalid_input"},
    {"mistral/error_429.json", Kind::kThrottled, "throttled"},
    {"cohere/error_400_texts.json", Kind::kOversize, "oversize"},
    {"cohere/error_402.json", Kind::kRefused, "quota"},
    {"cohere/error_429.json", Kind::kThrottled, "throttled"},
    {"cohere/error_498.json", Kind::kRefused, "key_refused"},
    {"voyage/error_400_tokens.json", Kind::kOversize, "oversize"},
    {"voyage/error_400_length.json", Kind::kInvalid, "text_too_long"},
    {"voyage/error_429.json", Kind::kThrottled, "throttled"},
    {"gemini/error_400_batch.json", Kind::kOversize, "oversize"},
    {"gemini/error_400_key.json", Kind::kRefused, "key_refused"},
    {"gemini/error_402.json", Kind::kRefused, "quota"},
    {"gemini/error_429_minute.json", Kind::kThrottled, "throttled"},
    {"gemini/error_429_day.json", Kind::kRefused, "quota"},
    {"gemini/error_429_tier.json", Kind::kRefused, "quota"},
    {"jina/error_400_items.json", Kind::kOversize, "oversize"},
    {"jina/error_403_balance.json", Kind::kRefused, "quota"},
    {"ollama/error_400_length.json", Kind::kInvalid, "text_too_long"},
    {"ollama/error_404.json", Kind::kRefused, "model_unknown"},
    {"ollama/error_503.json", Kind::kTransient, "provider_error"},
    {"llamacpp/error_500_batch.json", Kind::kOversize, "text_too_long"},
    {"llamacpp/error_400_context.json", Kind::kInvalid, "text_too_long"},
    {"llamacpp/error_503_loading.json", Kind::kTransient, "provider_error"},
    {"tei/error_422_batch.json", Kind::kOversize, "oversize"},
    {"tei/error_422_length.json", Kind::kInvalid, "text_too_long"},
    {"tei/error_424.json", Kind::kTransient, "provider_error"},
    {"tei/error_429.json", Kind::kThrottled, "throttled"},
    {"tei/error_503.json", Kind::kTransient, "provider_error"},
    {"vllm/error_400_length.json", Kind::kInvalid, "text_too_long"},
    {"vllm/error_400_flat.json", Kind::kInvalid, "text_too_long"},
    {"lmstudio/error_404.json", Kind::kRefused, "model_unknown"},
};

TEST(Golden, Errors) {
  for (const ErrorRow& row : kErrors) {
    const std::string file = row.file;
    const auto provider = Small(DialectOf(file));
    ASSERT_NE(provider, nullptr) << file;
    HttpReply reply;
    reply.status = std::stoi(file.substr(file.find("error_") + 6, 3));
    reply.body = Golden(file);
    std::vector<float> vectors(2 * kDimensions);
    const Outcome outcome = provider->dialect()->Read(reply, 2, vectors);
    EXPECT_EQ(outcome.kind, row.kind) << file << ": " << outcome.status.ToString();
    EXPECT_EQ(outcome.status.word(), row.word) << file << ": " << outcome.status.ToString();
    // An error that says it was a success is no success.
    reply.status = 200;
    EXPECT_EQ(provider->dialect()->Read(reply, 2, vectors).kind, Kind::kBadReply) << file;
  }
}

TEST(Golden, EveryFileIsUsed) {
  std::set<std::string> used;
  for (const RequestRow& row : RequestRows()) used.insert(row.file);
  for (const ReplyRow& row : kReplies) used.insert(row.file);
  for (const ErrorRow& row : kErrors) used.insert(row.file);
  std::set<std::string> there;
  const std::filesystem::path root = EMBEDFLOW_GOLDEN_DIR;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) there.insert(entry.path().lexically_relative(root).string());
  }
  EXPECT_EQ(there, used);
}

}  // namespace
}  // namespace embedflow
