#include "embedflow/pipeline.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/pipeline/harness.h"

namespace embedflow {
namespace {

HttpReply Good(const HttpRequest& request, std::uint64_t) { return GoodReply(request); }

TEST(Pipeline, EveryVectorIsTheServersForItsTextUnderRandomFaults) {
  // Replies are shuffled, delayed by order, refused, cut and wrong; what is stored is right, and
  // nothing is lost.
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ScratchDirectory scratch;
    ListSource source(Documents(3000));
    Rng rng(seed);
    const auto server = [&rng](const HttpRequest& request, std::uint64_t attempt) {
      if (attempt > 2) return GoodReply(request);
      switch (rng.Below(10)) {
        case 0:
          return ErrorReply(500);
        case 1:
          return ErrorReply(429);
        case 2: {
          HttpReply reset;
          reset.transport = Status(Code::kUnavailable, "connection reset");
          return reset;
        }
        case 3:
          return GoodReply(request, FlakyFlaw::kTooFew);
        default:
          return GoodReply(request, FlakyFlaw::kShuffled);
      }
    };
    const TestRun run =
        RunOver(scratch.corpus(), source, server, TestOptions(), WireProvider(), seed);
    ASSERT_TRUE(run.status.ok()) << run.status.ToString();
    EXPECT_EQ(run.summary.outcome, RunOutcome::kComplete);
    EXPECT_EQ(run.summary.documents.ingested, 3000u);
    EXPECT_EQ(run.summary.chunks.embedded, 3000u);
    EXPECT_GT(run.summary.provider.retries, 10u);
    EXPECT_EQ(run.summary.provider.requests, run.sends);
    EXPECT_EQ(source.committed(), 3000u);
    const Stored stored = ReadBack(scratch.corpus());
    EXPECT_EQ(stored.chunks, 3000u);
    EXPECT_EQ(stored.wrong + stored.without_vector, 0u);
  }
}

TEST(Pipeline, IdenticalTextsAreBoughtOnceAndASecondRunSendsNothing) {
  ScratchDirectory scratch;
  std::vector<Record> records = Documents(500);
  for (std::size_t i = 0; i < 500; ++i) {
    records.push_back(
        DocumentRecord("copy" + std::to_string(i), "text of document " + std::to_string(i % 50)));
  }
  ListSource source(records);
  const TestRun first = RunOver(scratch.corpus(), source, Good);
  ASSERT_TRUE(first.status.ok()) << first.status.ToString();
  EXPECT_EQ(first.summary.chunks.embedded, 500u);
  EXPECT_EQ(first.summary.chunks.reused, 500u);
  for (const auto& [text, times] : first.answered) EXPECT_EQ(times, 1u) << text;

  ListSource again(records);
  const TestRun second = RunOver(scratch.corpus(), again, Good);
  ASSERT_TRUE(second.status.ok()) << second.status.ToString();
  EXPECT_EQ(second.sends, 0u);
  EXPECT_EQ(second.summary.documents.unchanged, 1000u);
  EXPECT_EQ(second.summary.outcome, RunOutcome::kComplete);
  EXPECT_EQ(ReadBack(scratch.corpus()).chunks, 1000u);
}

TEST(Pipeline, AChangedDocumentBuysOnlyItsNewChunks) {
  ScratchDirectory scratch;
  PipelineOptions options = TestOptions();
  options.chunker.size_tokens = 16;
  options.chunker.overlap_tokens = 0;
  const std::string a = "The first paragraph stays as it was written.\n\n";
  const std::string b = "The second paragraph is about to be changed.\n\n";
  const std::string c = "The third paragraph stays as well, word for word.";
  ListSource source({DocumentRecord("doc", a + b + c)});
  const TestRun first = RunOver(scratch.corpus(), source, Good, options);
  ASSERT_TRUE(first.status.ok());
  ASSERT_EQ(first.summary.chunks.embedded, 3u);
  ListSource changed(
      {DocumentRecord("doc", a + "Something else stands here in its place now.\n\n" + c)});
  const TestRun second = RunOver(scratch.corpus(), changed, Good, options);
  ASSERT_TRUE(second.status.ok());
  EXPECT_EQ(second.summary.chunks.embedded, 1u);
  EXPECT_EQ(second.summary.chunks.reused, 2u);
  EXPECT_EQ(second.summary.documents.ingested, 1u);
  const Stored stored = ReadBack(scratch.corpus());
  EXPECT_EQ(stored.chunks, 3u);
}

TEST(Pipeline, OfTwoRecordsWithOneIdTheLaterWins) {
  ScratchDirectory scratch;
  std::vector<Record> records;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 300; ++i) {
      records.push_back(DocumentRecord(
          "d" + std::to_string(i), "round " + std::to_string(round) + " of " + std::to_string(i)));
    }
  }
  ListSource source(records);
  const TestRun run = RunOver(scratch.corpus(), source, Good);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.documents.read, 1200u);
  EXPECT_EQ(run.summary.documents.ingested, 300u);
  EXPECT_EQ(run.summary.documents.replaced, 900u);
  const Stored stored = ReadBack(scratch.corpus());
  ASSERT_EQ(stored.text_of.size(), 300u);
  for (const auto& [id, text] : stored.text_of) EXPECT_EQ(text, "round 3 of " + id.substr(1));
}

TEST(Pipeline, OneRefusedTextCostsOneText) {
  ScratchDirectory scratch;
  std::vector<Record> records = Documents(400);
  records[200] = DocumentRecord("poison", "POISON in here");
  ListSource source(records);
  const auto server = [](const HttpRequest& request, std::uint64_t) {
    return request.body.find("POISON") == std::string::npos
               ? GoodReply(request)
               : ErrorReply(
                     400,
                     R"({"error":{"message":"the input is invalid","type":"invalid_request_error"}})");
  };
  const TestRun run = RunOver(scratch.corpus(), source, server, TestOptions(), WireProvider(256));
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.outcome, RunOutcome::kPartial);
  EXPECT_EQ(run.summary.documents.ingested, 399u);
  EXPECT_EQ(run.summary.documents.dead, 1u);
  EXPECT_EQ(run.summary.chunks.dead, 1u);
  EXPECT_EQ(run.summary.dead_letters, 1u);
  EXPECT_LE(run.sends, 2u + 2u * 9u);
  EXPECT_EQ(run.answered.size(), 399u);
  for (const auto& [text, times] : run.answered) EXPECT_EQ(times, 1u) << text;
  Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(scratch.corpus(), Corpus::Mode::kRead);
  Result<std::vector<DeadLetter>> letters = (*corpus)->DeadLetters();
  ASSERT_TRUE(letters.ok() && letters->size() == 1);
  EXPECT_EQ((*letters)[0].document_id, "poison");
  EXPECT_NE((*letters)[0].provider_says.find("the input is invalid"), std::string::npos);
  // The next run passes it over, and says that it is still not in.
  ListSource again(records);
  const TestRun second = RunOver(scratch.corpus(), again, server);
  EXPECT_EQ(second.sends, 0u);
  EXPECT_EQ(second.summary.outcome, RunOutcome::kPartial);
}

TEST(Pipeline, ARefusedKeyStopsAtOnceAndKeepsWhatIsIn) {
  ScratchDirectory scratch;
  ListSource source(Documents(5000));
  std::atomic<int> sent{0};
  const auto server = [&sent](const HttpRequest& request, std::uint64_t) {
    return ++sent <= 20 ? GoodReply(request) : ErrorReply(401);
  };
  const TestRun run = RunOver(scratch.corpus(), source, server);
  EXPECT_EQ(run.status.code(), Code::kRefused) << run.status.ToString();
  EXPECT_EQ(run.summary.outcome, RunOutcome::kRefused);
  EXPECT_LE(run.sends, 20u + 4u);
  EXPECT_EQ(run.summary.documents.ingested + run.summary.documents.cancelled,
            run.summary.documents.read);
  EXPECT_EQ(ReadBack(scratch.corpus()).chunks, run.summary.documents.ingested);
  // The key is mended: what is in is not bought again.
  ListSource again(Documents(5000));
  const TestRun second = RunOver(scratch.corpus(), again, Good);
  ASSERT_TRUE(second.status.ok());
  EXPECT_EQ(second.summary.chunks.embedded + run.summary.chunks.embedded, 5000u);
  EXPECT_EQ(ReadBack(scratch.corpus()).chunks, 5000u);
}

TEST(Pipeline, AProviderThatStaysAwayEndsTheRunResumably) {
  ScratchDirectory scratch;
  ListSource source(Documents(200));
  const TestRun run = RunOver(scratch.corpus(), source,
                              [](const HttpRequest&, std::uint64_t) { return ErrorReply(503); });
  EXPECT_EQ(run.status.code(), Code::kUnavailable);
  EXPECT_EQ(run.summary.outcome, RunOutcome::kFailed);
  EXPECT_EQ(run.summary.dead_letters, 0u);
  ListSource again(Documents(200));
  EXPECT_TRUE(RunOver(scratch.corpus(), again, Good).status.ok());
  EXPECT_EQ(ReadBack(scratch.corpus()).chunks, 200u);
}

TEST(Pipeline, AServerThatRefusesEverythingIsNotBisectedAndTheMendedRunIsWhole) {
  for (const bool unusable : {false, true}) {
    ScratchDirectory scratch;
    ListSource source(Documents(1000));
    const TestRun run =
        RunOver(scratch.corpus(), source, [&](const HttpRequest& request, std::uint64_t) {
          return unusable ? GoodReply(request, FlakyFlaw::kShortVector) : ErrorReply(400);
        });
    EXPECT_EQ(run.status.code(), unusable ? Code::kUnavailable : Code::kRefused);
    EXPECT_EQ(run.status.word(), unusable ? "replies_unusable" : "request_refused");
    EXPECT_EQ(run.summary.dead_letters, 0u);
    EXPECT_LE(run.sends, 24u);
    ListSource again(Documents(1000));
    const TestRun mended = RunOver(scratch.corpus(), again, Good);
    EXPECT_TRUE(mended.status.ok());
    EXPECT_EQ(mended.summary.outcome, RunOutcome::kComplete);
    EXPECT_EQ(ReadBack(scratch.corpus()).chunks, 1000u);
  }
}

TEST(Pipeline, TwoTextsOfAServerThatRefusesEverythingAreJudgedTwiceBeforeTheyAreDead) {
  ScratchDirectory scratch;
  ListSource source(Documents(2));
  int refused = 0;
  const TestRun run = RunOver(
      scratch.corpus(), source,
      [&refused](const HttpRequest& request, std::uint64_t) {
        // The first two, one text each, are refused; then the server is mended.
        return ++refused <= 2 ? ErrorReply(400) : GoodReply(request);
      },
      TestOptions(), WireProvider(1));
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.outcome, RunOutcome::kComplete);
  EXPECT_EQ(run.summary.documents.ingested, 2u);
}

TEST(Pipeline, ARetryThatWaitsHoldsNoSlotAndNothingElseBack) {
  // With one request in flight at most, all others pass the one that was asked to wait.
  ScratchDirectory scratch;
  ListSource source(Documents(320));
  std::vector<bool> refused;
  const auto server = [&refused](const HttpRequest& request, std::uint64_t attempt) {
    refused.push_back(refused.empty());
    if (!refused.back()) return GoodReply(request);
    EXPECT_EQ(attempt, 1u);
    HttpReply reply = ErrorReply(429);
    reply.headers = {{"retry-after-ms", "1500"}};
    return reply;
  };
  PipelineOptions options = TestOptions();
  options.flow.requests_in_flight_max = 1;
  const TestRun run = RunOver(scratch.corpus(), source, server, options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.documents.ingested, 320u);
  EXPECT_EQ(run.summary.provider.throttled, 1u);
  EXPECT_GT(run.summary.seconds, 1.4);
  EXPECT_LT(run.summary.seconds, 10.0);
}

TEST(Pipeline, AChangedMetricMakesTheIndexAnew) {
  ScratchDirectory scratch;
  ListSource source(Documents(50));
  ASSERT_TRUE(RunOver(scratch.corpus(), source, Good).status.ok());
  PipelineOptions options = TestOptions();
  options.index.metric = Metric::kL2;
  ListSource again(Documents(50));
  const TestRun run = RunOver(scratch.corpus(), again, Good, options);
  ASSERT_TRUE(run.status.ok());
  EXPECT_EQ(run.sends, 0u);
  EXPECT_EQ(ReadBack(scratch.corpus()).chunks, 50u);  // Verifies the index as well.
}

TEST(Pipeline, StopDrainsWhatIsInFlightAndTheNextRunBuysTheRest) {
  for (const bool abort : {false, true}) {
    ScratchDirectory scratch;
    ListSource source(Documents(5000));
    Session* session = nullptr;
    Mutex mu;
    CondVar set;
    const auto server = [&](const HttpRequest& request, std::uint64_t) {
      MutexLock lock(mu);
      while (session == nullptr) set.Wait(mu);
      return GoodReply(request);
    };
    std::atomic<bool> stopped{false};
    source.CallAfter([&](std::size_t n) {
      if (n != 1500) return;
      MutexLock lock(mu);
      while (session == nullptr) set.Wait(mu);
      session->Stop(abort);
      stopped = true;
    });
    const TestRun run = RunOver(scratch.corpus(), source, server, TestOptions(), WireProvider(), 5,
                                [&](Session& begun) {
                                  MutexLock lock(mu);
                                  session = &begun;
                                  set.SignalAll();
                                });
    EXPECT_TRUE(stopped);
    EXPECT_EQ(run.status.code(), Code::kCancelled) << run.status.ToString();
    EXPECT_EQ(run.summary.outcome, RunOutcome::kInterrupted);
    EXPECT_LE(run.summary.documents.read, 1501u);
    EXPECT_EQ(run.summary.documents.ingested + run.summary.documents.cancelled,
              run.summary.documents.read);
    ListSource again(Documents(5000));
    const TestRun second = RunOver(scratch.corpus(), again, Good);
    ASSERT_TRUE(second.status.ok()) << second.status.ToString();
    EXPECT_EQ(second.summary.chunks.embedded + run.summary.chunks.embedded, 5000u);
    const Stored stored = ReadBack(scratch.corpus());
    EXPECT_EQ(stored.chunks, 5000u);
    EXPECT_EQ(stored.wrong, 0u);
  }
}

TEST(Pipeline, EmptyAndBadRecordsAreCountedAndKeptApart) {
  ScratchDirectory scratch;
  std::vector<Record> records = Documents(3);
  records.push_back(DocumentRecord("blank", " \n\t "));
  records.push_back(DocumentRecord("nul", std::string("a\0b", 3)));
  records.push_back(DocumentRecord(std::string("i\0d", 3), "text"));
  records.push_back(DocumentRecord("broken", "\xFF"));
  Record bad;
  bad.bad = BadRecord{"", "not JSON: ends inside a string, byte 9"};
  bad.origin = {"in.jsonl", 7};
  records.push_back(bad);
  records.push_back(DocumentRecord("", "a text without an id"));
  ListSource source(records);
  const TestRun run = RunOver(scratch.corpus(), source, Good);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.documents.read, 9u);
  EXPECT_EQ(run.summary.documents.ingested, 5u);
  EXPECT_EQ(run.summary.documents.empty, 1u);
  EXPECT_EQ(run.summary.documents.dead, 3u);
  EXPECT_EQ(run.summary.dead_letters, 3u);
  EXPECT_EQ(source.committed(), 9u);
  const Stored stored = ReadBack(scratch.corpus());
  EXPECT_EQ(stored.text_of.at("nul"), std::string("a\0b", 3));
  EXPECT_EQ(stored.text_of.count("blank"), 0u);
}

TEST(Pipeline, ABudgetSmallerThanADocumentStillMoves) {
  ScratchDirectory scratch;
  PipelineOptions options = TestOptions();
  options.flow.admitted_bytes_max = 1u << 20;
  std::vector<Record> records;
  for (int i = 0; i < 4; ++i) {
    std::string text;
    while (text.size() < (3u << 20))
      text +=
          "sentence " + std::to_string(text.size() + static_cast<std::size_t>(i)) + " goes on. ";
    records.push_back(DocumentRecord("big" + std::to_string(i), text));
  }
  for (Record& record : Documents(2000)) records.push_back(record);
  ListSource source(records);
  const TestRun run = RunOver(scratch.corpus(), source, Good, options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.documents.ingested, 2004u);
  EXPECT_EQ(ReadBack(scratch.corpus()).wrong, 0u);
}

// An embedder that throws where `poisoned` says.
class ThrowingEmbedder : public Embedder {
 public:
  const Space& space() const override { return space_; }
  RequestLimits limits() const override { return {}; }
  Status Embed(std::span<const std::string_view>, std::span<float>) const override {
    throw std::runtime_error("no model");
  }

 private:
  const Space space_{"test", "throws", "", kTestDimensions, "", ""};
};

TEST(Pipeline, AForeignExceptionEndsTheRunAndHangsNothing) {
  ScratchDirectory scratch;
  ListSource source(Documents(1000));
  const TestRun run =
      RunOver(scratch.corpus(), source, Good, TestOptions(), std::make_shared<ThrowingEmbedder>());
  EXPECT_EQ(run.status.code(), Code::kInternal);
  EXPECT_NE(run.status.message().find("no model"), std::string::npos);
  EXPECT_EQ(run.summary.documents.ingested, 0u);
}

TEST(Pipeline, ACommitThatCannotBeAcknowledgedEndsTheRun) {
  ScratchDirectory scratch;
  PipelineOptions options = TestOptions();
  options.on_commit = [](std::span<const ChunkId>) {
    return Status(Code::kIo, "the ack log is full");
  };
  ListSource source(Documents(50));
  const TestRun run = RunOver(scratch.corpus(), source, Good, options);
  EXPECT_EQ(run.status.code(), Code::kIo);
}

TEST(Pipeline, WhatIsPushedLingersNoLongerThanAMoment) {
  // One document, no Finish yet: the open batch is flushed by the timer, committed and
  // acknowledged.
  ScratchDirectory scratch;
  Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(scratch.corpus(), Corpus::Mode::kCreate);
  ASSERT_TRUE(corpus.ok());
  Result<std::shared_ptr<const Provider>> provider = MakeProvider({});
  ASSERT_TRUE(provider.ok());
  Mutex mu;
  CondVar committed;
  std::size_t chunks = 0;
  PipelineOptions options;
  options.on_commit = [&](std::span<const ChunkId> ids) {
    MutexLock lock(mu);
    chunks += ids.size();
    committed.SignalAll();
    return Status();
  };
  Result<std::unique_ptr<Pipeline>> pipeline = Pipeline::Open(**corpus, *provider, options);
  ASSERT_TRUE(pipeline.ok());
  ASSERT_TRUE((*pipeline)->Start().ok());
  ASSERT_TRUE((*pipeline)->Push({"one", "the only document", {}}).ok());
  {
    MutexLock lock(mu);
    while (chunks == 0) ASSERT_TRUE(committed.WaitFor(mu, std::chrono::seconds(60)));
  }
  ASSERT_TRUE((*pipeline)->Finish().ok());
  EXPECT_EQ((*pipeline)->summary().documents.ingested, 1u);
  EXPECT_EQ((*pipeline)->Start().code(), Code::kInvalidArgument);
}

TEST(Pipeline, ARunThatIsDroppedIsAborted) {
  ScratchDirectory scratch;
  Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(scratch.corpus(), Corpus::Mode::kCreate);
  ASSERT_TRUE(corpus.ok());
  Result<std::unique_ptr<Pipeline>> pipeline = Pipeline::Open(**corpus, *MakeProvider({}), {});
  ASSERT_TRUE((*pipeline)->Start().ok());
  for (const Record& record : Documents(300)) ASSERT_TRUE((*pipeline)->Push(record.document).ok());
  pipeline->reset();
  EXPECT_FALSE(Corpus::Open(scratch.corpus(), Corpus::Mode::kWrite)
                   .ok());  // The corpus still holds its lock.
}

}  // namespace
}  // namespace embedflow
