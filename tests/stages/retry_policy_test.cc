#include "stages/retry_policy.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <vector>

#include "base/random.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;
using K = Outcome::Kind;
using V = Verdict::Kind;

Outcome Of(K kind, std::optional<milliseconds> retry_after = std::nullopt,
           std::optional<bool> should_retry = std::nullopt) {
  Outcome outcome;
  outcome.kind = kind;
  outcome.retry_after = retry_after;
  outcome.should_retry = should_retry;
  return outcome;
}

RetryOptions Exact(std::int64_t delay_ms, int retries) {
  RetryOptions options;
  options.retry_delay = milliseconds(delay_ms);
  options.retries_max = retries;
  options.jitter = FlowOptions::Jitter::kNone;
  return options;
}

TEST(RetrySchedule, WithoutJitterIsTheSeeds) {
  const struct {
    std::int64_t delay_ms;
    int retries;
    std::vector<std::int64_t> delays;
    std::int64_t total;
  } rows[] = {{1000, 3, {1000, 2000, 4000}, 7000},
              {500, 3, {500, 1000, 2000}, 3500},
              {2000, 5, {2000, 4000, 8000, 16000, 32000}, 62000},
              {500, 2, {500, 1000}, 1500}};
  Rng rng(1);
  for (const auto& row : rows) {
    const RetryOptions options = Exact(row.delay_ms, row.retries);
    EXPECT_EQ(BackoffTotal(options).count(), row.total);
    std::int64_t total = 0;
    for (int attempt = 1; attempt <= row.retries; ++attempt) {
      const Verdict verdict = Decide(options, Of(K::kTransient), attempt, 8, rng);
      EXPECT_EQ(verdict.kind, V::kAgain);
      EXPECT_EQ(verdict.delay.count(), row.delays[static_cast<std::size_t>(attempt - 1)]);
      total += verdict.delay.count();
    }
    EXPECT_EQ(total, row.total);
    EXPECT_EQ(Decide(options, Of(K::kTransient), row.retries + 1, 8, rng).kind, V::kStop);
  }
}

TEST(RetrySchedule, WithoutJitterAServersWaitIsKeptToTheMillisecond) {
  Rng rng(1);
  const struct {
    std::int64_t asked_ms, delay_ms;
    bool is_cut;
  } rows[] = {{7000, 7000, false},
              {300, 1000, false},
              {0, 1000, false},
              {-5, 1000, false},
              {120000, 120000, false},
              {120001, 120000, true},
              {86400000, 120000, true},
              {std::numeric_limits<std::int64_t>::max(), 120000, true},
              {std::numeric_limits<std::int64_t>::min(), 1000, false}};
  for (const auto& row : rows) {
    const Verdict verdict =
        Decide(Exact(1000, 3), Of(K::kThrottled, milliseconds(row.asked_ms)), 1, 8, rng);
    EXPECT_EQ(verdict.kind, V::kAgain);
    EXPECT_EQ(verdict.delay.count(), row.delay_ms) << row.asked_ms;
    EXPECT_EQ(verdict.is_server_wait_cut, row.is_cut) << row.asked_ms;
  }
}

TEST(RetryDecision, TheServersWordOnRetrying) {
  const struct {
    K kind;
    std::optional<bool> should_retry;
    int attempt;
    std::size_t inputs;
    V verdict;
  } rows[] = {
      {K::kTransient, false, 1, 8, V::kStop},       {K::kTransient, true, 1, 8, V::kAgain},
      {K::kTransient, true, 4, 8, V::kStop},        {K::kThrottled, false, 1, 8, V::kStop},
      {K::kThrottled, true, 4, 8, V::kStop},        {K::kInvalid, true, 1, 8, V::kAgain},
      {K::kInvalid, true, 3, 1, V::kAgain},         {K::kInvalid, true, 4, 8, V::kSplit},
      {K::kInvalid, true, 4, 1, V::kDead},          {K::kInvalid, false, 1, 8, V::kSplit},
      {K::kInvalid, std::nullopt, 1, 8, V::kSplit}, {K::kRefused, true, 1, 8, V::kStop},
      {K::kOversize, true, 1, 8, V::kSplit},        {K::kOk, false, 1, 8, V::kKeep},
      {K::kCancelled, true, 1, 8, V::kCancel},
  };
  Rng rng(1);
  for (const auto& row : rows) {
    EXPECT_EQ(Decide({}, Of(row.kind, {}, row.should_retry), row.attempt, row.inputs, rng).kind,
              row.verdict)
        << static_cast<int>(row.kind) << " attempt " << row.attempt << " inputs " << row.inputs;
  }
}

TEST(RetryDecision, AServersErrorThatComesBackIsTheBatchsOwnIfOthersSucceed) {
  const struct {
    int http_status;
    bool others_succeed, is_split_off;
    int attempt;
    std::size_t inputs;
    V verdict;
  } rows[] = {
      {500, true, false, 3, 8, V::kAgain},
      {500, true, false, 4, 8, V::kSplit},
      {500, true, false, 4, 1, V::kDead},
      {500, false, false, 4, 8, V::kStop},
      {503, true, false, 4, 8, V::kStop},  // That is about the server.
      {408, true, false, 4, 8, V::kStop},
      {0, true, false, 4, 8, V::kStop},  // A connection that breaks is nobody's text.
      {500, true, true, 1, 4, V::kAgain},
      {500, true, true, 2, 4, V::kSplit},
      {500, true, true, 2, 1, V::kDead},
      {500, false, true, 2, 4, V::kAgain},  // An outage may have come in between.
      {500, false, true, 4, 4, V::kStop},
  };
  Rng rng(1);
  for (const auto& row : rows) {
    RetryFacts facts;
    facts.http_status = row.http_status;
    facts.others_succeed = row.others_succeed;
    facts.is_split_off = row.is_split_off;
    EXPECT_EQ(Decide({}, Of(K::kTransient), row.attempt, row.inputs, rng, facts).kind, row.verdict)
        << row.http_status << " attempt " << row.attempt << " inputs " << row.inputs;
  }
  // A text can make a server hang.
  RetryFacts facts;
  facts.others_succeed = true;
  EXPECT_EQ(Decide({}, Of(K::kTransient), 4, 8, rng, facts).kind, V::kStop);
  facts.has_timed_out = true;
  EXPECT_EQ(Decide({}, Of(K::kTransient), 4, 8, rng, facts).kind, V::kSplit);
}

TEST(RetryDecision, AThrottleIsNoFaultAndIsWaitedOut) {
  Rng rng(1);
  RetryFacts alone, among_others;
  among_others.others_succeed = true;
  const std::optional<milliseconds> told = milliseconds(50);
  EXPECT_EQ(Decide({}, Of(K::kThrottled), 3, 8, rng, alone).kind, V::kAgain);
  EXPECT_EQ(Decide({}, Of(K::kThrottled), 4, 8, rng, alone).kind, V::kStop);
  EXPECT_EQ(Decide({}, Of(K::kThrottled, told), 9, 8, rng, alone).kind, V::kAgain);
  EXPECT_EQ(Decide({}, Of(K::kThrottled, told), 10, 8, rng, alone).kind, V::kStop);
  EXPECT_EQ(Decide({}, Of(K::kThrottled), 1000, 8, rng, among_others).kind, V::kAgain);
  RetryOptions none;
  none.retries_max = 0;
  EXPECT_EQ(Decide(none, Of(K::kThrottled, told), 1, 8, rng, among_others).kind, V::kStop);
}

TEST(RetryDecision, NoRetryThatCouldNotStartBeforeTheDeadline) {
  RetryOptions options = Exact(1000, 10);
  options.item_deadline = milliseconds(10000);
  Rng rng(1);
  const auto decide = [&](std::int64_t elapsed_ms, int attempt, K kind = K::kTransient) {
    RetryFacts facts;
    facts.elapsed = milliseconds(elapsed_ms);
    return Decide(options, Of(kind), attempt, 8, rng, facts).kind;
  };
  EXPECT_EQ(decide(0, 1), V::kAgain);
  EXPECT_EQ(decide(9000, 1), V::kAgain);  // It can start just then.
  EXPECT_EQ(decide(9001, 1), V::kStop);
  EXPECT_EQ(decide(5000, 3), V::kAgain);
  EXPECT_EQ(decide(6001, 3), V::kStop);
  EXPECT_EQ(decide(1000000, 1), V::kStop);
  EXPECT_EQ(decide(9001, 1, K::kBadReply), V::kSplit);
  EXPECT_EQ(decide(9001, 1, K::kOversize), V::kSplit);
  options.item_deadline = milliseconds(1);
  RetryFacts facts;
  facts.elapsed = milliseconds::max();
  EXPECT_EQ(Decide(options, Of(K::kTransient), 1, 8, rng, facts).kind, V::kStop);
  // What the server asks for is waited for, unless it asks for too much.
  options.item_deadline = milliseconds(10000);
  EXPECT_EQ(Decide(options, Of(K::kThrottled, milliseconds(20000)), 1, 8, rng).kind, V::kAgain);
  EXPECT_EQ(Decide(options, Of(K::kThrottled, milliseconds(200000)), 1, 8, rng).kind, V::kStop);
}

TEST(RetryDecision, NoRetriesMeansNone) {
  RetryOptions options;
  options.retries_max = 0;
  Rng rng(1);
  EXPECT_EQ(Decide(options, Of(K::kTransient), 1, 8, rng).kind, V::kStop);
  EXPECT_EQ(Decide(options, Of(K::kBadReply), 1, 8, rng).kind, V::kSplit);
  EXPECT_EQ(Decide(options, Of(K::kInvalid, {}, true), 1, 8, rng).kind, V::kSplit);
  EXPECT_EQ(BackoffTotal(options).count(), 0);
}

}  // namespace
}  // namespace embedflow
