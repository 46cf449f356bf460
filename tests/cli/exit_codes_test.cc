// The built program: each exit code of the contract is reached, and the summary agrees with it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "embedflow/corpus.h"
#include "tests/cli/json_map.h"
#include "tests/cli/program_fixture.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {
namespace {

using ExitCodes = ProgramTest;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ExitCodes, UsageIsTwoAndNothingIsMade) {
  const std::vector<Words> cases = {
      {},
      {"ingset", "x"},
      {"--json"},
      {"ingest", At("in.jsonl"), "--into", At("corpus"), "--max-usb", "5"},
      {"ingest", At("in.jsonl")},
      {"ingest", At("in.jsonl"), "--into", At("corpus"), "--provider", "x"},
      {"search", At("corpus")},
      {"search", At("corpus"), "q", "--filter", "lang"},
      {"export", At("corpus"), "--format", "npy"},
      {"providers", "opnai"}};
  for (const Words& words : cases) {
    const ProgramResult result = Run(words);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err, "");
  }
  EXPECT_FALSE(std::filesystem::exists(At("corpus")));
  EXPECT_EQ(Run({"ingset", "x"}).err,
            "embedflow: there is no command ingset; a similar one is ingest; next: embedflow -h\n");
}

TEST_F(ExitCodes, MissingInputFailsWithASummaryAndMakesNoCorpus) {
  const ProgramResult result =
      Run({"ingest", At("nothing.jsonl"), "--into", At("corpus"), "--summary", At("s.json")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("embedflow: "));
  EXPECT_THAT(result.err, HasSubstr("nothing.jsonl"));
  EXPECT_EQ(LinesOf(result.err).size(), 1u) << result.err;
  EXPECT_EQ(JsonMap::Of(ReadFile(At("s.json"))).at("outcome"), "\"failed\"");
  EXPECT_FALSE(std::filesystem::exists(At("corpus")));
  EXPECT_EQ(Run({"status", At("corpus")}).exit_code, 1);
  const ProgramResult json = Run({"status", At("corpus"), "--json"});
  EXPECT_EQ(json.exit_code, 1);
  EXPECT_EQ(json.out, "");
  const auto error = JsonMap::Of(json.err);
  EXPECT_EQ(KeysOf(error), "code exit kept message next type");
  EXPECT_EQ(error.at("type"), "\"error\"");
  EXPECT_EQ(error.at("exit"), "1");
}

TEST_F(ExitCodes, BadRecordsAreThreeAndListed) {
  Write("in.jsonl",
        "{\"id\":\"a\",\"text\":\"fine\"}\nnot json\n{\"id\":\"b\"}\n{\"id\":\"c\",\"text\":\"  "
        "\"}\n");
  const ProgramResult result = Ingest({"--summary", At("s.json")});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(result.err, HasSubstr("exit 3: "));
  const auto summary = JsonMap::Of(ReadFile(At("s.json")));
  EXPECT_EQ(summary.at("outcome"), "\"partial\"");
  EXPECT_EQ(summary.at("documents.dead"), "2");
  EXPECT_EQ(summary.at("documents.empty"), "1");
  const auto dead = JsonMap::Of(Run({"dead", At("corpus"), "--json"}).out);
  EXPECT_EQ(dead.at("dead_letters[0].line"), "2");
  EXPECT_THAT(dead.at("dead_letters[0].reason"), HasSubstr("not JSON"));
  EXPECT_TRUE(dead.contains("dead_letters[0].document_id"));
  EXPECT_TRUE(dead.contains("dead_letters[0].begin"));
  EXPECT_TRUE(dead.contains("dead_letters[1].end"));
  const ProgramResult text = Run({"dead", At("corpus")});
  EXPECT_THAT(text.out, HasSubstr("in.jsonl:2"));
  EXPECT_THAT(text.out, HasSubstr("2 dead letters"));
}

TEST_F(ExitCodes, KeyThatIsNotThereIsFive) {
  const ProgramResult result =
      Run({"ingest", At("in.jsonl"), "--into", At("corpus"), "--provider", "openai",
           "--api-key-env", "EMBEDFLOW_TEST_NO_SUCH_KEY", "--summary", At("s.json")});
  EXPECT_EQ(result.exit_code, 5) << result.err;
  EXPECT_THAT(result.err, HasSubstr("EMBEDFLOW_TEST_NO_SUCH_KEY"));
  EXPECT_EQ(JsonMap::Of(ReadFile(At("s.json"))).at("outcome"), "\"refused\"");
}

TEST_F(ExitCodes, RefusedKeyIsFiveAndNeverPrinted) {
  FlakyServer server({}, [](const FlakyRequest& request) {
    FlakyReply reply;
    reply.status = 401;
    reply.body = "{\"error\":{\"message\":\"bad key " + request.header("authorization") + "\"}}";
    return reply;
  });
  const std::string key = "sk-very-secret-0123456789";
  const ProgramResult result =
      Run(Remote(server.base_url(), {"--api-key-env", "TEST_KEY", "--log-level", "debug"}), "",
          {"TEST_KEY=" + key});
  EXPECT_EQ(result.exit_code, 5) << result.err;
  EXPECT_GE(server.requests(), 1u);
  EXPECT_THAT(result.err, Not(HasSubstr(key)));
  EXPECT_THAT(result.err, Not(HasSubstr("sk-very")));
  EXPECT_THAT(result.err, HasSubstr("To go on, the same command:"));
  EXPECT_EQ(JsonMap::Of(ReadFile(At("s.json"))).at("outcome"), "\"refused\"");
}

TEST_F(ExitCodes, WriterInTheWayIsSixAndNothingIsSent) {
  FlakyServer server;
  const Result<std::unique_ptr<Corpus>> held = Corpus::Open(At("corpus"), Corpus::Mode::kCreate);
  ASSERT_TRUE(held.ok()) << held.status().ToString();
  const ProgramResult result = Run(Remote(server.base_url()));
  EXPECT_EQ(result.exit_code, 6) << result.err;
  EXPECT_EQ(server.requests(), 0u);
  EXPECT_EQ(JsonMap::Of(ReadFile(At("s.json"))).at("outcome"), "\"failed\"");
}

TEST_F(ExitCodes, UnwritableResultsAreSevenBeforeAnythingIsSent) {
  FlakyServer server;
  Words words = Remote(server.base_url(), {"--summary", At("no/such/folder/s.json")});
  EXPECT_EQ(Run(words).exit_code, 7);
  words = Remote(server.base_url(), {"--ack-log", At("no/such/folder/ack.jsonl")});
  EXPECT_EQ(Run(words).exit_code, 7);
  words = Remote(server.base_url(), {"--summary", directory_});
  EXPECT_EQ(Run(words).exit_code, 7);
  EXPECT_EQ(server.requests(), 0u);
  ASSERT_EQ(Ingest().exit_code, 0);
  EXPECT_EQ(Run({"export", At("corpus"), "-o", At("no/such/out.jsonl")}).exit_code, 7);
}

TEST_F(ExitCodes, FullDiskUnderTheAckLogIsSeven) {
  const ProgramResult result =
      Ingest({"--ack-log", "/dev/full", "--summary", At("s.json"), "--progress", "none"});
  EXPECT_EQ(result.exit_code, 7) << result.err;
  EXPECT_THAT(result.err, HasSubstr("/dev/full"));
  EXPECT_EQ(JsonMap::Of(ReadFile(At("s.json"))).at("outcome"), "\"failed\"");
  // What was committed is in, whatever the log could not take.
  EXPECT_EQ(Ingest().exit_code, 0);
  EXPECT_EQ(Run({"verify", At("corpus")}).exit_code, 0);
}

TEST_F(ExitCodes, ServerThatIsAwayIsEight) {
  int port = 0;
  {
    FlakyServer server;
    port = server.port();
  }
  const ProgramResult result =
      Run(Remote("http://127.0.0.1:" + std::to_string(port) + "/v1", {"--max-retries", "1"}));
  EXPECT_EQ(result.exit_code, 8) << result.err;
  EXPECT_EQ(JsonMap::Of(ReadFile(At("s.json"))).at("outcome"), "\"failed\"");
}

TEST_F(ExitCodes, DamageIsNineAndRepairMendsTheIndex) {
  ASSERT_EQ(Ingest().exit_code, 0);
  std::string index;
  for (const auto& entry : std::filesystem::directory_iterator(At("corpus"))) {
    if (entry.path().extension() == ".faiss") index = entry.path();
  }
  ASSERT_NE(index, "");
  {
    std::fstream file(index, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-5, std::ios::end);
    file.put('\x5a');
  }
  const ProgramResult damaged = Run({"verify", At("corpus"), "--json"});
  EXPECT_EQ(damaged.exit_code, 9) << damaged.out << damaged.err;
  EXPECT_EQ(JsonMap::Of(damaged.out).at("ok"), "false");
  const ProgramResult text = Run({"verify", At("corpus")});
  EXPECT_EQ(text.exit_code, 9);
  EXPECT_THAT(text.out, HasSubstr("--repair"));
  EXPECT_EQ(Run({"verify", At("corpus"), "--repair"}).exit_code, 0);
  EXPECT_EQ(Run({"verify", At("corpus")}).exit_code, 0);
}

}  // namespace
}  // namespace embedflow
