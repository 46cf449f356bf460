// Flow control as a run shows it, over real sockets: endpoints, breaker, caps, compression, limits.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "embedflow/pipeline.h"
#include "tests/fakes/flaky_reply.h"
#include "tests/fakes/flaky_server.h"
#include "tests/pipeline/harness.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;

constexpr const char* kFails = R"({"error":{"message":"overloaded","type":"server_error"}})";

std::shared_ptr<const Provider> ProviderAt(const FlakyServer& server, std::size_t inputs_max = 16) {
  ProviderOptions options;
  options.name = "local";
  options.model = "test-model";
  options.dimensions = kTestDimensions;
  options.base_url = server.base_url();
  options.batch_inputs_max = inputs_max;
  Result<std::shared_ptr<const Provider>> provider = MakeProvider(options);
  EXPECT_TRUE(provider.ok()) << provider.status().ToString();
  return std::move(provider).value();
}

FlowOptions QuickFlow() {
  FlowOptions flow;
  flow.timeout = milliseconds(5000);
  flow.retry_delay = milliseconds(5);
  flow.circuit_breaker = std::nullopt;
  flow.requests_in_flight_max = 4;
  return flow;
}

PipelineOptions QuickOptions() {
  PipelineOptions options;
  options.flow = QuickFlow();
  options.index.kind = "none";
  return options;
}

FlakyReply Fails(int status, std::string body = kFails) {
  FlakyReply reply;
  reply.status = status;
  reply.body = std::move(body);
  return reply;
}

// The reply that a server with another model would give.
FlakyReply OtherModel(const FlakyRequest& request) {
  FlakyRequest other = request;
  for (std::string& text : other.texts) text = "another model's " + text;
  Rng rng(1);
  FlakyReply reply;
  reply.body = WriteFlakyBody(other, {}, kTestDimensions, rng);
  return reply;
}

struct FlowRun {
  Status status;
  RunSummary summary;
};

FlowRun RunAt(const std::string& corpus_directory, std::size_t documents,
              std::shared_ptr<const Provider> provider, const PipelineOptions& options) {
  FlowRun run;
  Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(corpus_directory, Corpus::Mode::kCreate);
  EXPECT_TRUE(corpus.ok()) << corpus.status().ToString();
  ListSource source(Documents(documents));
  Result<std::unique_ptr<Pipeline>> pipeline =
      Pipeline::Open(**corpus, std::move(provider), options);
  if (!pipeline.ok()) {
    run.status = pipeline.status();
    return run;
  }
  run.status = (*pipeline)->Run(source);
  run.summary = (*pipeline)->summary();
  return run;
}

void ExpectWhole(const std::string& directory, std::size_t chunks) {
  const Stored stored = ReadBack(directory);
  EXPECT_EQ(stored.chunks, chunks);
  EXPECT_EQ(stored.wrong + stored.without_vector, 0u);
}

TEST(Flow, AFallbackServesOnceThePrimaryRefuses) {
  ScratchDirectory scratch;
  FlakyServer primary({.dimensions = kTestDimensions}, [](const FlakyRequest& request) {
    return request.number > 5 ? Fails(401) : FlakyReply();
  });
  FlakyServer fallback({.dimensions = kTestDimensions});
  PipelineOptions options = QuickOptions();
  options.endpoints.push_back(
      {EndpointOptions::Role::kFallback, ProviderAt(fallback), QuickFlow()});
  const FlowRun run = RunAt(scratch.corpus(), 400, ProviderAt(primary), options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.outcome, RunOutcome::kComplete);
  ASSERT_EQ(run.summary.endpoints.size(), 2u);
  EXPECT_FALSE(run.summary.endpoints[0].admitted);
  EXPECT_EQ(run.summary.endpoints[0].role, "primary");
  EXPECT_TRUE(run.summary.endpoints[1].admitted);
  EXPECT_GT(run.summary.endpoints[1].requests, 10u);
  ExpectWhole(scratch.corpus(), 400);
}

TEST(Flow, AFallbackRestsWhileThePrimaryServes) {
  ScratchDirectory scratch;
  FlakyServer primary({.dimensions = kTestDimensions});
  FlakyServer fallback({.dimensions = kTestDimensions});
  PipelineOptions options = QuickOptions();
  options.endpoints.push_back(
      {EndpointOptions::Role::kFallback, ProviderAt(fallback), QuickFlow()});
  const FlowRun run = RunAt(scratch.corpus(), 400, ProviderAt(primary), options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(fallback.requests(), 1u);  // The canary texts.
}

TEST(Flow, AFallbackServesWhileThePrimaryIsDown) {
  ScratchDirectory scratch;
  FlakyServer primary({.dimensions = kTestDimensions}, [](const FlakyRequest& request) {
    return request.number > 5 ? Fails(503) : FlakyReply();
  });
  FlakyServer fallback({.dimensions = kTestDimensions});
  PipelineOptions options = QuickOptions();
  options.flow.circuit_breaker = CircuitBreakerConfig{3, 1, 60, 1};
  options.endpoints.push_back(
      {EndpointOptions::Role::kFallback, ProviderAt(fallback), QuickFlow()});
  const FlowRun run = RunAt(scratch.corpus(), 400, ProviderAt(primary), options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.outcome, RunOutcome::kComplete);
  EXPECT_EQ(run.summary.endpoints[0].breaker, "open");
  EXPECT_LT(primary.requests(), 20u);
  ExpectWhole(scratch.corpus(), 400);
}

TEST(Flow, ReplicasServeSideBySide) {
  ScratchDirectory scratch;
  const auto slow = [](const FlakyRequest&) {
    FlakyReply reply;
    reply.delay = milliseconds(5);
    return reply;
  };
  FlakyServer one({.dimensions = kTestDimensions}, slow);
  FlakyServer two({.dimensions = kTestDimensions}, slow);
  PipelineOptions options = QuickOptions();
  options.endpoints.push_back({EndpointOptions::Role::kReplica, ProviderAt(two), QuickFlow()});
  const FlowRun run = RunAt(scratch.corpus(), 1600, ProviderAt(one), options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_GT(one.requests(), 20u);
  EXPECT_GT(two.requests(), 20u);
  // The canary texts are counted too.
  EXPECT_EQ(run.summary.provider.requests, one.requests() + two.requests());
  ExpectWhole(scratch.corpus(), 1600);
}

TEST(Flow, AnEndpointWithAnotherModelIsRefusedBeforeAnythingIsBought) {
  ScratchDirectory scratch;
  FlakyServer primary({.dimensions = kTestDimensions});
  FlakyServer other({.dimensions = kTestDimensions}, OtherModel);
  PipelineOptions options = QuickOptions();
  options.endpoints.push_back({EndpointOptions::Role::kFallback, ProviderAt(other), QuickFlow()});
  const FlowRun run = RunAt(scratch.corpus(), 40, ProviderAt(primary), options);
  EXPECT_EQ(run.status.word(), "space_mismatch") << run.status.ToString();
  EXPECT_EQ(primary.requests(), 1u);
}

TEST(Flow, AnOutageInMidRunIsWaitedOutWithFewRequests) {
  ScratchDirectory scratch;
  std::atomic<int> failed{0};
  FlakyServer server({.dimensions = kTestDimensions}, [&failed](const FlakyRequest& request) {
    // Down from the fifth request until seven have failed.
    if (request.number < 5 || failed >= 7) return FlakyReply();
    ++failed;
    return Fails(503);
  });
  PipelineOptions options = QuickOptions();
  options.flow.circuit_breaker = CircuitBreakerConfig{3, 1, 1, 1};
  options.flow.retries_max = 8;
  std::atomic<bool> has_waited{false};
  options.progress_interval = milliseconds(50);
  options.on_progress = [&has_waited](const Progress& progress) {
    if (std::string(progress.waits_for) == "breaker") has_waited = true;
  };
  const FlowRun run = RunAt(scratch.corpus(), 400, ProviderAt(server), options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.outcome, RunOutcome::kComplete);
  EXPECT_GE(run.summary.endpoints[0].breaker_opened, 1u);
  EXPECT_EQ(run.summary.endpoints[0].breaker, "closed");
  EXPECT_TRUE(has_waited);
  ExpectWhole(scratch.corpus(), 400);
}

TEST(Flow, AReplicaGetsNoMoreTextsThanItTakes) {
  ScratchDirectory scratch;
  FlakyServer one({.dimensions = kTestDimensions});
  std::atomic<std::size_t> most{0};
  FlakyServer two({.dimensions = kTestDimensions}, [&most](const FlakyRequest& request) {
    if (request.number > 1) most = std::max<std::size_t>(most, request.texts.size());
    return FlakyReply();
  });
  PipelineOptions options = QuickOptions();
  options.endpoints.push_back({EndpointOptions::Role::kReplica, ProviderAt(two, 3), QuickFlow()});
  const FlowRun run = RunAt(scratch.corpus(), 800, ProviderAt(one), options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_LE(most, 3u);
  EXPECT_GT(two.requests(), 1u);
  ExpectWhole(scratch.corpus(), 800);
}

TEST(Flow, WhereAllEndpointsAreDownTheDeadlineEndsTheRun) {
  ScratchDirectory scratch;
  const auto dies = [](const FlakyRequest& request) {
    return request.number > 3 ? Fails(503) : FlakyReply();
  };
  FlakyServer one({.dimensions = kTestDimensions}, dies);
  FlakyServer two({.dimensions = kTestDimensions}, dies);
  PipelineOptions options = QuickOptions();
  options.flow.retries_max = 3;
  FlowOptions flow = options.flow;
  options.endpoints.push_back({EndpointOptions::Role::kReplica, ProviderAt(two), flow});
  const FlowRun run = RunAt(scratch.corpus(), 400, ProviderAt(one), options);
  EXPECT_EQ(run.status.code(), Code::kUnavailable) << run.status.ToString();
  EXPECT_EQ(run.status.word(), "provider_error");
  EXPECT_LT(run.summary.seconds, 5.0);
  // 25 batches, each sent at most four times to each server, and the canary texts.
  EXPECT_LE(one.requests() + two.requests(), 25u * 8u + 2u);
}

TEST(Flow, ASpellOfRefusalsCondemnsNoText) {
  for (const int status : {400, 200}) {
    SCOPED_TRACE(status);
    ScratchDirectory scratch;
    FlakyServer server({.dimensions = kTestDimensions}, [status](const FlakyRequest& request) {
      const bool is_ill = request.number > 10 && request.number <= 90;
      return is_ill ? Fails(status, "<html>maintenance</html>") : FlakyReply();
    });
    const FlowRun run = RunAt(scratch.corpus(), 800, ProviderAt(server, 4), QuickOptions());
    EXPECT_EQ(run.summary.chunks.dead, 0u) << run.status.ToString();
    EXPECT_EQ(run.summary.dead_letters, 0u);
    const FlowRun again = RunAt(scratch.corpus(), 800, ProviderAt(server, 4), QuickOptions());
    EXPECT_TRUE(again.status.ok() || server.requests() < 90) << again.status.ToString();
  }
}

TEST(Flow, ThrottlesAreWaitedOutHoweverMany) {
  ScratchDirectory scratch;
  FlakyServer server({.dimensions = kTestDimensions}, [](const FlakyRequest& request) {
    if (request.number % 4 == 0) return FlakyReply();
    FlakyReply reply = Fails(429);
    reply.headers = {{"retry-after-ms", "2"}};
    return reply;
  });
  PipelineOptions options = QuickOptions();
  options.flow.retries_max = 2;
  const FlowRun run = RunAt(scratch.corpus(), 320, ProviderAt(server), options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.provider.throttled, 60u);
  ExpectWhole(scratch.corpus(), 320);
}

TEST(Flow, AReplicaThatMayGoIsNotHeldUpByABusyOne) {
  ScratchDirectory scratch;
  FlakyServer slow({.dimensions = kTestDimensions}, [](const FlakyRequest& request) {
    FlakyReply reply;
    if (request.number > 1) reply.delay = milliseconds(1000);
    return reply;
  });
  FlakyServer paced({.dimensions = kTestDimensions});
  PipelineOptions options = QuickOptions();
  options.flow.requests_in_flight_max = 1;
  FlowOptions flow = QuickFlow();
  flow.requests_per_minute = 1200;  // One in 50 ms.
  options.endpoints.push_back({EndpointOptions::Role::kReplica, ProviderAt(paced), flow});
  const FlowRun run = RunAt(scratch.corpus(), 320, ProviderAt(slow), options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  // 20 requests; in the second that the slow one takes for one the other serves nearly all.
  EXPECT_LE(slow.requests(), 4u);
  EXPECT_LT(run.summary.seconds, 4.0);
}

TEST(Flow, AServerThatCannotReadGzipGetsPlainRequestsFromThenOn) {
  ScratchDirectory scratch;
  std::atomic<int> compressed{0};
  FlakyServer server({.dimensions = kTestDimensions}, [&compressed](const FlakyRequest& request) {
    if (request.header("content-encoding") != "gzip") return FlakyReply();
    ++compressed;
    return Fails(415, R"({"error":{"message":"Unsupported Media Type"}})");
  });
  PipelineOptions options = QuickOptions();
  options.flow.request_gzip_enabled = true;
  options.flow.request_gzip_bytes_min = 64;
  options.flow.retries_max = 0;
  const FlowRun run = RunAt(scratch.corpus(), 400, ProviderAt(server), options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.outcome, RunOutcome::kComplete);
  EXPECT_GE(compressed, 1);
  EXPECT_LE(compressed, 4);  // What was in flight.
  ExpectWhole(scratch.corpus(), 400);
}

TEST(Flow, ACapOnceToldIsKept) {
  ScratchDirectory scratch;
  std::atomic<int> refused{0};
  FlakyServer server({.dimensions = kTestDimensions}, [&refused](const FlakyRequest& request) {
    if (request.texts.size() <= 5) return FlakyReply();
    ++refused;
    return Fails(422, "{\"error\":\"batch size " + std::to_string(request.texts.size()) +
                          " > maximum allowed batch size 5\",\"error_type\":\"Validation\"}");
  });
  const FlowRun run = RunAt(scratch.corpus(), 400, ProviderAt(server), QuickOptions());
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.outcome, RunOutcome::kComplete);
  EXPECT_LE(refused, 4);  // What was in flight.
  EXPECT_EQ(run.summary.endpoints[0].learnt_inputs_max, 5u);
  ExpectWhole(scratch.corpus(), 400);
}

class OnePoison : public testing::TestWithParam<std::size_t> {};

TEST_P(OnePoison, Among2048CostsAtMost23Requests) {
  ScratchDirectory scratch;
  std::vector<Record> records = Documents(2048);
  records[GetParam()] = DocumentRecord("poison", "POISON in here");
  ListSource source(records);
  const auto server = [](const HttpRequest& request, std::uint64_t) {
    return request.body.find("POISON") == std::string::npos
               ? GoodReply(request)
               : ErrorReply(400, R"({"error":{"message":"the input is invalid"}})");
  };
  PipelineOptions options = TestOptions();
  options.flow.requests_in_flight_max = 1;
  const TestRun run = RunOver(scratch.corpus(), source, server, options, WireProvider(2048));
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.chunks.dead, 1u);
  EXPECT_EQ(run.summary.chunks.embedded, 2047u);
  EXPECT_LE(run.sends, 23u);
  for (const auto& [text, times] : run.answered) EXPECT_EQ(times, 1u) << text;
}

// The first and the last of the halves at every level, and something between.
INSTANTIATE_TEST_SUITE_P(Flow, OnePoison, testing::Values(0, 1, 1023, 1024, 1234, 2046, 2047));

TEST(Flow, ADeadlineEndsWhatRetriesWouldNot) {
  ScratchDirectory scratch;
  FlakyServer server({.dimensions = kTestDimensions},
                     [](const FlakyRequest&) { return Fails(503); });
  PipelineOptions options = QuickOptions();
  options.flow.retries_max = 100;
  options.flow.retry_delay = milliseconds(20);
  options.flow.item_deadline = milliseconds(300);
  const FlowRun run = RunAt(scratch.corpus(), 40, ProviderAt(server), options);
  EXPECT_EQ(run.status.code(), Code::kUnavailable) << run.status.ToString();
  EXPECT_LT(run.summary.seconds, 3.0);
  EXPECT_GE(server.requests(), 2u);
}

TEST(Flow, RequestsAMinuteAreSpaced) {
  ScratchDirectory scratch;
  FlakyServer server({.dimensions = kTestDimensions});
  PipelineOptions options = QuickOptions();
  options.flow.requests_per_minute = 1200;  // 20 a second.
  std::atomic<bool> has_waited{false};
  options.progress_interval = milliseconds(50);
  options.on_progress = [&has_waited](const Progress& progress) {
    if (std::string(progress.waits_for) == "limit") has_waited = true;
  };
  const FlowRun run = RunAt(scratch.corpus(), 320, ProviderAt(server), options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  // 20 requests: 19 gaps of 50 ms.
  EXPECT_GT(run.summary.seconds, 0.9);
  EXPECT_LT(run.summary.seconds, 5.0);
  EXPECT_TRUE(has_waited);
  ASSERT_TRUE(run.summary.endpoints[0].metrics);
  EXPECT_GT(run.summary.endpoints[0].metrics->allowance_wait_seconds, 0.5);
  EXPECT_GT(run.summary.endpoints[0].metrics->latency_p50_ms, 0.0);
}

TEST(Flow, ADeterministicServerFaultIsSeenThrough) {
  // One text makes the server fail every time; all others are answered.
  ScratchDirectory scratch;
  std::vector<Record> records = Documents(400);
  records[200] = DocumentRecord("poison", "POISON in here");
  ListSource source(records);
  const auto server = [](const HttpRequest& request, std::uint64_t) {
    return request.body.find("POISON") == std::string::npos ? GoodReply(request) : ErrorReply(500);
  };
  const TestRun run = RunOver(scratch.corpus(), source, server, TestOptions(), WireProvider(16));
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.outcome, RunOutcome::kPartial);
  EXPECT_EQ(run.summary.chunks.dead, 1u);
  EXPECT_EQ(run.summary.chunks.embedded, 399u);
}

}  // namespace
}  // namespace embedflow
