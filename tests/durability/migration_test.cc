// Bringing a corpus of format version 1 forward: killed and out of room at every durable call of
// it. What golden_v1/ holds is told by its README.
#include <gtest/gtest.h>
#include <rapidjson/document.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "embedflow/simulator.h"
#include "tests/durability/crash_run.h"

namespace embedflow {
namespace {

constexpr int kExitPartial = 3;  // The input's last line is no JSON.
constexpr int kExitIo = 7;
constexpr std::uint64_t kVectors = 99;  // In three spaces, 32 of them without a document.
constexpr std::uint64_t kBoughtByKilledRun = 32;
constexpr std::uint64_t kTexts = 41;
constexpr DiskKill kHows[] = {DiskKill::kBefore, DiskKill::kAfter, DiskKill::kTorn};

std::string GoldenInput() { return std::string(EMBEDFLOW_GOLDEN_V1) + "/in.jsonl"; }

std::vector<std::string> SortedLines(const std::string& text) {
  std::vector<std::string> lines;
  std::string line;
  for (const char c : text) {
    if (c != '\n') {
      line += c;
      continue;
    }
    lines.push_back(std::exchange(line, {}));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::uint64_t NumberIn(const std::string& json, const char* outer, const char* inner) {
  rapidjson::Document document;
  document.Parse(json.data(), json.size());
  if (document.HasParseError() || !document.IsObject()) return ~std::uint64_t{0};
  const rapidjson::Value& value = inner == nullptr ? document[outer] : document[outer][inner];
  return value.GetUint64();
}

// A copy of the golden corpus.
class Golden {
 public:
  explicit Golden(std::string folder) : folder_(std::move(folder)) {
    std::filesystem::create_directory(folder_);
    std::filesystem::copy(std::string(EMBEDFLOW_GOLDEN_V1) + "/corpus", corpus());
  }
  ~Golden() { std::filesystem::remove_all(folder_); }
  Golden(const Golden&) = delete;
  Golden& operator=(const Golden&) = delete;

  std::string corpus() const { return folder_ + "/corpus"; }
  DiskShimOptions Shim() const {
    DiskShimOptions shim;
    shim.directory = corpus();
    shim.state_file = folder_ + "/shim_state";
    return shim;
  }
  std::vector<std::string> IngestWords(const std::vector<std::string>& provider) const {
    std::vector<std::string> words = {"ingest",    GoldenInput(),       "--into",
                                      corpus(),    "--progress",        "none",
                                      "--summary", folder_ + "/summary"};
    words.insert(words.end(), provider.begin(), provider.end());
    return words;
  }
  std::string summary() const {
    std::ifstream file(folder_ + "/summary");
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  ProgramResult Run(const std::vector<std::string>& words,
                    const DiskShimOptions* shim = nullptr) const {
    return RunProgram(
        EMBEDFLOW_PROGRAM, words, "",
        shim == nullptr ? std::vector<std::string>() : shim->Environment(EMBEDFLOW_DISK_SHIM));
  }

 private:
  const std::string folder_;
};

const std::vector<std::string> kBuiltin = {"--dimensions", "64"};

// What the corpus must export: what a new corpus of the same input does, with the vectors that are
// computed, not stored, there.
std::vector<std::string> Expected(const ScratchFolder& scratch) {
  const std::string corpus = scratch.path() + "/new";
  const ProgramResult made = RunProgram(
      EMBEDFLOW_PROGRAM,
      {"ingest", GoldenInput(), "--into", corpus, "--dimensions", "64", "--progress", "none"});
  EXPECT_EQ(made.exit_code, kExitPartial) << made.err;
  return SortedLines(RunProgram(EMBEDFLOW_PROGRAM, {"export", corpus}).out);
}

void ExpectWhole(const Golden& golden, const std::vector<std::string>& expected) {
  const ProgramResult exported = golden.Run({"export", golden.corpus()});
  EXPECT_EQ(exported.exit_code, 0) << exported.err;
  EXPECT_EQ(SortedLines(exported.out), expected);
  const ProgramResult ingested = golden.Run(golden.IngestWords(kBuiltin));
  EXPECT_EQ(ingested.exit_code, kExitPartial) << ingested.err;
  EXPECT_EQ(NumberIn(golden.summary(), "chunks", "embedded"), 0u);
  EXPECT_EQ(NumberIn(golden.summary(), "documents", "unchanged"), 40u);
  const ProgramResult status = golden.Run({"status", golden.corpus(), "--json"});
  EXPECT_EQ(NumberIn(status.out, "vectors", nullptr), kVectors) << status.out << status.err;
  const ProgramResult verify = golden.Run({"verify", golden.corpus(), "--json"});
  EXPECT_EQ(verify.exit_code, 0) << verify.out << verify.err;
}

// What the killed run of the old version had bought is not bought again.
void ExpectNothingIsBoughtAgain(const Golden& golden) {
  SimulatorOptions options;
  options.dimensions = 16;
  const Result<std::unique_ptr<Simulator>> server = Simulator::Start(options);
  ASSERT_TRUE(server.ok());
  const ProgramResult ingested =
      golden.Run(golden.IngestWords({"--provider", "local", "--model", "m", "--dimensions", "16",
                                     "--base-url", (*server)->base_url()}));
  EXPECT_EQ(ingested.exit_code, kExitPartial) << ingested.err;
  EXPECT_EQ((*server)->stats().texts_answered, kTexts - kBoughtByKilledRun);
}

// The durable calls of `words` on a fresh copy.
std::uint64_t CountCalls(const ScratchFolder& scratch, bool reads) {
  const Golden golden(scratch.path() + "/count");
  const DiskShimOptions shim = golden.Shim();
  const ProgramResult result = golden.Run(
      reads ? std::vector<std::string>{"export", golden.corpus()} : golden.IngestWords(kBuiltin),
      &shim);
  EXPECT_EQ(result.exit_code, reads ? 0 : kExitPartial) << result.err;
  return ReadDiskShimState(shim.state_file).calls;
}

void KillAtEveryCall(bool reads) {
  const ScratchFolder scratch("migration");
  Rng rng(DurabilitySeed());
  const std::vector<std::string> expected = Expected(scratch);
  const std::uint64_t count = CountCalls(scratch, reads);
  ASSERT_GT(count, 20u);
  const std::vector<std::uint64_t> calls = Sample(count, 32, rng);
  const std::size_t hows = TriesAll() ? std::size(kHows) : 1;
  ForEachOnThreads(calls.size() * hows, [&](std::size_t i) {
    const Golden golden(scratch.path() + "/" + std::to_string(i));
    DiskShimOptions shim = golden.Shim();
    shim.kill_at = calls[i / hows];
    shim.kill_how = kHows[(hows == 1 ? i : i % hows) % std::size(kHows)];
    SCOPED_TRACE("killed at call " + std::to_string(shim.kill_at));
    const ProgramResult killed = golden.Run(
        reads ? std::vector<std::string>{"export", golden.corpus()} : golden.IngestWords(kBuiltin),
        &shim);
    EXPECT_EQ(killed.exit_code, 128 + SIGKILL) << killed.err;
    ExpectWhole(golden, expected);
    if (i % 8 == 0) ExpectNothingIsBoughtAgain(golden);
  });
}

TEST(Migration, KilledAtEveryDurableCallOfARunLosesNothing) { KillAtEveryCall(false); }

TEST(Migration, KilledAtEveryDurableCallOfAnExportLosesNothing) { KillAtEveryCall(true); }

// It may have paid for what is bought now: nobody knows which replies had arrived.
TEST(Migration, TheKilledRunOfTheOldVersionIsRemembered) {
  const ScratchFolder scratch("migration_killed");
  const Golden golden(scratch.path() + "/copy");
  ExpectNothingIsBoughtAgain(golden);
  EXPECT_EQ(NumberIn(golden.summary(), "provider", "vectors_bought_twice"),
            kTexts - kBoughtByKilledRun);
}

TEST(Migration, OutOfRoomAtAnyCallLosesNothing) {
  const ScratchFolder scratch("migration_full");
  Rng rng(DurabilitySeed());
  const std::vector<std::string> expected = Expected(scratch);
  const std::vector<std::uint64_t> calls = Sample(CountCalls(scratch, false), 20, rng);
  ForEachOnThreads(calls.size(), [&](std::size_t i) {
    const Golden golden(scratch.path() + "/" + std::to_string(i));
    DiskShimOptions shim = golden.Shim();
    shim.kinds = {DiskCall::kCreate, DiskCall::kWrite, DiskCall::kAllocate};
    shim.fail_at = calls[i];
    shim.fail_with = ENOSPC;
    SCOPED_TRACE("full from call " + std::to_string(shim.fail_at));
    const ProgramResult failed = golden.Run(golden.IngestWords(kBuiltin), &shim);
    // The last calls only tidy up.
    EXPECT_TRUE(failed.exit_code == kExitIo || failed.exit_code == kExitPartial) << failed.err;
    ExpectWhole(golden, expected);
  });
}

}  // namespace
}  // namespace embedflow
