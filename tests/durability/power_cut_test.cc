// Recorded runs, cut at random points: what was synced is kept, of the rest some is lost. The
// program opens what is left, shows all that was acknowledged, and completes.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>

#include "tests/durability/crash_run.h"
#include "tests/durability/forgetful_disk.h"

namespace embedflow {
namespace {

constexpr CrashInput kInput;

std::size_t Cuts() {
  const char* text = std::getenv("EMBEDFLOW_POWER_CUTS");
  return text == nullptr ? AsManyAs(80) : static_cast<std::size_t>(std::strtoul(text, nullptr, 10));
}

// A run from nothing to the end, after runs that were killed at the given calls.
std::vector<DiskOperation> Record(const ScratchFolder& scratch,
                                  const std::vector<std::uint64_t>& kills) {
  const std::string folder = scratch.path() + "/recorded";
  std::filesystem::create_directory(folder);
  const CrashRun run(folder, kInput);
  for (std::size_t i = 0; i <= kills.size(); ++i) {
    DiskShimOptions shim = run.Shim(true);
    if (i < kills.size()) shim.kill_at = kills[i];
    const CrashRun::Ingested ingested = run.Ingest(&shim);
    EXPECT_EQ(ingested.program.exit_code, ingested.shim.killed ? 128 + SIGKILL : 0)
        << ingested.program.err;
  }
  std::vector<DiskOperation> trace = ReadDiskTrace(run.trace());
  EXPECT_FALSE(run.Acknowledged().empty());
  std::filesystem::remove_all(folder);
  return trace;
}

// Cuts the power behind the first `at` calls and checks what is left.
void CutAndCheck(const ScratchFolder& scratch, const std::vector<DiskOperation>& trace,
                 std::size_t number, std::size_t at, std::uint64_t seed) {
  SCOPED_TRACE("cut " + std::to_string(number) + " behind call " + std::to_string(at) + " of " +
               std::to_string(trace.size()) + " with seed " + std::to_string(seed) +
               ", last: " + Describe(trace[at - 1]));
  const std::string folder = scratch.path() + "/cut" + std::to_string(number);
  std::filesystem::create_directory(folder);
  const CrashRun run(folder, kInput);
  Rng rng(seed);
  ForgetfulDisk disk;
  for (std::size_t i = 0; i < at; ++i) disk.Apply(trace[i]);
  disk.Cut(rng, run.corpus());
  const ExportedCorpus kept = run.ExpectKept(run.Acknowledged(disk.also()));
  // How much of it had been paid for by then, nobody has recorded.
  run.ExpectCompletes(kept, std::nullopt);
  if (!testing::Test::HasFailure()) std::filesystem::remove_all(folder);
}

void CutAtRandom(const std::string& name, const std::vector<std::uint64_t>& kills,
                 std::size_t cuts) {
  const ScratchFolder scratch(name);
  const std::vector<DiskOperation> trace = Record(scratch, kills);
  ASSERT_GT(trace.size(), 100u);
  const std::uint64_t seed = DurabilitySeed();
  std::cout << "  " << cuts << " cuts of " << trace.size() << " recorded calls\n";
  ForEachOnThreads(cuts, [&](std::size_t i) {
    Rng rng(seed + i);
    const std::size_t at = 1 + rng.Below(trace.size());
    CutAndCheck(scratch, trace, i, at, rng.Next());
  });
}

TEST(PowerCut, LosesNothingThatWasAcknowledged) { CutAtRandom("power", {}, Cuts() * 5 / 8); }

TEST(PowerCut, WhileRecoveringFromAKillLosesNothing) {
  Rng rng(DurabilitySeed());
  // Early, where the directory is being made, and between groups.
  CutAtRandom("power_early", {1 + rng.Below(40)}, Cuts() / 8);
  CutAtRandom("power_late", {60 + rng.Below(150), 20 + rng.Below(60)}, Cuts() / 4);
}

// The proof that the replay can find a loss: on a disk whose syncs are lies there must be some.
TEST(PowerCut, OnADiskThatLiesIsFound) {
  const ScratchFolder scratch("liar");
  const std::vector<DiskOperation> trace = Record(scratch, {});
  std::size_t losses = 0;
  for (std::size_t i = 0; i < 10; ++i) {
    const std::string folder = scratch.path() + "/cut" + std::to_string(i);
    std::filesystem::create_directory(folder);
    const CrashRun run(folder, kInput);
    Rng rng(DurabilitySeed() + i);
    ForgetfulDisk liar(false);
    ForgetfulDisk honest;
    for (const DiskOperation& operation : trace) {
      liar.Apply(operation);
      honest.Apply(operation);
    }
    liar.Cut(rng, run.corpus());
    const ProgramResult exported = run.TryExport();
    const auto lines = std::count(exported.out.begin(), exported.out.end(), '\n');
    const std::size_t acknowledged = run.Acknowledged(honest.also()).size();
    if (exported.exit_code != 0 || static_cast<std::size_t>(lines) < acknowledged) ++losses;
  }
  EXPECT_GE(losses, 5u);
}

}  // namespace
}  // namespace embedflow
