#include "stages/circuit_breaker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/random.h"

namespace embedflow {
namespace {

using Result = CircuitBreaker::Result;
using State = CircuitBreaker::State;

constexpr TimePoint kStart{std::chrono::hours(1)};

TimePoint At(double seconds) {
  return kStart + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

void One(CircuitBreaker* breaker, Result result, double at) {
  ASSERT_TRUE(breaker->MayStart(At(at)));
  breaker->Start(At(at));
  breaker->End(result, At(at));
}

// A breaker that has worked once and then failed `failures` times in a row at second 0.
CircuitBreaker After(int failures, CircuitBreakerConfig config = {}) {
  CircuitBreaker breaker(config, 1);
  One(&breaker, Result::kSuccess, 0);
  for (int i = 0; i < failures; ++i) One(&breaker, Result::kFailure, 0);
  return breaker;
}

TEST(CircuitBreaker, OffLetsEverythingGo) {
  CircuitBreaker breaker(std::nullopt, 1);
  for (int i = 0; i < 100; ++i) One(&breaker, Result::kFailure, i);
  EXPECT_EQ(breaker.state(), State::kOff);
  EXPECT_FALSE(breaker.reopens_at());
}

TEST(CircuitBreaker, OpensAfterFailuresInARowAndForItsTimeGiveOrTakeATenth) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    CircuitBreaker breaker(CircuitBreakerConfig{}, seed);
    One(&breaker, Result::kSuccess, 0);
    for (int i = 0; i < 4; ++i) One(&breaker, Result::kFailure, 1);
    EXPECT_EQ(breaker.state(), State::kClosed);
    One(&breaker, Result::kFailure, 2);
    ASSERT_EQ(breaker.state(), State::kOpen);
    EXPECT_EQ(breaker.times_opened(), 1u);
    ASSERT_TRUE(breaker.reopens_at());
    EXPECT_GE(*breaker.reopens_at(), At(2 + 27));
    EXPECT_LE(*breaker.reopens_at(), At(2 + 33));
    EXPECT_FALSE(breaker.MayStart(*breaker.reopens_at() - Duration(1)));
    EXPECT_TRUE(breaker.MayStart(*breaker.reopens_at()));
    EXPECT_EQ(breaker.state(), State::kHalfOpen);
  }
}

TEST(CircuitBreaker, ASuccessInBetweenStartsTheCountAgain) {
  CircuitBreaker breaker = After(4);
  One(&breaker, Result::kSuccess, 0);
  for (int i = 0; i < 3; ++i) One(&breaker, Result::kFailure, 0);
  EXPECT_EQ(breaker.state(), State::kClosed);
}

TEST(CircuitBreaker, OpensWhenHalfOfThirtySecondsFail) {
  CircuitBreakerConfig config;
  config.failure_threshold = 1000;
  const auto alternate = [&](double step, int count) {
    CircuitBreaker breaker(config, 1);
    for (int i = 0; i < count && breaker.state() == State::kClosed; ++i) {
      One(&breaker, i % 2 == 0 ? Result::kSuccess : Result::kFailure, i * step);
    }
    return breaker.state();
  };
  EXPECT_EQ(alternate(1, 9), State::kClosed);  // Fewer than ten prove nothing.
  EXPECT_EQ(alternate(1, 10), State::kOpen);
  EXPECT_EQ(alternate(10, 100), State::kClosed);  // Never ten within 30 s.
  // Four of ten are not half.
  CircuitBreaker breaker(config, 1);
  for (int i = 0; i < 100; ++i) {
    One(&breaker, i % 5 < 3 ? Result::kSuccess : Result::kFailure, i * 0.1);
  }
  EXPECT_EQ(breaker.state(), State::kClosed);
}

TEST(CircuitBreaker, NeverOpensBeforeItsFirstSuccess) {
  CircuitBreaker breaker(CircuitBreakerConfig{}, 1);
  for (int i = 0; i < 100; ++i) One(&breaker, Result::kFailure, i);
  EXPECT_EQ(breaker.state(), State::kClosed);
  One(&breaker, Result::kSuccess, 100);
  for (int i = 0; i < 5; ++i) One(&breaker, Result::kFailure, 101);
  EXPECT_EQ(breaker.state(), State::kOpen);
}

TEST(CircuitBreaker, NeutralResultsCountForNothing) {
  CircuitBreaker breaker = After(4);
  for (int i = 0; i < 50; ++i) One(&breaker, Result::kNeutral, 1);
  EXPECT_EQ(breaker.state(), State::kClosed);
  One(&breaker, Result::kFailure, 1);  // The fifth in a row all the same.
  EXPECT_EQ(breaker.state(), State::kOpen);
}

TEST(CircuitBreaker, ProbesAreCountedAndTheirPermitsComeBack) {
  CircuitBreaker breaker = After(5);
  const TimePoint then = *breaker.reopens_at();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(breaker.MayStart(then));
    breaker.Start(then);
  }
  EXPECT_FALSE(breaker.MayStart(then));
  // Cancelled probes say nothing; for each another may go, for ever.
  for (int i = 0; i < 100; ++i) {
    breaker.End(Result::kNeutral, then);
    ASSERT_TRUE(breaker.MayStart(then)) << i;
    breaker.Start(then);
    ASSERT_FALSE(breaker.MayStart(then)) << i;
  }
  breaker.End(Result::kSuccess, then);
  EXPECT_EQ(breaker.state(), State::kHalfOpen);
  breaker.End(Result::kSuccess, then);
  EXPECT_EQ(breaker.state(), State::kClosed);
  breaker.End(Result::kNeutral, then);
  EXPECT_TRUE(breaker.MayStart(then));
}

TEST(CircuitBreaker, AFailedProbeOpensItAgain) {
  CircuitBreaker breaker = After(5);
  const TimePoint then = *breaker.reopens_at();
  ASSERT_TRUE(breaker.MayStart(then));
  breaker.Start(then);
  breaker.End(Result::kSuccess, then);
  ASSERT_TRUE(breaker.MayStart(then));
  breaker.Start(then);
  breaker.End(Result::kFailure, then);
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_EQ(breaker.times_opened(), 2u);
  // The time is the same, not double.
  EXPECT_LE(*breaker.reopens_at(), then + std::chrono::seconds(33));
  EXPECT_FALSE(breaker.MayStart(then + std::chrono::seconds(26)));
}

TEST(CircuitBreaker, LateAnswersDoNotLengthenTheBreakOrFailTheProbes) {
  CircuitBreaker breaker(CircuitBreakerConfig{}, 1);
  One(&breaker, Result::kSuccess, 0);
  for (int i = 0; i < 20; ++i) breaker.Start(At(1));
  for (int i = 0; i < 5; ++i) breaker.End(Result::kFailure, At(2));
  ASSERT_EQ(breaker.state(), State::kOpen);
  const TimePoint then = *breaker.reopens_at();
  for (int i = 0; i < 5; ++i) breaker.End(Result::kFailure, At(3));  // While it is open.
  EXPECT_EQ(*breaker.reopens_at(), then);
  EXPECT_EQ(breaker.times_opened(), 1u);
  ASSERT_TRUE(breaker.MayStart(then));
  for (int i = 0; i < 3; ++i) breaker.Start(then);
  for (int i = 0; i < 5; ++i) breaker.End(Result::kFailure, then);  // While it is half open.
  EXPECT_EQ(breaker.state(), State::kHalfOpen);
  breaker.End(Result::kSuccess, then);
  breaker.End(Result::kSuccess, then);
  ASSERT_EQ(breaker.state(), State::kClosed);
  for (int i = 0; i < 5; ++i) breaker.End(Result::kFailure, then);  // And after.
  EXPECT_EQ(breaker.state(), State::kClosed);
}

TEST(CircuitBreaker, WhateverHappensItIsNeverStuck) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  for (int round = 0; round < 200; ++round) {
    CircuitBreakerConfig config;
    config.failure_threshold = 1 + static_cast<std::uint32_t>(rng.Below(8));
    config.success_threshold = 1 + static_cast<std::uint32_t>(rng.Below(4));
    config.half_open_max_attempts = 1 + static_cast<std::uint32_t>(rng.Below(4));
    CircuitBreaker breaker(config, rng.Next());
    double now = 0;
    int in_flight = 0;
    for (int i = 0; i < 500; ++i) {
      now += 4 * rng.Uniform();
      if (rng.Below(2) == 0 && breaker.MayStart(At(now))) {
        breaker.Start(At(now));
        ++in_flight;
      } else if (in_flight > 0) {
        breaker.End(static_cast<Result>(rng.Below(3)), At(now));
        --in_flight;
      }
    }
    for (; in_flight > 0; --in_flight) breaker.End(Result::kNeutral, At(now));
    // The server is well again: everything goes through soon.
    now += 40;
    for (int i = 0; i < 20; ++i) One(&breaker, Result::kSuccess, now);
    EXPECT_EQ(breaker.state(), State::kClosed);
  }
}

TEST(CircuitBreaker, NamesOfStates) {
  EXPECT_STREQ(BreakerStateName(State::kOff), "off");
  EXPECT_STREQ(BreakerStateName(State::kClosed), "closed");
  EXPECT_STREQ(BreakerStateName(State::kOpen), "open");
  EXPECT_STREQ(BreakerStateName(State::kHalfOpen), "half_open");
}

}  // namespace
}  // namespace embedflow
