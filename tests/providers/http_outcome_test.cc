#include "providers/http_outcome.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/log.h"
#include "providers/error_reply.h"
#include "providers/retry_after.h"

namespace embedflow {
namespace {

using Kind = Outcome::Kind;
using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

const ProviderNames kNames = {"openai", "text-embedding-3-small", "api.openai.com:443",
                              "/v1/embeddings", "OPENAI_API_KEY"};
// 2026-11-22 18:00:00 UTC.
constexpr std::int64_t kNow = 1795370400000;

Outcome Fail(int status, std::string body,
             std::vector<std::pair<std::string, std::string>> headers = {}) {
  HttpReply reply;
  reply.status = status;
  reply.body = std::move(body);
  reply.headers = std::move(headers);
  return ReadFailure(reply, kNames, kNow);
}

struct Case {
  int status;
  const char* body;
  Kind kind;
  const char* word;
};

// The bodies are those of OpenAI, Mistral, Azure, vLLM, llama.cpp, Ollama and
// text-embeddings-inference.
TEST(ReadFailure, TellsWhatWillHelp) {
  const Case cases[] = {
      {401, R"({"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}})",
       Kind::kRefused, "key_refused"},
      {402, R"({"message":"payment required"})", Kind::kRefused, "quota"},
      {403, R"({"error":{"message":"Country not supported"}})", Kind::kRefused, "access_refused"},
      {403, R"({"error":{"message":"x","code":"insufficient_quota"}})", Kind::kRefused, "quota"},
      {404, R"({"error":{"message":"The model `x` does not exist","code":"model_not_found"}})",
       Kind::kRefused, "model_unknown"},
      {404, R"({"error":"model \"x\" not found, try pulling it first"})", Kind::kRefused,
       "model_unknown"},
      {404, "<html>nginx</html>", Kind::kRefused, "not_found"},
      {405, "", Kind::kRefused, "request_refused"},
      {407, "", Kind::kRefused, "request_refused"},
      {410, "", Kind::kRefused, "request_refused"},
      {426, "", Kind::kRefused, "request_refused"},
      {428, "", Kind::kRefused, "request_refused"},
      {431, "", Kind::kRefused, "request_refused"},
      {408, "", Kind::kTransient, "provider_error"},
      {409, "", Kind::kTransient, "provider_error"},
      {425, "", Kind::kTransient, "provider_error"},
      {424, R"({"error":"backend","error_type":"backend"})", Kind::kTransient, "provider_error"},
      {413, "", Kind::kOversize, "oversize"},
      {429, R"({"error":{"message":"Rate limit reached","type":"requests",
               "code":"rate_limit_exceeded"}})",
       Kind::kThrottled, "throttled"},
      {429, R"({"type":"rate_limited","code":"1300","message":"Rate limit exceeded"})",
       Kind::kThrottled, "throttled"},
      {429, R"({"error":{"code":"429","message":"Please retry after 7 seconds"}})",
       Kind::kThrottled, "throttled"},
      {429, "", Kind::kThrottled, "throttled"},
      {429, R"({"error":{"message":"You exceeded your current quota","type":"insufficient_quota",
               "code":null}})",
       Kind::kRefused, "quota"},
      {429, R"({"error":{"type":"billing","code":"credit_balance_exhausted"}})", Kind::kRefused,
       "quota"},
      {429, R"({"error":{"code":"organization_spend_limit_exceeded"}})", Kind::kRefused, "quota"},
      {429, R"({"error":{"code":"project_spend_limit_exceeded"}})", Kind::kRefused, "quota"},
      {429, R"({"error":{"code":"organization_usage_limit_exceeded"}})", Kind::kRefused, "quota"},
      {429, R"({"error":{"code":"billing_hard_limit_reached"}})", Kind::kRefused, "quota"},
      {429, R"({"error":{"message":"Request too large for x: Limit 1000, Requested 2000",
               "code":"rate_limit_exceeded"}})",
       Kind::kOversize, "oversize"},
      {400, R"({"error":{"message":"Requested 400000 tokens, max 300000 tokens per request",
               "type":"max_tokens_per_request","code":"max_tokens_per_request"}})",
       Kind::kOversize, "oversize"},
      {400, R"({"object":"error","message":"Too many tokens overall, split into more batches.",
               "type":"invalid_request_prompt","code":"3210"})",
       Kind::kOversize, "oversize"},
      {400, R"({"message":"Too many tokens in batch. Max is 16384 got 20000"})", Kind::kOversize,
       "oversize"},
      {422, R"({"message":"batch size 64 > maximum allowed batch size 32","code":422,
               "type":"Validation"})",
       Kind::kOversize, "oversize"},
      {400,
       R"({"error":{"message":"This model's maximum context length is 8192 tokens, however you requested 9000 tokens","type":"invalid_request_error","code":null}})",
       Kind::kInvalid, "text_too_long"},
      {400, R"({"error":{"code":400,"type":"exceed_context_size_error","message":"too big"}})",
       Kind::kInvalid, "text_too_long"},
      {400, R"({"error":"the input length exceeds the context length"})", Kind::kInvalid,
       "text_too_long"},
      {400, R"({"error":{"message":"'$.input' is invalid","code":null}})", Kind::kInvalid,
       "invalid_input"},
      {422, R"({"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]})",
       Kind::kInvalid, "invalid_input"},
      {418, "", Kind::kInvalid, "invalid_input"},
      {500,
       R"j({"error":{"code":500,"message":"input (700 tokens) is too large to process. increase the physical batch size (current batch size: 512)","type":"server_error"}})j",
       Kind::kOversize, "text_too_long"},
      {500, R"({"error":{"message":"The server had an error"}})", Kind::kTransient,
       "provider_error"},
      {501, "", Kind::kRefused, "request_refused"},
      {502, "<html>", Kind::kTransient, "provider_error"},
      {503, R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})",
       Kind::kTransient, "provider_error"},
      {504, "", Kind::kTransient, "provider_error"},
      {505, "", Kind::kRefused, "request_refused"},
      {529, "", Kind::kTransient, "provider_error"},
      {302, "", Kind::kRefused, "redirect"},
      {307, "", Kind::kRefused, "redirect"},
      {304, "", Kind::kRefused, "redirect"},
  };
  for (const Case& c : cases) {
    const Outcome outcome = Fail(c.status, c.body);
    EXPECT_EQ(outcome.kind, c.kind) << c.status << ' ' << c.body;
    EXPECT_EQ(outcome.status.word(), c.word) << c.status << ' ' << c.body;
    EXPECT_FALSE(outcome.status.ok());
    EXPECT_THAT(outcome.status.message(), HasSubstr(std::to_string(c.status)));
    const Code code = outcome.kind == Kind::kThrottled || outcome.kind == Kind::kTransient
                          ? Code::kUnavailable
                          : Code::kRefused;
    EXPECT_EQ(outcome.status.code(), code) << c.status;
  }
}

TEST(ReadFailure, SaysWhatWhereAndWhatNext) {
  const Outcome outcome =
      Fail(401, R"({"error":{"message":"Incorrect API key provided.","code":"invalid_api_key"}})",
           {{"x-request-id", "req_1"}});
  EXPECT_EQ(outcome.status.message(),
            "openai at api.openai.com:443 answered 401: Incorrect API key provided. "
            "(invalid_api_key), request req_1");
  EXPECT_EQ(outcome.status.next(), "check the key in OPENAI_API_KEY");
  EXPECT_THAT(Fail(404, "").status.message(), HasSubstr("for /v1/embeddings"));
}

TEST(ReadFailure, NamesWhereARedirectLeads) {
  const auto message = [](const char* location) {
    return Fail(307, "", {{"location", location}}).status.message();
  };
  EXPECT_THAT(message("https://evil.example/v1?key=secret"), HasSubstr("https://evil.example:443"));
  EXPECT_THAT(message("https://evil.example/v1?key=secret"), Not(HasSubstr("secret")));
  EXPECT_THAT(message("/v2/embeddings"), HasSubstr("another path of the same host"));
  EXPECT_THAT(message("file:///etc/passwd"), HasSubstr("no web address"));
  EXPECT_THAT(message("https://a:secret@evil.example/"), Not(HasSubstr("secret")));
}

// A provider echoes the key, sends escapes, or a megabyte.
TEST(ReadFailure, WordsAreRedactedEscapedAndCut) {
  const std::string key = "sk-test-0123456789abcdefghij";
  RegisterSecret(key);
  const Outcome echo = Fail(401, R"({"error":{"message":"Incorrect API key: )" + key + R"("}})");
  EXPECT_THAT(echo.status.ToString(), Not(HasSubstr("0123456789")));
  EXPECT_THAT(echo.status.message(), HasSubstr("[key]"));
  // Cut where the key stands: half a key is a secret too.
  const Outcome cut = Fail(400, std::string(290, 'x') + key);
  EXPECT_THAT(cut.status.ToString(), Not(HasSubstr("sk-test")));
  const Outcome code = Fail(400, R"({"code":")" + std::string(95, 'x') + key + "\"}");
  EXPECT_THAT(code.status.ToString(), Not(HasSubstr("sk-te")));
  const Outcome id = Fail(500, "", {{"x-request-id", std::string(95, 'x') + key}});
  EXPECT_THAT(id.status.ToString(), Not(HasSubstr("sk-te")));
  const Outcome escapes = Fail(400, "\x1b]52;c;AAAA\x07\r\n\xff");
  EXPECT_THAT(escapes.status.message(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(escapes.status.message(), Not(HasSubstr("\n")));
  EXPECT_LT(Fail(400, std::string(1 << 20, 'y')).status.message().size(), 450u);
  EXPECT_LT(Fail(400, R"({"code":")" + std::string(9999, 'z') + "\"}").status.message().size(),
            250u);
  EXPECT_LT(Fail(400, "", {{"x-request-id", std::string(9999, 'z')}}).status.message().size(),
            250u);
}

TEST(ReadFailure, FollowsTheTransport) {
  const auto kind_of = [](Status transport, int status = 0) {
    HttpReply reply;
    reply.status = status;
    reply.transport = std::move(transport);
    return ReadFailure(reply, kNames, kNow).kind;
  };
  EXPECT_EQ(kind_of({Code::kCancelled, "stopped"}), Kind::kCancelled);
  EXPECT_EQ(kind_of(Status(Code::kUnavailable, "x").WithWord("timeout")), Kind::kTransient);
  EXPECT_EQ(kind_of(Status(Code::kUnavailable, "x").WithWord("reply_too_large")), Kind::kBadReply);
  EXPECT_EQ(kind_of(Status(Code::kInvalidArgument, "x").WithWord("insecure")), Kind::kRefused);
  EXPECT_EQ(kind_of(Status(Code::kRefused, "x").WithWord("certificate_refused")), Kind::kRefused);
  EXPECT_EQ(kind_of({Code::kInternal, "x"}), Kind::kTransient);
  EXPECT_EQ(kind_of({}), Kind::kTransient);
  // A refusal whose page was cut off is a refusal, a success is none.
  EXPECT_EQ(kind_of({Code::kUnavailable, "cut"}, 401), Kind::kRefused);
  EXPECT_EQ(kind_of({Code::kUnavailable, "cut"}, 200), Kind::kTransient);
  HttpReply cut;
  cut.status = 200;
  cut.transport = {Code::kUnavailable, "cut"};
  EXPECT_FALSE(HasContent(cut));
}

std::optional<milliseconds> Wait(std::vector<std::pair<std::string, std::string>> headers) {
  HttpReply reply;
  reply.headers = std::move(headers);
  return ReadRetryAfter(reply, kNow);
}

// D6, all twelve.
TEST(ReadRetryAfter, ReadsEveryForm) {
  const auto wait = [](const char* text) { return Wait({{"retry-after", text}}); };
  const milliseconds year = std::chrono::hours(24 * 365);
  EXPECT_EQ(wait("7"), milliseconds(7000));
  EXPECT_EQ(wait("1.5"), milliseconds(1500));
  EXPECT_EQ(wait("0"), milliseconds(0));
  EXPECT_EQ(wait("-5"), std::nullopt);
  EXPECT_EQ(wait("abc"), std::nullopt);
  EXPECT_EQ(wait(""), std::nullopt);
  EXPECT_EQ(wait("nan"), std::nullopt);
  EXPECT_EQ(wait("inf"), std::nullopt);
  EXPECT_EQ(wait("100000000000000"), year);
  EXPECT_EQ(wait(std::string(400, '9').c_str()), year);
  EXPECT_EQ(wait("Sun, 22 Nov 2026 18:00:09 GMT"), milliseconds(9000));
  EXPECT_EQ(wait("Sun, 22 Nov 2020 18:00:00 GMT"), milliseconds(0));
  EXPECT_EQ(wait("Thu, 31 Dec 2099 23:59:59 GMT"), year);
  EXPECT_EQ(Wait({{"retry-after-ms", "250"}, {"retry-after", "7"}}), milliseconds(250));
  EXPECT_EQ(Wait({{"retry-after-ms", "0.5"}}), milliseconds(1));
  EXPECT_EQ(Wait({{"retry-after-ms", "x"}, {"retry-after", "7"}}), milliseconds(7000));
  EXPECT_EQ(Wait({{"retry-after-ms", "-1"}, {"retry-after", "7"}}), milliseconds(7000));
  EXPECT_EQ(Wait({}), std::nullopt);
}

TEST(ReadRetryAfter, ADateCountsFromTheServersOwnClock) {
  EXPECT_EQ(Wait({{"date", "Wed, 01 Jan 2020 00:00:00 GMT"},
                  {"retry-after", "Wed, 01 Jan 2020 00:00:30 GMT"}}),
            milliseconds(30'000));
}

TEST(ReadFailure, CarriesTheWaitWhereItHelps) {
  EXPECT_EQ(Fail(429, "", {{"retry-after", "7"}}).retry_after, milliseconds(7000));
  EXPECT_EQ(Fail(503, "", {{"retry-after", "7"}}).retry_after, milliseconds(7000));
  EXPECT_EQ(Fail(401, "", {{"retry-after", "7"}}).retry_after, std::nullopt);
}

TEST(ReadError, TakesEveryShape) {
  const auto message = [](const char* body) { return ReadError(body).message; };
  EXPECT_EQ(message(R"({"error":{"message":"a"}})"), "a");
  EXPECT_EQ(message(R"({"error":"b"})"), "b");
  EXPECT_EQ(message(R"({"object":"error","message":"c","type":"t","code":"1300"})"), "c");
  EXPECT_EQ(message(R"({"detail":"d"})"), "d");
  EXPECT_EQ(message(R"({"detail":[{"loc":["body",0],"msg":"e"}]})"), "e");
  EXPECT_EQ(message(R"({"error":{"inner":{"message":"deep"},"message":"f"}})"), "f");
  EXPECT_EQ(message("plain"), "plain");
  EXPECT_EQ(message(""), "");
  EXPECT_EQ(message("{}"), "");
  EXPECT_EQ(message("[1,2]"), "");
  EXPECT_EQ(ReadError(R"({"error":{"code":500,"type":"t"}})").code, "500");
  EXPECT_EQ(ReadError(R"({"error":{"code":null,"type":"t"}})").type, "t");
  EXPECT_EQ(DescribeError("{}"), "no words");
}

}  // namespace
}  // namespace embedflow
