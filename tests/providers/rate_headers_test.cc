#include "providers/rate_headers.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "providers/retry_after.h"

namespace embedflow {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// 2026-11-22 18:00:00 UTC.
constexpr std::int64_t kNow = 1795370400000;

using Headers = std::vector<std::pair<std::string, std::string>>;

RateHints Hints(Headers headers) {
  HttpReply reply;
  reply.status = 200;
  reply.headers = std::move(headers);
  return ReadRateHints(reply, kNow);
}

RateHint Hint(std::optional<double> limit, std::optional<double> remaining,
              std::optional<milliseconds> reset) {
  return {limit, remaining, reset};
}

TEST(ReadRateHints, ReadsEveryProvidersForm) {
  struct Row {
    const char* name;
    Headers headers;
    RateHints hints;
  };
  const Row rows[] = {
      {"OpenAI",
       {{"x-ratelimit-limit-requests", "3000"},
        {"x-ratelimit-remaining-requests", "2999"},
        {"x-ratelimit-reset-requests", "20ms"},
        {"x-ratelimit-limit-tokens", "1000000"},
        {"x-ratelimit-remaining-tokens", "999984"},
        {"x-ratelimit-reset-tokens", "6m0s"}},
       {Hint(3000, 2999, milliseconds(20)), Hint(1e6, 999984, seconds(360))}},
      {"Azure",
       {{"x-ratelimit-limit-requests", "0"},
        {"x-ratelimit-limit-tokens", "-1"},
        {"x-ratelimit-remaining-requests", "-1"},
        {"x-ratelimit-remaining-tokens", "239000"},
        {"x-ratelimit-reset-tokens", "7"}},
       {Hint({}, {}, {}), Hint({}, 239000, seconds(7))}},
      {"Mistral by size",
       {{"ratelimitbysize-limit", "2000000"},
        {"ratelimitbysize-remaining", "1999993"},
        {"ratelimitbysize-reset", "34"},
        {"ratelimitbysize-query-cost", "7"},
        {"x-ratelimitbysize-limit-month", "10000000000"},
        {"x-ratelimitbysize-remaining-month", "9999999993"}},
       {{}, Hint(2e6, 1999993, seconds(34))}},
      {"Mistral by minute",
       {{"x-ratelimitbysize-limit-minute", "500000"},
        {"x-ratelimitbysize-remaining-minute", "499000"}},
       {{}, Hint(500000, 499000, {})}},
      {"Mistral by request",
       {{"x-ratelimit-limit-req-minute", "60"}, {"x-ratelimit-remaining-req-minute", "0"}},
       {Hint(60, 0, {}), {}}},
      {"IETF draft",
       {{"ratelimit-limit", "100"}, {"ratelimit-remaining", "50"}, {"ratelimit-reset", "30"}},
       {Hint({}, 50, seconds(30)), {}}},
      {"A gateway's limit of a second", {{"x-ratelimit-limit", "5"}}, {}},
      {"A window that is none", {{"x-ratelimit-limit", "5;w=0"}}, {}},
      {"A window", {{"ratelimit-limit", "10, 10;w=1"}}, {Hint(600, {}, {}), {}}},
      {"A long window", {{"ratelimit-limit", "7200;w=3600"}}, {Hint(120, {}, {}), {}}},
      {"Cohere",
       {{"x-ratelimit-limit", "40"},
        {"x-ratelimit-remaining", "0"},
        {"x-ratelimit-reset", "1795370409"}},
       {Hint({}, 0, seconds(9)), {}}},
      {"Cohere by its own clock",
       {{"x-ratelimit-reset", "1577836830"}, {"date", "Wed, 01 Jan 2020 00:00:00 GMT"}},
       {Hint({}, {}, seconds(30)), {}}},
      {"A time that has passed",
       {{"x-ratelimit-reset", "1577836830"}},
       {Hint({}, {}, seconds(0)), {}}},
      {"Nothing", {}, {}},
      {"Nonsense",
       {{"x-ratelimit-limit-requests", "many"},
        {"x-ratelimit-remaining-requests", "nan"},
        {"x-ratelimit-reset-requests", "soon"},
        {"x-ratelimit-limit-tokens", "1e999"},
        {"x-ratelimit-remaining-tokens", "12x"},
        {"x-ratelimit-reset-tokens", "-5"},
        {"ratelimit-limit", ""},
        {"ratelimit-remaining", "99999999999999999999999999"}},
       {}},
      {"The first that speaks counts",
       {{"x-ratelimit-limit-requests", "0"}, {"ratelimit-limit", "90;w=60"}},
       {Hint(90, {}, {}), {}}},
  };
  for (const Row& row : rows) {
    const RateHints hints = Hints(row.headers);
    EXPECT_EQ(hints.requests.limit, row.hints.requests.limit) << row.name;
    EXPECT_EQ(hints.requests.remaining, row.hints.requests.remaining) << row.name;
    EXPECT_EQ(hints.requests.reset, row.hints.requests.reset) << row.name;
    EXPECT_EQ(hints.model_tokens.limit, row.hints.model_tokens.limit) << row.name;
    EXPECT_EQ(hints.model_tokens.remaining, row.hints.model_tokens.remaining) << row.name;
    EXPECT_EQ(hints.model_tokens.reset, row.hints.model_tokens.reset) << row.name;
  }
}

TEST(ReadWait, ReadsSecondsAndGoDurations) {
  EXPECT_EQ(ReadWait("7"), seconds(7));
  EXPECT_EQ(ReadWait("1.5"), milliseconds(1500));
  EXPECT_EQ(ReadWait("12ms"), milliseconds(12));
  EXPECT_EQ(ReadWait("1s"), seconds(1));
  EXPECT_EQ(ReadWait("6m0s"), seconds(360));
  EXPECT_EQ(ReadWait("1h2m3.5s"), milliseconds(3723500));
  EXPECT_EQ(ReadWait("10h17m5.7s"), milliseconds(37025700));
  EXPECT_EQ(ReadWait("250\xC2\xB5s"), milliseconds(1));
  EXPECT_EQ(ReadWait("1ns"), milliseconds(1));
  EXPECT_EQ(ReadWait("99999999h"), hours(24 * 365));
  for (const char* bad : {"", "s", "5x", "1s!", "-1s", "1.s.s", "inf", "1 s", "ms"}) {
    EXPECT_EQ(ReadWait(bad), std::nullopt) << bad;
  }
}

TEST(ReadRetryWords, FindsTheWaitInASentence) {
  EXPECT_EQ(ReadRetryWords("please retry after 7 seconds."), seconds(7));
  EXPECT_EQ(ReadRetryWords("please retry after 1 second."), seconds(1));
  EXPECT_EQ(ReadRetryWords("please try again in 1.2s. contact us"), milliseconds(1200));
  EXPECT_EQ(ReadRetryWords("please try again in 600ms."), milliseconds(600));
  EXPECT_EQ(ReadRetryWords("please retry in 46.2s."), milliseconds(46200));
  EXPECT_EQ(ReadRetryWords("retry after 120 milliseconds"), milliseconds(120));
  EXPECT_EQ(ReadRetryWords("retry after 2 minutes"), seconds(120));
  EXPECT_EQ(ReadRetryWords("try again in 6m0s"), seconds(360));
  for (const char* bad :
       {"", "retry after lunch", "try again in 7", "retry in ", "wait 7 seconds"}) {
    EXPECT_EQ(ReadRetryWords(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace embedflow
