#include "tests/integration/corpus_life.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <unordered_set>

#include "embedflow/corpus.h"
#include "embedflow/simulator.h"
#include "store/in_flight.h"
#include "tests/cli/json_map.h"

namespace embedflow {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::size_t kBatch = 64, kConcurrency = 16;

// Every fiftieth document has the text of the one before it.
std::size_t TextNumber(std::size_t document) {
  return document % 50 == 49 ? document - 1 : document;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int SignalOf(StopKind how) {
  switch (how) {
    case StopKind::kKill:
    case StopKind::kPauseThenKill:
      return SIGKILL;
    case StopKind::kTerminate:
      return SIGTERM;
    case StopKind::kHangUp:
      return SIGHUP;
    default:
      return SIGINT;
  }
}

}  // namespace

std::string LifeText(std::size_t document) {
  return "the text of document number " + std::to_string(TextNumber(document));
}

std::vector<std::string> CorpusLife::Words(const std::string& base_url) const {
  return {"ingest",
          input_,
          "--into",
          corpus(),
          "--provider",
          "local",
          "--model",
          "test-model",
          "--dimensions",
          std::to_string(kLifeDimensions),
          "--base-url",
          base_url,
          "--max-batch-size",
          std::to_string(kBatch),
          "--max-concurrency",
          std::to_string(kConcurrency),
          "--retry-delay-ms",
          "5",
          "--max-retries",
          "10",
          "--progress",
          "none",
          "--ack-log",
          directory_ + "/acks",
          "--summary",
          directory_ + "/summary.json"};
}

ProgramResult CorpusLife::Execute(StopKind how, microseconds after, const std::string& base_url) {
  std::filesystem::remove(directory_ + "/summary.json");
  Program program(EMBEDFLOW_PROGRAM, Words(base_url));
  if (how == StopKind::kLeaveAlone) return program.Wait();
  if (!program.EndsWithin(after)) {
    if (how == StopKind::kPauseThenKill) {
      program.Signal(SIGSTOP);
      (void)program.EndsWithin(milliseconds(20));
      program.Signal(SIGCONT);
      (void)program.EndsWithin(milliseconds(20));
    }
    program.Signal(SignalOf(how));
    if (how == StopKind::kInterruptTwice) program.Signal(SIGINT);
  }
  return program.Wait();
}

bool CorpusLife::Run(StopKind how, microseconds after, std::uint64_t seed) {
  BillingOptions options;
  options.dimensions = kLifeDimensions;
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
      NoteInFlight(bill, is_complete || (has_summary && how != StopKind::kInterruptTwice));
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

void CorpusLife::ReadAcknowledged() {
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
void CorpusLife::Inspect() {
  std::unordered_set<ChunkId> ids;
  std::vector<bool> seen(kLifeDocuments);
  std::uint64_t wrong = 0, twice = 0;
  Status status;
  if (Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(this->corpus(), Corpus::Mode::kRead);
      corpus.ok()) {
    status = (*corpus)->ForEachChunk("", [&](const StoredChunk& chunk) {
      const std::size_t document =
          std::strtoull(std::string(chunk.document_id).c_str() + 1, nullptr, 10);
      if (!ids.insert(chunk.id).second || seen.at(document)) ++twice;
      seen.at(document) = true;
      const std::vector<float> vector = SimulatedVector(chunk.text, kLifeDimensions);
      if (chunk.text != LifeText(document) ||
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
  for (std::size_t i = 0; i < kLifeDocuments; ++i) lost += seen_[i] && !seen[i] ? 1 : 0;
  EXPECT_EQ(lost, 0u) << "acknowledged or exported, and gone";
  EXPECT_EQ(twice, 0u);
  EXPECT_EQ(wrong, 0u);
  totals_->lost += lost;
  totals_->twice_in_store += twice;
  totals_->wrong += wrong;
  seen_ = std::move(seen);
}

// Compares what the server billed in this run with what was known before it.
void CorpusLife::Reconcile(const BillingServer::Bill& bill, bool has_summary) {
  // What this run bought that was or may have been paid for before, by the bill and by the names.
  std::uint64_t again = 0, maybe_again = 0;
  std::vector<bool> has_now(kLifeDocuments);
  for (std::size_t i = 0; i < kLifeDocuments; ++i) {
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
  for (std::size_t i = 0; i < kLifeDocuments; ++i) {
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
std::size_t CorpusLife::NoteInFlight(const BillingServer::Bill& bill, bool is_drained) {
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
  for (std::size_t i = 0; i < kLifeDocuments; ++i) {
    if (TextNumber(i) != i || named.count(HashContent(LifeText(i))) == 0) continue;
    texts_[i].named = true;
    const auto line = bill.find(LifeText(i));
    if (line == bill.end() || line->second.broken == 0) ++surely_unpaid;
  }
  EXPECT_TRUE(!is_drained || surely_unpaid == 0) << surely_unpaid;
  return left->texts.size();
}

}  // namespace embedflow
