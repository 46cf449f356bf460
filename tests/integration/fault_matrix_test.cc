// The built program against every way a provider can go wrong, at first, now and then, and always:
// nothing wrong is stored, nothing hangs, the error is one clear line, and a later run against a
// provider that works completes.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "embedflow/corpus.h"
#include "embedflow/simulator.h"
#include "tests/fakes/program.h"

namespace embedflow {
namespace {

constexpr int kDimensions = 8;
constexpr std::size_t kDocuments = 160;
constexpr std::size_t kBatch = 4;  // 40 requests: 5 % are two of them.
// Of a run that ends on its own; a sanitized program takes several times as long.
#ifdef EMBEDFLOW_SANITIZED
constexpr std::chrono::seconds kRunMax{60};
#else
constexpr std::chrono::seconds kRunMax{15};
#endif
// Most bytes of the last line of an error: a provider's words are cut.
constexpr std::size_t kErrorLineBytesMax = 2000;

// Kills a program that does not end in time, so that a hang is a failure and not a wait.
class Watchdog {
 public:
  Watchdog(Program* program, std::chrono::seconds limit)
      : thread_([this, program, limit] {
          std::unique_lock<std::mutex> lock(mu_);
          if (!ended_.wait_for(lock, limit, [this] { return has_ended_; }))
            program->Signal(SIGKILL);
        }) {}
  ~Watchdog() {
    {
      const std::lock_guard<std::mutex> lock(mu_);
      has_ended_ = true;
    }
    ended_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  std::mutex mu_;
  std::condition_variable ended_;
  bool has_ended_ = false;
  std::thread thread_;
};

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      lines.push_back(std::move(line));
      line.clear();
    } else {
      line += c;
    }
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

// One fault at one frequency.
class FaultMatrix : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_fault_matrix_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    std::ofstream input(directory_ + "/in.jsonl");
    for (std::size_t i = 0; i < kDocuments; ++i) {
      input << R"({"id":"d)" << i << R"(","text":"the text of document )" << i << "\"}\n";
    }
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string corpus() const { return directory_ + "/corpus"; }

  static std::unique_ptr<Simulator> Serve(const std::vector<std::string>& faults) {
    SimulatorOptions options;
    options.dimensions = kDimensions;
    for (const std::string& text : faults) {
      Result<SimulatorFault> fault = ParseSimulatorFault(text);
      EXPECT_TRUE(fault.ok()) << fault.status().ToString();
      if (fault.ok()) options.faults.push_back(*std::move(fault));
    }
    Result<std::unique_ptr<Simulator>> server = Simulator::Start(options);
    EXPECT_TRUE(server.ok()) << server.status().ToString();
    return server.ok() ? *std::move(server) : nullptr;
  }

  ProgramResult Ingest(const Simulator& server) const {
    Program program(EMBEDFLOW_PROGRAM, {"ingest",
                                        directory_ + "/in.jsonl",
                                        "--into",
                                        corpus(),
                                        "--provider",
                                        "local",
                                        "--model",
                                        "m",
                                        "--dimensions",
                                        std::to_string(kDimensions),
                                        "--base-url",
                                        server.base_url(),
                                        "--max-batch-size",
                                        std::to_string(kBatch),
                                        "--timeout-seconds",
                                        "0.5",
                                        "--max-retries",
                                        "2",
                                        "--retry-delay-ms",
                                        "1",
                                        "--progress",
                                        "none"});
    const Watchdog watchdog(&program, kRunMax);
    return program.Wait();
  }

  struct Stored {
    std::size_t texts = 0;  // With a vector, which is the right one.
    std::size_t dead = 0;
  };
  // Checks all that is stored.
  Stored CheckStored() const {
    Stored stored;
    if (!std::filesystem::exists(corpus())) return stored;
    Result<std::unique_ptr<Corpus>> opened = Corpus::Open(corpus(), Corpus::Mode::kRead);
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    if (!opened.ok()) return stored;
    const Result<VerifyReport> report = (*opened)->Verify({});
    EXPECT_TRUE(report.ok() && report->ok);
    std::map<std::string, int> texts;
    const Status status = (*opened)->ForEachChunk("", [&](const StoredChunk& chunk) {
      if (chunk.embedding.empty()) return Status();
      ++texts[std::string(chunk.text)];
      EXPECT_EQ(std::vector<float>(chunk.embedding.begin(), chunk.embedding.end()),
                SimulatedVector(chunk.text, kDimensions))
          << chunk.text;
      return Status();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    for (const auto& [text, times] : texts) EXPECT_EQ(times, 1) << text;
    const Result<std::vector<DeadLetter>> dead = (*opened)->DeadLetters();
    EXPECT_TRUE(dead.ok());
    return {texts.size(), dead.ok() ? dead->size() : 0};
  }

  std::string directory_;
};

// Checks how a run under faults ended and what it said.
void CheckEnd(const ProgramResult& run) {
  const std::vector<std::string> lines = LinesOf(run.err);
  if (run.exit_code == 5 || run.exit_code == 8) {
    ASSERT_FALSE(lines.empty());
    const std::string& error = lines.back();
    EXPECT_TRUE(error.starts_with("embedflow: ")) << error.substr(0, 200);
    EXPECT_NE(error.find("next: "), std::string::npos) << error.substr(0, 200);
    EXPECT_LE(error.size(), kErrorLineBytesMax);
  } else if (run.exit_code != 0 && run.exit_code != 3) {
    ADD_FAILURE() << "exit code " << run.exit_code << "\n" << run.err.substr(0, 2000);
  }
  std::size_t errors = 0;
  for (const std::string& line : lines) {
    errors += line.starts_with("embedflow: ") ? 1 : 0;
    for (const char c : line) {
      const auto byte = static_cast<unsigned char>(c);
      EXPECT_FALSE(byte < 0x20 || byte == 0x7f) << "a control byte got out";
    }
  }
  EXPECT_LE(errors, 1u) << run.err.substr(0, 2000);
}

TEST_P(FaultMatrix, NothingWrongIsStoredAndALaterRunCompletes) {
  const auto& [kind, when] = GetParam();
  std::size_t dead = 0;
  {
    const std::unique_ptr<Simulator> server = Serve({kind + ":" + when});
    ASSERT_NE(server, nullptr);
    const ProgramResult run = Ingest(*server);
    EXPECT_FALSE(server->stats().faults.empty()) << "the fault never came";
    CheckEnd(run);
    const Stored stored = CheckStored();
    EXPECT_EQ(run.exit_code == 0, stored.texts == kDocuments);
    dead = stored.dead;
    // Only a refusal of one text alone condemns it, and a provider that refuses every one is not
    // believed for long.
    const bool condemns = kind == "context-length" || kind == "bad-request";
    EXPECT_LE(dead, condemns ? kBatch : 0);
  }
  const std::unique_ptr<Simulator> server = Serve({});
  ASSERT_NE(server, nullptr);
  const ProgramResult clean = Ingest(*server);
  EXPECT_EQ(clean.exit_code, dead == 0 ? 0 : 3) << clean.err;
  EXPECT_EQ(CheckStored().texts, kDocuments - dead);
}

std::string NameOf(const testing::TestParamInfo<std::tuple<std::string, std::string>>& info) {
  std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, FaultMatrix,
    testing::Combine(testing::Values("status=408", "server-error", "bad-gateway", "overloaded",
                                     "throttle=0", "throttle-ms=5", "throttle=abc", "unauthorized",
                                     "forbidden", "no-model", "quota", "bad-request",
                                     "context-length", "too-large=100", "nasty-error", "redirect",
                                     "error-inside", "html", "empty", "empty-data", "null-data",
                                     "truncated-json", "nested", "bad-utf8", "too-few", "too-many",
                                     "short-vector", "nan", "infinity", "overflow", "huge", "zero",
                                     "null", "strings", "bad-base64", "odd-base64", "shuffled",
                                     "repeated-index", "negative-index", "huge-index", "reset",
                                     "reset-body", "close", "close-after", "truncated", "garbage",
                                     "gzip-bomb", "header-flood", "stall", "loris=8"),
                     testing::Values("first", "random=5%", "always")),
    NameOf);

// The first request of a connection cannot meet it.
INSTANTIATE_TEST_SUITE_P(KindsOfLaterRequests, FaultMatrix,
                         testing::Combine(testing::Values("close-reused"),
                                          testing::Values("random=5%", "always")),
                         NameOf);

}  // namespace
}  // namespace embedflow
