#include "simulator/limits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

const TimePoint kBegin{seconds(1000)};

SimulatorLimits LimitsOf(std::optional<double> rpm, std::optional<double> tpm,
                         SimulatorWindow window = SimulatorWindow::kSliding60) {
  SimulatorLimits limits;
  limits.rpm = rpm;
  limits.tpm = tpm;
  limits.window = window;
  return limits;
}

struct Arrival {
  TimePoint at;
  double tokens;
};

// Most that any window of `length`, wherever it begins, holds.
double MostInWindow(const std::vector<Arrival>& admitted, Duration length, bool tokens) {
  double most = 0;
  double sum = 0;
  std::size_t oldest = 0;
  for (const Arrival& arrival : admitted) {
    sum += tokens ? arrival.tokens : 1;
    while (admitted[oldest].at + length <= arrival.at) {
      sum -= tokens ? admitted[oldest].tokens : 1;
      ++oldest;
    }
    most = std::max(most, sum);
  }
  return most;
}

// Arrivals that come in bursts and pauses, far more than is allowed.
std::vector<Arrival> Admitted(SimulatorRateLimiter* limiter, std::uint64_t seed, int count) {
  Rng rng(seed);
  std::vector<Arrival> admitted;
  TimePoint now = kBegin;
  for (int i = 0; i < count; ++i) {
    now += milliseconds(rng.Below(20) == 0 ? rng.Below(9000) : rng.Below(200));
    const std::uint64_t tokens = 1 + rng.Below(500);
    if (limiter->Admit(tokens, now).is_admitted) {
      admitted.push_back({now, static_cast<double>(tokens)});
    }
  }
  return admitted;
}

TEST(SimulatorRateLimiter, NoSixtySecondsHoldMoreThanAMinutesLimits) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulatorRateLimiter limiter(LimitsOf(90, 15'000));
    const std::vector<Arrival> admitted = Admitted(&limiter, seed, 4000);
    EXPECT_LE(MostInWindow(admitted, seconds(60), false), 90);
    EXPECT_LE(MostInWindow(admitted, seconds(60), true), 15'000);
    // It gives all it has.
    EXPECT_GT(std::max(MostInWindow(admitted, seconds(60), false) / 90,
                       MostInWindow(admitted, seconds(60), true) / 15'000),
              0.95);
  }
}

TEST(SimulatorRateLimiter, ShortWindowsHoldTheirShareOfRequests) {
  for (const auto& [window, length, most] :
       {std::tuple(SimulatorWindow::kSliding1, seconds(1), 5.0),
        std::tuple(SimulatorWindow::kSliding10, seconds(10), 50.0)}) {
    SimulatorRateLimiter limiter(LimitsOf(300, std::nullopt, window));
    const std::vector<Arrival> admitted = Admitted(&limiter, 7, 20'000);
    EXPECT_EQ(MostInWindow(admitted, length, false), most);
    EXPECT_LE(MostInWindow(admitted, seconds(60), false), 300);
  }
}

TEST(SimulatorRateLimiter, RequestsEvenlySpacedAlwaysPass) {
  // 100 a minute do not divide into seconds; who spaces them must not be refused for that.
  for (const SimulatorWindow window :
       {SimulatorWindow::kSliding60, SimulatorWindow::kFixed60, SimulatorWindow::kSliding10,
        SimulatorWindow::kSliding1, SimulatorWindow::kBucket}) {
    SimulatorRateLimiter limiter(LimitsOf(100, 100 * 64, window));
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(limiter.Admit(64, kBegin + i * milliseconds(600)).is_admitted) << i;
    }
  }
}

TEST(SimulatorRateLimiter, RetryAfterIsExact) {
  for (const SimulatorWindow window :
       {SimulatorWindow::kSliding60, SimulatorWindow::kFixed60, SimulatorWindow::kSliding10,
        SimulatorWindow::kSliding1, SimulatorWindow::kBucket}) {
    SCOPED_TRACE(SimulatorWindowNames()[static_cast<std::size_t>(window)]);
    Rng rng(11);
    SimulatorRateLimiter limiter(LimitsOf(60, 6000, window));
    TimePoint now = kBegin;
    int refused = 0;
    for (int i = 0; i < 3000; ++i) {
      now += milliseconds(rng.Below(400));
      const std::uint64_t tokens = 1 + rng.Below(200);
      const SimulatorRateLimiter::Verdict verdict = limiter.Admit(tokens, now);
      if (verdict.is_admitted) continue;
      ++refused;
      SimulatorRateLimiter early = limiter;
      // A bucket's arithmetic is exact to less than a millisecond.
      EXPECT_FALSE(early.Admit(tokens, now + verdict.retry_after - milliseconds(1)).is_admitted);
      SimulatorRateLimiter right = limiter;
      EXPECT_TRUE(right.Admit(tokens, now + verdict.retry_after).is_admitted);
    }
    EXPECT_GT(refused, 100);
  }
}

TEST(SimulatorRateLimiter, FixedWindowsBeginAnew) {
  SimulatorRateLimiter limiter(LimitsOf(10, std::nullopt, SimulatorWindow::kFixed60));
  EXPECT_TRUE(limiter.Admit(1, kBegin).is_admitted);
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(limiter.Admit(1, kBegin + seconds(59)).is_admitted);
  const SimulatorRateLimiter::Verdict refused = limiter.Admit(1, kBegin + seconds(59));
  EXPECT_FALSE(refused.is_admitted);
  EXPECT_EQ(refused.retry_after, seconds(1));
  // Twenty in two seconds: what such windows allow and sliding ones do not.
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(limiter.Admit(1, kBegin + seconds(60)).is_admitted);
  EXPECT_FALSE(limiter.Admit(1, kBegin + seconds(61)).is_admitted);
}

TEST(SimulatorRateLimiter, ABucketFillsEvenly) {
  SimulatorRateLimiter limiter(LimitsOf(60, std::nullopt, SimulatorWindow::kBucket));
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(limiter.Admit(1, kBegin).is_admitted);
  EXPECT_FALSE(limiter.Admit(1, kBegin + milliseconds(999)).is_admitted);
  EXPECT_TRUE(limiter.Admit(1, kBegin + seconds(1)).is_admitted);
  EXPECT_FALSE(limiter.Admit(1, kBegin + seconds(1)).is_admitted);
}

TEST(SimulatorRateLimiter, SaysWhatItRefusedFor) {
  SimulatorRateLimiter limiter(LimitsOf(2, 1000));
  SimulatorRateLimiter::Verdict verdict = limiter.Admit(1001, kBegin);
  EXPECT_FALSE(verdict.is_admitted);
  EXPECT_TRUE(verdict.can_never_pass);
  EXPECT_TRUE(limiter.Admit(600, kBegin).is_admitted);
  verdict = limiter.Admit(600, kBegin);
  EXPECT_TRUE(verdict.is_for_tokens);
  EXPECT_FALSE(verdict.can_never_pass);
  EXPECT_TRUE(limiter.Admit(400, kBegin + seconds(1)).is_admitted);
  verdict = limiter.Admit(1, kBegin + seconds(30));
  // Both are used up; the later one to come free is named.
  EXPECT_EQ(verdict.retry_after, seconds(30));
  EXPECT_EQ(limiter.RequestState(kBegin + seconds(30))->remaining, 0);
  EXPECT_EQ(limiter.TokenState(kBegin + seconds(60))->remaining, 600);
  EXPECT_EQ(limiter.RequestState(kBegin + seconds(30))->reset, seconds(31));
}

TEST(SimulatorRateLimiter, RefusedRequestsCountWhereAsked) {
  SimulatorLimits limits = LimitsOf(1, std::nullopt);
  SimulatorRateLimiter lenient(limits);
  limits.refused_count = true;
  SimulatorRateLimiter hard(limits);
  for (SimulatorRateLimiter* limiter : {&lenient, &hard}) {
    EXPECT_TRUE(limiter->Admit(1, kBegin).is_admitted);
    EXPECT_FALSE(limiter->Admit(1, kBegin + seconds(30)).is_admitted);
  }
  EXPECT_TRUE(lenient.Admit(1, kBegin + seconds(60)).is_admitted);
  EXPECT_FALSE(hard.Admit(1, kBegin + seconds(60)).is_admitted);
}

}  // namespace
}  // namespace embedflow
