// SIGKILL at the durable calls of a run, before, after and in the middle of them; at those of the
// run that recovers; and what is left each time.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <iostream>
#include <string>

#include "tests/durability/crash_run.h"

namespace embedflow {
namespace {

constexpr CrashInput kInput;
constexpr DiskKill kHows[] = {DiskKill::kBefore, DiskKill::kAfter, DiskKill::kTorn};

std::string NameOf(std::uint64_t call, DiskKill how) {
  return "killed " +
         std::string(how == DiskKill::kBefore  ? "before"
                     : how == DiskKill::kAfter ? "after"
                                               : "in the middle of") +
         " call " + std::to_string(call);
}

std::string MakeFolder(const ScratchFolder& scratch, const std::string& name) {
  const std::string path = scratch.path() + "/" + name;
  std::filesystem::create_directory(path);
  return path;
}

// The durable calls of a run from nothing to the end.
std::uint64_t CountCalls(const ScratchFolder& scratch) {
  const CrashRun run(MakeFolder(scratch, "clean"), kInput);
  const DiskShimOptions shim = run.Shim();
  const CrashRun::Ingested ingested = run.Ingest(&shim);
  EXPECT_EQ(ingested.program.exit_code, 0) << ingested.program.err;
  EXPECT_GT(run.Acknowledged().size(), 0u);
  return ingested.shim.calls;
}

// A run that is killed at `call`, unless it has fewer: how calls fall into groups depends on time.
CrashRun::Ingested RunKilled(const CrashRun& run, std::uint64_t call, DiskKill how) {
  DiskShimOptions shim = run.Shim();
  shim.kill_at = call;
  shim.kill_how = how;
  CrashRun::Ingested ingested = run.Ingest(&shim);
  EXPECT_EQ(ingested.program.exit_code, ingested.shim.killed ? 128 + SIGKILL : 0)
      << ingested.program.err;
  return ingested;
}

TEST(Kill, AtEveryDurableCallLosesNothingAndBuysNothingTwice) {
  const ScratchFolder scratch("kill");
  Rng rng(DurabilitySeed());
  const std::uint64_t count = CountCalls(scratch);
  ASSERT_GT(count, 100u);
  const std::vector<std::uint64_t> calls = Sample(count, 80, rng);
  const std::size_t hows = TriesAll() ? std::size(kHows) : 1;
  ForEachOnThreads(calls.size() * hows, [&](std::size_t i) {
    const std::uint64_t call = calls[i / hows];
    const DiskKill how = kHows[(hows == 1 ? i : i % hows) % std::size(kHows)];
    SCOPED_TRACE(NameOf(call, how));
    const std::string folder = MakeFolder(scratch, "run" + std::to_string(i));
    const CrashRun run(folder, kInput);
    const CrashRun::Ingested killed = RunKilled(run, call, how);
    const ExportedCorpus kept = run.ExpectKept(run.Acknowledged());
    run.ExpectCompletes(kept, killed.bought);
    std::filesystem::remove_all(folder);
  });
}

TEST(Kill, DuringRecoveryLosesNothingAndBuysNothingTwice) {
  const ScratchFolder scratch("recovery");
  Rng rng(DurabilitySeed());
  const std::uint64_t count = CountCalls(scratch);
  // Early: while the directory is being made. Middle: between groups. Late: at the index.
  const std::uint64_t firsts[] = {1 + rng.Below(count / 6), count / 6 + rng.Below(count / 2),
                                  count * 3 / 4 + rng.Below(count / 5)};
  for (const std::uint64_t first : firsts) {
    const std::string left = MakeFolder(scratch, "left" + std::to_string(first));
    const CrashRun begun(left, kInput);
    const CrashRun::Ingested killed = RunKilled(begun, first, DiskKill::kTorn);
    // How many calls recovery makes, from a copy.
    const std::string copy = scratch.path() + "/copy" + std::to_string(first);
    std::filesystem::copy(left, copy, std::filesystem::copy_options::recursive);
    const CrashRun counting(copy, kInput);
    const DiskShimOptions shim = counting.Shim();
    const CrashRun::Ingested recovered = counting.Ingest(&shim);
    ASSERT_EQ(recovered.program.exit_code, 0) << recovered.program.err;
    std::cout << "  first " << NameOf(first, DiskKill::kTorn) << "\n";
    const std::vector<std::uint64_t> calls = Sample(recovered.shim.calls, 20, rng);
    ForEachOnThreads(calls.size(), [&](std::size_t i) {
      const DiskKill how = kHows[i % std::size(kHows)];
      SCOPED_TRACE("first " + NameOf(first, DiskKill::kTorn) + ", then " + NameOf(calls[i], how));
      const std::string folder = left + "_" + std::to_string(i);
      std::filesystem::copy(left, folder, std::filesystem::copy_options::recursive);
      const CrashRun run(folder, kInput);
      const CrashRun::Ingested again = RunKilled(run, calls[i], how);
      const ExportedCorpus kept = run.ExpectKept(run.Acknowledged());
      std::set<std::string> paid = killed.bought;
      paid.insert(again.bought.begin(), again.bought.end());
      run.ExpectCompletes(kept, paid);
      std::filesystem::remove_all(folder);
    });
  }
}

}  // namespace
}  // namespace embedflow
