// The built program, killed again and again at random times over the same corpus: nothing that was
// acknowledged or exported is lost, nothing that was exported is bought again, no vector is another
// text's, and what is bought again was in flight at a kill, which the summary says.
//
// EMBEDFLOW_KILLS and EMBEDFLOW_SEED make it longer and other: scripts/soak.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/integration/corpus_life.h"

namespace embedflow {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Clocked = std::chrono::steady_clock;

#ifdef EMBEDFLOW_SANITIZED
constexpr std::uint64_t kKillsDefault = 10;
#else
constexpr std::uint64_t kKillsDefault = 50;
#endif

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

class KillLoop : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_kill_loop_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    std::ofstream input(directory_ + "/in.jsonl");
    for (std::size_t i = 0; i < kLifeDocuments; ++i) {
      input << "{\"id\":\"d" << i << "\",\"text\":\"" << LifeText(i) << "\",\"n\":" << i << "}\n";
    }
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<CorpusLife> NewLife() {
    return std::make_unique<CorpusLife>(directory_ + "/life" + std::to_string(++lives_),
                                        directory_ + "/in.jsonl", &totals_);
  }

  std::string directory_;
  int lives_ = 0;
  KillTotals totals_;
};

StopKind Choose(Rng* rng) {
  constexpr StopKind kOthers[] = {StopKind::kPauseThenKill, StopKind::kInterrupt,
                                  StopKind::kInterruptTwice, StopKind::kTerminate,
                                  StopKind::kHangUp};
  const std::uint64_t dice = rng->Below(15);
  return dice < std::size(kOthers) ? kOthers[dice] : StopKind::kKill;
}

TEST_F(KillLoop, NothingIsLostDoubledOrWrongAndWhatIsBoughtAgainWasInFlight) {
  const std::uint64_t seed = FromEnvironment("EMBEDFLOW_SEED", 20261123);
  const std::uint64_t kills = FromEnvironment("EMBEDFLOW_KILLS", kKillsDefault);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::printf("seed %" PRIu64 ", %" PRIu64 " kills\n", seed, kills);
  Rng rng(seed);
  const auto begin = Clocked::now();
  std::unique_ptr<CorpusLife> life = NewLife();
  ASSERT_TRUE(life->Run(StopKind::kLeaveAlone, microseconds(0), rng.Next()));
  const auto whole = std::chrono::duration_cast<microseconds>(Clocked::now() - begin);
  life = NewLife();
  while (totals_.kills < kills && !HasFailure()) {
    SCOPED_TRACE("run " + std::to_string(totals_.runs));
    // Any time of a whole run; and often a short time, so that a corpus sees many kills.
    const auto window = static_cast<std::uint64_t>(whole.count()) / (rng.Below(3) == 0 ? 1 : 4);
    const microseconds after(rng.Below(window));
    if (life->Run(Choose(&rng), after, rng.Next())) life = NewLife();
  }
  ASSERT_TRUE(HasFailure() || life->Run(StopKind::kLeaveAlone, microseconds(0), rng.Next()));
  const double seconds = std::chrono::duration<double>(Clocked::now() - begin).count();
  EXPECT_EQ(totals_.lost + totals_.twice_in_store + totals_.wrong, 0u);
  EXPECT_GT(totals_.in_flight_at_kills, 0u);
  EXPECT_LE(totals_.bought_again, totals_.in_flight_at_kills);
  std::printf(
      "| kills | other stops | completed | lost | double | wrong | bought again |"
      " in flight at kills | most at one | seconds |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n"
      "| %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64
      " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %.0f |\n",
      totals_.kills, totals_.stopped, totals_.completed, totals_.lost, totals_.twice_in_store,
      totals_.wrong, totals_.bought_again, totals_.in_flight_at_kills, totals_.in_flight_max,
      seconds);
}

// nohup starts a program with SIGHUP ignored, and means it.
TEST_F(KillLoop, AHangUpThatIsIgnoredStaysIgnored) {
  BillingServer server({.dimensions = kLifeDimensions});
  const std::string run =
      std::string("trap '' HUP; kill -HUP $$; exec ") + EMBEDFLOW_PROGRAM + " \"$@\"";
  const std::vector<std::string> words = {"-c",
                                          run,
                                          "sh",
                                          "ingest",
                                          "-",
                                          "--into",
                                          directory_ + "/corpus",
                                          "--provider",
                                          "local",
                                          "--model",
                                          "m",
                                          "--dimensions",
                                          std::to_string(kLifeDimensions),
                                          "--base-url",
                                          server.base_url(),
                                          "--progress",
                                          "none"};
  Program program("/bin/sh", words, "{\"id\":\"a\",\"text\":\"b\"}\n");
  while (!program.EndsWithin(milliseconds(2))) program.Signal(SIGHUP);
  EXPECT_EQ(program.Wait().exit_code, 0);
}

}  // namespace
}  // namespace embedflow
