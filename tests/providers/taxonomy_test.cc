// Every condition a provider can answer with, and what it is taken for: one row each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "providers/http_outcome.h"

namespace embedflow {
namespace {

using Kind = Outcome::Kind;
using std::chrono::milliseconds;
using Headers = std::vector<std::pair<std::string, std::string>>;

const ProviderNames kNames = {"p", "m", "host:443", "/v1/embeddings", "KEY"};
constexpr std::int64_t kNow = 1795370400000;

struct Row {
  const char* name;
  int status;
  const char* body;
  Kind kind;
  const char* word;
  LearntCaps caps = {};
  std::optional<milliseconds> retry_after = {};
  bool is_ramp_too_fast = false;
  std::optional<bool> should_retry = {};
  Headers headers = {};
};

LearntCaps Inputs(std::size_t max) { return {max, {}}; }
LearntCaps Tokens(std::size_t max) { return {{}, max}; }
milliseconds Ms(int ms) { return milliseconds(ms); }

// Quota and credit: no retry helps, whatever x-should-retry says.
std::vector<Row> Money() {
  std::vector<Row> rows;
  for (
      const char* body :
      {R"({"error":{"type":"insufficient_quota","code":null}})",
       R"({"error":{"type":"insufficient_quota","code":"insufficient_quota"}})",
       R"({"error":{"type":"insufficient_quota","code":"credit_balance_exhausted"}})",
       R"({"error":{"type":"x","code":"organization_spend_limit_exceeded"}})",
       R"({"error":{"type":"x","code":"project_spend_limit_exceeded"}})",
       R"({"error":{"type":"x","code":"organization_usage_limit_exceeded"}})",
       R"({"error":{"type":"x","code":"billing_hard_limit_reached"}})",
       R"({"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m","details":[{"violations":[{"quotaId":"RequestsPerMinutePerProject"},{"quotaId":"RequestsPerDayPerProject"}]},{"retryDelay":"46s"}]}})",
       R"({"error":{"code":429,"message":"quota exceeded, limit: 0, model: gemini-embedding"}})",
       R"({"error":{"code":429,"message":"quota exceeded for x, limit: 0"}})"}) {
    rows.push_back({"429 quota", 429, body, Kind::kRefused, "quota"});
    rows.back().should_retry = true;
    rows.back().headers = {{"x-should-retry", "true"}, {"retry-after", "5"}};
  }
  rows.push_back({"402 plain", 402, "", Kind::kRefused, "quota"});
  rows.push_back(
      {"402 Gemini", 402, R"({"error":{"status":"RESOURCE_EXHAUSTED"}})", Kind::kRefused, "quota"});
  rows.push_back({"403 Jina", 403, R"({"detail":"x","code":"AUTHZ_INSUFFICIENT_BALANCE"})",
                  Kind::kRefused, "quota"});
  return rows;
}

// The provider as it is set up does not work.
std::vector<Row> Refusals() {
  return {
      {"401", 401, "", Kind::kRefused, "key_refused"},
      {"403", 403, "", Kind::kRefused, "access_refused"},
      {"403 Azure network", 403,
       R"({"error":{"code":"403","message":"Access denied due to Virtual Network/Firewall rules."}})",
       Kind::kRefused, "access_refused"},
      {"404", 404, "", Kind::kRefused, "not_found"},
      {"404 deployment", 404,
       R"({"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}})",
       Kind::kRefused, "model_unknown"},
      {"405", 405, "", Kind::kRefused, "request_refused"},
      {"451", 451, "", Kind::kRefused, "request_refused"},
      {"498 Cohere", 498, R"({"message":"invalid api token"})", Kind::kRefused, "key_refused"},
      {"400 Gemini key", 400,
       R"({"error":{"code":400,"message":"API key not valid.","details":[{"reason":"API_KEY_INVALID"}]}})",
       Kind::kRefused, "key_refused"},
      {"501", 501, "", Kind::kRefused, "request_refused"},
      {"505", 505, "", Kind::kRefused, "request_refused"},
  };
}

std::vector<Row> Throttles() {
  const char* const rate =
      R"({"error":{"message":"Rate limit reached for m on tokens per min (TPM): Limit 1000000, Used 990000, Requested 20000. Please try again in 600ms.","type":"tokens","code":"rate_limit_exceeded"}})";
  return {
      {"429 rate", 429, rate, Kind::kThrottled, "throttled", {}, Ms(600)},
      {"429 rate, header first",
       429,
       rate,
       Kind::kThrottled,
       "throttled",
       {},
       Ms(250),
       false,
       {},
       {{"retry-after-ms", "250"}, {"retry-after", "1"}}},
      {"429 Go duration",
       429,
       "",
       Kind::kThrottled,
       "throttled",
       {},
       Ms(360000),
       false,
       {},
       {{"retry-after", "6m0s"}}},
      {"429 Azure words",
       429,
       R"({"error":{"code":"429","message":"Rate limit is exceeded. Please retry after 7 seconds."}})",
       Kind::kThrottled,
       "throttled",
       {},
       Ms(7000)},
      {"429 Azure capacity", 429,
       R"({"error":{"code":"429","message":"System is experiencing high demand"}})",
       Kind::kThrottled, "throttled"},
      {"429 Mistral", 429,
       R"({"type":"rate_limited","code":"1300","message":"Rate limit exceeded"})", Kind::kThrottled,
       "throttled"},
      {"429 Gemini minute",
       429,
       R"({"error":{"code":429,"message":"m","details":[{"violations":[{"quotaId":"RequestsPerMinutePerProject"}]},{"retryDelay":"46s"}]}})",
       Kind::kThrottled,
       "throttled",
       {},
       Ms(46000)},
      {"429 Gemini limit above 0", 429, R"({"error":{"message":"quota exceeded, limit: 0.5"}})",
       Kind::kThrottled, "throttled"},
      {"429 Gemini limit of 05", 429, R"({"error":{"message":"quota exceeded, limit: 05"}})",
       Kind::kThrottled, "throttled"},
      {"429 Cohere window",
       429,
       "",
       Kind::kThrottled,
       "throttled",
       {},
       Ms(9000),
       false,
       {},
       {{"x-ratelimit-reset", "1795370409"}}},
      {"429 slow_down",
       429,
       R"({"error":{"type":"rate_limit_error","code":"slow_down"}})",
       Kind::kThrottled,
       "throttled",
       {},
       {},
       true},
      {"503 slow_down",
       503,
       R"({"error":{"type":"rate_limit_error","code":"slow_down"}})",
       Kind::kThrottled,
       "throttled",
       {},
       {},
       true},
      {"429 TEI", 429, R"({"error":"Model is overloaded","error_type":"Overloaded"})",
       Kind::kThrottled, "throttled"},
      {"429 not to be sent again",
       429,
       "",
       Kind::kThrottled,
       "throttled",
       {},
       {},
       false,
       false,
       {{"x-should-retry", "false"}}},
  };
}

std::vector<Row> Oversizes() {
  return {
      {"429 OpenAI", 429,
       R"({"error":{"message":"Request too large for m on tokens per min (TPM): Limit 40000, Requested 51000.","code":"rate_limit_exceeded"}})",
       Kind::kOversize, "oversize", Tokens(40000)},
      {"429 with commas", 429,
       R"({"error":{"message":"Request too large for m: Limit 1,000,000, Requested 1,200,000."}})",
       Kind::kOversize, "oversize", Tokens(1'000'000)},
      {"400 OpenAI", 400,
       R"({"error":{"message":"Requested 412345 tokens, max 300000 tokens per request","type":"max_tokens_per_request","code":"max_tokens_per_request"}})",
       Kind::kOversize, "oversize", Tokens(300'000)},
      {"400 OpenAI items", 400,
       R"({"error":{"message":"Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length 3000 instead.","code":"array_above_max_length"}})",
       Kind::kOversize, "oversize", Inputs(2048)},
      {"413", 413, "", Kind::kOversize, "oversize"},
      {"413 Azure", 413,
       R"({"error":{"code":"tokens_limits_reached","message":"Request body too large. Max size: 64000 tokens."}})",
       Kind::kOversize, "oversize", Tokens(64'000)},
      {"400 Azure inputs", 400,
       R"({"error":{"message":"Too many inputs. The max number of inputs is 16."}})",
       Kind::kOversize, "oversize", Inputs(16)},
      {"400 Mistral 3210", 400,
       R"({"object":"error","message":"m","type":"invalid_request_prompt","code":"3210"})",
       Kind::kOversize, "oversize"},
      {"400 Mistral inputs", 400,
       R"({"message":"Too many inputs in request, split into more batches.","code":"3210"})",
       Kind::kOversize, "oversize"},
      {"400 Mistral tokens", 400,
       R"({"message":"Too many tokens in batch. Max is 16384 got 20480"})", Kind::kOversize,
       "oversize", Tokens(16'384)},
      {"422 TEI", 422,
       R"({"error":"batch size 64 > maximum allowed batch size 32","error_type":"Validation"})",
       Kind::kOversize, "oversize", Inputs(32)},
      {"400 Gemini", 400,
       R"({"error":{"code":400,"status":"INVALID_ARGUMENT","message":"at most 100 requests can be in one batch"}})",
       Kind::kOversize, "oversize", Inputs(100)},
      {"400 Gemini bytes", 400,
       R"({"error":{"message":"Request payload size exceeds the limit: 4194304 bytes."}})",
       Kind::kOversize, "oversize"},
      {"400 Jina", 400, R"({"detail":"Each input list can contain at most 512 items"})",
       Kind::kOversize, "oversize", Inputs(512)},
      {"422 Jina", 422, R"({"detail":["Each input list can contain at most 512 items"]})",
       Kind::kOversize, "oversize", Inputs(512)},
      {"400 Cohere", 400,
       R"({"message":"invalid request: total number of texts must be at most 96 - received 128"})",
       Kind::kOversize, "oversize", Inputs(96)},
      {"400 Voyage", 400,
       R"({"detail":"The max allowed tokens per submitted batch is 120000. Your batch has 154328 tokens."})",
       Kind::kOversize, "oversize", Tokens(120'000)},
      {"400 Voyage inputs", 400,
       R"({"detail":"The batch size limit is 1000. Your batch size is 1200."})", Kind::kOversize,
       "oversize", Inputs(1000)},
      {"A cap of 0 is none", 422, R"({"error":"batch size 64 > maximum allowed batch size 0"})",
       Kind::kOversize, "oversize"},
      {"500 llama.cpp", 500,
       R"j({"error":{"code":500,"message":"input (700 tokens) is too large to process. increase the physical batch size (current batch size: 512)","type":"server_error"}})j",
       Kind::kOversize, "text_too_long"},
  };
}

// One text of the batch, found by splitting.
std::vector<Row> Texts() {
  return {
      {"400 OpenAI length", 400,
       R"({"error":{"message":"This model's maximum context length is 8192 tokens, however you requested 9210 tokens.","type":"invalid_request_error","code":null}})",
       Kind::kInvalid, "text_too_long"},
      {"400 code", 400, R"({"error":{"code":"context_length_exceeded"}})", Kind::kInvalid,
       "text_too_long"},
      {"400 vLLM flat", 400,
       R"({"object":"error","message":"This model's maximum context length is 512 tokens.","type":"BadRequestError","code":400})",
       Kind::kInvalid, "text_too_long"},
      {"400 Ollama", 400, R"({"error":"the input length exceeds the context length"})",
       Kind::kInvalid, "text_too_long"},
      {"400 llama.cpp", 400, R"({"error":{"code":400,"type":"exceed_context_size_error"}})",
       Kind::kInvalid, "text_too_long"},
      {"422 TEI length", 422,
       R"({"error":"Input validation error: `inputs` must have less than 512 tokens. Given: 700","error_type":"Validation"})",
       Kind::kInvalid, "text_too_long"},
      {"400 Azure content", 400,
       R"({"error":{"code":"content_filter","message":"The response was filtered"}})",
       Kind::kInvalid, "invalid_input"},
      {"422 list", 422, R"({"detail":[{"loc":["body"],"msg":"field required"}]})", Kind::kInvalid,
       "invalid_input"},
      {"400 that may work",
       400,
       "",
       Kind::kInvalid,
       "invalid_input",
       {},
       {},
       false,
       true,
       {{"x-should-retry", "true"}}},
      {"418", 418, "", Kind::kInvalid, "invalid_input"},
  };
}

std::vector<Row> Transients() {
  std::vector<Row> rows;
  for (const int status : {408, 409, 424, 425, 499, 500, 502, 503, 504, 520, 529}) {
    rows.push_back({"transient", status, "", Kind::kTransient, "provider_error", {}, Ms(2000)});
    rows.back().headers = {{"retry-after", "2"}};
  }
  rows.push_back(
      {"503 Ollama", 503,
       R"({"error":"server busy, please try again.  maximum pending requests exceeded"})",
       Kind::kTransient, "provider_error"});
  rows.push_back({"503 llama.cpp", 503,
                  R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})",
                  Kind::kTransient, "provider_error"});
  rows.push_back({"503 OpenAI", 503,
                  R"({"error":{"code":"server_is_overloaded","type":"service_unavailable_error"}})",
                  Kind::kTransient, "provider_error"});
  rows.push_back({"424 TEI", 424, R"({"error":"backend","error_type":"Backend"})", Kind::kTransient,
                  "provider_error"});
  rows.push_back({"500 not to be sent again",
                  500,
                  "",
                  Kind::kTransient,
                  "provider_error",
                  {},
                  {},
                  false,
                  false,
                  {{"x-should-retry", "false"}}});
  return rows;
}

TEST(Taxonomy, EveryConditionIsWhatItIs) {
  std::vector<Row> rows;
  for (const auto& group : {Money(), Refusals(), Throttles(), Oversizes(), Texts(), Transients()}) {
    rows.insert(rows.end(), group.begin(), group.end());
  }
  for (const Row& row : rows) {
    SCOPED_TRACE(std::string(row.name) + " " + std::to_string(row.status) + " " + row.body);
    HttpReply reply;
    reply.status = row.status;
    reply.body = row.body;
    reply.headers = row.headers;
    const Outcome outcome = ReadFailure(reply, kNames, kNow);
    EXPECT_EQ(outcome.kind, row.kind);
    EXPECT_EQ(outcome.status.word(), row.word);
    EXPECT_EQ(outcome.caps.inputs_max, row.caps.inputs_max);
    EXPECT_EQ(outcome.caps.model_tokens_max, row.caps.model_tokens_max);
    EXPECT_EQ(outcome.retry_after, row.retry_after);
    EXPECT_EQ(outcome.is_ramp_too_fast, row.is_ramp_too_fast);
    EXPECT_EQ(outcome.should_retry, row.should_retry);
  }
}

TEST(Taxonomy, HintsComeWithEveryFailure) {
  HttpReply reply;
  reply.status = 429;
  reply.headers = {{"x-ratelimit-remaining-tokens", "0"}, {"x-ratelimit-reset-tokens", "6s"}};
  EXPECT_EQ(ReadFailure(reply, kNames, kNow).hints.model_tokens.remaining, 0);
  EXPECT_EQ(ReadFailure(reply, kNames, kNow).hints.model_tokens.reset, std::chrono::seconds(6));
}

TEST(RefusesCompression, KnowsServersThatCannotReadIt) {
  struct Answer {
    int status;
    const char* body;
    bool refuses;
  };
  const Answer answers[] = {
      {415, "", true},
      {400, R"({"error":"invalid character '\u001f' looking for beginning of value"})", true},
      {400, R"({"error":"invalid character '\\x1f' looking for beginning of value"})", true},
      {400, R"({"detail":"JSON decode error"})", true},
      {422, R"({"detail":[{"type":"json_invalid","msg":"JSON decode error"}]})", true},
      {500, R"({"error":{"message":"'utf-8' codec can't decode byte 0x8b in position 1"}})", true},
      {400, R"({"error":"Invalid JSON in body"})", true},
      {400, R"({"error":"body is not valid UTF-8"})", true},
      {500, R"({"error":{"message":"[json.exception.parse_error.101] parse error at line 1"}})",
       true},
      {400, "\x1f\x8b", true},
      {400, R"({"error":"the input length exceeds the context length"})", false},
      {500, "", false},
      {404, "Invalid JSON", false},
      {401, "Invalid JSON", false},
      {200, "Invalid JSON", false},
  };
  for (const Answer& answer : answers) {
    HttpReply reply;
    reply.status = answer.status;
    reply.body = answer.body;
    EXPECT_EQ(RefusesCompression(reply), answer.refuses) << answer.status << ' ' << answer.body;
  }
}

}  // namespace
}  // namespace embedflow
