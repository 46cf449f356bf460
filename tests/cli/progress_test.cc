#include "cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cli/format.h"

namespace embedflow::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t kTotal = 1'000'000;

Progress At(double fraction, std::uint64_t embedded) {
  Progress progress;
  progress.source.bytes_total = kTotal;
  progress.source.bytes_read = static_cast<std::uint64_t>(fraction * kTotal);
  progress.so_far.documents.read = 100;
  progress.so_far.documents.ingested = 100;
  progress.so_far.chunks.embedded = embedded;
  progress.requests_in_flight_max = 20;
  progress.admitted_bytes_max = 1000;
  return progress;
}

ProgressContext Remote() {
  ProgressContext context;
  context.corpus = "support";
  context.space = "openai/text-embedding-3-small/1536";
  context.is_remote = true;
  return context;
}

// A run whose share of input done at time t is `fraction(t)`.
void CheckPromises(const std::function<double(double)>& fraction, double seconds) {
  ProgressTracker tracker(Remote());
  double last_fraction = 0;
  std::optional<double> last_left;
  double last_told = 0;
  for (double now = 0; now < seconds; now += 0.25) {
    const double done = std::clamp(fraction(now), 0.0, 1.0);
    const ProgressView view =
        tracker.Update(At(done, static_cast<std::uint64_t>(done * 10'000)), now);
    ASSERT_TRUE(view.fraction);
    ASSERT_GE(*view.fraction, last_fraction) << "percent fell at " << now;
    last_fraction = *view.fraction;
    if (view.seconds_left && last_left) {
      ASSERT_LE(*view.seconds_left, *last_left + (now - last_told) + 1e-6)
          << "the time left rose faster than the clock at " << now;
    }
    if (view.seconds_left) {
      last_left = view.seconds_left;
      last_told = now;
    }
  }
}

TEST(ProgressTracker, PercentNeverFallsAndTimeLeftNeverOutrunsTheClock) {
  CheckPromises([](double t) { return t / 300; }, 320);
  CheckPromises([](double t) { return t < 50 ? t / 100 : 0.5 + (t - 50) / 5000; }, 400);
  CheckPromises([](double t) { return t < 50 ? t / 1000 : 0.05; }, 400);         // A stall.
  CheckPromises([](double t) { return t / 300 + 0.1 * std::sin(t / 3); }, 300);  // Falls, too.
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 rng(seed);
  double done = 0;
  CheckPromises(
      [&](double) {
        done += std::uniform_real_distribution<double>(-0.002, 0.006)(rng);
        return done;
      },
      500);
}

TEST(ProgressTracker, TimeLeftIsRightForASteadyRun) {
  ProgressTracker tracker(Remote());
  ProgressView view;
  for (double now = 0; now <= 60; now += 0.25) {
    view = tracker.Update(At(now / 300, static_cast<std::uint64_t>(now * 100)), now);
  }
  ASSERT_TRUE(view.seconds_left);
  EXPECT_NEAR(*view.seconds_left, 240, 5);
  EXPECT_NEAR(view.chunks_per_second, 100, 2);
}

TEST(ProgressTracker, TimeLeftRecoversFromATooHopefulStart) {
  ProgressTracker tracker(Remote());
  ProgressView view;
  for (double now = 0; now <= 200; now += 0.25) {
    const double done = now < 10 ? now / 20 : 0.5 + (now - 10) / 2000;
    view = tracker.Update(At(done, 100 + static_cast<std::uint64_t>(now)), now);
  }
  ASSERT_TRUE(view.seconds_left);
  // 0.405 of the input at 1/2000 a second; it could only rise with the clock.
  EXPECT_GT(*view.seconds_left, 150);
}

TEST(ProgressTracker, NothingIsPromisedWhileOnlyReadingPast) {
  ProgressTracker tracker(Remote());
  for (double now = 0; now < 30; now += 0.25) {
    EXPECT_FALSE(tracker.Update(At(now / 100, 0), now).seconds_left);
  }
  // Bought work begins; 5 s of it are waited for.
  for (double now = 30; now < 34.9; now += 0.25) {
    EXPECT_FALSE(tracker.Update(At(0.3 + (now - 30) / 1000, 1), now).seconds_left);
  }
  const ProgressView view = tracker.Update(At(0.306, 10), 36);
  ASSERT_TRUE(view.seconds_left);
  // The rate of bought work, 0.001 a second, not the race before it.
  EXPECT_GT(*view.seconds_left, 400);
}

TEST(ProgressTracker, RatesAreOfTheLastTenSeconds) {
  ProgressTracker tracker(Remote());
  ProgressView view;
  for (double now = 0; now <= 100; now += 0.25) {
    const auto chunks = static_cast<std::uint64_t>(std::min(now, 50.0) * 1000);
    view = tracker.Update(At(0.1, chunks), now);
  }
  EXPECT_EQ(view.chunks_per_second, 0);
}

TEST(ProgressTracker, WhatIsReadAheadIsNotDone) {
  ProgressTracker tracker(Remote());
  Progress progress = At(1.0, 0);
  progress.so_far.documents.read = 100;
  progress.so_far.documents.ingested = 25;
  EXPECT_NEAR(*tracker.Update(progress, 0).fraction, 0.25, 1e-9);
}

TEST(ProgressTracker, HugeAndOddCountersAreHarmless) {
  ProgressTracker tracker(Remote());
  Progress progress;
  progress.source.bytes_total = 0;
  EXPECT_EQ(*tracker.Update(progress, 0).fraction, 0);
  progress.source.bytes_total = 10;
  progress.source.bytes_read = ~std::uint64_t{0};
  progress.so_far.documents.read = 1;
  progress.so_far.documents.ingested = 5;
  EXPECT_EQ(*tracker.Update(progress, 0).fraction, 1);
  progress.so_far.chunks.embedded = 10;
  (void)tracker.Update(progress, 1);
  progress.so_far.chunks.embedded = 5;
  EXPECT_GE(tracker.Update(progress, 2).chunks_per_second, 0);
}

ProgressView Busy() {
  ProgressView view;
  view.fraction = 0.6449;
  view.chunks = 1'951'204;
  view.chunks_per_second = 910;
  view.model_tokens = 333'600'000;
  view.model_tokens_per_minute = 9'800'000;
  view.usd = 6.67;
  view.requests_out = 2;
  view.requests_out_max = 20;
  view.retries = 11;
  view.throttled = 3;
  view.dead = 14;
  view.seconds_left = 19 * 60;
  view.waits_for = "provider";
  return view;
}

TEST(Render, TheBlock) {
  EXPECT_THAT(
      Render(Busy(), Remote(), 80, false, false),
      ElementsAre("support  openai/text-embedding-3-small/1536",
                  " 64 % #######################-------------  1,951,204 chunks   19 min left",
                  "      910 chunks/s   9.8 M tokens/min   334 M tokens   $6.67",
                  "      2 of 20 requests out   11 sent again   3 throttled   14 dead letters",
                  "      waits for the provider; all 20 that may be out are (--max-concurrency)"));
}

TEST(Render, NoMoneyForAnInProcessProviderAndNoGuessWithoutAPrice) {
  ProgressContext context = Remote();
  ProgressView view = Busy();
  view.usd.reset();
  EXPECT_THAT(Render(view, context, 80, true, false)[2], HasSubstr("price unknown"));
  context.is_remote = false;
  for (const std::string& line : Render(view, context, 80, true, false)) {
    EXPECT_THAT(line, Not(HasSubstr("price")));
    EXPECT_THAT(line, Not(HasSubstr("requests out")));
  }
}

TEST(Render, UnknownSizeHasNoPercent) {
  ProgressView view = Busy();
  view.fraction.reset();
  view.seconds_left.reset();
  view.bytes_read = 2'100'000'000;
  EXPECT_EQ(Render(view, Remote(), 80, false, false)[1], "      2.1 GB read   1,951,204 chunks");
}

TEST(Render, EveryWidthHoldsAndOnlyColourBringsEscapes) {
  std::vector<ProgressView> views = {ProgressView{}, Busy()};
  for (const char* waits : {"limit", "retry", "breaker", "input", "index", "stop"}) {
    views.push_back(Busy());
    views.back().waits_for = waits;
  }
  for (const double fraction : {0.0, 0.0001, 0.5, 0.9999, 1.0}) {
    views.push_back(Busy());
    views.back().fraction = fraction;
  }
  ProgressContext context = Remote();
  context.requests_per_minute = 3000;
  context.model_tokens_per_minute = 1e6;
  context.corpus = "a\x1b]0;title\x07" + std::string(200, 'd');
  for (const ProgressView& view : views) {
    for (const std::size_t columns : {0, 1, 20, 40, 80, 200}) {
      const std::size_t width = columns == 0 ? 80 : std::max<std::size_t>(columns, 20);
      for (const bool utf8 : {false, true}) {
        const std::vector<std::string> lines = Render(view, context, columns, utf8, false);
        EXPECT_LE(lines.size(), 5u);
        for (const std::string& line : lines) {
          EXPECT_LT(Columns(line), width) << line;
          EXPECT_EQ(line.find_first_of("\r\x1b\n\x07"), std::string::npos);
          if (!utf8) {
            EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return c >= ' '; }))
                << line;
          }
        }
      }
    }
  }
  const std::string coloured = Render(Busy(), Remote(), 80, true, true)[1];
  EXPECT_NE(coloured.find('\x1b'), std::string::npos);
}

// What holds requests back is the pipeline's to know: it stands before any guess.
TEST(Tracker, TellsWhatThePipelineWaitsFor) {
  for (const char* waits : {"limit", "retry", "breaker"}) {
    ProgressTracker tracker(Remote());
    Progress snapshot = At(0.5, 10);
    snapshot.requests_in_flight = snapshot.requests_in_flight_max;
    snapshot.waits_for = waits;
    EXPECT_EQ(tracker.Update(snapshot, 1).waits_for, waits);
    snapshot.waits_for = "";
    EXPECT_EQ(tracker.Update(snapshot, 2).waits_for, "provider");
    snapshot.waits_for = waits;
    snapshot.stopping = true;
    EXPECT_EQ(tracker.Update(snapshot, 3).waits_for, "stop");
  }
}

TEST(Render, WaitsAreToldInWords) {
  const auto last_line = [](const char* waits, const ProgressContext& context) {
    ProgressView view = Busy();
    view.waits_for = waits;
    return Render(view, context, 100, true, false).back();
  };
  ProgressContext limited = Remote();
  limited.requests_per_minute = 3000;
  EXPECT_EQ(last_line("limit", limited), "      waits for the rate limit, 3.0 k requests a minute");
  EXPECT_EQ(last_line("limit", Remote()),
            "      waits for the rate limit that the provider has told");
  EXPECT_EQ(last_line("retry", Remote()),
            "      waits a while after an error, then sends again what failed");
  EXPECT_EQ(last_line("breaker", Remote()),
            "      the provider keeps failing; left alone for a while, then asked again");
}

TEST(Render, HundredPercentIsTheEnd) {
  ProgressView view = Busy();
  view.fraction = 0.99999;
  EXPECT_THAT(Render(view, Remote(), 80, false, false)[1], HasSubstr(" 99 % "));
  view.fraction = 1;
  EXPECT_THAT(Render(view, Remote(), 80, false, false)[1], HasSubstr("100 % "));
}

TEST(RenderPlain, OneLogfmtLine) {
  ProgressView view = Busy();
  view.bytes_read = 7;
  view.documents = 8;
  EXPECT_EQ(RenderPlain(view, "progress"),
            "progress percent=64.4 bytes=7 documents=8 chunks=1951204 rate=910 tokens=333600000 "
            "usd=6.6700 left_s=1140 out=2/20 again=11 throttled=3 dead=14 waits=provider");
  EXPECT_EQ(RenderPlain(ProgressView{}, "started"),
            "started bytes=0 documents=0 chunks=0 rate=0 out=0/0");
}

TEST(PlainSchedule, TenSecondsThenEachMinuteAndWhatChanges) {
  PlainSchedule schedule;
  std::vector<std::string> events;
  ProgressView view;
  for (double now = 0; now <= 200; now += 0.25) {
    view.throttled = now >= 20 ? 1 : 0;
    view.waits_for = now >= 30 && now < 80 ? "provider" : now >= 190 ? "stop" : "";
    const std::string_view event = schedule.Due(view, now);
    if (!event.empty()) {
      events.push_back(std::string(event) + "@" + std::to_string(static_cast<int>(now)));
    }
  }
  EXPECT_THAT(events, ElementsAre("started@0", "progress@10", "throttled@20", "waits@40",
                                  "progress@70", "progress@130", "stopping@190", "progress@190"));
}

}  // namespace
}  // namespace embedflow::cli
