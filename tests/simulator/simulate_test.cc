// `embedflow simulate` from outside, and `embedflow ingest` against it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/hash.h"
#include "embedflow/corpus.h"
#include "embedflow/simulator.h"
#include "tests/fakes/program.h"
#include "tests/fakes/simulate_program.h"

namespace embedflow {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

constexpr int kDimensions = 16;
constexpr int kDocuments = 300;

class Simulate : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_simulate_XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  ProgramResult Ingest(const std::string& base_url) const {
    std::ofstream input(Path("in.jsonl"));
    for (int i = 0; i < kDocuments; ++i) {
      input << R"({"id":"d)" << i << R"(","text":"the text of document )" << i << "\"}\n";
    }
    input.close();
    return RunProgram(EMBEDFLOW_PROGRAM, {"ingest",           Path("in.jsonl"),
                                          "--into",           Path("corpus"),
                                          "--provider",       "local",
                                          "--model",          "m",
                                          "--dimensions",     std::to_string(kDimensions),
                                          "--base-url",       base_url,
                                          "--max-batch-size", "10",
                                          "--max-retries",    "12",
                                          "--retry-delay-ms", "1",
                                          "--progress",       "none"});
  }

  std::string directory_;
};

TEST_F(Simulate, SaysWhereItListensAndEndsCleanly) {
  for (const int signal : {SIGINT, SIGTERM}) {
    SimulateProgram server(EMBEDFLOW_PROGRAM, {"--port", "0", "--json"});
    EXPECT_THAT(server.first_line(), MatchesRegex("listening on http://127.0.0.1:[0-9]+/v1"));
    const SimulateProgram::Ended ended = server.Stop(signal);
    EXPECT_EQ(ended.exit_code, 0);
    rapidjson::Document stats;
    stats.Parse(ended.rest.c_str());
    ASSERT_FALSE(stats.HasParseError()) << ended.rest;
    EXPECT_EQ(stats["requests"].GetInt(), 0);
  }
}

TEST_F(Simulate, TheLedgerAgreesWithAnIngestThroughFaults) {
  SimulateProgram server(EMBEDFLOW_PROGRAM, {"--dimensions", std::to_string(kDimensions), "--fault",
                                             "503:every=4", "--fault", "nan:every=7", "--fault",
                                             "shuffled", "--ledger", Path("ledger"), "--json"});
  const ProgramResult run = Ingest(server.base_url());
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const SimulateProgram::Ended ended = server.Stop(SIGTERM);
  EXPECT_EQ(ended.exit_code, 0);

  std::map<std::string, int> answered;  // By hash of the text.
  std::map<std::string, int> notes;
  std::ifstream ledger(Path("ledger"));
  int requests = 0;
  for (std::string line; std::getline(ledger, line); ++requests) {
    rapidjson::Document entry;
    entry.Parse(line.c_str());
    ASSERT_FALSE(entry.HasParseError()) << line;
    ++notes[entry["note"].IsNull() ? "" : entry["note"].GetString()];
    for (const auto& text : entry["sha256"].GetArray()) {
      answered[text.GetString()] += entry["answered"].GetBool() ? 1 : 0;
    }
  }
  EXPECT_GT(notes["status"], 0);
  EXPECT_GT(notes["nan"], 0);
  EXPECT_EQ(answered.size(), static_cast<std::size_t>(kDocuments));
  for (int i = 0; i < kDocuments; ++i) {
    EXPECT_EQ(answered[Sha256Hex("the text of document " + std::to_string(i))], 1) << i;
  }
  rapidjson::Document stats;
  stats.Parse(ended.rest.c_str());
  ASSERT_FALSE(stats.HasParseError()) << ended.rest;
  EXPECT_EQ(stats["requests"].GetInt(), requests);
  EXPECT_EQ(stats["texts"]["answered"].GetInt(), kDocuments);
  EXPECT_EQ(stats["texts"]["answered_more_than_once"].GetInt(), 0);
  EXPECT_EQ(stats["faults"]["nan"].GetInt(), notes["nan"]);
  EXPECT_EQ(RunProgram(EMBEDFLOW_PROGRAM, {"verify", Path("corpus")}).exit_code, 0);
}

TEST_F(Simulate, ListsItsFaults) {
  const ProgramResult list = RunProgram(EMBEDFLOW_PROGRAM, {"simulate", "--list-faults"});
  EXPECT_EQ(list.exit_code, 0);
  for (const SimulatorFaultKind& kind : SimulatorFaultKinds()) {
    EXPECT_THAT(list.out, HasSubstr("\n  " + std::string(kind.name)));
  }
  std::istringstream lines(list.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

TEST_F(Simulate, WrongOptionsAreUsageErrors) {
  for (const auto& [words, said] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--fault", "nam"}, "no such kind"},
           {{"--latency", "fast"}, "a latency is"},
           {{"--slow", "5"}, "a slow-down is"},
           {{"--dialect", "openapi"}, "--dialect"},
           {{"--limit-rpm", "0"}, "--limit-rpm"},
           {{"--max-pending", "3"}, "capacity"},
           {{"--port", "70000"}, "--port"},
           {{"--ledger-texts"}, "ledger"},
       }) {
    std::vector<std::string> all = {"simulate"};
    all.insert(all.end(), words.begin(), words.end());
    const ProgramResult run = RunProgram(EMBEDFLOW_PROGRAM, all);
    EXPECT_EQ(run.exit_code, 2) << words[0];
    EXPECT_THAT(run.err, HasSubstr(said)) << words[0];
    EXPECT_EQ(run.out, "");
  }
}

TEST_F(Simulate, FailsWhereItCannotListen) {
  SimulateProgram server(EMBEDFLOW_PROGRAM, {});
  const std::string url = server.base_url();
  const std::string port = url.substr(17, url.size() - 20);
  const ProgramResult taken = RunProgram(EMBEDFLOW_PROGRAM, {"simulate", "--port", port});
  EXPECT_EQ(taken.exit_code, 1) << taken.err;
  EXPECT_THAT(taken.err, HasSubstr("port " + port + " is in use"));
}

TEST_F(Simulate, WhatIsWrongWithAScenarioIsAUsageError) {
  std::ofstream(Path("key.toml")) << "dialekt = \"voyage\"\n";
  std::ofstream(Path("type.toml")) << "port = \"80\"\n";
  std::ofstream(Path("range.toml")) << "[limits]\nrpm = -1\n";
  for (const std::string file : {"none.toml", "key.toml", "type.toml", "range.toml"}) {
    const ProgramResult run =
        RunProgram(EMBEDFLOW_PROGRAM, {"simulate", "--scenario", Path(file), "--port", "0"});
    EXPECT_EQ(run.exit_code, 2) << file << ": " << run.err;
    // What is out of range is seen when the options of the command line have been added.
    EXPECT_THAT(run.err, HasSubstr(file == "range.toml" ? "rpm" : file));
    EXPECT_EQ(run.out, "");
  }
}

TEST_F(Simulate, OptionsComeAfterTheScenario) {
  std::ofstream(Path("s.toml")) << "dialect = \"voyage\"\nfaults = [\"401:first\"]\n";
  SimulateProgram server(EMBEDFLOW_PROGRAM,
                         {"--scenario", Path("s.toml"), "--dialect", "openai", "--json"});
  const ProgramResult run = Ingest(server.base_url());
  EXPECT_EQ(run.exit_code, 5) << run.err;
  EXPECT_THAT(server.Stop(SIGTERM).rest, HasSubstr(R"("401":1)"));
}

}  // namespace
}  // namespace embedflow
