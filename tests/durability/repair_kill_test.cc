// SIGKILL at the durable calls of a repair: what is left can be repaired, and nothing more is lost
// or bought than a repair that ran through would have.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/durability/crash_run.h"

namespace embedflow {
namespace {

constexpr CrashInput kInput;
constexpr DiskKill kHows[] = {DiskKill::kBefore, DiskKill::kAfter, DiskKill::kTorn};

void ZeroPage(const std::string& path, std::uintmax_t page) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(page * 4096));
  file << std::string(4096, '\0');
}

ProgramResult RepairWith(const CrashRun& run, const DiskShimOptions* shim) {
  return RunProgram(
      EMBEDFLOW_PROGRAM, {"verify", run.corpus(), "--repair", "--json"}, "",
      shim == nullptr ? std::vector<std::string>() : shim->Environment(EMBEDFLOW_DISK_SHIM));
}

TEST(RepairKill, AtItsDurableCallsLeavesWhatCanBeRepairedAgain) {
  const ScratchFolder scratch("repair_kill");
  const std::string damaged = scratch.path() + "/damaged";
  std::filesystem::create_directory(damaged);
  ExportedCorpus whole;
  {
    const CrashRun run(damaged, kInput);
    ASSERT_EQ(run.Ingest().program.exit_code, 0);
    whole = run.Export();
    // A page in the middle of each: rows of documents, and vectors.
    for (const char* name : {"/corpus.sqlite", "/vectors.lmdb"}) {
      const std::string path = run.corpus() + name;
      ZeroPage(path, std::filesystem::file_size(path) / 4096 / 2);
    }
  }
  const auto copy = [&](const std::string& name) {
    const std::string folder = scratch.path() + "/" + name;
    std::filesystem::copy(damaged, folder, std::filesystem::copy_options::recursive);
    return folder;
  };
  std::uint64_t calls = 0;
  std::size_t bought = 0;
  {
    const CrashRun run(copy("through"), kInput);
    const DiskShimOptions shim = run.Shim();
    const ProgramResult repaired = RepairWith(run, &shim);
    ASSERT_EQ(repaired.exit_code, 0) << repaired.err << repaired.out;
    calls = ReadDiskShimState(shim.state_file).calls;
    bought = run.Ingest().bought.size();
    EXPECT_EQ(run.Export().texts, whole.texts);
  }
  ASSERT_GT(calls, 20u);
  Rng rng(DurabilitySeed());
  const std::vector<std::uint64_t> sample = Sample(calls, 40, rng);
  const std::size_t hows = TriesAll() ? std::size(kHows) : 1;
  ForEachOnThreads(sample.size() * hows, [&](std::size_t i) {
    const std::uint64_t call = sample[i / hows];
    const DiskKill how = kHows[(hows == 1 ? i : i % hows) % std::size(kHows)];
    SCOPED_TRACE("call " + std::to_string(call) + ", how " + std::to_string(static_cast<int>(how)));
    const std::string folder = copy("run" + std::to_string(i));
    const CrashRun run(folder, kInput);
    DiskShimOptions shim = run.Shim();
    shim.kill_at = call;
    shim.kill_how = how;
    const ProgramResult killed = RepairWith(run, &shim);
    EXPECT_TRUE(killed.exit_code == 128 + SIGKILL || killed.exit_code == 0) << killed.err;
    const ProgramResult repaired = RepairWith(run, nullptr);
    EXPECT_EQ(repaired.exit_code, 0) << repaired.err << repaired.out;
    EXPECT_TRUE(run.Verify().ok);
    EXPECT_LE(run.Ingest().bought.size(), bought);
    EXPECT_EQ(run.Export().texts, whole.texts);
    std::filesystem::remove_all(folder);
  });
}

}  // namespace
}  // namespace embedflow
