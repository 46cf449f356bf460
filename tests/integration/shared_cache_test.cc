// Several programs over one cache at the same time, one of them killed: each corpus is whole, and
// what one has bought another does not buy.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/json_map.h"
#include "tests/fakes/program.h"
#include "tests/fakes/simulate_program.h"

namespace embedflow {
namespace {

constexpr int kDocuments = 3000;

class SharedCacheProgram : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_cache_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    std::ofstream input(Path("input.jsonl"));
    for (int i = 0; i < kDocuments; ++i) {
      input << "{\"id\":\"d" << i << "\",\"text\":\"text of document " << i << "\"}\n";
    }
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  std::vector<std::string> Ingest(const std::string& corpus) const {
    return {"ingest",           Path("input.jsonl"),
            "--into",           Path(corpus),
            "--progress",       "none",
            "--summary",        Path(corpus + ".json"),
            "--provider",       "local",
            "--model",          "m",
            "--dimensions",     "16",
            "--max-batch-size", "50",
            "--base-url",       server_.base_url(),
            "--cache",          Path("cache"),
            "--cache-bytes",    "16777216"};
  }
  std::map<std::string, std::string> Summary(const std::string& corpus) const {
    std::stringstream text;
    text << std::ifstream(Path(corpus + ".json")).rdbuf();
    return JsonMap::Of(text.str());
  }
  // Every chunk, with its vector.
  std::multiset<std::string> Export(const std::string& corpus) const {
    EXPECT_EQ(RunProgram(EMBEDFLOW_PROGRAM, {"verify", Path(corpus)}).exit_code, 0);
    const ProgramResult result = RunProgram(EMBEDFLOW_PROGRAM, {"export", Path(corpus)});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::multiset<std::string> lines;
    std::istringstream stream(result.out);
    for (std::string line; std::getline(stream, line);) lines.insert(line);
    return lines;
  }

  std::string directory_;
  SimulateProgram server_{EMBEDFLOW_PROGRAM, {"--dimensions", "16", "--latency", "5ms"}};
};

// Whether a run said that it steps aside from the cache, as it may on a machine busy with other
// things.
bool HasWarned(const ProgramResult& result) {
  return result.err.find("level=warning") != std::string::npos ||
         result.err.find("warning:") != std::string::npos;
}

TEST_F(SharedCacheProgram, TwoIngestsAtOnceAndAThirdBuysNothing) {
  constexpr int kAttempts = 3;
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    for (const char* name : {"first", "second", "cache"}) std::filesystem::remove_all(Path(name));
    Program first(EMBEDFLOW_PROGRAM, Ingest("first"));
    Program second(EMBEDFLOW_PROGRAM, Ingest("second"));
    const ProgramResult one = first.Wait();
    const ProgramResult two = second.Wait();
    EXPECT_EQ(one.exit_code, 0) << one.err;
    EXPECT_EQ(two.exit_code, 0) << two.err;
    if (!HasWarned(one) && !HasWarned(two)) break;
    ASSERT_LT(attempt, kAttempts) << one.err << two.err;
  }
  const ProgramResult three = RunProgram(EMBEDFLOW_PROGRAM, Ingest("third"));
  EXPECT_EQ(three.exit_code, 0) << three.err;
  auto summary = Summary("third");
  EXPECT_EQ(summary["provider.requests"], "0");
  EXPECT_EQ(summary["chunks.embedded"], "0");
  EXPECT_EQ(summary["chunks.reused"], std::to_string(kDocuments));
  EXPECT_EQ(summary["cache.hits"], std::to_string(kDocuments));
  EXPECT_EQ(summary["cache.hit_rate"], "1");
  EXPECT_NE(three.err.find("100 % hit rate"), std::string::npos) << three.err;
  const std::multiset<std::string> bought = Export("first");
  EXPECT_EQ(bought.size(), static_cast<std::size_t>(kDocuments));
  EXPECT_EQ(Export("second"), bought);
  EXPECT_EQ(Export("third"), bought);
}

// What a killed ingest had committed, others find; the killed one goes on.
TEST_F(SharedCacheProgram, AKilledIngestLeavesWhatItBought) {
  bool stepped_aside = false;
  {
    Program killed(EMBEDFLOW_PROGRAM, Ingest("first"));
    Program beside(EMBEDFLOW_PROGRAM, Ingest("second"));
    // Some of its vectors are in: the file has grown beyond its first pages.
    std::error_code none;
    while (!killed.EndsWithin(std::chrono::milliseconds(1)) &&
           (!std::filesystem::exists(Path("cache/cache.lmdb"), none) ||
            std::filesystem::file_size(Path("cache/cache.lmdb"), none) < 65536)) {
    }
    killed.Signal(SIGKILL);
    killed.Wait();
    const ProgramResult two = beside.Wait();
    EXPECT_EQ(two.exit_code, 0) << two.err;
    stepped_aside = HasWarned(two);
  }
  const ProgramResult again = RunProgram(EMBEDFLOW_PROGRAM, Ingest("first"));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  if (!stepped_aside) {
    EXPECT_EQ(Summary("first")["provider.requests"], "0") << again.err;
  }
  EXPECT_EQ(Export("first"), Export("second"));
}

}  // namespace
}  // namespace embedflow
