// The built program: the shape of everything it writes, as the contract has it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/cli/json_map.h"
#include "tests/cli/program_fixture.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ProgramTest, HelpAndVersionGoToStandardOutput) {
  for (const Words& words :
       {Words{"-h"}, Words{"--help"}, Words{"--version"}, Words{"ingest", "-h"},
        Words{"search", "--help"}, Words{"ingest", "--bogus", "-h"}}) {
    const ProgramResult result = Run(words);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_NE(result.out, "");
    EXPECT_EQ(result.err, "");
  }
  const std::string version = Run({"--version"}).out;
  for (const char* library : {"embedflow ", "SQLite", "LMDB", "FAISS", "oneTBB", "CLI11"}) {
    EXPECT_THAT(version, HasSubstr(library));
  }
}

TEST_F(ProgramTest, IngestWritesNothingToStandardOutput) {
  const ProgramResult result = Ingest({"--summary", At("s.json"), "--ack-log", At("ack.jsonl")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err.find_first_of("\r\x1b"), std::string::npos);
  EXPECT_THAT(result.err, HasSubstr("Complete in "));
  EXPECT_THAT(result.err, HasSubstr("embedflow search "));

  const auto summary = JsonMap::Of(ReadFile(At("s.json")));
  EXPECT_EQ(KeysOf(summary),
            "cache.hit_rate cache.hits cache.misses "
            "chunks.dead chunks.embedded chunks.reused chunks.total chunks_per_second cost_usd "
            "dead_letters documents.cancelled documents.dead documents.deleted documents.empty "
            "documents.ingested documents.read documents.replaced documents.unchanged outcome "
            "peak_rss_bytes provider.endpoints provider.requests provider.retries "
            "provider.throttled provider.tokens "
            "provider.vectors_bought_twice seconds");
  EXPECT_EQ(summary.at("outcome"), "\"complete\"");
  EXPECT_EQ(summary.at("documents.read"), "3");
  EXPECT_EQ(summary.at("documents.ingested"), "3");
  EXPECT_EQ(summary.at("chunks.embedded"), "3");
  EXPECT_EQ(summary.at("cost_usd"), "0");
  std::size_t acknowledged = 0;
  for (const std::string& line : LinesOf(ReadFile(At("ack.jsonl")))) {
    acknowledged += JsonMap::Of(line).size();
    EXPECT_TRUE(line.starts_with("{\"committed\":[")) << line;
  }
  EXPECT_EQ(acknowledged, 3u);
}

TEST_F(ProgramTest, SecondRunSendsNothingAndSaysSo) {
  ASSERT_EQ(Ingest().exit_code, 0);
  const ProgramResult again = Ingest({"--summary", At("s.json")});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.err, HasSubstr("Nothing new: 3 documents unchanged, nothing sent."));
  const auto summary = JsonMap::Of(ReadFile(At("s.json")));
  EXPECT_EQ(summary.at("documents.unchanged"), "3");
  EXPECT_EQ(summary.at("provider.requests"), "0");
}

TEST_F(ProgramTest, SearchFindsFiltersAndSaysJson) {
  ASSERT_EQ(Ingest().exit_code, 0);
  const ProgramResult json = Run({"search", At("corpus"), "quick fox", "-k", "1", "--json"});
  EXPECT_EQ(json.exit_code, 0) << json.err;
  EXPECT_EQ(json.err, "");
  const auto hits = JsonMap::Of(json.out);
  EXPECT_EQ(KeysOf(hits),
            "hits[0].begin hits[0].chunk_id hits[0].document_id hits[0].end hits[0].metadata.lang "
            "hits[0].metadata.n hits[0].ordinal hits[0].rank hits[0].score hits[0].text "
            "space");
  EXPECT_EQ(hits.at("hits[0].document_id"), "\"a\"");
  EXPECT_EQ(hits.at("hits[0].metadata.n"), "1.10");
  EXPECT_EQ(hits.at("hits[0].text"), "\"the quick brown fox\"");

  const ProgramResult text = Run({"search", At("corpus"), "quick fox", "--filter", "lang=de"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(LinesOf(text.out).size(), 2u) << text.out;
  EXPECT_THAT(text.out, HasSubstr("  b  chunk 0\n   der schnelle braune Fuchs\n"));
  EXPECT_THAT(text.err, HasSubstr("1 of 3 in "));
  EXPECT_EQ(
      JsonMap::Of(Run({"search", At("corpus"), "q", "--json", "--filter", "zz=1"}).out),
      (std::map<std::string, std::string>{{"hits", "[]"}, {"space", "\"builtin/hash-v1/512\""}}));
  // The provider named is the one the space was made with.
  EXPECT_EQ(Run({"search", At("corpus"), "fox", "--provider", "builtin"}).exit_code, 0);
  EXPECT_EQ(Run({"search", At("corpus"), "--", "-k"}).exit_code, 0);
}

TEST_F(ProgramTest, StatusVerifyDeadAndProvidersSayJson) {
  ASSERT_EQ(Ingest().exit_code, 0);
  const auto status = JsonMap::Of(Run({"status", At("corpus"), "--json"}).out);
  EXPECT_EQ(status.at("documents"), "3");
  EXPECT_EQ(status.at("spaces[0].name"), "\"builtin/hash-v1/512\"");
  EXPECT_EQ(status.at("spaces[0].index.kind"), "\"flat\"");
  EXPECT_EQ(status.at("spaces[0].index.vectors"), "3");
  const ProgramResult verified = Run({"verify", At("corpus"), "--json"});
  EXPECT_EQ(verified.exit_code, 0);
  const auto report = JsonMap::Of(verified.out);
  for (const char* count :
       {"missing_vectors", "orphan_vectors", "index_missing", "index_extra", "corrupt"}) {
    EXPECT_EQ(report.at(count), "0") << count;
  }
  EXPECT_EQ(report.at("ok"), "true");
  EXPECT_EQ(JsonMap::Of(Run({"dead", At("corpus"), "--json"}).out).at("dead_letters"), "[]");
  const auto providers = JsonMap::Of(Run({"providers", "--json"}).out);
  EXPECT_EQ(providers.at("providers[0].name"), "\"builtin\"");
  EXPECT_EQ(JsonMap::Of(Run({"providers", "openai", "--json"}).out).at("providers[0].api_key_env"),
            "\"OPENAI_API_KEY\"");
  const auto openai = JsonMap::Of(Run({"providers", "openai", "--json"}).out);
  EXPECT_EQ(openai.at("providers[0].key_header"), "\"Authorization\"");
  EXPECT_EQ(openai.at("providers[0].requests_per_minute"), "3000");
  EXPECT_EQ(openai.at("providers[0].model_tokens_per_minute"), "1000000");
  EXPECT_EQ(openai.at("providers[0].optimization.rate_limit_tpm"), "1000000");
  EXPECT_EQ(openai.at("providers[0].optimization.compression_threshold_bytes"), "1024");
  EXPECT_EQ(openai.at("providers[0].optimization.circuit_breaker_config.failure_threshold"), "5");
  EXPECT_EQ(providers.at("providers[0].key_header"), "null");
  EXPECT_EQ(JsonMap::Of(Run({"providers", "azure", "--json"}).out).at("providers[0].key_header"),
            "\"api-key\"");
  for (const Words& words : {Words{"status", At("corpus")}, Words{"verify", At("corpus")},
                             Words{"dead", At("corpus")}, Words{"providers"}}) {
    const ProgramResult text = Run(words);
    EXPECT_EQ(text.exit_code, 0);
    EXPECT_EQ(text.err, "");
    for (const std::string& line : LinesOf(text.out)) {
      if (!line.starts_with(At("corpus"))) {
        EXPECT_LE(line.size(), 80u) << line;
      }
      EXPECT_FALSE(line.ends_with(' ')) << line;
    }
  }
}

TEST_F(ProgramTest, ExportIsExactInBothFormats) {
  ASSERT_EQ(Ingest().exit_code, 0);
  const ProgramResult jsonl = Run({"export", At("corpus")});
  ASSERT_EQ(jsonl.exit_code, 0) << jsonl.err;
  const std::vector<std::string> lines = LinesOf(jsonl.out);
  ASSERT_EQ(lines.size(), 3u);
  ASSERT_EQ(Run({"export", At("corpus"), "-o", At("out.jsonl")}).exit_code, 0);
  EXPECT_EQ(ReadFile(At("out.jsonl")), jsonl.out);

  ASSERT_EQ(Run({"export", At("corpus"), "--format", "npy", "-o", At("v.npy")}).exit_code, 0);
  const std::string matrix = ReadFile(At("v.npy"));
  const std::string ids = ReadFile(At("v.npy.ids.npy"));
  ASSERT_EQ(matrix.size(), 128 + 3 * 512 * sizeof(float));
  ASSERT_EQ(ids.size(), 128 + 3 * sizeof(std::int64_t));
  EXPECT_THAT(matrix.substr(0, 128), HasSubstr("'shape': (3, 512)"));
  EXPECT_THAT(ids.substr(0, 128), HasSubstr("'shape': (3,)"));
  for (std::size_t row = 0; row < lines.size(); ++row) {
    const auto chunk = JsonMap::Of(lines[row]);
    std::int64_t id = 0;
    std::memcpy(&id, ids.data() + 128 + row * sizeof id, sizeof id);
    EXPECT_EQ(chunk.at("chunk_id"), std::to_string(id));
    for (std::size_t column = 0; column < 512; ++column) {
      float value = 0;
      std::memcpy(&value, matrix.data() + 128 + (row * 512 + column) * sizeof value, sizeof value);
      ASSERT_EQ(std::stof(chunk.at("embedding[" + std::to_string(column) + "]")), value);
    }
  }
  // No temporary file is left.
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    EXPECT_THAT(entry.path().string(), Not(HasSubstr(".tmp-")));
  }
}

TEST_F(ProgramTest, FilesAreForTheirOwnerOnly) {
  ASSERT_EQ(Ingest({"--summary", At("s.json"), "--ack-log", At("ack.jsonl")}).exit_code, 0);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(At("corpus"))) {
    struct stat info {};
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 077, 0u) << entry.path();
  }
  struct stat info {};
  ASSERT_EQ(stat(At("s.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(ProgramTest, CompleteOverTheWire) {
  FlakyServer server;
  const ProgramResult result = Run(Remote(server.base_url()));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("no price for this model"));
  EXPECT_EQ(JsonMap::Of(ReadFile(At("s.json"))).at("cost_usd"), "null");
  // Search finds the server again by itself.
  const ProgramResult hits = Run({"search", At("corpus"), "a lazy dog sleeps all day", "-k", "1"});
  EXPECT_EQ(hits.exit_code, 0) << hits.err;
  EXPECT_THAT(hits.out, HasSubstr("  c  chunk 0"));
}

TEST_F(ProgramTest, SearchFollowsAServerThatHasMoved) {
  {
    FlakyServer server;
    ASSERT_EQ(Run(Remote(server.base_url())).exit_code, 0);
  }
  const ProgramResult away = Run({"search", At("corpus"), "fox", "--json"});
  EXPECT_EQ(away.exit_code, 8) << away.err;
  EXPECT_EQ(JsonMap::Of(away.err).at("exit"), "8");
  FlakyServer moved;
  // Model and dimensions are the space's; only the address is told.
  const ProgramResult found = Run(
      {"search", At("corpus"), "the quick brown fox", "-k", "1", "--base-url", moved.base_url()});
  EXPECT_EQ(found.exit_code, 0) << found.err;
  EXPECT_THAT(found.out, HasSubstr("  a  chunk 0"));
  // Another model's vectors are not these.
  EXPECT_EQ(Run({"search", At("corpus"), "fox", "--base-url", moved.base_url(), "--provider",
                 "local", "--model", "bge-m3"})
                .exit_code,
            1);
}

TEST_F(ProgramTest, StandardInputIsJsonLines) {
  const ProgramResult result = Run({"ingest", "-", "--into", At("corpus"), "--text-field", "body"},
                                   "{\"id\":7,\"body\":\"from a pipe\"}\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(Run({"search", At("corpus"), "pipe"}).out, HasSubstr("  7  chunk 0"));
}

TEST_F(ProgramTest, HostileTextsReachATerminalEscaped) {
  Write("in.jsonl", "{\"id\":\"e\\u001b]0;x\\u0007\",\"text\":\"fox \\u001b[2J\\r\\n gone\"}\n");
  ASSERT_EQ(Ingest().exit_code, 0);
  const ProgramResult result = Run({"search", At("corpus"), "fox"});
  EXPECT_EQ(result.out.find_first_of("\x1b\x07\r"), std::string::npos) << result.out;
  EXPECT_THAT(result.out, HasSubstr("fox \\x1b[2J gone"));
}

TEST_F(ProgramTest, ColourOnlyWhereAsked) {
  ASSERT_EQ(Ingest().exit_code, 0);
  EXPECT_EQ(Run({"search", At("corpus"), "fox"}).out.find('\x1b'), std::string::npos);
  EXPECT_NE(Run({"search", At("corpus"), "fox", "--color", "always"}).out.find('\x1b'),
            std::string::npos);
  EXPECT_NE(Run({"search", At("corpus"), "fox"}, "", {"CLICOLOR_FORCE=1"}).out.find('\x1b'),
            std::string::npos);
  EXPECT_EQ(
      Run({"search", At("corpus"), "fox"}, "", {"CLICOLOR_FORCE=1", "NO_COLOR=1"}).out.find('\x1b'),
      std::string::npos);
}

}  // namespace
}  // namespace embedflow
