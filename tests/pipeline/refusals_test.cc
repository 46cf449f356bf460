// Whether refusals are about the texts or about every request: what a probe finds out, and what a
// run makes of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>

#include "embedflow/pipeline.h"
#include "pipeline/probe.h"
#include "pipeline/stage_bodies.h"
#include "tests/fakes/flaky_server.h"
#include "tests/pipeline/harness.h"

namespace embedflow {
namespace {

constexpr const char* kInvalidBody = R"({"error":{"message":"the input is invalid"}})";

bool Holds(const HttpRequest& request, std::string_view words) {
  return request.body.find(words) != std::string::npos;
}

// Refuses every text with "BAD", and what travels with it.
HttpReply RefusesBad(const HttpRequest& request, std::uint64_t) {
  return Holds(request, "BAD") ? ErrorReply(400, kInvalidBody) : GoodReply(request);
}

HttpReply RefusesAll(const HttpRequest&, std::uint64_t) { return ErrorReply(400, kInvalidBody); }

// `count` documents, of which those from `begin` to `end` are refused.
std::vector<Record> SomeBad(std::size_t count, std::size_t begin, std::size_t end) {
  std::vector<Record> records = Documents(count);
  for (std::size_t i = begin; i < end; ++i) {
    records[i] = DocumentRecord("d" + std::to_string(i), "BAD text " + std::to_string(i));
  }
  return records;
}

TEST(Refusals, WhereAllTextsAreRefusedButTheProbeIsNotAllAreDead) {
  for (const std::size_t count : {1, 2, 3, 40}) {
    SCOPED_TRACE(count);
    ScratchDirectory scratch;
    ListSource source(SomeBad(count, 0, count));
    const TestRun run = RunOver(scratch.corpus(), source, RefusesBad);
    ASSERT_TRUE(run.status.ok()) << run.status.ToString();
    EXPECT_EQ(run.summary.outcome, RunOutcome::kPartial);
    EXPECT_EQ(run.summary.chunks.dead, count);
    EXPECT_EQ(run.summary.dead_letters, count);
    EXPECT_EQ(run.probes > 0, count > 1);
    EXPECT_EQ(run.summary.provider.requests, run.sends);
    EXPECT_EQ(source.committed(), count);
    ListSource again(SomeBad(count, 0, count));
    EXPECT_EQ(RunOver(scratch.corpus(), again, RefusesBad).sends, 0u);
  }
}

TEST(Refusals, ThirtyAdjacentOnesCostThirtyTexts) {
  for (const std::size_t begin : {0, 85, 170}) {
    SCOPED_TRACE(begin);
    ScratchDirectory scratch;
    ListSource source(SomeBad(200, begin, begin + 30));
    const TestRun run = RunOver(scratch.corpus(), source, RefusesBad);
    ASSERT_TRUE(run.status.ok()) << run.status.ToString();
    EXPECT_EQ(run.summary.outcome, RunOutcome::kPartial);
    EXPECT_EQ(run.summary.dead_letters, 30u);
    EXPECT_EQ(run.summary.chunks.embedded, 170u);
    EXPECT_EQ(run.answered.size(), 170u);
    for (const auto& [text, times] : run.answered) EXPECT_EQ(times, 1u) << text;
    // At most one for each sixteen texts; two may see the same sixteen.
    EXPECT_LE(run.probes, 4u);
  }
}

TEST(Refusals, OfManyMoreThanSixteenEachIsSentAFewTimes) {
  ScratchDirectory scratch;
  ListSource source(SomeBad(500, 0, 400));
  const TestRun run = RunOver(scratch.corpus(), source, RefusesBad);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.dead_letters, 400u);
  EXPECT_EQ(run.summary.chunks.embedded, 100u);
  // Twice what bisecting takes, which is two requests a text.
  EXPECT_LE(run.sends, 400u * 4u);
}

TEST(Refusals, AServerThatRefusesTheProbeTooCondemnsNothing) {
  for (const std::size_t count : {2, 1000}) {
    SCOPED_TRACE(count);
    ScratchDirectory scratch;
    ListSource source(Documents(count));
    const TestRun run = RunOver(scratch.corpus(), source, RefusesAll);
    EXPECT_EQ(run.status.code(), Code::kRefused);
    EXPECT_EQ(run.status.word(), kRequestRefused);
    EXPECT_EQ(run.summary.dead_letters, 0u);
    EXPECT_EQ(run.probes, 1u);
    EXPECT_EQ(run.summary.provider.requests, run.sends);
    ListSource again(Documents(count));
    EXPECT_TRUE(RunOver(scratch.corpus(), again, RefusesBad).status.ok());
    EXPECT_EQ(ReadBack(scratch.corpus()).chunks, count);
  }
}

TEST(Refusals, AServerThatBeginsToRefuseEverythingCondemnsNothing) {
  ScratchDirectory scratch;
  std::atomic<int> served{0};
  const auto server = [&served](const HttpRequest& request, std::uint64_t) {
    return ++served > 10 ? ErrorReply(400, kInvalidBody) : GoodReply(request);
  };
  ListSource source(Documents(1000));
  const TestRun run = RunOver(scratch.corpus(), source, server);
  EXPECT_EQ(run.status.word(), kRequestRefused) << run.status.ToString();
  EXPECT_EQ(run.summary.dead_letters, 0u);
  EXPECT_GE(run.probes, 1u);
}

TEST(Refusals, AKeyThatDiesMeanwhileIsWhatTheRunEndsOf) {
  ScratchDirectory scratch;
  const auto server = [](const HttpRequest& request, std::uint64_t) {
    return Holds(request, Probe::kText) ? ErrorReply(401) : ErrorReply(400, kInvalidBody);
  };
  ListSource source(Documents(100));
  const TestRun run = RunOver(scratch.corpus(), source, server);
  EXPECT_EQ(run.status.code(), Code::kRefused);
  EXPECT_EQ(run.status.word(), "key_refused") << run.status.ToString();
  EXPECT_EQ(run.summary.dead_letters, 0u);
}

TEST(Refusals, NothingLeavesWhileTheProbeIsUnderWay) {
  const std::uint64_t kInFlightMax = *TestOptions().flow.requests_in_flight_max;
  ScratchDirectory scratch;
  std::atomic<std::uint64_t> served{0};
  std::uint64_t during = 0;
  const auto server = [&served](const HttpRequest& request, std::uint64_t attempt) {
    ++served;
    return RefusesBad(request, attempt);
  };
  const ProbeSender probe = [&](const Provider&, std::span<const std::string_view> texts,
                                const EmbedNowOptions& how,
                                EmbedNowCost* cost) -> Result<std::vector<float>> {
    Mutex mu;
    CondVar tick;
    MutexLock lock(mu);
    const std::uint64_t before = served;
    const TimePoint until = SystemClock().Now() + std::chrono::milliseconds(300);
    while (served <= before + kInFlightMax && SystemClock().Now() < until) {
      tick.WaitFor(mu, std::chrono::milliseconds(5));
    }
    during = std::max(during, served - before);
    EXPECT_FALSE(how.is_stopped());
    ++cost->requests;
    return std::vector<float>(texts.size() * kTestDimensions);
  };
  ListSource source(SomeBad(100, 0, 40));
  const TestRun run =
      RunOver(scratch.corpus(), source, server, TestOptions(), WireProvider(4), 1, {}, probe);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_GE(run.probes, 1u);
  // What was in flight comes in.
  EXPECT_LE(during, kInFlightMax);
  EXPECT_EQ(run.summary.dead_letters, 40u);
  EXPECT_EQ(run.summary.chunks.embedded, 60u);
}

TEST(Refusals, AStopGivesUpAProbeThatIsUnderWay) {
  for (const bool abort : {false, true}) {
    ScratchDirectory scratch;
    Mutex mu;
    CondVar changed;
    bool is_asked = false;
    const ProbeSender probe = [&](const Provider&, std::span<const std::string_view>,
                                  const EmbedNowOptions& how,
                                  EmbedNowCost*) -> Result<std::vector<float>> {
      MutexLock lock(mu);
      is_asked = true;
      changed.SignalAll();
      while (!how.is_stopped()) changed.WaitFor(mu, std::chrono::milliseconds(5));
      return Status(Code::kCancelled, "stopped on request");
    };
    ListSource source(Documents(1000));
    const TestRun run = RunOver(
        scratch.corpus(), source, RefusesAll, TestOptions(), WireProvider(), 1,
        [&](Session& session) {
          {
            MutexLock lock(mu);
            while (!is_asked) changed.WaitFor(mu, std::chrono::seconds(1));
          }
          session.Stop(abort);
        },
        probe);
    EXPECT_EQ(run.status.code(), Code::kCancelled) << run.status.ToString();
    EXPECT_EQ(run.summary.outcome, RunOutcome::kInterrupted);
    EXPECT_EQ(run.summary.dead_letters, 0u);
    EXPECT_EQ(run.probes, 1u);
  }
}

// A probe that is not answered `unanswered` times, and is then accepted.
ProbeSender AnswersLate(std::atomic<std::uint64_t>* asked, std::uint64_t unanswered) {
  return [asked, unanswered](const Provider&, std::span<const std::string_view> texts,
                             const EmbedNowOptions&, EmbedNowCost*) -> Result<std::vector<float>> {
    if (++*asked <= unanswered)
      return Status(Code::kUnavailable, "no reply in time").WithWord("timeout");
    return std::vector<float>(texts.size() * kTestDimensions);
  };
}

TEST(Refusals, AProbeThatIsNotAnsweredIsAskedAgainAndThenTheProviderIsUnavailable) {
  for (const std::uint64_t unanswered : {1u, 2u, 100u}) {
    SCOPED_TRACE(unanswered);
    ScratchDirectory scratch;
    std::atomic<std::uint64_t> asked{0};
    ListSource source(SomeBad(40, 0, 20));
    const TestRun run = RunOver(scratch.corpus(), source, RefusesAll, TestOptions(), WireProvider(),
                                1, {}, AnswersLate(&asked, unanswered));
    if (unanswered < StageBodies::kProbesUnansweredMax) {
      ASSERT_TRUE(run.status.ok()) << run.status.ToString();
      EXPECT_EQ(run.summary.dead_letters, 40u);
      continue;
    }
    EXPECT_EQ(run.status.code(), Code::kUnavailable);
    EXPECT_EQ(run.status.word(), "timeout") << run.status.ToString();
    EXPECT_EQ(run.probes, StageBodies::kProbesUnansweredMax);
    EXPECT_EQ(run.summary.dead_letters, 0u);
    ListSource again(SomeBad(40, 0, 20));
    const TestRun mended = RunOver(scratch.corpus(), again, RefusesBad);
    ASSERT_TRUE(mended.status.ok()) << mended.status.ToString();
    EXPECT_EQ(mended.summary.dead_letters, 20u);
  }
}

// An embedder that fails at every text that holds a word.
class PickyEmbedder : public Embedder {
 public:
  explicit PickyEmbedder(std::string word) : word_(std::move(word)) {}
  const Space& space() const override { return space_; }
  RequestLimits limits() const override { return {}; }
  Status Embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    std::fill(vectors.begin(), vectors.end(), 1.0f);
    for (const std::string_view text : texts) {
      if (text.find(word_) != std::string_view::npos) return {Code::kInternal, "not this one"};
    }
    return {};
  }

 private:
  const std::string word_;
  const Space space_{"test", "picky", "", kTestDimensions, "", ""};
};

TEST(Refusals, AnEmbedderOfThisProcessIsAskedToo) {
  ScratchDirectory scratch;
  ListSource bad(SomeBad(40, 0, 40));
  const TestRun picky = RunOver(scratch.corpus(), bad, RefusesBad, TestOptions(),
                                std::make_shared<PickyEmbedder>("BAD"));
  ASSERT_TRUE(picky.status.ok()) << picky.status.ToString();
  EXPECT_EQ(picky.summary.dead_letters, 40u);
  EXPECT_GE(picky.probes, 1u);
  ScratchDirectory other;
  ListSource good(Documents(40));
  const TestRun broken =
      RunOver(other.corpus(), good, RefusesBad, TestOptions(), std::make_shared<PickyEmbedder>(""));
  EXPECT_EQ(broken.status.word(), kRequestRefused) << broken.status.ToString();
  EXPECT_EQ(broken.summary.dead_letters, 0u);
  EXPECT_GE(broken.probes, 1u);  // Several workers may ask at once.
}

TEST(Refusals, OverASocketTheProbeIsCountedWithTheRest) {
  ScratchDirectory scratch;
  std::atomic<int> probes{0};
  FlakyServer server({.dimensions = kTestDimensions}, [&probes](const FlakyRequest& request) {
    FlakyReply reply;
    for (const std::string& text : request.texts) {
      if (text == Probe::kText) ++probes;
      if (text.find("BAD") != std::string::npos) reply.status = 400;
    }
    return reply;
  });
  ProviderOptions options;
  options.name = "local";
  options.model = "test-model";
  options.dimensions = kTestDimensions;
  options.base_url = server.base_url();
  Result<std::shared_ptr<const Provider>> provider = MakeProvider(options);
  ASSERT_TRUE(provider.ok()) << provider.status().ToString();
  Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(scratch.corpus(), Corpus::Mode::kCreate);
  ASSERT_TRUE(corpus.ok()) << corpus.status().ToString();
  ListSource source(SomeBad(20, 0, 20));
  Result<std::unique_ptr<Pipeline>> pipeline = Pipeline::Open(**corpus, *provider, TestOptions());
  ASSERT_TRUE(pipeline.ok()) << pipeline.status().ToString();
  const Status status = (*pipeline)->Run(source);
  ASSERT_TRUE(status.ok()) << status.ToString();
  const RunSummary& summary = (*pipeline)->summary();
  EXPECT_EQ(summary.dead_letters, 20u);
  EXPECT_GE(probes, 1);
  EXPECT_EQ(summary.provider.requests, server.requests());
  EXPECT_GT(summary.provider.model_tokens, 0u);
}

}  // namespace
}  // namespace embedflow
