#include "cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "cli/ingest_options.h"
#include "cli/suggest.h"

namespace embedflow::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<Arguments> ParseWords(Command command, const std::vector<std::string>& words) {
  return Parse(command, words);
}

Result<IngestOptions> IngestWith(std::vector<std::string> words) {
  words.insert(words.begin(), {"notes", "--into", "corpus"});
  EF_ASSIGN_OR_RETURN(const Arguments arguments, Parse(kIngest, words));
  return IngestOptionsOf(arguments);
}

TEST(Options, TableIsConsistent) {
  for (const Option& option : Options()) {
    SCOPED_TRACE(std::string(option.name));
    EXPECT_NE(option.commands, 0u);
    EXPECT_FALSE(option.line.empty());
    EXPECT_EQ(option.kind == Option::Kind::kFlag, option.value_name.empty());
    EXPECT_EQ(option.kind == Option::Kind::kChoice, !option.choices.empty());
    const bool is_number =
        option.kind == Option::Kind::kInteger || option.kind == Option::Kind::kNumber;
    if (is_number) {
      EXPECT_LT(option.min, option.max);
    }
  }
  for (const CommandInfo& info : Commands()) {
    std::set<std::string_view> names;
    for (const Option* option : OptionsOf(info.command)) {
      EXPECT_TRUE(names.insert(option->name).second) << info.name << " " << option->name;
    }
  }
}

struct UsageCase {
  Command command;
  std::vector<std::string> words;
  std::string message;
};

TEST(Options, UsageErrorsNameTheWordAndTheNearest) {
  const std::vector<UsageCase> cases = {
      {kIngest,
       {"a", "--into", "d", "--modle", "x"},
       "ingest has no option --modle; a similar one is --model"},
      // The first stray is named, and its value is not taken for an input.
      {kIngest,
       {"--chunk-sise=3", "a", "--zzz"},
       "ingest has no option --chunk-sise; a similar one is --chunk-size"},
      {kIngest, {"a", "--into", "d", "--qqqqqqqq"}, "ingest has no option --qqqqqqqq"},
      {kIngest, {"a", "--into", "d", "--max-usd", "5"}, "ingest has no option --max-usd"},
      {kIngest, {"a", "--into", "d", "-x"}, "ingest has no option -x"},
      {kIngest, {"a"}, "ingest needs --into DIR"},
      {kIngest, {"--into", "d"}, "ingest needs INPUT"},
      {kIngest, {"a", "--into"}, "--into needs a value: --into DIR"},
      {kIngest, {"a", "--into", "--format", "csv"}, "--into needs a value: --into DIR"},
      {kIngest, {"a", "--into="}, "--into needs a value: --into DIR"},
      {kIngest, {"a", "--into", "d", "--model", ""}, "--model must not be empty"},
      {kIngest, {"a", "", "--into", "d"}, "an argument of ingest is empty"},
      {kIngest,
       {"a", "--into", "d", "--chunk-size", "0"},
       "--chunk-size must be in [1, 1000000], got 0"},
      {kIngest,
       {"a", "--into", "d", "--chunk-size", "12x"},
       "--chunk-size must be a whole number, got 12x"},
      {kIngest,
       {"a", "--into", "d", "--chunk-size", "99999999999999999999"},
       "--chunk-size must be a whole number, got 99999999999999999999"},
      {kIngest,
       {"a", "--into", "d", "--rate-limit-rpm", "0"},
       "--rate-limit-rpm must be above 0 and at most 1000000000, got 0"},
      {kIngest,
       {"a", "--into", "d", "--rate-limit-rpm", "nan"},
       "--rate-limit-rpm must be a number, got nan"},
      {kIngest,
       {"a", "--into", "d", "--timeout-seconds", "0"},
       "--timeout-seconds must be in [0.001, 3600], got 0"},
      {kIngest,
       {"a", "--into", "d", "--chunker", "sentense"},
       "--chunker must be recursive, sentence, markdown, fixed or none, got sentense; a similar "
       "one is sentence"},
      {kIngest,
       {"a", "--into", "d", "--index", "hnsw"},
       "--index must be auto, flat or none, got hnsw"},
      {kIngest,
       {"a", "--into", "d", "--compression-enabled", "yes"},
       "--compression-enabled must be true or false, got yes"},
      {kSearch, {"d"}, "search needs QUERY"},
      {kSearch, {"d", "q", "r"}, "search has no use for 'r'"},
      {kSearch, {"d", "q", "-k", "-5"}, "-k must be in [1, 10000], got -5"},
      {kSearch, {"d", "q", "--json=yes"}, "--json takes no value"},
      {kSearch, {"d", "q", "--mode", "hybrid"}, "--mode must be vector, got hybrid"},
      {kStatus, {}, "status needs DIR"},
      {kVerify, {"d", "--repiar"}, "verify has no option --repiar; a similar one is --repair"},
  };
  for (const UsageCase& test : cases) {
    SCOPED_TRACE(test.message);
    const Result<Arguments> result = ParseWords(test.command, test.words);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().message(), test.message);
    EXPECT_TRUE(IsUsageError(result.status()));
  }
}

TEST(Options, HostileWordsAreEscapedAndCut) {
  const Result<Arguments> result =
      ParseWords(kIngest, {"a", "--into", "d", "--\x1b[31mred" + std::string(500, 'x')});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().message().find('\x1b'), std::string::npos);
  EXPECT_LT(result.status().message().size(), 200u);
}

TEST(Options, FormsOfValues) {
  const Result<Arguments> result = ParseWords(
      kSearch,
      {"-k5", "dir", "--filter=a=b=c", "--filter", "x=[1,2]", "--json", "--", "--not an option"});
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->Integer("-k"), 5);
  EXPECT_THAT(result->All("--filter"), ElementsAre("a=b=c", "x=[1,2]"));
  EXPECT_TRUE(result->Has("--json"));
  EXPECT_FALSE(result->Has("--mode"));
  EXPECT_THAT(result->positionals(), ElementsAre("dir", "--not an option"));
}

TEST(Options, PositionalsAreTakenAsTheyStand) {
  // CLI11 would split the first at its comma, swallow the second and take the fourth for a flag.
  const Result<Arguments> result =
      ParseWords(kIngest, {"[a,b]", "++", "-", "-5", "--into", "d", "/c:x", "--", "--into", "--"});
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_THAT(result->positionals(), ElementsAre("[a,b]", "++", "-", "-5", "/c:x", "--into", "--"));
  EXPECT_EQ(result->Text("--into"), "d");
}

TEST(Options, TheLastOfAnOptionGivenTwiceCounts) {
  const Result<Arguments> result =
      ParseWords(kIngest, {"a", "--into", "d", "--model", "x", "--model=y"});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->Text("--model"), "y");
}

TEST(Options, HelpIsFoundBeforeTheDoubleDashAndNotInValues) {
  const auto find = [](const std::vector<std::string>& words) { return FindHelp(kSearch, words); };
  EXPECT_EQ(find({"d", "q", "-h"}), HelpWanted::kShort);
  EXPECT_EQ(find({"--bogus", "--help"}), HelpWanted::kLong);
  EXPECT_EQ(find({"d", "--filter", "--help"}), HelpWanted::kNone);
  EXPECT_EQ(find({"d", "--", "-h"}), HelpWanted::kNone);
}

TEST(Options, UnknownCommandsAreSuggested) {
  EXPECT_EQ(UnknownCommand("ingset").message(),
            "there is no command ingset; a similar one is ingest");
  EXPECT_EQ(UnknownCommand("serch").message(),
            "there is no command serch; a similar one is search");
  EXPECT_EQ(UnknownCommand("frobnicate").message(), "there is no command frobnicate");
  EXPECT_THAT(UnknownCommand("--json").message(), HasSubstr("the command comes first"));
}

TEST(Suggest, DistanceCountsSwapsOnce) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("ingset", "ingest"), 1u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
}

TEST(Suggest, NothingNearIsNothingSaid) {
  const std::vector<std::string_view> names = {"--model", "--metric", "--max-retries"};
  EXPECT_EQ(Nearest("--metrik", names), "--metric");
  EXPECT_EQ(Nearest("--max", names), "--max-retries");
  EXPECT_EQ(Nearest("--zebra", names), "");
  EXPECT_EQ(Nearest("--", names), "");
  EXPECT_EQ(Nearest("--" + std::string(10'000, 'm'), names), "");
}

// The defaults that help prints are the library's.
TEST(IngestOptions, TableDefaultsAreTheLibrarys) {
  const auto text = [](const char* name) {
    return std::string(FindOption(kIngest, name)->default_text);
  };
  EXPECT_EQ(text("--chunk-size"), std::to_string(ChunkerOptions{}.size_tokens));
  EXPECT_TRUE(text("--chunk-overlap").starts_with(std::to_string(ChunkerOptions{}.overlap_tokens)));
  EXPECT_EQ(text("--max-document-bytes"), std::to_string(FileSourceOptions{}.document_bytes_max));
  EXPECT_EQ(text("--cache-bytes"), std::to_string(PipelineOptions{}.cache_bytes_max));
  EXPECT_EQ(text("--index"), IndexOptions{}.kind);
  EXPECT_EQ(text("--provider"), ProviderOptions{}.name);
  EXPECT_EQ(text("--id-field"), FileSourceOptions{}.id_field);
  EXPECT_EQ(text("--text-field"), FileSourceOptions{}.text_field);
  const Result<IngestOptions> options = IngestWith({});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->run.pipeline.chunker.kind, ChunkerOptions{}.kind);
  EXPECT_EQ(options->run.pipeline.index.metric, IndexOptions{}.metric);
  EXPECT_EQ(options->source.format, FileSourceOptions{}.format);
}

TEST(IngestOptions, ProfileValuesHoldUnlessOverridden) {
  const Profile* profile = FindProfile("openai");
  ASSERT_NE(profile, nullptr);
  const Result<IngestOptions> plain = IngestWith({"--provider", "openai"});
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->run.pipeline.flow.requests_per_minute,
            FlowOptionsFor(*profile).requests_per_minute);
  EXPECT_EQ(plain->run.pipeline.flow.connections_max, FlowOptionsFor(*profile).connections_max);
  EXPECT_EQ(plain->run.pipeline.recorded.base_url, profile->base_url);
  EXPECT_EQ(plain->run.pipeline.recorded.api_key_env, "OPENAI_API_KEY");

  const Result<IngestOptions> given = IngestWith({"--provider",
                                                  "openai",
                                                  "--base-url",
                                                  "http://127.0.0.1:1/v1",
                                                  "--api-key-env",
                                                  "none",
                                                  "--timeout-seconds",
                                                  "2.5",
                                                  "--max-retries",
                                                  "7",
                                                  "--retry-delay-ms",
                                                  "20",
                                                  "--max-batch-size",
                                                  "9",
                                                  "--rate-limit-rpm",
                                                  "120",
                                                  "--rate-limit-tpm",
                                                  "5000",
                                                  "--compression-enabled",
                                                  "false",
                                                  "--connection-pool-size",
                                                  "3",
                                                  "--max-concurrency",
                                                  "16",
                                                  "--model",
                                                  "m",
                                                  "--dimensions",
                                                  "8",
                                                  "--metric",
                                                  "l2",
                                                  "--index",
                                                  "none",
                                                  "--chunker",
                                                  "fixed",
                                                  "--chunk-size",
                                                  "100",
                                                  "--chunk-overlap",
                                                  "0",
                                                  "--format",
                                                  "tsv",
                                                  "--id-field",
                                                  "key",
                                                  "--text-field",
                                                  "body",
                                                  "--max-document-bytes",
                                                  "1000",
                                                  "--cache",
                                                  "shared",
                                                  "--cache-bytes",
                                                  "20000000"});
  ASSERT_TRUE(given.ok()) << given.status().ToString();
  const FlowOptions& flow = given->run.pipeline.flow;
  EXPECT_EQ(flow.timeout, std::chrono::milliseconds(2500));
  EXPECT_EQ(flow.retries_max, 7);
  EXPECT_EQ(flow.retry_delay, std::chrono::milliseconds(20));
  EXPECT_EQ(flow.requests_per_minute, 120);
  EXPECT_EQ(flow.model_tokens_per_minute, 5000);
  EXPECT_FALSE(flow.compression_enabled);
  EXPECT_EQ(flow.connections_max, 3u);
  EXPECT_EQ(flow.requests_in_flight_max, 16u);
  EXPECT_EQ(given->run.provider.batch_inputs_max, 9u);
  EXPECT_EQ(given->run.provider.model, "m");
  EXPECT_EQ(given->run.provider.dimensions, 8);
  EXPECT_EQ(given->run.provider.api_key_env, "none");
  EXPECT_EQ(given->run.pipeline.recorded.base_url, "http://127.0.0.1:1/v1");
  EXPECT_EQ(given->run.pipeline.index.metric, Metric::kL2);
  EXPECT_EQ(given->run.pipeline.index.kind, "none");
  EXPECT_EQ(given->run.pipeline.chunker.kind, ChunkerOptions::Kind::kFixed);
  EXPECT_EQ(given->run.pipeline.chunker.size_tokens, 100);
  EXPECT_EQ(given->run.pipeline.chunker.overlap_tokens, 0);
  EXPECT_EQ(given->source.format, FileSourceOptions::Format::kTsv);
  EXPECT_EQ(given->source.id_field, "key");
  EXPECT_EQ(given->source.text_field, "body");
  EXPECT_EQ(given->source.document_bytes_max, 1000u);
  EXPECT_EQ(plain->run.pipeline.cache_directory, "");
  EXPECT_EQ(given->run.pipeline.cache_directory, "shared");
  EXPECT_EQ(given->run.pipeline.cache_bytes_max, 20'000'000u);
  EXPECT_TRUE(given->run.pipeline.Validate().ok());
  EXPECT_TRUE(given->source.Validate().ok());
}

TEST(IngestOptions, OverlapFollowsASmallSizeAndIsCheckedAgainstIt) {
  const Result<IngestOptions> small = IngestWith({"--chunk-size", "20"});
  ASSERT_TRUE(small.ok());
  EXPECT_EQ(small->run.pipeline.chunker.overlap_tokens, 10);
  const Result<IngestOptions> large = IngestWith({"--chunk-size", "20", "--chunk-overlap", "11"});
  ASSERT_FALSE(large.ok());
  EXPECT_TRUE(IsUsageError(large.status()));
  EXPECT_EQ(large.status().message(),
            "--chunk-overlap must be at most half of --chunk-size 20, got 11");
}

TEST(IngestOptions, UnknownProvidersAreSuggested) {
  const Result<IngestOptions> options = IngestWith({"--provider", "opnai"});
  ASSERT_FALSE(options.ok());
  EXPECT_TRUE(IsUsageError(options.status()));
  EXPECT_EQ(options.status().message(), "there is no provider opnai; a similar one is openai");
}

// Whatever the table lets through, the library takes: the bounds are the same.
TEST(IngestOptions, BoundsOfTheTableAreTheLibrarys) {
  for (const Option* option : OptionsOf(kIngest)) {
    if (option->kind != Option::Kind::kInteger) continue;
    for (const double bound : {option->min, option->max}) {
      const std::string value = std::to_string(static_cast<std::int64_t>(bound));
      SCOPED_TRACE(std::string(option->name) + " " + value);
      std::vector<std::string> words = {std::string(option->name), value};
      if (option->name == "--chunk-overlap") words.insert(words.end(), {"--chunk-size", "1000000"});
      const Result<IngestOptions> options = IngestWith(words);
      ASSERT_TRUE(options.ok()) << options.status().ToString();
      EXPECT_TRUE(options->run.pipeline.Validate().ok())
          << options->run.pipeline.Validate().ToString();
      EXPECT_TRUE(options->source.Validate().ok()) << options->source.Validate().ToString();
      EXPECT_TRUE(options->run.provider.Validate().ok())
          << options->run.provider.Validate().ToString();
    }
  }
}

}  // namespace
}  // namespace embedflow::cli
