// The built program, killed again and again at random times over the same corpus: nothing that was
// acknowledged or exported is lost, nothing that was exported is bought again, no vector is another
// text's, and what is bought again was in flight at a kill, which the summary says.
//
// EMBEDFLOW_KILLS and EMBEDFLOW_SEED make it longer and other: scripts/soak.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/random.h"
#include "embedflow/corpus.h"
#include "embedflow/simulator.h"
#include "store/in_flight.h"
#include "tests/cli/json_map.h"
#include "tests/fakes/billing_server.h"
#include "tests/fakes/program.h"

namespace embedflow {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Clocked = std::chrono::steady_clock;

constexpr int kDimensions = 16;
constexpr std::size_t kBatch = 64, kConcurrency = 16;
#ifdef EMBEDFLOW_SANITIZED
constexpr std::size_t kDocuments = 4000;
constexpr std::uint64_t kKillsDefault = 10;
#else
constexpr std::size_t kDocuments = 20000;
constexpr std::uint64_t kKillsDefault = 50;
#endif

// Every fiftieth document has the text of the one before it.
std::size_t TextNumber(std::size_t document) {
  return document % 50 == 49 ? document - 1 : document;
}
std::string TextOf(std::size_t document) {
  return "the text of document number " + std::to_string(TextNumber(document));
}

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What all runs did to all corpora.
struct Totals {
  std::uint64_t kills = 0, runs = 0, completed = 0, stopped = 0;
  std::uint64_t lost = 0, twice_in_store = 0, wrong = 0;
  std::uint64_t bought_again = 0;       // By the server's bill, replies that broke off left out.
  std::uint64_t said_bought_again = 0;  // By the summaries.
  std::uint64_t in_flight_at_kills = 0, in_flight_max = 0;
};

enum class How {
  kKill,
  kPauseThenKill,
  kInterrupt,
  kInterruptTwice,
  kTerminate,
  kHangUp,
  kLeaveAlone
};
int SignalOf(How how) {
  switch (how) {
    case How::kKill:
    case How::kPauseThenKill:
      return SIGKILL;
    case How::kTerminate:
      return SIGTERM;
    case How::kHangUp:
      return SIGHUP;
    default:
      return SIGINT;
  }
}

// One corpus from its first run to its completion, and what must be true of it all the while.
class Life {
 public:
  Life(std::string directory, std::string input, Totals* totals)
      : directory_(std::move(directory)), input_(std::move(input)), totals_(totals) {
    std::filesystem::create_directory(directory_);
  }
  ~Life() { std::filesystem::remove_all(directory_); }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  // Runs until `after` and then signals; true if the corpus is complete.
  bool Run(How how, microseconds after, std::uint64_t seed);

 private:
  struct Text {
    bool exported = false;  // Some document with it was seen.
    bool named = false;     // It was in flight when a run ended.
    std::uint32_t billed = 0;
  };

  std::string corpus() const { return directory_ + "/corpus"; }
  std::vector<std::string> Words(const std::string& base_url) const;
  ProgramResult Execute(How how, microseconds after, const std::string& base_url);
  void ReadAcknowledged();
  void Inspect();
  void Reconcile(const BillingServer::Bill& bill, bool has_summary);
  std::size_t NoteInFlight(const BillingServer::Bill& bill, bool is_drained);

  const std::string directory_, input_;
  Totals* const totals_;
  std::map<std::size_t, Text> texts_;                       // By number.
  std::vector<bool> seen_ = std::vector<bool>(kDocuments);  // Documents that were exported.
  std::vector<ChunkId> acknowledged_;
};

std::vector<std::string> Life::Words(const std::string& base_url) const {
  return {"ingest",
          input_,
          "--into",
          corpus(),
          "--provider",
          "local",
          "--model",
          "test-model",
          "--dimensions",
          std::to_string(kDimensions),
          "--base-url",
          base_url,
          "--max-batch-size",
          std::to_string(kBatch),
          "--max-concurrency",
          std::to_string(kConcurrency),
          "--retry-delay-ms",
          "5",
          "--progress",
          "none",
          "--ack-log",
          directory_ + "/acks",
          "--summary",
          directory_ + "/summary.json"};
}

ProgramResult Life::Execute(How how, microseconds after, const std::string& base_url) {
  std::filesystem::remove(directory_ + "/summary.json");
  Program program(EMBEDFLOW_PROGRAM, Words(base_url));
  if (how == How::kLeaveAlone) return program.Wait();
  if (!program.EndsWithin(after)) {
    if (how == How::kPauseThenKill) {
      program.Signal(SIGSTOP);
      (void)program.EndsWithin(milliseconds(20));
      program.Signal(SIGCONT);
      (void)program.EndsWithin(milliseconds(20));
    }
    program.Signal(SignalOf(how));
    if (how == How::kInterruptTwice) program.Signal(SIGINT);
  }
  return program.Wait();
}

bool Life::Run(How how, microseconds after, std::uint64_t seed) {
  BillingOptions options;
  options.dimensions = kDimensions;
  options.seed = seed;
  options.refused = 0.01;
  options.broken = 0.01;
  BillingServer server(options);
  const ProgramResult result = Execute(how, after, server.base_url());
  const BillingServer::Bill bill = server.Close();
  ++totals_->runs;
  const bool is_complete = result.exit_code == 0;
  const bool was_killed = result.exit_code == 128 + SIGKILL;
  EXPECT_TRUE(is_complete || result.exit_code == 128 + SignalOf(how))
      << result.exit_code << ": " << result.err;
  if (was_killed) ++totals_->kills;
  if (!is_complete && !was_killed) ++totals_->stopped;

  ReadAcknowledged();
  Inspect();
  const bool has_summary = std::filesystem::exists(directory_ + "/summary.json") &&
                           !ReadFile(directory_ + "/summary.json").empty();
  EXPECT_TRUE(has_summary || !is_complete);
  Reconcile(bill, has_summary);
  // A first signal that came before the program listened has ended it as if killed.
  const std::size_t left =
      NoteInFlight(bill, is_complete || (has_summary && how != How::kInterruptTwice));
  if (was_killed) {
    totals_->in_flight_at_kills += left;
    totals_->in_flight_max = std::max<std::uint64_t>(totals_->in_flight_max, left);
  }
  if (!is_complete) return false;
  ++totals_->completed;
  totals_->lost += static_cast<std::uint64_t>(std::count(seen_.begin(), seen_.end(), false));
  const ProgramResult verify = RunProgram(EMBEDFLOW_PROGRAM, {"verify", corpus()});
  EXPECT_EQ(verify.exit_code, 0) << verify.out << verify.err;
  return true;
}

void Life::ReadAcknowledged() {
  acknowledged_.clear();
  std::ifstream file(directory_ + "/acks");
  const std::string begin = "{\"committed\":[";
  for (std::string line; std::getline(file, line);) {
    // A line that a kill cut off was not given to anybody.
    if (!line.starts_with(begin) || !line.ends_with("]}")) continue;
    const char* at = line.c_str() + begin.size();
    for (char* next = nullptr; *at != ']'; at = *next == ',' ? next + 1 : next) {
      acknowledged_.push_back(std::strtoll(at, &next, 10));
    }
  }
}

// Looks at the corpus as a reader does.
void Life::Inspect() {
  std::unordered_set<ChunkId> ids;
  std::vector<bool> seen(kDocuments);
  std::uint64_t wrong = 0, twice = 0;
  Status status;
  if (Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(this->corpus(), Corpus::Mode::kRead);
      corpus.ok()) {
    status = (*corpus)->ForEachChunk("", [&](const StoredChunk& chunk) {
      const std::size_t document =
          std::strtoull(std::string(chunk.document_id).c_str() + 1, nullptr, 10);
      if (!ids.insert(chunk.id).second || seen.at(document)) ++twice;
      seen.at(document) = true;
      const std::vector<float> vector = SimulatedVector(chunk.text, kDimensions);
      if (chunk.text != TextOf(document) ||
          !std::equal(vector.begin(), vector.end(), chunk.embedding.begin(),
                      chunk.embedding.end())) {
        ++wrong;
      }
      return Status();
    });
  } else {
    status = corpus.status();
  }
  // Before the first commit there is nothing to see.
  if (status.code() != Code::kNotFound) {
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  std::uint64_t lost = 0;
  for (const ChunkId id : acknowledged_) lost += ids.count(id) == 0 ? 1 : 0;
  for (std::size_t i = 0; i < kDocuments; ++i) lost += seen_[i] && !seen[i] ? 1 : 0;
  EXPECT_EQ(lost, 0u) << "acknowledged or exported, and gone";
  EXPECT_EQ(twice, 0u);
  EXPECT_EQ(wrong, 0u);
  totals_->lost += lost;
  totals_->twice_in_store += twice;
  totals_->wrong += wrong;
  seen_ = std::move(seen);
}

// Compares what the server billed in this run with what was known before it.
void Life::Reconcile(const BillingServer::Bill& bill, bool has_summary) {
  // What this run bought that was or may have been paid for before, by the bill and by the names.
  std::uint64_t again = 0, maybe_again = 0;
  std::vector<bool> has_now(kDocuments);
  for (std::size_t i = 0; i < kDocuments; ++i) {
    if (seen_[i]) has_now[TextNumber(i)] = true;
  }
  for (const auto& [words, line] : bill) {
    const std::size_t number = std::strtoull(words.c_str() + words.rfind(' '), nullptr, 10);
    Text& text = texts_[number];
    EXPECT_FALSE(text.exported) << words << " was exported and bought again";
    if (line.billed > line.broken + 1) {
      ADD_FAILURE() << words << " was answered " << line.billed - line.broken << " times";
    }
    if (text.billed > 0) {
      EXPECT_TRUE(text.named) << words << " was billed before, and was in flight at no end";
    }
    const bool is_in = has_now[number] && line.billed > line.broken;
    if (is_in && (text.billed > 0 || line.billed > 1)) ++again;
    if (is_in && (text.named || line.broken > 0)) ++maybe_again;
    if (text.billed > 0) ++totals_->bought_again;
    text.billed += line.billed;
  }
  for (std::size_t i = 0; i < kDocuments; ++i) {
    if (has_now[i]) texts_[i].exported = true;
  }
  if (!has_summary) return;
  const auto summary = JsonMap::Of(ReadFile(directory_ + "/summary.json"));
  const std::uint64_t said =
      std::strtoull(summary.at("provider.vectors_bought_twice").c_str(), nullptr, 10);
  EXPECT_GE(said, again) << "less than the bill says";
  EXPECT_EQ(said, maybe_again) << "not the texts that were named or whose replies broke off";
  totals_->said_bought_again += said;
}

// Takes down what the run left in flight. A run that drained leaves only what broke off.
std::size_t Life::NoteInFlight(const BillingServer::Bill& bill, bool is_drained) {
  const Result<InFlight::Leftover> left = InFlight::Read(corpus());
  EXPECT_TRUE(left.ok()) << left.status().ToString();
  if (!left.ok()) return 0;
  if (!left->is_usable) {
    EXPECT_TRUE(bill.empty()) << "texts were sent, and none is named";
    return 0;
  }
  EXPECT_TRUE(left->is_of_this_boot);
  EXPECT_EQ(left->unnamed, 0u);
  const std::unordered_set<ContentHash> named(left->texts.begin(), left->texts.end());
  std::size_t surely_unpaid = 0;
  for (std::size_t i = 0; i < kDocuments; ++i) {
    if (TextNumber(i) != i || named.count(HashContent(TextOf(i))) == 0) continue;
    texts_[i].named = true;
    const auto line = bill.find(TextOf(i));
    if (line == bill.end() || line->second.broken == 0) ++surely_unpaid;
  }
  EXPECT_TRUE(!is_drained || surely_unpaid == 0) << surely_unpaid;
  return left->texts.size();
}

class KillLoop : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_kill_loop_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    std::ofstream input(directory_ + "/in.jsonl");
    for (std::size_t i = 0; i < kDocuments; ++i) {
      input << "{\"id\":\"d" << i << "\",\"text\":\"" << TextOf(i) << "\",\"n\":" << i << "}\n";
    }
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Life> NewLife() {
    return std::make_unique<Life>(directory_ + "/life" + std::to_string(++lives_),
                                  directory_ + "/in.jsonl", &totals_);
  }

  std::string directory_;
  int lives_ = 0;
  Totals totals_;
};

How Choose(Rng* rng) {
  constexpr How kOthers[] = {How::kPauseThenKill, How::kInterrupt, How::kInterruptTwice,
                             How::kTerminate, How::kHangUp};
  const std::uint64_t dice = rng->Below(15);
  return dice < std::size(kOthers) ? kOthers[dice] : How::kKill;
}

TEST_F(KillLoop, NothingIsLostDoubledOrWrongAndWhatIsBoughtAgainWasInFlight) {
  const std::uint64_t seed = FromEnvironment("EMBEDFLOW_SEED", 20261123);
  const std::uint64_t kills = FromEnvironment("EMBEDFLOW_KILLS", kKillsDefault);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::printf("seed %" PRIu64 ", %" PRIu64 " kills\n", seed, kills);
  Rng rng(seed);
  const auto begin = Clocked::now();
  std::unique_ptr<Life> life = NewLife();
  ASSERT_TRUE(life->Run(How::kLeaveAlone, microseconds(0), rng.Next()));
  const auto whole = std::chrono::duration_cast<microseconds>(Clocked::now() - begin);
  life = NewLife();
  while (totals_.kills < kills && !HasFailure()) {
    SCOPED_TRACE("run " + std::to_string(totals_.runs));
    // Any time of a whole run; and often a short time, so that a corpus sees many kills.
    const auto window = static_cast<std::uint64_t>(whole.count()) / (rng.Below(3) == 0 ? 1 : 4);
    const microseconds after(rng.Below(window));
    if (life->Run(Choose(&rng), after, rng.Next())) life = NewLife();
  }
  ASSERT_TRUE(HasFailure() || life->Run(How::kLeaveAlone, microseconds(0), rng.Next()));
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
  BillingServer server({.dimensions = kDimensions});
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
                                          std::to_string(kDimensions),
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
