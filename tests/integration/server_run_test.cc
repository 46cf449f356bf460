// The built program against a real loopback server: 20,000 documents, shuffled replies, faults,
// kill -9.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "base/random.h"
#include "embedflow/corpus.h"
#include "tests/fakes/flaky_server.h"
#include "tests/fakes/program.h"

namespace embedflow {
namespace {

constexpr int kDimensions = 32;
#ifdef EMBEDFLOW_SANITIZED
constexpr int kDocuments = 4000;
#else
constexpr int kDocuments = 20000;
#endif

class ServerRun : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_server_run_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    std::ofstream input(directory_ + "/in.jsonl");
    for (int i = 0; i < kDocuments; ++i) {
      input << "{\"id\":\"d" << i << "\",\"text\":\"the text of document number " << i
            << "\",\"n\":" << i << "}\n";
    }
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::vector<std::string> Ingest(const FlakyServer& server) const {
    return {"ingest",
            directory_ + "/in.jsonl",
            "--into",
            corpus(),
            "--provider",
            "local",
            "--model",
            "test-model",
            "--dimensions",
            std::to_string(kDimensions),
            "--base-url",
            server.base_url(),
            "--max-batch-size",
            "64",
            "--max-concurrency",
            "16",
            "--retry-delay-ms",
            "5",
            "--progress",
            "none",
            "--summary",
            directory_ + "/summary.json"};
  }
  std::string corpus() const { return directory_ + "/corpus"; }

  // Every text in the corpus with the number of its chunks; each vector is checked against the
  // server's.
  std::map<std::string, int> Export() const {
    std::map<std::string, int> texts;
    Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(this->corpus(), Corpus::Mode::kRead);
    EXPECT_TRUE(corpus.ok()) << corpus.status().ToString();
    if (!corpus.ok()) return texts;
    std::size_t wrong = 0;
    const Status status = (*corpus)->ForEachChunk("", [&](const StoredChunk& chunk) {
      ++texts[std::string(chunk.text)];
      const std::vector<float> expected = FlakyVector(chunk.text, kDimensions);
      if (!std::equal(expected.begin(), expected.end(), chunk.embedding.begin(),
                      chunk.embedding.end()))
        ++wrong;
      return Status();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(wrong, 0u);
    return texts;
  }

  std::string directory_;
};

TEST_F(ServerRun, EveryVectorIsExactlyTheServersInShuffledReplies) {
  FlakyServer server({.dimensions = kDimensions}, [](const FlakyRequest&) {
    FlakyReply reply;
    reply.flaw = FlakyFlaw::kShuffled;
    return reply;
  });
  const ProgramResult run = RunProgram(EMBEDFLOW_PROGRAM, Ingest(server));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "");
  EXPECT_EQ(Export().size(), static_cast<std::size_t>(kDocuments));
  for (const auto& [text, times] : server.texts_received()) ASSERT_EQ(times, 1u) << text;
  const ProgramResult verify = RunProgram(EMBEDFLOW_PROGRAM, {"verify", corpus()});
  EXPECT_EQ(verify.exit_code, 0) << verify.out << verify.err;
  // The second run sends nothing.
  const std::uint64_t requests = server.requests();
  EXPECT_EQ(RunProgram(EMBEDFLOW_PROGRAM, Ingest(server)).exit_code, 0);
  EXPECT_EQ(server.requests(), requests);
}

TEST_F(ServerRun, OneInAHundredRepliesFailingChangesNothing) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  std::atomic<int> faults{0};
  FlakyServer server({.dimensions = kDimensions}, [&](const FlakyRequest&) {
    FlakyReply reply;
    const std::uint64_t dice = rng.Below(100);
    if (dice < 2) ++faults;
    if (dice == 0) reply.status = 500;
    if (dice == 1) reply.wire = FlakyWire::kResetMidBody;
    return reply;
  });
  const ProgramResult run = RunProgram(EMBEDFLOW_PROGRAM, Ingest(server));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_GT(faults, 0);
  EXPECT_EQ(Export().size(), static_cast<std::size_t>(kDocuments));
  for (const auto& [text, times] : server.texts_answered()) ASSERT_EQ(times, 1u) << text;
}

TEST_F(ServerRun, KilledInTheMiddleNothingExportedIsBoughtAgain) {
  const std::uint64_t seed = 7;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  constexpr int kKills = 3;
  std::set<std::string> exported;
  for (int kill_number = 0; kill_number <= kKills; ++kill_number) {
    // A new server each time: its ledger is what this attempt bought.
    FlakyServer server({.dimensions = kDimensions}, [](const FlakyRequest&) {
      FlakyReply reply;
      reply.flaw = FlakyFlaw::kShuffled;
      return reply;
    });
    std::vector<std::string> arguments = Ingest(server);
    if (kill_number < kKills) {
      Program program(EMBEDFLOW_PROGRAM, arguments);
      ASSERT_TRUE(server.WaitForRequests(10 + rng.Below(kDocuments / 64 / 5)));
      program.Signal(SIGKILL);
      EXPECT_EQ(program.Wait().exit_code, 128 + SIGKILL);
    } else {
      const ProgramResult run = RunProgram(EMBEDFLOW_PROGRAM, arguments);
      ASSERT_EQ(run.exit_code, 0) << run.err;
    }
    for (const auto& [text, times] : server.texts_received()) {
      ASSERT_EQ(exported.count(text), 0u) << text << " was exported before and bought again";
    }
    if (std::filesystem::exists(corpus() + "/corpus.sqlite")) {
      for (const auto& [text, chunks] : Export()) exported.insert(text);
    }
  }
  EXPECT_EQ(exported.size(), static_cast<std::size_t>(kDocuments));
  const ProgramResult verify = RunProgram(EMBEDFLOW_PROGRAM, {"verify", corpus()});
  EXPECT_EQ(verify.exit_code, 0) << verify.out << verify.err;
}

}  // namespace
}  // namespace embedflow
