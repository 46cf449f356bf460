// A disk that gets full, fails or turns read-only at the durable calls of a run: the program says
// so, ends with 7, has lost nothing, and completes once the fault is gone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "tests/durability/crash_run.h"

namespace embedflow {
namespace {

constexpr CrashInput kInput;
constexpr int kExitComplete = 0;
constexpr int kExitIo = 7;

struct Fault {
  std::string name;
  int error = 0;
  std::uint64_t calls = 0;  // How many fail; 0: all from there.
  bool is_short = false;    // The first write to fail writes a part.
  // What can fail like this; empty: all.
  std::vector<DiskCall> kinds;
  std::string says;  // What the message must hold besides the path.
};

// A full disk still syncs a file whose blocks it has, removes files and shortens them.
const std::vector<DiskCall> kTakesRoom = {DiskCall::kCreate, DiskCall::kWrite, DiskCall::kRename,
                                          DiskCall::kAllocate, DiskCall::kMakeDirectory};
const std::vector<DiskCall> kSyncs = {DiskCall::kSync, DiskCall::kDataSync};

DiskShimOptions ShimFor(const CrashRun& run, const Fault& fault, const std::string& file) {
  DiskShimOptions shim = run.Shim(true);
  shim.kinds = fault.kinds;
  shim.file = file;
  shim.fail_with = fault.error;
  shim.fail_calls = fault.calls;
  shim.fail_short = fault.is_short;
  return shim;
}

// The calls of a clean run that `fault` could fall on.
std::uint64_t CountCalls(const ScratchFolder& scratch, const Fault& fault,
                         const std::string& file) {
  const std::string folder = scratch.path() + "/clean";
  std::filesystem::create_directory(folder);
  const CrashRun run(folder, kInput);
  const DiskShimOptions shim = ShimFor(run, fault, file);
  const CrashRun::Ingested ingested = run.Ingest(&shim);
  EXPECT_EQ(ingested.program.exit_code, kExitComplete) << ingested.program.err;
  std::filesystem::remove_all(folder);
  return ingested.shim.calls;
}

// After a failed sync nobody knows what the file holds, and a second sync would say that all is
// well: so there must be none. Directories are another matter: SQLite does not look at what comes
// of its sync of one, and our own comes before it. A file that is emptied holds nothing to lose:
// so SQLite undoes the first write to a database.
void ExpectNoSyncIsTriedAgain(const std::vector<DiskOperation>& trace) {
  std::set<std::uint64_t> failed;
  for (const DiskOperation& operation : trace) {
    const bool empties = operation.header.call == DiskCall::kTruncate && !operation.failed();
    if (empties && operation.header.offset == 0) failed.erase(operation.header.file);
    if (!operation.is_sync() || operation.header.is_directory != 0) continue;
    EXPECT_EQ(failed.count(operation.header.file), 0u)
        << Describe(operation) << " after one that failed";
    if (operation.failed()) failed.insert(operation.header.file);
  }
}

// SQLite keeps no reason why it could not make its log, and LMDB none why a write was short. On a
// disk that is full the file system is asked; this one is not.
bool LosesTheReason(const Fault& fault, const DiskOperation& failed) {
  return fault.is_short ||
         (failed.header.call == DiskCall::kCreate && failed.name.rfind("corpus.sqlite-", 0) == 0);
}

void ExpectSaysWhatToDo(const CrashRun& run, const ProgramResult& result, const std::string& says) {
  EXPECT_NE(result.err.find(run.folder()), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("next: "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find(says), std::string::npos) << result.err;
}

void FailAt(const std::string& folder, const Fault& fault, const std::string& file,
            std::uint64_t call) {
  SCOPED_TRACE(fault.name + " at call " + std::to_string(call) +
               (file.empty() ? "" : " of those on " + file));
  std::filesystem::create_directory(folder);
  const CrashRun run(folder, kInput);
  DiskShimOptions shim = ShimFor(run, fault, file);
  shim.fail_at = call;
  const CrashRun::Ingested failed = run.Ingest(&shim);
  const std::vector<DiskOperation> trace = ReadDiskTrace(run.trace());
  const auto first_failed =
      std::find_if(trace.begin(), trace.end(), [](const DiskOperation& o) { return o.failed(); });
  const bool has_failed = first_failed != trace.end();
  SCOPED_TRACE(has_failed ? Describe(*first_failed) : "nothing failed");
  const bool is_lost = has_failed && LosesTheReason(fault, *first_failed);
  const std::string says = is_lost ? "run the same command again" : fault.says;
  EXPECT_TRUE(failed.program.exit_code == kExitIo || failed.program.exit_code == kExitComplete)
      << "exit " << failed.program.exit_code << ": " << failed.program.err;
  if (failed.program.exit_code == kExitIo) ExpectSaysWhatToDo(run, failed.program, says);
  if (failed.program.exit_code == kExitComplete) {
    // Only what is tidied up behind the last commit may fail in silence.
    EXPECT_EQ(failed.outcome, "complete");
  }
  if (fault.error == EIO) ExpectNoSyncIsTriedAgain(trace);
  const ExportedCorpus kept = run.ExpectKept(run.Acknowledged());
  if (failed.program.exit_code == kExitComplete) {
    EXPECT_EQ(kept.documents.size(), static_cast<std::size_t>(kInput.documents));
  }
  run.ExpectCompletes(kept, failed.bought);
  std::filesystem::remove_all(folder);
}

// At a sample of the calls on `file` (empty: any).
void FailAtEach(const Fault& fault, const std::string& file, std::uint64_t wanted) {
  const ScratchFolder scratch("fault");
  Rng rng(DurabilitySeed());
  const std::uint64_t count = CountCalls(scratch, fault, file);
  ASSERT_GT(count, 0u);
  const std::vector<std::uint64_t> calls = Sample(count, wanted, rng);
  ForEachOnThreads(calls.size(), [&](std::size_t i) {
    FailAt(scratch.path() + "/run" + std::to_string(i), fault, file, calls[i]);
  });
}

TEST(DiskFault, FullFromAnyWriteOn) {
  const Fault fault = {"full", ENOSPC, 0, false, kTakesRoom, "free space"};
  FailAtEach(fault, "", 24);
}

TEST(DiskFault, FullInTheMiddleOfAWrite) {
  const Fault fault = {"full after a part", ENOSPC, 0, true, {DiskCall::kWrite}, "free space"};
  FailAtEach(fault, "", 12);
}

TEST(DiskFault, OverQuotaFromAnyWriteOn) {
  // SQLite keeps that it failed but not always why.
  const Fault fault = {"over quota", EDQUOT, 0, false, kTakesRoom, "run the same command again"};
  FailAtEach(fault, "", 8);
}

TEST(DiskFault, OneFailedSyncIsNotTriedAgain) {
  const Fault fault = {"sync fails once", EIO, 1, false, kSyncs, "disk"};
  FailAtEach(fault, "", 32);
}

TEST(DiskFault, OneFailedCallOfAnyKind) {
  const Fault fault = {"fails once", EIO, 1, false, {}, "disk"};
  FailAtEach(fault, "", 24);
}

TEST(DiskFault, ReadOnlyFromAnyCallOn) {
  // Where SQLite has lost the reason, a file system that is read-only would tell; this one is not.
  const Fault fault = {"read-only", EROFS, 0, false, {}, "run the same command again"};
  FailAtEach(fault, "", 16);
}

// One misfortune on the other: killed first, and no room while that is made good.
TEST(DiskFault, FullWhileRecoveringFromAKill) {
  const ScratchFolder scratch("fault_recovery");
  const Fault fault = {"full", ENOSPC, 0, false, kTakesRoom, "free space"};
  const std::uint64_t count = CountCalls(scratch, fault, "");
  const std::size_t runs = TriesAll() ? 200 : AsManyAs(16);
  ForEachOnThreads(runs, [&](std::size_t i) {
    Rng rng(DurabilitySeed() + i);
    const std::string folder = scratch.path() + "/run" + std::to_string(i);
    std::filesystem::create_directory(folder);
    const CrashRun run(folder, kInput);
    DiskShimOptions kill = run.Shim();
    kill.kill_at = 1 + rng.Below(count);
    DiskShimOptions full = ShimFor(run, fault, "");
    full.fail_at = 1 + rng.Below(count / 2);
    SCOPED_TRACE("killed at call " + std::to_string(kill.kill_at) + ", then full from call " +
                 std::to_string(full.fail_at));
    const CrashRun::Ingested killed = run.Ingest(&kill);
    const CrashRun::Ingested failed = run.Ingest(&full);
    EXPECT_EQ(failed.program.exit_code,
              failed.shim.failed > 0 && failed.outcome != "complete" ? kExitIo : kExitComplete)
        << failed.program.err;
    const ExportedCorpus kept = run.ExpectKept(run.Acknowledged());
    std::set<std::string> paid = killed.bought;
    paid.insert(failed.bought.begin(), failed.bought.end());
    run.ExpectCompletes(kept, paid);
    std::filesystem::remove_all(folder);
  });
}

// The index is written last, so a sample of all calls might miss it.
TEST(DiskFault, OnTheIndexFile) {
  FailAtEach({"full", ENOSPC, 0, false, kTakesRoom, "free space"}, ".faiss.tmp", 100);
  FailAtEach({"sync fails once", EIO, 1, false, kSyncs, "disk"}, ".faiss.tmp", 100);
  FailAtEach({"read-only", EROFS, 0, false, {}, "writable"}, ".faiss.tmp", 100);
}

}  // namespace
}  // namespace embedflow
