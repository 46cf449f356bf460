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
