#include "cli/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <sstream>
#include <string>
#include <vector>

#include "cli/errors.h"
#include "cli/format.h"
#include "cli/options.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

RunSummary Done() {
  RunSummary summary;
  summary.outcome = RunOutcome::kComplete;
  summary.documents.read = 812'021;
  summary.documents.ingested = 812'004;
  summary.documents.empty = 17;
  summary.chunks.total = 3'045'670;
  summary.chunks.embedded = 2'904'112;
  summary.chunks.reused = 141'558;
  summary.provider.requests = 1'829;
  summary.provider.retries = 13;
  summary.provider.model_tokens = 520'900'000;
  summary.cost_usd = 10.42;
  summary.seconds = 3432;
  summary.chunks_per_second = 847;
  summary.peak_rss_bytes = 188'000'000;
  return summary;
}

SummaryContext Context() {
  SummaryContext context;
  context.corpus = "my corpus";
  context.command = "embedflow ingest tickets/ --into 'my corpus'";
  context.is_remote = true;
  return context;
}

TEST(Summary, CompleteRunEndsWithTheNextCommand) {
  EXPECT_EQ(SummaryText(Done(), Context()),
            "Complete in 57 min. Everything read is stored, embedded and indexed.\n"
            "\n"
            "  documents        812,021 read         812,004 in                17 empty\n"
            "  chunks         3,045,670 total      2,904,112 bought       141,558 reused\n"
            "  requests           1,829 sent              13 sent again\n"
            "  tokens             521 M billed\n"
            "  cost              $10.42\n"
            "  bought twice           0 at most\n"
            "  speed                847 chunks/s\n"
            "  memory            188 MB at most\n"
            "\n"
            "  embedflow search 'my corpus' \"...\"  ask it\n");
}

RunSummary::Endpoint Server(const char* place, const char* role) {
  RunSummary::Endpoint server;
  server.place = place;
  server.role = role;
  server.requests = 1'200;
  server.breaker = "closed";
  server.metrics.emplace();
  server.metrics->latency_p50_ms = 120.4;
  server.metrics->latency_p95_ms = 12'340;
  return server;
}

TEST(Summary, OneServerIsALineOfItsOwn) {
  RunSummary summary = Done();
  summary.endpoints = {Server("api.openai.com:443", "primary")};
  EXPECT_THAT(SummaryText(summary, Context()),
              HasSubstr("\n  server      api.openai.com:443: a reply took 120 ms (median), "
                        "12 s (95th\n              percentile)\n"));
  // Without metrics, and with nothing else to say, there is no line.
  summary.endpoints[0].metrics.reset();
  EXPECT_THAT(SummaryText(summary, Context()), Not(HasSubstr("server")));
  summary.endpoints[0].failures = 7;
  summary.endpoints[0].breaker_opened = 2;
  summary.endpoints[0].breaker = "open";
  summary.endpoints[0].learnt_inputs_max = 96;
  summary.endpoints[0].learnt_model_tokens_max = 8192;
  EXPECT_THAT(SummaryText(summary, Context()),
              HasSubstr("  server      api.openai.com:443: 7 failed; left alone 2 times as it "
                        "failed, and\n              still is; takes 96 texts a request; takes "
                        "8,192 tokens a request\n"));
}

TEST(Summary, SeveralServersSayWhatEachDid) {
  RunSummary summary = Done();
  summary.endpoints = {Server("a:1", "primary"), Server("b:2", "replica"),
                       Server("c:3", "fallback")};
  for (RunSummary::Endpoint& server : summary.endpoints) server.metrics.reset();
  summary.endpoints[0].metrics.emplace();
  summary.endpoints[0].metrics->allowance_wait_seconds = 61;
  summary.endpoints[0].requests = summary.endpoints[0].failures = 3;
  summary.endpoints[1].throttled = 4;
  summary.endpoints[2].admitted = false;
  summary.endpoints[2].requests = 0;
  EXPECT_THAT(SummaryText(summary, Context()),
              HasSubstr("  server      a:1 (primary): 3 sent; the limits a minute held back for "
                        "61 s; 3\n              failed\n"
                        "  server      b:2 (replica): 1,200 sent; 4 throttled\n"
                        "  server      c:3 (fallback): not used: it gave no vectors to compare\n"));
  summary.endpoints[0].admitted = false;
  EXPECT_THAT(SummaryText(summary, Context()),
              HasSubstr("  server      a:1 (primary): 3 sent, until it refused\n"));
}

TEST(Summary, JsonHasEveryServer) {
  RunSummary summary = Done();
  EXPECT_THAT(ToJson(summary), HasSubstr("\"endpoints\":[]"));
  summary.endpoints = {Server("a:1", "primary"), Server("b:2", "fallback")};
  summary.endpoints[1].metrics.reset();
  summary.endpoints[1].admitted = false;
  summary.endpoints[1].learnt_inputs_max = 9;
  EXPECT_THAT(
      ToJson(summary),
      HasSubstr(
          R"("vectors_bought_twice":0,"endpoints":[{"place":"a:1","role":"primary","admitted":true,)"
          R"("requests":1200,"failures":0,"throttled":0,"breaker":"closed","breaker_opened":0,)"
          R"("concurrency":0,"learnt_inputs_max":null,"learnt_tokens_max":null,"metrics":{)"
          R"("latency_p50_ms":120.4,"latency_p95_ms":12340,"latency_p99_ms":0,)"
          R"("allowance_wait_seconds":0,"tokens_per_estimated":1}},{"place":"b:2",)"
          R"("role":"fallback","admitted":false,"requests":1200,"failures":0,"throttled":0,)"
          R"("breaker":"closed","breaker_opened":0,"concurrency":0,"learnt_inputs_max":9,)"
          R"("learnt_tokens_max":null}]},"cost_usd":)"));
}

TEST(Summary, TheCachesHitRateIsSaidWhereThereIsOne) {
  RunSummary summary = Done();
  EXPECT_THAT(SummaryText(summary, Context()), Not(HasSubstr("  cache")));
  EXPECT_THAT(ToJson(summary), HasSubstr(R"("cache":{"hits":0,"misses":0,"hit_rate":null},)"));
  summary.cache = {.hits = 3'000, .misses = 1'000};
  EXPECT_THAT(SummaryText(summary, Context()),
              HasSubstr("  cache              3,000 found          1,000 missed          75 % hit "
                        "rate\n"));
  EXPECT_THAT(ToJson(summary),
              HasSubstr(R"("cache":{"hits":3000,"misses":1000,"hit_rate":0.75},)"));
}

TEST(Summary, NothingNewSaysSo) {
  RunSummary summary;
  summary.outcome = RunOutcome::kComplete;
  summary.documents.read = summary.documents.unchanged = 812'004;
  summary.seconds = 8;
  EXPECT_THAT(SummaryText(summary, Context()),
              StartsWith("Complete in 8.0 s. Nothing new: 812,004 documents unchanged, nothing "
                         "sent.\n"));
}

TEST(Summary, PartialNamesWhatFailedAndTheExitCode) {
  RunSummary summary = Done();
  summary.outcome = RunOutcome::kPartial;
  summary.documents.dead = 17;
  summary.chunks.dead = 1;
  summary.dead_letters = 18;
  SummaryContext context = Context();
  context.exit_code = kExitPartial;
  const std::string text = SummaryText(summary, context);
  EXPECT_THAT(text, StartsWith("Finished in 57 min; 17 documents and 1 chunk failed.\n"));
  EXPECT_THAT(text, HasSubstr("embedflow dead 'my corpus'"));
  EXPECT_TRUE(text.ends_with("exit 3: finished, but something is in the dead letters\n"));
}

TEST(Summary, EndedEarlyShowsTheSameCommand) {
  for (const RunOutcome outcome :
       {RunOutcome::kInterrupted, RunOutcome::kRefused, RunOutcome::kFailed, RunOutcome::kBudget}) {
    RunSummary summary = Done();
    summary.outcome = outcome;
    const std::string text = SummaryText(summary, Context());
    EXPECT_THAT(text, HasSubstr("To go on, the same command:\n  embedflow ingest tickets/"));
    EXPECT_THAT(text, Not(HasSubstr("Complete")));
  }
}

TEST(Summary, UnknownPriceIsNeverZero) {
  RunSummary summary = Done();
  summary.cost_usd.reset();
  const std::string text = SummaryText(summary, Context());
  EXPECT_THAT(text, HasSubstr("unknown no price for this model"));
  EXPECT_THAT(text, Not(HasSubstr("$")));
}

TEST(Summary, FitsEightyColumns) {
  RunSummary summary = Done();
  summary.documents = {9'999'999'999, 9'999'999'999, 9'999'999'999, 9'999'999'999,
                       9'999'999'999, 9'999'999'999, 9'999'999'999, 9'999'999'999};
  summary.chunks = {9'999'999'999, 9'999'999'999, 9'999'999'999, 9'999'999'999};
  summary.provider.throttled = 9'999'999;
  summary.endpoints = {Server(std::string(200, 'x').c_str(), "primary"), Server("b", "replica")};
  summary.endpoints[1].breaker_opened = summary.endpoints[1].failures = 9'999'999'999;
  summary.dead_letters = 9'999'999'999;
  for (const RunOutcome outcome : {RunOutcome::kComplete, RunOutcome::kPartial,
                                   RunOutcome::kInterrupted, RunOutcome::kFailed}) {
    summary.outcome = outcome;
    for (const ExitCode& exit : ExitCodes()) {
      SummaryContext context = Context();
      context.exit_code = exit.code;
      std::istringstream stream(SummaryText(summary, context));
      for (std::string line; std::getline(stream, line);) EXPECT_LE(Columns(line), 80u) << line;
    }
  }
}

struct ExitCase {
  Status status;
  int signal;
  int code;
};

TEST(Errors, ExitCodesFollowTheContract) {
  const std::vector<ExitCase> cases = {
      {Status(), 0, 0},
      {Status(Code::kInvalidArgument, "x"), 0, 1},
      {UsageError("x"), 0, 2},
      {Status(Code::kNotFound, "x"), 0, 1},
      {Status(Code::kUnsupported, "x"), 0, 1},
      {Status(Code::kInternal, "x"), 0, 1},
      {Status(Code::kBudget, "x"), 0, 4},
      {Status(Code::kRefused, "x"), 0, 5},
      {Status(Code::kInUse, "x"), 0, 6},
      {Status(Code::kIo, "x"), 0, 7},
      {Status(Code::kUnavailable, "x"), 0, 8},
      {Status(Code::kCorruption, "x"), 0, 9},
      {Status(Code::kCancelled, "x"), SIGINT, 130},
      {Status(Code::kCancelled, "x"), SIGTERM, 143},
  };
  for (const ExitCase& test : cases) {
    EXPECT_EQ(ExitCodeOf(test.status, test.signal), test.code) << test.status.ToString();
  }
}

TEST(Errors, ThreeLinesOnATerminalOneInAPipeJsonWhereAsked) {
  const Status status = Status(Code::kInUse, "support is being written by process 7")
                            .WithKept("nothing was sent")
                            .WithNext("wait for it");
  Stream stream;
  EXPECT_EQ(ErrorText(status, 6, false, stream),
            "embedflow: support is being written by process 7; kept: nothing was sent; next: wait "
            "for it\n");
  stream.is_terminal = true;
  EXPECT_EQ(ErrorText(status, 6, false, stream),
            "embedflow: support is being written by process 7\n"
            "  kept: nothing was sent\n"
            "  next: wait for it\n");
  EXPECT_EQ(ErrorText(status, 6, true, stream),
            "{\"type\":\"error\",\"code\":\"in_use\",\"exit\":6,\"message\":\"support is being "
            "written by process 7\",\"kept\":\"nothing was sent\",\"next\":\"wait for it\"}\n");
}

TEST(Errors, NoControlByteReachesATerminal) {
  const Status status = Status(Code::kIo, "a\x1b[2Jb\nc").WithKept("\x07").WithNext("\r");
  Stream stream;
  for (const bool is_terminal : {false, true}) {
    stream.is_terminal = is_terminal;
    std::string text = ErrorText(status, 7, false, stream);
    EXPECT_EQ(text.find_first_of("\x1b\x07\r"), std::string::npos);
  }
}

}  // namespace
}  // namespace embedflow::cli
