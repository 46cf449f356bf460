#include "simulator/latency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace embedflow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kBegin{seconds(1000)};

SimulatorOptions WithLatency(const std::string& text) {
  SimulatorOptions options;
  const Result<SimulatorLatency> latency = ParseSimulatorLatency(text);
  EXPECT_TRUE(latency.ok()) << latency.status().ToString();
  if (latency.ok()) options.latency = *latency;
  return options;
}

std::vector<double> MillisOf(const SimulatorOptions& options, int count, std::uint64_t tokens) {
  SimulatorTiming timing(options);
  std::vector<double> times;
  for (int i = 1; i <= count; ++i) {
    const auto number = static_cast<std::uint64_t>(i);
    const std::optional<Duration> time = timing.Plan(number, tokens, kBegin, kBegin);
    EXPECT_TRUE(time.has_value());
    times.push_back(std::chrono::duration<double, std::milli>(*time).count());
  }
  return times;
}

TEST(SimulatorTiming, ModelsGiveTheTimesTheyName) {
  EXPECT_EQ(MillisOf(WithLatency("50ms"), 1, 10).front(), 50);
  EXPECT_EQ(MillisOf(WithLatency("linear:10ms,0.5ms"), 1, 100).front(), 60);

  std::vector<double> uniform = MillisOf(WithLatency("uniform:20ms..80ms"), 4000, 10);
  std::sort(uniform.begin(), uniform.end());
  EXPECT_GE(uniform.front(), 20);
  EXPECT_LE(uniform.back(), 80);
  EXPECT_NEAR(uniform[2000], 50, 3);

  std::vector<double> lognormal = MillisOf(WithLatency("lognormal:50ms,0.5"), 4000, 10);
  std::sort(lognormal.begin(), lognormal.end());
  EXPECT_NEAR(lognormal[2000], 50, 3);
  // One deviation up: 50 * e^0.5.
  EXPECT_NEAR(lognormal[3365], 82.4, 6);
}

TEST(SimulatorTiming, TheSeedDecides) {
  SimulatorOptions options = WithLatency("uniform:20ms..80ms");
  const std::vector<double> first = MillisOf(options, 50, 10);
  EXPECT_EQ(first, MillisOf(options, 50, 10));
  options.seed = 2;
  EXPECT_NE(first, MillisOf(options, 50, 10));
}

TEST(SimulatorTiming, SlowDownsHoldForTheirTime) {
  SimulatorOptions options = WithLatency("10ms");
  options.slow_downs = {{5, 10, 3}};
  SimulatorTiming timing(options);
  for (const auto& [at, expected] : {std::pair(seconds(0), 10), std::pair(seconds(5), 30),
                                     std::pair(seconds(9), 30), std::pair(seconds(10), 10)}) {
    EXPECT_EQ(timing.Plan(1, 1, kBegin, kBegin + at), milliseconds(expected)) << at.count();
  }
}

TEST(SimulatorTiming, BeyondTheCapacityRequestsWaitInLine) {
  SimulatorOptions options = WithLatency("100ms");
  options.limits.capacity = 4;
  SimulatorTiming timing(options);
  std::vector<Duration> times;
  for (std::uint64_t i = 1; i <= 12; ++i) times.push_back(*timing.Plan(i, 1, kBegin, kBegin));
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(times[i], milliseconds(100) * static_cast<int>(1 + i / 4)) << i;
  }
  // All places are free again.
  EXPECT_EQ(timing.Plan(13, 1, kBegin, kBegin + seconds(1)), milliseconds(100));
}

TEST(SimulatorTiming, AFullLineRefuses) {
  SimulatorOptions options = WithLatency("100ms");
  options.limits.capacity = 1;
  options.limits.pending_max = 2;
  SimulatorTiming timing(options);
  EXPECT_EQ(timing.Plan(1, 1, kBegin, kBegin), milliseconds(100));
  EXPECT_EQ(timing.Plan(2, 1, kBegin, kBegin), milliseconds(200));
  EXPECT_EQ(timing.Plan(3, 1, kBegin, kBegin), milliseconds(300));
  EXPECT_EQ(timing.Plan(4, 1, kBegin, kBegin), std::nullopt);
  // One has moved up.
  EXPECT_EQ(timing.Plan(5, 1, kBegin, kBegin + milliseconds(100)), milliseconds(300));
}

TEST(ParseSimulatorLatency, RefusesWhatIsNone) {
  for (const char* text :
       {"", "50", "ms", "-1ms", "uniform:5ms", "uniform:80ms..20ms", "nanms", "lognormal:50ms",
        "lognormal:50ms,-1", "linear:1ms", "quick:5ms", "constant:1ms,2ms", "1e9s"}) {
    EXPECT_FALSE(ParseSimulatorLatency(text).ok()) << text;
  }
}

TEST(ParseSimulatorSlowDown, ReadsTimesAndFactor) {
  const Result<SimulatorSlowDown> slow = ParseSimulatorSlowDown("1.5..20:0.5");
  ASSERT_TRUE(slow.ok()) << slow.status().ToString();
  EXPECT_EQ(slow->from_seconds, 1.5);
  EXPECT_EQ(slow->until_seconds, 20);
  EXPECT_EQ(slow->factor, 0.5);
  for (const char* text : {"", "1..2", "2..1:3", "1..2:0", "1..2:-3", "-1..2:3", "a..b:c", "1:2..3",
                           "1..2:nan", "1..2:1e9"}) {
    EXPECT_FALSE(ParseSimulatorSlowDown(text).ok()) << text;
  }
}

}  // namespace
}  // namespace embedflow
