// What the allowance does with costs, bills, headers and pauses; how well it uses a limit:
// allowance_strict_test.cc.
#include "stages/allowance.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "embedflow/log.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;

constexpr TimePoint kStart{std::chrono::hours(1)};

double SecondsSince(TimePoint when) { return std::chrono::duration<double>(when - kStart).count(); }

TimePoint After(double s) {
  return kStart + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

// Takes at every time it is told, for `span`, and returns when.
std::vector<double> TakeFor(Allowance* allowance, const AllowanceCost& cost, double from,
                            double span) {
  std::vector<double> times;
  for (double now = from; now < from + span;) {
    if (const auto again = allowance->Take(cost, After(now))) {
      now = SecondsSince(*again);
    } else {
      times.push_back(now);
    }
  }
  return times;
}

TEST(Allowance, SpacesFromTheStartAndAfterAPause) {
  LocalAllowance allowance({300.0, std::nullopt, std::nullopt}, true, kStart);
  std::vector<double> times = TakeFor(&allowance, {}, 0, 10);
  const std::vector<double> later = TakeFor(&allowance, {}, 3600, 10);
  times.insert(times.end(), later.begin(), later.end());
  ASSERT_GT(later.size(), 45u);
  for (std::size_t i = 1; i < times.size(); ++i) EXPECT_GE(times[i] - times[i - 1], 0.19) << i;
}

TEST(Allowance, WhatIsAboveAWholeMinuteGoesAndIsPaidOff) {
  LocalAllowance allowance({std::nullopt, std::nullopt, 60000.0}, true, kStart);
  EXPECT_FALSE(allowance.Take({1, 0, 180000}, After(0)));
  EXPECT_NEAR(TakeFor(&allowance, {1, 0, 1000}, 0, 200).at(0), 180 / 0.99, 1.5);
}

TEST(Allowance, NoLimitsNoWaitAndNothingFree) {
  LocalAllowance allowance({}, true, kStart);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(allowance.Take({1, 100, 1e6}, After(0)));
  // What costs nothing of a limited kind does not wait for that kind.
  LocalAllowance tokens({std::nullopt, std::nullopt, 60.0}, true, kStart);
  EXPECT_FALSE(tokens.Take({1, 0, 60}, After(0)));
  EXPECT_FALSE(tokens.Take({1, 0, 0}, After(0)));
  EXPECT_TRUE(tokens.Take({1, 0, 1}, After(0)));
}

TEST(Allowance, SettlingGivesBackAndTakesMore) {
  LocalAllowance allowance({std::nullopt, std::nullopt, 60000.0}, true, kStart);
  EXPECT_FALSE(allowance.Take({1, 0, 10000}, After(0)));
  allowance.Settle({1, 0, 10000}, {1, 0, 0}, After(0.1));  // Never sent.
  EXPECT_FALSE(allowance.Take({1, 0, 5000}, After(0.1)));
  allowance.Settle({1, 0, 5000}, {1, 0, 20000}, After(0.2));
  const auto again = allowance.Take({1, 0, 1000}, After(0.2));
  ASSERT_TRUE(again);
  EXPECT_NEAR(SecondsSince(*again), 20 / 0.99, 0.5);
}

RateHints TokenHint(std::optional<double> limit, std::optional<double> remaining = std::nullopt,
                    std::optional<milliseconds> reset = std::nullopt) {
  return {{}, {limit, remaining, reset}};
}

TEST(Allowance, HeadersLowerAndRestoreButDoNotRaiseWhatTheUserSaid) {
  LocalAllowance allowance({std::nullopt, std::nullopt, 600000.0}, true, kStart);
  const AllowanceCost cost{1, 0, 1000};
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, cost, 0, 30).size()), 297, 12);
  allowance.Feed(TokenHint(60000), {0, 0, 0}, After(100));  // A temporary adjustment.
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, cost, 100, 30).size()), 30, 2);
  allowance.Feed(TokenHint(6000000), {0, 0, 0}, After(200));
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, cost, 200, 30).size()), 297, 12);
  for (const double nonsense : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(),
                                std::numeric_limits<double>::infinity()}) {
    allowance.Feed(TokenHint(nonsense, nonsense), {0, 0, 0}, After(300));
  }
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, cost, 300, 30).size()), 297, 12);
}

TEST(Allowance, AProfilesGuessIsRaisedAsFastAsARampMayGo) {
  LocalAllowance allowance({60.0, std::nullopt, 500000.0}, false, kStart);
  const RateHints hints{{120.0, {}, {}}, {10000000.0, {}, {}}};
  const AllowanceCost tokens{0, 0, 20000};
  allowance.Feed(hints, {0, 0, 0}, After(0));
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, {}, 0, 60).size()), 119, 3);
  // A million at once, half more in a quarter of an hour.
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, tokens, 100, 60).size()), 50, 4);
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, tokens, 900, 60).size()), 75, 5);
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, tokens, 1800, 60).size()), 112, 7);
  // By headers alone, where nothing was set.
  LocalAllowance unset({}, false, kStart);
  unset.Feed(hints, {0, 0, 0}, After(0));
  EXPECT_NEAR(static_cast<double>(TakeFor(&unset, {}, 0, 60).size()), 119, 3);
}

TEST(Allowance, ARemainderBitesOnlyWhereOthersUseTheKey) {
  const AllowanceCost cost{1, 0, 1000};
  LocalAllowance allowance({std::nullopt, std::nullopt, 60000.0}, true, kStart);
  const std::size_t alone = TakeFor(&allowance, cost, 0, 60).size();
  // All of it is used, and by us: nothing to wait for.
  allowance.Feed(TokenHint(60000, 400, milliseconds(60000)), {0, 0, 0}, After(60));
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, cost, 60, 60).size()),
              static_cast<double>(alone), 2);
  // After ten quiet minutes the same word means that somebody else sends.
  allowance.Feed(TokenHint(60000, 2000, milliseconds(58000)), {4, 0, 4000}, After(800));
  const auto ceiling = allowance.Take(cost, After(800));
  ASSERT_TRUE(ceiling);
  EXPECT_NEAR(SecondsSince(*ceiling), 800 + 2 / 0.99, 0.1);  // 2,000 more than there are.
  allowance.Feed(TokenHint(60000, 0, milliseconds(30000)), {0, 0, 0}, After(800));
  const auto reset = allowance.Take(cost, After(800));
  ASSERT_TRUE(reset);
  EXPECT_NEAR(SecondsSince(*reset), 830, 0.1);
  // A reset from the far future is not believed beyond a quarter of an hour.
  allowance.Feed(TokenHint(60000, 0, milliseconds::max()), {0, 0, 0}, After(800));
  EXPECT_LE(TakeFor(&allowance, cost, 800, 2000).at(0), 800 + 901);
}

TEST(Allowance, PausesAndRampsThatWereTooFast) {
  LocalAllowance allowance({600.0, std::nullopt, std::nullopt}, true, kStart);
  TakeFor(&allowance, {}, 0, 10);
  allowance.Pause(After(20), false, After(10));
  allowance.Pause(After(15), false, After(10));  // The longer one holds.
  const std::vector<double> after = TakeFor(&allowance, {}, 10, 40);
  EXPECT_NEAR(after.at(0), 20, 0.01);
  EXPECT_NEAR(static_cast<double>(after.size()), 297, 6);
  // Ten replies say slow_down at once: halved once, half of it back in a quarter of an hour.
  for (int i = 0; i < 10; ++i) allowance.Pause(After(101), true, After(100 + i * 0.1));
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, {}, 102, 60).size()), 298, 8);
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, {}, 1000, 60).size()), 297 * 1.5, 12);
  EXPECT_NEAR(static_cast<double>(TakeFor(&allowance, {}, 3000, 60).size()), 594, 8);
  allowance.Pause(TimePoint::max(), false, After(4000));
  EXPECT_NEAR(TakeFor(&allowance, {}, 4000, 2000).at(0), 4900, 0.1);
  allowance.Pause(TimePoint::min(), true, After(9000));
}

TEST(Allowance, NothingAbsurdOverflowsAndTimeNeverGoesBack) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  const double values[] = {0,
                           1,
                           -1,
                           0.5,
                           1e-300,
                           1e300,
                           1e12,
                           -1e300,
                           std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()};
  const auto any = [&] { return values[rng.Below(std::size(values))]; };
  for (int round = 0; round < 300; ++round) {
    const double limits[] = {1e-300, 1e-6, 0.5, 60, 1e6, 1e300};
    const auto limit = [&]() -> std::optional<double> {
      return rng.Below(3) == 0 ? std::nullopt : std::optional(limits[rng.Below(6)]);
    };
    LocalAllowance allowance({limit(), limit(), limit()}, rng.Below(2) == 0, kStart);
    double now = 0;
    for (int i = 0; i < 200; ++i) {
      now += rng.Below(4) == 0 ? -50 * rng.Uniform() : 100 * rng.Uniform() * rng.Uniform();
      if (rng.Below(50) == 0) now += 1e8;  // Three years.
      const TimePoint at = After(now);
      switch (rng.Below(4)) {
        case 0:
          if (const auto again = allowance.Take({any(), any(), any()}, at)) {
            ASSERT_GT(*again, at);
          }
          break;
        case 1:
          allowance.Settle({any(), any(), any()}, {any(), any(), any()}, at);
          break;
        case 2:
          allowance.Feed({{any(), any(), milliseconds(static_cast<std::int64_t>(rng.Next()))},
                          {any(), any(), milliseconds::min()}},
                         {any(), any(), any()}, rng.Below(2) == 0 ? at : After(-5000));
          break;
        case 3:
          allowance.Pause(rng.Below(2) == 0 ? TimePoint::max() : After(any() < 1 ? -1e6 : 1e6),
                          rng.Below(2) == 0, at);
          break;
      }
    }
  }
}

TEST(Allowance, AdoptingOtherLimitsForgetsNoUse) {
  const AllowanceRules wide({std::nullopt, std::nullopt, 600000.0}, true);
  const AllowanceRules narrow({std::nullopt, std::nullopt, 60000.0}, true);
  AllowanceState state = wide.Fresh(kStart);
  ASSERT_FALSE(wide.Take(&state, {1, 0, 60000}, kStart));
  narrow.Adopt(&state, After(1));
  const auto again = narrow.Take(&state, {1, 0, 1000}, After(10));
  ASSERT_TRUE(again);
  EXPECT_GE(SecondsSince(*again), 50);
}

// Two sets of rules keep one state by turns, as two processes do at every call.
TEST(Allowance, AdoptingOtherLimitsForgetsNeitherHeadersNorRamps) {
  const AllowanceRules wide({600.0, std::nullopt, std::nullopt}, true);
  const AllowanceRules narrow({120.0, std::nullopt, std::nullopt}, true);
  const AllowanceRules none({}, false);
  const auto rate_of = [](const AllowanceRules& rules, AllowanceState* state, double at) {
    rules.Adopt(state, After(at));
    return state->requests.per_minute;
  };
  AllowanceState state = wide.Fresh(kStart);
  EXPECT_TRUE(wide.Feed(&state, {{60.0, {}, {}}, {}}, {0, 0, 0}, After(1)));
  EXPECT_EQ(rate_of(narrow, &state, 1), 60);
  EXPECT_EQ(rate_of(none, &state, 1), 60);
  EXPECT_EQ(rate_of(wide, &state, 1), 60);
  EXPECT_FALSE(narrow.Feed(&state, {{300.0, {}, {}}, {}}, {0, 0, 0}, After(2)));
  EXPECT_EQ(rate_of(narrow, &state, 2), 120);
  EXPECT_EQ(rate_of(wide, &state, 2), 300);
  // A ramp is halved for all, and grows back at its pace whoever looks.
  wide.Pause(&state, After(3), true, After(3));
  EXPECT_EQ(rate_of(narrow, &state, 3), 120);
  EXPECT_EQ(rate_of(none, &state, 3), 150);
  EXPECT_EQ(rate_of(wide, &state, 3), 150);
  for (int second = 3; second < 903; ++second) {
    EXPECT_GT(rate_of(second % 2 == 0 ? none : narrow, &state, second), 0);
  }
  EXPECT_NEAR(rate_of(wide, &state, 903), 225, 0.1);
  EXPECT_EQ(rate_of(narrow, &state, 903), 120);
  EXPECT_EQ(rate_of(wide, &state, 3600), 300);
}

TEST(Allowance, SaysOnceThatHeadersLoweredTheRate) {
  std::vector<std::string> lines;
  SetLogLevel(LogLevel::kInfo);
  SetLogSink([&](LogLevel, std::string_view message) { lines.emplace_back(message); });
  LocalAllowance allowance({600.0, std::nullopt, std::nullopt}, true, kStart);
  allowance.Feed({{6000.0, {}, {}}, {}}, {0, 0, 0}, After(1));
  EXPECT_TRUE(lines.empty());
  allowance.Feed({{60.0, {}, {}}, {}}, {0, 0, 0}, After(2));
  allowance.Feed({{30.0, {}, {}}, {}}, {0, 0, 0}, After(3));
  SetLogSink({});
  SetLogLevel(LogLevel::kWarning);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0],
            "the provider's headers lowered the rate: now 60 requests and any number of tokens a "
            "minute");
}

}  // namespace
}  // namespace embedflow
