// A corpus whose input changes: the program reads it again, and the provider's ledger says what was
// bought.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/cli/json_map.h"
#include "tests/fakes/program.h"
#include "tests/fakes/simulate_program.h"

namespace embedflow {
namespace {

constexpr int kDocuments = 5000;
constexpr int kParagraphs = 3;
constexpr int kChanged = kDocuments / 100;

// What one run did, by its own account and by the provider's.
struct IncrementalRun {
  std::map<std::string, std::string> summary;
  std::vector<std::string> sent;  // Texts, in the order of the requests.
};

class Incremental : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_incremental_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    for (int i = 0; i < kDocuments; ++i) versions_.push_back(0);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  // Three paragraphs of about 100 bytes: each is a chunk of at most 32 tokens, two together are one
  // of 64. A version other than 0 changes the second.
  std::string Line(int i) const {
    std::string text;
    for (int p = 0; p < kParagraphs; ++p) {
      const int version = p == 1 ? versions_[static_cast<std::size_t>(i)] : 0;
      text += "Paragraph " + std::to_string(p) + " of document " + std::to_string(i) +
              " in version " + std::to_string(version) +
              ", with some more words so that it fills a chunk of its own.\\n\\n";
    }
    return "{\"id\":\"d" + std::to_string(i) + "\",\"text\":\"" + text +
           "\",\"seen\":" + std::to_string(seen_) + ",\"parity\":" + std::to_string(i % 2) + "}\n";
  }

  // Writes documents to files of `a` and `b`, in the order given; the first half to `a`.
  void WriteInput(const std::vector<int>& order, const std::string& a, const std::string& b) const {
    std::ofstream first(Path(a)), second(Path(b));
    for (std::size_t n = 0; n < order.size(); ++n) {
      (n < order.size() / 2 ? first : second) << Line(order[n]);
    }
  }
  void WriteInput() const {
    std::vector<int> order;
    for (int i = 0; i < kDocuments; ++i) order.push_back(i);
    WriteInput(order, "in/a.jsonl", "in/b.jsonl");
  }

  // Ingests the directory of inputs from a provider of its own, whose ledger is read after its end.
  IncrementalRun Ingest(const std::vector<std::string>& more = {}) {
    std::filesystem::remove(Path("ledger"));
    SimulateProgram server(EMBEDFLOW_PROGRAM,
                           {"--dimensions", "16", "--ledger", Path("ledger"), "--ledger-texts"});
    std::vector<std::string> words = {
        "ingest",          Path("in"), "--into",     Path("corpus"),
        "--progress",      "none",     "--summary",  Path("summary"),
        "--provider",      "local",    "--model",    "m",
        "--dimensions",    "16",       "--base-url", server.base_url(),
        "--chunk-overlap", "0"};
    if (more.empty()) words.insert(words.end(), {"--chunk-size", "32"});
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult result = RunProgram(EMBEDFLOW_PROGRAM, words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(server.Stop(SIGTERM).exit_code, 0);
    IncrementalRun run;
    std::stringstream summary;
    summary << std::ifstream(Path("summary")).rdbuf();
    run.summary = JsonMap::Of(summary.str());
    std::ifstream ledger(Path("ledger"));
    for (std::string line; std::getline(ledger, line);) {
      const auto entry = JsonMap::Of(line);
      for (int i = 0;; ++i) {
        const auto text = entry.find("texts[" + std::to_string(i) + "]");
        if (text == entry.end()) break;
        run.sent.push_back(text->second);
      }
    }
    return run;
  }
  static void ExpectDocuments(const IncrementalRun& run, int unchanged, int ingested) {
    const std::string read = std::to_string(kDocuments);
    EXPECT_EQ(run.summary.at("documents.read"), read);
    EXPECT_EQ(run.summary.at("documents.unchanged"), std::to_string(unchanged));
    EXPECT_EQ(run.summary.at("documents.ingested"), std::to_string(ingested));
    EXPECT_EQ(run.summary.at("outcome"), "\"complete\"");
  }
  // The first run over all documents.
  IncrementalRun IngestFirst() {
    std::filesystem::create_directory(Path("in"));
    WriteInput();
    IncrementalRun run = Ingest();
    ExpectDocuments(run, 0, kDocuments);
    EXPECT_EQ(run.sent.size(), static_cast<std::size_t>(kParagraphs * kDocuments));
    return run;
  }
  void ExpectSoundCorpus() const {
    const ProgramResult verify = RunProgram(EMBEDFLOW_PROGRAM, {"verify", Path("corpus")});
    EXPECT_EQ(verify.exit_code, 0) << verify.out << verify.err;
  }
  int LinesOfExportWith(const std::string& words) const {
    const ProgramResult all = RunProgram(EMBEDFLOW_PROGRAM, {"export", Path("corpus")});
    EXPECT_EQ(all.exit_code, 0) << all.err;
    int count = 0;
    std::istringstream lines(all.out);
    for (std::string line; std::getline(lines, line);) {
      if (line.find(words) != std::string::npos) ++count;
    }
    return count;
  }

  std::string directory_;
  std::vector<int> versions_;
  int seen_ = 1;
};

TEST_F(Incremental, WhatIsUnchangedSendsNothingWhereverItStands) {
  IngestFirst();
  const IncrementalRun again = Ingest();
  ExpectDocuments(again, kDocuments, 0);
  EXPECT_TRUE(again.sent.empty());
  EXPECT_EQ(again.summary.at("provider.requests"), "0");

  // In another order, in other files.
  constexpr std::uint64_t kSeed = 4711;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  Rng rng(kSeed);
  std::vector<int> order;
  for (int i = 0; i < kDocuments; ++i) order.push_back(i);
  for (std::size_t i = order.size() - 1; i > 0; --i) {
    std::swap(order[i], order[static_cast<std::size_t>(rng.Below(i + 1))]);
  }
  std::filesystem::remove_all(Path("in"));
  std::filesystem::create_directory(Path("in"));
  WriteInput(order, "in/later.jsonl", "in/earlier.jsonl");
  const IncrementalRun moved = Ingest();
  ExpectDocuments(moved, kDocuments, 0);
  EXPECT_TRUE(moved.sent.empty());
  ExpectSoundCorpus();
}

TEST_F(Incremental, OneInAHundredChangedBuysTheirNewChunksAlone) {
  IngestFirst();
  for (int i = 0; i < kDocuments; i += 100) versions_[static_cast<std::size_t>(i)] = 1;
  WriteInput();
  const IncrementalRun run = Ingest();
  ExpectDocuments(run, kDocuments - kChanged, kChanged);
  std::set<std::string> sent;
  for (const std::string& text : run.sent) {
    EXPECT_NE(text.find("Paragraph 1 of"), std::string::npos) << text;
    EXPECT_NE(text.find("in version 1,"), std::string::npos) << text;
    EXPECT_TRUE(sent.insert(text).second) << "sent twice: " << text;
  }
  EXPECT_EQ(sent.size(), static_cast<std::size_t>(kChanged));
  EXPECT_EQ(run.summary.at("chunks.embedded"), std::to_string(kChanged));
  EXPECT_EQ(run.summary.at("chunks.reused"), std::to_string((kParagraphs - 1) * kChanged));
  EXPECT_EQ(LinesOfExportWith("in version 1,"), kChanged);
  EXPECT_EQ(LinesOfExportWith("\"chunk_id\""), kParagraphs * kDocuments);
  ExpectSoundCorpus();
}

TEST_F(Incremental, ChangedMetadataBuysNothingAndIsFound) {
  IngestFirst();
  seen_ = 2;
  WriteInput();
  const IncrementalRun run = Ingest();
  ExpectDocuments(run, 0, kDocuments);
  EXPECT_TRUE(run.sent.empty());
  EXPECT_EQ(run.summary.at("chunks.reused"), std::to_string(kParagraphs * kDocuments));
  EXPECT_EQ(LinesOfExportWith("\"seen\":2"), kParagraphs * kDocuments);
  EXPECT_EQ(LinesOfExportWith("\"seen\":1"), 0);

  SimulateProgram server(EMBEDFLOW_PROGRAM, {"--dimensions", "16"});
  const auto hits = [&](const std::string& filter) {
    const ProgramResult found =
        RunProgram(EMBEDFLOW_PROGRAM, {"search", Path("corpus"), "words", "-k", "3", "--filter",
                                       filter, "--base-url", server.base_url(), "--json"});
    EXPECT_EQ(found.exit_code, 0) << found.err;
    return JsonMap::Of(found.out);
  };
  const auto now = hits("seen=2");
  for (const char* hit : {"hits[0]", "hits[1]", "hits[2]"}) {
    EXPECT_EQ(now.at(std::string(hit) + ".metadata.seen"), "2");
  }
  EXPECT_EQ(hits("seen=1").at("hits"), "[]");
  ExpectSoundCorpus();
}

TEST_F(Incremental, AnotherChunkSizeBuysOnlyTextsThatAreNew) {
  const IncrementalRun first = IngestFirst();
  const std::set<std::string> had(first.sent.begin(), first.sent.end());
  const IncrementalRun run = Ingest({"--chunk-size", "64"});
  ExpectDocuments(run, 0, kDocuments);
  // The first two paragraphs are one chunk now, the third is what it was.
  EXPECT_EQ(run.sent.size(), static_cast<std::size_t>(kDocuments));
  for (const std::string& text : run.sent) {
    EXPECT_FALSE(had.contains(text)) << text;
    EXPECT_NE(text.find("Paragraph 1 of"), std::string::npos) << text;
  }
  EXPECT_EQ(run.summary.at("chunks.embedded"), std::to_string(kDocuments));
  EXPECT_EQ(run.summary.at("chunks.reused"), std::to_string(kDocuments));
  // And back: all of it is still there.
  const IncrementalRun back = Ingest();
  ExpectDocuments(back, 0, kDocuments);
  EXPECT_TRUE(back.sent.empty());
  ExpectSoundCorpus();
}

}  // namespace
}  // namespace embedflow
