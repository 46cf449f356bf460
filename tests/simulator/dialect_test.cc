// Every dialect's requests, replies and errors by their shape, judged by a parser that is not ours.
#include "simulator/dialect.h"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <cstring>
#include <string>
#include <vector>

#include "embedflow/provider.h"
#include "simulator/error_body.h"
#include "simulator/headers.h"
#include "simulator/policy.h"
#include "simulator/reply_body.h"
#include "simulator/request.h"

namespace embedflow {
namespace {

using rapidjson::Value;
constexpr int kDimensions = 5;

SimulatorRequest Request(const std::string& target, const std::string& body,
                         SimulatorDialect otherwise = SimulatorDialect::kOpenAi) {
  SimulatorRequest request;
  request.method = "POST";
  request.target = target;
  request.body = body;
  request.number = 1;
  RouteSimulatorRequest(otherwise, &request);
  ReadSimulatorBody(&request);
  return request;
}

rapidjson::Document Parsed(const std::string& text) {
  rapidjson::Document document;
  document.Parse(text.data(), text.size());
  EXPECT_FALSE(document.HasParseError()) << text;
  return document;
}

rapidjson::Document ReplyTo(const SimulatorRequest& request) {
  EXPECT_EQ(request.body_error, "");
  EXPECT_EQ(request.texts, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(request.dimensions, kDimensions);
  Rng rng(1);
  return Parsed(WriteSimulatorBody(request, {}, kDimensions, rng));
}

std::vector<float> Floats(const Value& list) {
  std::vector<float> floats;
  for (const Value& x : list.GetArray()) floats.push_back(x.GetFloat());
  return floats;
}

std::vector<float> FromBase64(const std::string& text) {
  static const std::string kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  int held = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<unsigned>(kAlphabet.find(c));
    held += 6;
    if (held >= 8) bytes += static_cast<char>(bits >> (held -= 8) & 255u);
  }
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

const std::vector<float> kOne = SimulatedVector("one", kDimensions);
const std::vector<float> kTwo = SimulatedVector("two", kDimensions);

TEST(SimulatorDialect, OpenAi) {
  const auto reply =
      ReplyTo(Request("/v1/embeddings", R"({"model":"m","input":["one","two"],"dimensions":5})"));
  EXPECT_STREQ(reply["object"].GetString(), "list");
  EXPECT_STREQ(reply["model"].GetString(), "m");
  ASSERT_EQ(reply["data"].Size(), 2u);
  EXPECT_STREQ(reply["data"][1]["object"].GetString(), "embedding");
  EXPECT_EQ(reply["data"][1]["index"].GetInt(), 1);
  EXPECT_EQ(Floats(reply["data"][0]["embedding"]), kOne);
  EXPECT_EQ(Floats(reply["data"][1]["embedding"]), kTwo);
  EXPECT_EQ(reply["usage"]["prompt_tokens"].GetInt(), 2);  // Six bytes.
  EXPECT_EQ(reply["usage"]["total_tokens"].GetInt(), 2);
}

TEST(SimulatorDialect, OpenAiInBase64) {
  const auto reply = ReplyTo(
      Request("/openai/deployments/d/embeddings?api-version=2024-10-21",
              R"({"input":["one","two"],"dimensions":5,"encoding_format":"base64","user":"u"})"));
  EXPECT_EQ(FromBase64(reply["data"][0]["embedding"].GetString()), kOne);
  EXPECT_EQ(FromBase64(reply["data"][1]["embedding"].GetString()), kTwo);
}

TEST(SimulatorDialect, MistralVoyageJina) {
  for (const auto& [dialect, body] : {
           std::pair(SimulatorDialect::kMistral,
                     R"({"model":"m","input":["one","two"],"output_dimension":5,)"
                     R"("output_dtype":"float","encoding_format":"base64"})"),
           std::pair(SimulatorDialect::kVoyage,
                     R"({"model":"m","input":["one","two"],"output_dimension":5,)"
                     R"("truncation":false,"encoding_format":"base64"})"),
           std::pair(SimulatorDialect::kJina,
                     R"({"model":"m","input":["one","two"],"dimensions":5,)"
                     R"("truncate":false,"embedding_type":"base64"})"),
       }) {
    const auto reply = ReplyTo(Request("/v1/embeddings", body, dialect));
    EXPECT_EQ(FromBase64(reply["data"][1]["embedding"].GetString()), kTwo);
    EXPECT_EQ(reply["usage"].HasMember("prompt_tokens"), dialect != SimulatorDialect::kVoyage);
    EXPECT_EQ(reply.HasMember("id"), dialect == SimulatorDialect::kMistral);
  }
}

TEST(SimulatorDialect, Cohere) {
  const std::string begin =
      R"({"model":"m","input_type":"search_document","texts":["one","two"],"truncate":"NONE",)"
      R"("output_dimension":5,"embedding_types":[")";
  const auto floats = ReplyTo(Request("/v2/embed", begin + "float\"]}"));
  EXPECT_EQ(Floats(floats["embeddings"]["float"][1]), kTwo);
  EXPECT_STREQ(floats["texts"][0].GetString(), "one");
  EXPECT_EQ(floats["meta"]["billed_units"]["input_tokens"].GetInt(), 2);
  EXPECT_STREQ(floats["response_type"].GetString(), "embeddings_by_type");
  const auto base64 = ReplyTo(Request("/v2/embed", begin + "base64\"]}"));
  EXPECT_EQ(FromBase64(base64["embeddings"]["base64"][0].GetString()), kOne);
}

TEST(SimulatorDialect, Gemini) {
  const auto reply =
      ReplyTo(Request("/v1beta/models/g:batchEmbedContents",
                      R"({"requests":[{"model":"models/g","content":{"parts":[{"text":"one"}]},)"
                      R"("taskType":"RETRIEVAL_DOCUMENT","outputDimensionality":5},)"
                      R"({"model":"models/g","content":{"parts":[{"text":"t"},{"text":"wo"}]},)"
                      R"("outputDimensionality":5}]})"));
  EXPECT_EQ(Floats(reply["embeddings"][0]["values"]), kOne);
  EXPECT_EQ(Floats(reply["embeddings"][1]["values"]), kTwo);

  const SimulatorRequest single =
      Request("/v1beta/models/g:embedContent",
              R"({"model":"models/g","content":{"parts":[{"text":"one"}]},)"
              R"("outputDimensionality":5})");
  Rng rng(1);
  const auto one = Parsed(WriteSimulatorBody(single, {}, kDimensions, rng));
  EXPECT_EQ(Floats(one["embedding"]["values"]), kOne);
}

TEST(SimulatorDialect, OllamaTeiAndLlamaCpp) {
  const auto ollama =
      ReplyTo(Request("/api/embed", R"({"model":"m","input":["one","two"],"truncate":false,)"
                                    R"("dimensions":5,"options":{"num_ctx":1}})"));
  EXPECT_STREQ(ollama["model"].GetString(), "m");
  EXPECT_EQ(Floats(ollama["embeddings"][1]), kTwo);
  EXPECT_EQ(ollama["prompt_eval_count"].GetInt(), 2);

  const auto tei =
      ReplyTo(Request("/embed", R"({"inputs":["one","two"],"truncate":false,"dimensions":5})"));
  EXPECT_EQ(Floats(tei[0]), kOne);

  const auto llama = ReplyTo(Request("/embedding", R"({"content":["one","two"],"dimensions":5})"));
  EXPECT_EQ(llama[1]["index"].GetInt(), 1);
  EXPECT_EQ(Floats(llama[1]["embedding"][0]), kTwo);
}

TEST(SimulatorDialect, ASingleTextNeedsNoList) {
  EXPECT_EQ(Request("/v1/embeddings", R"({"input":"one"})").texts, std::vector<std::string>{"one"});
  EXPECT_TRUE(Request("/v1/embeddings", R"({"input":[1,2]})").has_token_ids);
  EXPECT_NE(Request("/v1/embeddings", R"({"input":["one")").body_error, "");
}

TEST(SimulatorDialect, UnknownPathsEmbedNothing) {
  EXPECT_FALSE(Request("/v1/chat/completions", "{}").is_embeddings);
  EXPECT_EQ(Request("/openai/v1/embeddings", "{}").dialect, SimulatorDialect::kAzure);
  EXPECT_EQ(Request("/embed", "{}", SimulatorDialect::kCohere).dialect, SimulatorDialect::kCohere);
}

SimulatorRequest RequestOf(SimulatorDialect dialect) {
  SimulatorRequest request = Request("/v1/embeddings", R"({"model":"m","input":["one"]})", dialect);
  if (dialect == SimulatorDialect::kCohere) request.shape = SimulatorShape::kCohere;
  if (dialect == SimulatorDialect::kGemini) request.shape = SimulatorShape::kGemini;
  return request;
}

TEST(SimulatorError, HasTheShapeOfItsProvider) {
  for (std::size_t i = 0; i < SimulatorDialectNames().size(); ++i) {
    const auto dialect = static_cast<SimulatorDialect>(i);
    SCOPED_TRACE(std::string(SimulatorDialectNames()[i]));
    const SimulatorReply reply = MakeSimulatorError(RequestOf(dialect), SimulatorError::kServer);
    EXPECT_EQ(reply.status, 500);
    const auto body = Parsed(*reply.body);
    switch (dialect) {
      case SimulatorDialect::kOpenAi:
      case SimulatorDialect::kOllama:
        EXPECT_TRUE(body["error"]["message"].IsString());
        EXPECT_TRUE(body["error"]["code"].IsNull());
        break;
      case SimulatorDialect::kAzure:
        EXPECT_STREQ(body["error"]["code"].GetString(), "500");
        break;
      case SimulatorDialect::kMistral:
        EXPECT_STREQ(body["object"].GetString(), "error");
        EXPECT_TRUE(body["message"].IsString());
        break;
      case SimulatorDialect::kCohere:
        EXPECT_TRUE(body["message"].IsString());
        break;
      case SimulatorDialect::kVoyage:
      case SimulatorDialect::kJina:
        EXPECT_TRUE(body["detail"].IsString());
        break;
      case SimulatorDialect::kGemini:
        EXPECT_EQ(body["error"]["code"].GetInt(), 500);
        EXPECT_STREQ(body["error"]["status"].GetString(), "INTERNAL");
        break;
      case SimulatorDialect::kTei:
        EXPECT_EQ(body["code"].GetInt(), 500);
        EXPECT_TRUE(body["message"].IsString());
        break;
      case SimulatorDialect::kLlamaCpp:
        EXPECT_EQ(body["error"]["code"].GetInt(), 500);
        break;
    }
  }
}

TEST(SimulatorError, NativeRoutesHaveErrorsOfTheirOwn) {
  const SimulatorRequest ollama = Request("/api/embed", R"({"input":["one"]})");
  EXPECT_TRUE(
      Parsed(*MakeSimulatorError(ollama, SimulatorError::kNoModel).body)["error"].IsString());
  const SimulatorRequest tei = Request("/embed", R"({"inputs":["one"]})");
  const auto body = Parsed(*MakeSimulatorError(tei, SimulatorError::kOverload).body);
  EXPECT_STREQ(body["error_type"].GetString(), "Overloaded");
}

// Status and message of what the policy says to a request of 3 texts with 5 tokens each.
std::pair<int, std::string> Refused(SimulatorDialect dialect, const SimulatorLimits& limits) {
  SimulatorOptions options;
  options.dialect = dialect;
  options.limits = limits;
  SimulatorRequest request = RequestOf(dialect);
  request.has_input_type = true;
  request.truncates = false;
  request.texts.assign(3, std::string(20, 'x'));
  const SimulatorReply reply = SimulatorPolicy(options).Decide(request).reply;
  return {reply.status, reply.body.value_or("")};
}

TEST(SimulatorPolicy, SpeaksOfSizesAsTheProviderDoes) {
  const auto has = [](const std::pair<int, std::string>& refused, int status,
                      const std::string& words) {
    EXPECT_EQ(refused.first, status) << refused.second;
    EXPECT_NE(refused.second.find(words), std::string::npos) << refused.second;
  };
  SimulatorLimits inputs;
  inputs.inputs_max = 2;
  has(Refused(SimulatorDialect::kOpenAi, inputs), 400, "maximum length 2");
  has(Refused(SimulatorDialect::kMistral, inputs), 400, "Too many inputs in request");
  has(Refused(SimulatorDialect::kCohere, inputs), 400, "must be at most 2 - received 3");
  has(Refused(SimulatorDialect::kGemini, inputs), 400, "at most 2 requests can be in one batch");
  has(Refused(SimulatorDialect::kTei, inputs), 422, "batch size 3 > maximum allowed batch size 2");
  SimulatorLimits tokens;
  tokens.request_tokens_max = 14;
  has(Refused(SimulatorDialect::kOpenAi, tokens), 400,
      "Requested 15 tokens, max 14 tokens per request");
  has(Refused(SimulatorDialect::kMistral, tokens), 400,
      "Too many tokens in batch. Max is 14 got 15");
  SimulatorLimits input;
  input.input_tokens_max = 4;
  has(Refused(SimulatorDialect::kOpenAi, input), 400, "maximum context length is 4 tokens");
  has(Refused(SimulatorDialect::kOllama, input), 400,
      "the input length exceeds the context length");
  has(Refused(SimulatorDialect::kLlamaCpp, input), 500, "input (5 tokens) is too large to process");
  SimulatorLimits body;
  body.body_bytes_max = 10;
  has(Refused(SimulatorDialect::kTei, body), 413, "10 bytes");
}

TEST(SimulatorPolicy, CutsInSilenceWhereTheProviderDoes) {
  SimulatorOptions options;
  options.limits.input_tokens_max = 1;
  SimulatorRequest request = Request("/embed", R"({"inputs":["one","twosome"]})");
  const SimulatorReply cut = SimulatorPolicy(options).Decide(request).reply;
  EXPECT_EQ(cut.status, 200);
  Rng rng(1);
  const auto body = Parsed(WriteSimulatorBody(request, cut, kDimensions, rng));
  EXPECT_EQ(Floats(body[0]), kOne);
  EXPECT_EQ(Floats(body[1]), SimulatedVector("twos", kDimensions));
  request.truncates = false;
  EXPECT_EQ(SimulatorPolicy(options).Decide(request).reply.status, 422);
}

TEST(SimulatorPolicy, RefusesWhatIsNoRequest) {
  const auto status = [](const SimulatorRequest& request, bool requires_key = false) {
    SimulatorOptions options;
    options.requires_key = requires_key;
    return SimulatorPolicy(options).Decide(request).reply.status;
  };
  EXPECT_EQ(status(Request("/v1/embeddings", R"({"input":["a"]})")), 200);
  EXPECT_EQ(status(Request("/v1/chat", R"({"input":["a"]})")), 404);
  EXPECT_EQ(status(Request("/v1/embeddings", R"({"input":["a")")), 400);
  EXPECT_EQ(status(Request("/v1/embeddings", R"({"inputs":["a"],"model":"m"})")), 400);
  EXPECT_EQ(status(Request("/v1/embeddings", R"({"model":"m"})")), 400);
  EXPECT_EQ(status(Request("/v1/embeddings", R"({"input":[]})")), 400);
  EXPECT_EQ(status(Request("/v1/embeddings", R"({"input":[""]})")), 400);
  EXPECT_EQ(status(Request("/v1/embeddings", R"({"input":[[1,2]]})")), 400);
  EXPECT_EQ(status(Request("/v1/embeddings", R"({"input":["a"],"dimensions":0})")), 400);
  EXPECT_EQ(status(Request("/v1/embeddings", R"({"input":["a"],"dimensions":70000})")), 400);
  EXPECT_EQ(status(Request("/v2/embed", R"({"texts":["a"]})")), 400);  // No input_type.
  SimulatorRequest request = Request("/v1/embeddings", R"({"input":["a"]})");
  EXPECT_EQ(status(request, true), 401);
  request.headers = {{"authorization", "Bearer x"}};
  EXPECT_EQ(status(request, true), 200);
  request.headers = {{"content-encoding", "gzip"}};
  EXPECT_EQ(status(request), 400);
  request.dialect = SimulatorDialect::kLlamaCpp;
  EXPECT_EQ(status(request), 415);
}

TEST(SimulatorPolicy, TakesAKeyOnlyWhereTheDialectHasIt) {
  const auto status = [](const std::string& path, const std::string& name,
                         const std::string& value) {
    SimulatorOptions options;
    options.requires_key = true;
    SimulatorRequest request = Request(path, R"({"input":["a"],"inputs":["a"],"requests":)"
                                             R"([{"content":{"parts":[{"text":"a"}]}}]})");
    request.headers = {{name, value}};
    return SimulatorPolicy(options).Decide(request).reply.status;
  };
  const std::string azure = "/openai/v1/embeddings";
  EXPECT_EQ(status(azure, "api-key", "x"), 200);
  // An Entra token.
  EXPECT_EQ(status(azure, "authorization", "Bearer x"), 200);
  EXPECT_EQ(status(azure, "authorization", "Bearer "), 401);
  EXPECT_EQ(status(azure, "authorization", "Basic x"), 401);
  EXPECT_EQ(status(azure, "x-goog-api-key", "x"), 401);
  EXPECT_EQ(status("/v1/embeddings", "api-key", "x"), 401);
  const std::string gemini = "/v1beta/models/m:batchEmbedContents";
  EXPECT_EQ(status(gemini, "x-goog-api-key", "x"), 200);
  EXPECT_NE(status(gemini, "authorization", "Bearer x"), 200);
}

TEST(SimulatorDialect, KnowsTheModelsOfTheProfiles) {
  for (const Profile& profile : Profiles()) {
    if (profile.name == "builtin") continue;
    for (const ModelProfile& model : profile.models) {
      EXPECT_EQ(DimensionsOfModel(model.model), model.dimensions) << model.model;
    }
  }
}

std::string HeaderOf(const SimulatorReply& reply, const std::string& name) {
  for (const auto& [key, value] : reply.headers) {
    if (key == name) return value;
  }
  return "none";
}

TEST(SimulatorPolicy, HeadersTellTheLimitsAlsoWithA200) {
  SimulatorOptions options;
  options.limits.rpm = 2;
  options.limits.tpm = 100;
  SimulatorPolicy policy(options);
  const SimulatorRequest request = Request("/v1/embeddings", R"({"model":"m","input":["one"]})");
  SimulatorReply reply = policy.Decide(request).reply;
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(HeaderOf(reply, "x-ratelimit-limit-requests"), "2");
  EXPECT_EQ(HeaderOf(reply, "x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(HeaderOf(reply, "x-ratelimit-remaining-tokens"), "99");
  EXPECT_EQ(HeaderOf(reply, "x-ratelimit-reset-requests"), "1m0s");
  (void)policy.Decide(request);
  reply = policy.Decide(request).reply;
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(HeaderOf(reply, "retry-after"), "60");
  EXPECT_EQ(HeaderOf(reply, "retry-after-ms"), "60000");
  EXPECT_NE(reply.body->find("requests per min (RPM): Limit 2"), std::string::npos);

  // The same limits in the words of others.
  SimulatorRequest azure = request;
  azure.dialect = SimulatorDialect::kAzure;
  EXPECT_EQ(HeaderOf(policy.Decide(azure).reply, "x-ratelimit-reset-tokens"), "60");
  SimulatorRequest mistral = request;
  mistral.dialect = SimulatorDialect::kMistral;
  EXPECT_EQ(HeaderOf(policy.Decide(mistral).reply, "ratelimitbysize-query-cost"), "1");
  SimulatorRequest gemini = request;
  gemini.dialect = SimulatorDialect::kGemini;
  gemini.shape = SimulatorShape::kGemini;
  const auto body = Parsed(*policy.Decide(gemini).reply.body);
  EXPECT_STREQ(body["error"]["details"][1]["retryDelay"].GetString(), "60s");
}

TEST(GoDuration, WritesAsGoDoes) {
  using std::chrono::milliseconds;
  EXPECT_EQ(GoDuration(Duration(0)), "0s");
  EXPECT_EQ(GoDuration(milliseconds(12)), "12ms");
  EXPECT_EQ(GoDuration(milliseconds(1000)), "1s");
  EXPECT_EQ(GoDuration(milliseconds(1500)), "1.5s");
  EXPECT_EQ(GoDuration(milliseconds(360'000)), "6m0s");
  EXPECT_EQ(GoDuration(milliseconds(3'723'004)), "1h2m3.004s");
}

}  // namespace
}  // namespace embedflow
