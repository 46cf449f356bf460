#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "base/random.h"
#include "providers/transport.h"
#include "tests/fakes/flaky_server.h"
#include "tests/providers/wire.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;

// The script that gives every request the same reply.
FlakyServer::Script Always(FlakyReply reply) {
  return [reply](const FlakyRequest&) { return reply; };
}

std::string Url(const FlakyServer& server) { return server.base_url() + "/embeddings"; }

std::int64_t ResidentBytes() {
  std::ifstream in("/proc/self/statm");
  std::int64_t pages = 0;
  in >> pages >> pages;
  return pages * ::sysconf(_SC_PAGESIZE);
}

TEST(CurlReactor, SendsAPostAndBringsTheReply) {
  FlakyServer server({},
                     Always({.status = 200, .headers = {{"X-Request-Id", "r1"}}, .body = "hi"}));
  Wire wire;
  HttpRequest request = PostTo(Url(server), "body");
  request.headers.emplace_back("Authorization", "Bearer secret");
  const TransportAnswer answer = wire.Send(request);
  EXPECT_EQ(answer.id, 1u);
  EXPECT_EQ(answer.reply.status, 200);
  EXPECT_EQ(answer.reply.body, "hi");
  EXPECT_TRUE(answer.reply.transport.ok());
  EXPECT_TRUE(answer.sent);
  EXPECT_GT(answer.round_trip.count(), 0);
  EXPECT_EQ(answer.request.body, "body");
  EXPECT_THAT(answer.reply.headers, testing::Contains(testing::Pair("x-request-id", "r1")));
  const std::vector<FlakyRequest> ledger = server.ledger();
  ASSERT_EQ(ledger.size(), 1u);
  EXPECT_EQ(ledger[0].method, "POST");
  EXPECT_EQ(ledger[0].target, "/v1/embeddings");
  EXPECT_EQ(ledger[0].body, "body");
  EXPECT_EQ(ledger[0].header("authorization"), "Bearer secret");
  EXPECT_EQ(ledger[0].header("content-type"), "application/json");
  EXPECT_EQ(ledger[0].header("accept-encoding"), "");
  EXPECT_EQ(wire.transport().sends(), 1u);
}

TEST(CurlReactor, LargeBodiesDoNotWaitForAContinue) {
  FlakyServer server;
  Wire wire;
  const TransportAnswer answer = wire.Send(PostTo(Url(server), std::string(3u << 20, 'x')));
  EXPECT_EQ(answer.reply.status, 200);
  ASSERT_EQ(server.requests(), 1u);
  EXPECT_EQ(server.ledger()[0].header("expect"), "");
  EXPECT_EQ(server.ledger()[0].body.size(), 3u << 20);
}

TEST(CurlReactor, KeepsConnectionsAndNeverOpensMoreThanAllowed) {
  FlakyServer server({}, Always({.body = "x"}));
  ReactorOptions options;
  options.connections_max = 4;
  Wire wire(options);
  for (std::uint64_t id = 0; id < 200; ++id) wire.Submit(id, PostTo(Url(server)));
  const std::vector<TransportAnswer> answers = wire.WaitFor(200);
  std::set<std::uint64_t> ids;
  for (const TransportAnswer& answer : answers) {
    EXPECT_EQ(answer.reply.status, 200) << answer.reply.transport.ToString();
    ids.insert(answer.id);
  }
  EXPECT_EQ(ids.size(), 200u);
  EXPECT_LE(server.connections(), 4u);
  EXPECT_EQ(wire.transport().sends(), 200u);
  EXPECT_EQ(server.requests(), 200u);
}

TEST(CurlReactor, WaitsForNotBefore) {
  FlakyServer server({}, Always({.body = "x"}));
  Wire wire;
  const TimePoint start = SystemClock().Now();
  wire.Submit(1, PostTo(Url(server)), 1000, start + milliseconds(60));
  wire.Submit(2, PostTo(Url(server)), 1000, start + milliseconds(20));
  wire.Submit(3, PostTo(Url(server)), 1000);
  const std::vector<TransportAnswer> answers = wire.WaitFor(3);
  EXPECT_GE(SystemClock().Now() - start, milliseconds(60));
  EXPECT_EQ(answers[0].id, 3u);
  EXPECT_EQ(answers[1].id, 2u);
  EXPECT_EQ(answers[2].id, 1u);
}

TEST(CurlReactor, CallsInOrderOfTimeAndNeverEarly) {
  Wire wire;
  std::promise<void> last;
  std::vector<int> order;
  const TimePoint start = SystemClock().Now();
  TimePoint called{};
  wire.transport().CallAt(start + milliseconds(30), [&] {
    order.push_back(2);
    called = SystemClock().Now();
    last.set_value();
  });
  wire.transport().CallAt(start + milliseconds(10), [&] { order.push_back(1); });
  wire.transport().CallAt(start, [&] { order.push_back(0); });
  last.get_future().wait();
  EXPECT_THAT(order, testing::ElementsAre(0, 1, 2));
  EXPECT_GE(called, start + milliseconds(30));
}

TEST(CurlReactor, AnswersComeInGroups) {
  FlakyServer server({}, Always({.body = "x"}));
  ReactorOptions options;
  options.connections_max = 16;
  options.tick = milliseconds(50);
  Wire wire(options);
  for (std::uint64_t id = 0; id < 400; ++id) wire.Submit(id, PostTo(Url(server)));
  wire.WaitFor(400);
  // 400 quick answers take far less than 400 ticks; one group a tick is the promise.
  EXPECT_LE(wire.groups().size(), 100u);
}

// F1: libcurl posts again by itself when a kept connection is closed without an answer.
TEST(CurlReactor, NeverSendsARequestTwiceByItself) {
  FlakyServer server({}, [](const FlakyRequest& request) {
    FlakyReply reply;
    reply.body = "x";
    if (request.on_connection > 1) reply.wire = FlakyWire::kCloseNoReply;
    return reply;
  });
  ReactorOptions options;
  options.connections_max = 1;
  Wire wire(options);
  int lost = 0;
  for (int i = 0; i < 8; ++i) {
    const TransportAnswer answer = wire.Send(PostTo(Url(server)));
    EXPECT_TRUE(answer.sent);
    if (answer.reply.status == 200) continue;
    ++lost;
    EXPECT_EQ(answer.reply.transport.code(), Code::kUnavailable);
    EXPECT_EQ(answer.reply.transport.word(), "connection_lost");
  }
  EXPECT_EQ(lost, 4);
  EXPECT_EQ(server.requests(), 8u);
  EXPECT_EQ(wire.transport().sends(), 8u);
}

TEST(CurlReactor, SurvivesIdleConnectionsThatWereClosed) {
  FlakyServer server({}, Always({.body = "x"}));
  Wire wire;
  for (int i = 0; i < 20; ++i) {
    const TransportAnswer answer = wire.Send(PostTo(Url(server)));
    // The close may cross the request on its way: then it is lost, but never sent twice.
    if (!answer.reply.transport.ok()) {
      EXPECT_EQ(answer.reply.transport.word(), "connection_lost");
    }
    server.CloseIdleConnections();
  }
  EXPECT_EQ(wire.transport().sends(), 20u);
  EXPECT_LE(server.requests(), 20u);
}

struct BrokenWire {
  const char* name;
  FlakyWire wire;
  std::set<std::string> words;
};

void PrintTo(const BrokenWire& wire, std::ostream* out) { *out << wire.name; }

class BrokenReply : public testing::TestWithParam<BrokenWire> {};

// Nothing of a broken reply is kept, and it counts as sent once.
TEST_P(BrokenReply, IsNoReply) {
  FlakyReply reply;
  reply.wire = GetParam().wire;
  // As gzip it is smaller than what may come: only the unpacked bytes are too many.
  reply.giant_bytes = 8u << 20;
  FlakyServer server({}, Always(reply));
  ReactorOptions options;
  options.send.compression_enabled = true;
  Wire wire(options);
  const TransportAnswer answer = wire.Send(PostTo(Url(server)), 100'000);
  EXPECT_EQ(answer.reply.status, 0);
  EXPECT_EQ(answer.reply.body, "");
  EXPECT_TRUE(answer.reply.headers.empty());
  EXPECT_TRUE(answer.sent);
  EXPECT_EQ(answer.reply.transport.code(), Code::kUnavailable);
  EXPECT_TRUE(GetParam().words.contains(answer.reply.transport.word()))
      << answer.reply.transport.word() << ": " << answer.reply.transport.ToString();
  EXPECT_EQ(server.requests(), 1u);
  EXPECT_EQ(wire.transport().sends(), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Wires, BrokenReply,
    testing::Values(BrokenWire{"CloseNoReply", FlakyWire::kCloseNoReply, {"connection_lost"}},
                    BrokenWire{"ResetMidHead", FlakyWire::kResetMidHead, {"connection_lost"}},
                    BrokenWire{"ResetMidBody", FlakyWire::kResetMidBody, {"connection_lost"}},
                    BrokenWire{"TruncatedLength", FlakyWire::kTruncatedLength, {"connection_lost"}},
                    BrokenWire{"Garbage", FlakyWire::kGarbage, {"not_http"}},
                    BrokenWire{"Giant", FlakyWire::kGiant, {"reply_too_large"}},
                    BrokenWire{"GzipBomb", FlakyWire::kGzipBomb, {"reply_too_large"}},
                    BrokenWire{"HeaderFlood", FlakyWire::kHeaderFlood, {"reply_too_large"}}),
    [](const auto& test) { return std::string(test.param.name); });

class WholeReply : public testing::TestWithParam<FlakyWire> {};

TEST_P(WholeReply, ArrivesHoweverItIsCut) {
  FlakyReply reply;
  reply.wire = GetParam();
  FlakyServer server({}, Always(reply));
  Wire wire;
  const TransportAnswer answer = wire.Send(PostTo(Url(server)));
  EXPECT_EQ(answer.reply.status, 200) << answer.reply.transport.ToString();
  EXPECT_THAT(answer.reply.body, testing::StartsWith("{\"object\":\"list\""));
  EXPECT_THAT(answer.reply.body, testing::EndsWith("}"));
}

INSTANTIATE_TEST_SUITE_P(Wires, WholeReply,
                         testing::Values(FlakyWire::kWhole, FlakyWire::kSlices, FlakyWire::kChunked,
                                         FlakyWire::kNoLength));

// F3: neither a chunked reply nor a decompressed one may take more memory than the cap.
TEST(CurlReactor, GiantRepliesTakeNoMemory) {
  FlakyServer server({}, [](const FlakyRequest& request) {
    FlakyReply reply;
    reply.giant_bytes = 128u << 20;  // 844 kB as gzip.
    reply.wire = request.number % 2 == 0 ? FlakyWire::kGiant : FlakyWire::kGzipBomb;
    return reply;
  });
  ReactorOptions options;
  options.send.compression_enabled = true;
  options.connections_max = 4;
  Wire wire(options);
  wire.Send(PostTo(Url(server)), 1u << 20);
  const std::int64_t before = ResidentBytes();
  for (std::uint64_t id = 10; id < 26; ++id) wire.Submit(id, PostTo(Url(server)), 1u << 20);
  for (const TransportAnswer& answer : wire.WaitFor(17))
    EXPECT_EQ(answer.reply.transport.word(), "reply_too_large");
    // Four bodies of at most 2 MiB of capacity, the server's own buffers (0.9 MB a bomb, 4 at
    // once), and what the allocator keeps.
#ifdef EMBEDFLOW_SANITIZED
  constexpr std::int64_t kMost = 512 << 20;  // AddressSanitizer keeps 256 MiB of what was freed.
#else
  constexpr std::int64_t kMost = 48 << 20;
#endif
  EXPECT_LT(ResidentBytes() - before, kMost);
}

TEST(CurlReactor, KeepsARefusalWhosePageIsTooLong) {
  FlakyServer server({}, Always({.status = 401, .body = std::string(1u << 20, 'x')}));
  Wire wire;
  const TransportAnswer answer = wire.Send(PostTo(Url(server)), 1000);
  EXPECT_EQ(answer.reply.status, 401);
  EXPECT_EQ(answer.reply.body.size(), 64u << 10);
  EXPECT_EQ(answer.reply.transport.word(), "reply_too_large");
}

// F2: the stranger must see neither key nor text.
TEST(CurlReactor, DoesNotFollowRedirects) {
  FlakyServer stranger;
  for (const int status : {301, 302, 303, 307, 308}) {
    FlakyServer server(
        {}, Always({.status = status, .headers = {{"Location", Url(stranger)}}, .body = ""}));
    Wire wire;
    HttpRequest request = PostTo(Url(server));
    request.headers.emplace_back("api-key", "secret");
    const TransportAnswer answer = wire.Send(request);
    EXPECT_EQ(answer.reply.status, status);
    // Not stopped on the way to the stranger, but never set out.
    EXPECT_TRUE(answer.reply.transport.ok()) << answer.reply.transport.ToString();
    EXPECT_EQ(wire.transport().sends(), 1u);
  }
  EXPECT_EQ(stranger.connections(), 0u);
}

TEST(CurlReactor, TimesOutAndSaysSo) {
  FlakyServer server({}, Always({.delay = std::chrono::hours(1)}));
  ReactorOptions options;
  options.send.timeout = milliseconds(100);
  Wire wire(options);
  const TransportAnswer answer = wire.Send(PostTo(Url(server)));
  EXPECT_EQ(answer.reply.transport.word(), "timeout");
  EXPECT_TRUE(answer.sent);
  EXPECT_GE(answer.round_trip, milliseconds(50));
}

TEST(CurlReactor, TheTimeoutCoversASlowDrip) {
  FlakyServer server({}, Always({.wire = FlakyWire::kDrip, .delay = milliseconds(5)}));
  ReactorOptions options;
  options.send.timeout = milliseconds(200);
  Wire wire(options);
  EXPECT_EQ(wire.Send(PostTo(Url(server))).reply.transport.word(), "timeout");
}

// One reactor, two endpoints: each job's own options decide, and a handle forgets the last ones.
TEST(CurlReactor, EveryJobHasItsOwnOptions) {
  std::promise<void> go;
  std::shared_future<void> gate = go.get_future().share();
  FlakyServer quick({}, Always({.body = "x"}));
  FlakyServer slow({}, [gate](const FlakyRequest&) {
    gate.wait();
    return FlakyReply{.body = "x"};
  });
  auto hasty = std::make_shared<SendOptions>();
  hasty->timeout = milliseconds(100);
  hasty->compression_enabled = true;
  ReactorOptions options;
  options.connections_max = 1;
  Wire wire(options);
  wire.Submit(1, PostTo(Url(slow)), 1000, {}, hasty);
  EXPECT_EQ(wire.WaitFor(1).at(0).reply.transport.message(),
            "127.0.0.1:" + std::to_string(slow.port()) + ": no whole reply within 100 ms");
  wire.Submit(2, PostTo(Url(quick)), 1000, {}, hasty);
  EXPECT_EQ(wire.WaitFor(2).at(1).reply.status, 200);
  wire.Submit(3, PostTo(Url(quick)), 1000);
  EXPECT_EQ(wire.WaitFor(3).at(2).reply.status, 200);
  const std::vector<FlakyRequest> ledger = quick.ledger();
  ASSERT_EQ(ledger.size(), 2u);
  EXPECT_THAT(ledger[0].header("accept-encoding"), testing::HasSubstr("gzip"));
  EXPECT_EQ(ledger[1].header("accept-encoding"), "");
  go.set_value();
}

// 100 ms is less than the second that curl can count; it must not become "never".
TEST(CurlReactor, GivesUpAStalledReply) {
  FlakyServer server({}, Always({.delay = std::chrono::hours(1)}));
  ReactorOptions options;
  options.send.stall_timeout = milliseconds(100);
  Wire wire(options);
  const TimePoint start = SystemClock().Now();
  const TransportAnswer answer = wire.Send(PostTo(Url(server)));
  EXPECT_EQ(answer.reply.transport.word(), "timeout");
  EXPECT_THAT(answer.reply.transport.message(),
              testing::HasSubstr("the reply stalled: less than 1 byte a second for 1 s"));
  EXPECT_TRUE(answer.sent);
  EXPECT_LT(SystemClock().Now() - start, std::chrono::seconds(30));
}

// Waiting for a connection is not the server's slowness.
TEST(CurlReactor, QueueingDoesNotCountAgainstTheTimeout) {
  FlakyServer server({}, Always({.body = "x", .delay = milliseconds(60)}));
  ReactorOptions options;
  options.send.timeout = milliseconds(400);
  options.connections_max = 1;
  Wire wire(options);
  for (std::uint64_t id = 0; id < 10; ++id) wire.Submit(id, PostTo(Url(server)));
  for (const TransportAnswer& answer : wire.WaitFor(10)) EXPECT_EQ(answer.reply.status, 200);
}

TEST(CurlReactor, AFreeConnectionIsUsedAtOnce) {
  FlakyServer server({}, Always({.body = "x"}));
  ReactorOptions options;
  options.connections_max = 1;
  Wire wire(options);
  const TimePoint start = SystemClock().Now();
  for (std::uint64_t id = 0; id < 20; ++id) wire.Submit(id, PostTo(Url(server)));
  wire.WaitFor(20);
  EXPECT_LT(SystemClock().Now() - start, std::chrono::seconds(10));
}

TEST(CurlReactor, ARefusedConnectionIsNotSent) {
  int port = 0;
  {
    FlakyServer gone;
    port = gone.port();
  }
  Wire wire;
  const TransportAnswer answer =
      wire.Send(PostTo("http://127.0.0.1:" + std::to_string(port) + "/v1/embeddings"));
  EXPECT_EQ(answer.reply.status, 0);
  EXPECT_EQ(answer.reply.transport.word(), "cannot_connect");
  EXPECT_THAT(answer.reply.transport.message(),
              testing::HasSubstr("127.0.0.1:" + std::to_string(port)));
  EXPECT_FALSE(answer.sent);
  EXPECT_EQ(wire.transport().sends(), 0u);
}

TEST(CurlReactor, RefusesAKeyOverPlainHttpToAnotherMachine) {
  Wire wire;
  for (const char* name : {"Authorization", "api-key", "X-Api-Key", "x-goog-api-key"}) {
    HttpRequest request = PostTo("http://192.0.2.1/v1/embeddings");
    request.headers.emplace_back(name, "secret");
    const TransportAnswer answer = wire.Send(request);
    EXPECT_EQ(answer.reply.transport.code(), Code::kInvalidArgument) << name;
    EXPECT_EQ(answer.reply.transport.word(), "insecure") << name;
    EXPECT_FALSE(answer.sent);
    EXPECT_THAT(answer.reply.transport.ToString(), testing::Not(testing::HasSubstr("secret")));
  }
  EXPECT_EQ(wire.transport().sends(), 0u);
}

TEST(CurlReactor, RefusesHeadersThatWouldChangeTheRequest) {
  FlakyServer server;
  Wire wire;
  const std::vector<std::pair<std::string, std::string>> bad = {{"X-Evil", "a\r\nInjected: 1"},
                                                                {"X-Evil\r\nInjected", "1"},
                                                                {"Content-Length", "3"},
                                                                {"Transfer-Encoding", "chunked"},
                                                                {"", "x"},
                                                                {"X: Y", "z"}};
  for (const auto& header : bad) {
    HttpRequest request = PostTo(Url(server));
    request.headers.push_back(header);
    const TransportAnswer answer = wire.Send(request);
    EXPECT_EQ(answer.reply.transport.code(), Code::kInvalidArgument) << header.first;
  }
  EXPECT_EQ(server.requests(), 0u);
}

TEST(CurlReactor, RefusesOtherProtocols) {
  Wire wire;
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1", "",
                          "http://user:secret@127.0.0.1/"}) {
    const TransportAnswer answer = wire.Send(PostTo(url));
    EXPECT_EQ(answer.reply.transport.code(), Code::kInvalidArgument) << url;
    EXPECT_THAT(answer.reply.transport.ToString(), testing::Not(testing::HasSubstr("secret")));
  }
}

// F5: http_proxy of the environment would see the key of a local server.
TEST(CurlReactor, LoopbackGoesPastTheProxy) {
  FlakyServer proxy;
  FlakyServer server({}, Always({.body = "x"}));
  ::setenv("http_proxy", ("http://127.0.0.1:" + std::to_string(proxy.port())).c_str(), 1);
  {
    Wire wire;
    EXPECT_EQ(wire.Send(PostTo(Url(server))).reply.status, 200);
    EXPECT_EQ(server.requests(), 1u);
    EXPECT_EQ(proxy.connections(), 0u);
    // Other hosts do go through it.
    wire.Send(PostTo("http://embedflow.invalid/v1/embeddings"));
    EXPECT_EQ(proxy.requests(), 1u);
  }
  ::unsetenv("http_proxy");
}

TEST(CurlReactor, AbortAnswersEverythingAtOnce) {
  FlakyServer server({}, Always({.delay = std::chrono::hours(1)}));
  ReactorOptions options;
  options.connections_max = 4;
  Wire wire(options);
  const TimePoint now = SystemClock().Now();
  for (std::uint64_t id = 0; id < 20; ++id) {
    wire.Submit(id, PostTo(Url(server)), 1000, id < 10 ? TimePoint() : now + std::chrono::hours(1));
  }
  ASSERT_TRUE(server.WaitForRequests(4));
  const TimePoint start = SystemClock().Now();
  wire.transport().Abort();
  std::vector<TransportAnswer> answers = wire.WaitFor(20);
  EXPECT_LT(SystemClock().Now() - start, std::chrono::seconds(5));
  std::uint64_t sent = 0;
  for (const TransportAnswer& answer : answers) {
    EXPECT_EQ(answer.reply.transport.code(), Code::kCancelled);
    EXPECT_EQ(answer.reply.status, 0);
    EXPECT_EQ(answer.request.url, Url(server));
    sent += answer.sent ? 1 : 0;
  }
  EXPECT_EQ(sent, 4u);
  EXPECT_EQ(wire.transport().sends(), 4u);
  // From now on too; but time goes on.
  EXPECT_EQ(wire.Send(PostTo(Url(server))).reply.transport.code(), Code::kCancelled);
  std::promise<void> called;
  wire.transport().CallAt(SystemClock().Now(), [&] { called.set_value(); });
  called.get_future().wait();
}

TEST(CurlReactor, DrainLetsWhatIsInFlightArrive) {
  std::promise<void> go;
  std::shared_future<void> gate = go.get_future().share();
  FlakyServer server({}, [gate](const FlakyRequest&) {
    gate.wait();
    return FlakyReply{.body = "x"};
  });
  ReactorOptions options;
  options.connections_max = 2;
  Wire wire(options);
  for (std::uint64_t id = 0; id < 10; ++id) wire.Submit(id, PostTo(Url(server)));
  ASSERT_TRUE(server.WaitForRequests(2));
  wire.transport().Drain();
  for (const TransportAnswer& answer : wire.WaitFor(8)) {
    EXPECT_EQ(answer.reply.transport.code(), Code::kCancelled);
    EXPECT_FALSE(answer.sent);
  }
  go.set_value();
  const std::vector<TransportAnswer> answers = wire.WaitFor(10);
  EXPECT_EQ(answers[8].reply.status, 200);
  EXPECT_EQ(answers[9].reply.status, 200);
  EXPECT_EQ(wire.Send(PostTo(Url(server))).reply.transport.code(), Code::kCancelled);
}

TEST(CurlReactor, DestructionAnswersEverything) {
  FlakyServer server({}, Always({.delay = std::chrono::hours(1)}));
  Wire wire;
  for (std::uint64_t id = 0; id < 30; ++id) {
    wire.Submit(id, PostTo(Url(server)), 1000,
                id % 3 == 0 ? SystemClock().Now() + std::chrono::hours(1) : TimePoint());
  }
  wire.transport().CallAt(SystemClock().Now() + std::chrono::hours(1), [] { FAIL(); });
  wire.Destroy();
  std::set<std::uint64_t> ids;
  for (const TransportAnswer& answer : wire.WaitFor(30)) {
    EXPECT_EQ(answer.reply.transport.code(), Code::kCancelled);
    ids.insert(answer.id);
  }
  EXPECT_EQ(ids.size(), 30u);
}

// What the sink submits while it hears of the end is answered as well.
TEST(CurlReactor, DestructionAnswersWhatTheSinkSubmits) {
  FlakyServer server({}, Always({.delay = std::chrono::hours(1)}));
  std::unique_ptr<Transport> transport;
  std::atomic<int> answered = 0;
  Transport* raw = nullptr;
  Result<std::unique_ptr<Transport>> made =
      MakeCurlReactor({}, SystemClock(), [&](std::vector<TransportAnswer> answers) {
        for (TransportAnswer& answer : answers) {
          if (++answered == 1) raw->Submit({99, std::move(answer.request), 1000, {}});
        }
      });
  ASSERT_TRUE(made.ok());
  transport = std::move(made).value();
  raw = transport.get();
  transport->Submit({1, PostTo(Url(server)), 1000, {}});
  transport.reset();
  EXPECT_EQ(answered, 2);
}

// Many threads, random faults: every job is answered once, and no send is hidden.
TEST(CurlReactor, EveryJobIsAnsweredOnce) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  FlakyServer server({}, [&rng](const FlakyRequest&) {
    constexpr FlakyWire kWires[] = {FlakyWire::kCloseNoReply,    FlakyWire::kResetMidBody,
                                    FlakyWire::kTruncatedLength, FlakyWire::kChunked,
                                    FlakyWire::kNoLength,        FlakyWire::kResetMidHead};
    FlakyReply reply;
    reply.body = std::string(rng.Below(5000), 'x');
    if (rng.Below(3) == 0) reply.wire = kWires[rng.Below(std::size(kWires))];
    if (rng.Below(10) == 0) reply.status = 500;
    return reply;
  });
  ReactorOptions options;
  options.connections_max = 8;
  Wire wire(options);
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kEach = 250;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Rng own(seed + t);
      for (std::uint64_t i = 0; i < kEach; ++i) {
        wire.Submit(t * kEach + i, PostTo(Url(server)), 10'000,
                    SystemClock().Now() + milliseconds(own.Below(20)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::uint64_t> ids;
  std::uint64_t sent = 0;
  for (const TransportAnswer& answer : wire.WaitFor(kThreads * kEach)) {
    ids.insert(answer.id);
    sent += answer.sent ? 1 : 0;
    EXPECT_TRUE(answer.reply.status != 0 || !answer.reply.transport.ok());
  }
  EXPECT_EQ(ids.size(), kThreads * kEach);
  EXPECT_EQ(wire.transport().sends(), sent);
  EXPECT_EQ(server.requests(), sent);
}

TEST(CurlReactor, RefusesOptionsOutOfRange) {
  const auto code_of = [](const ReactorOptions& options) {
    return MakeCurlReactor(options, SystemClock(), [](std::vector<TransportAnswer>) {})
        .status()
        .code();
  };
  EXPECT_EQ(code_of({.send = {.timeout = milliseconds(0)}}), Code::kInvalidArgument);
  EXPECT_EQ(code_of({.send = {.connect_timeout = milliseconds(-1)}}), Code::kInvalidArgument);
  EXPECT_EQ(code_of({.send = {.stall_timeout = milliseconds(0)}}), Code::kInvalidArgument);
  EXPECT_EQ(code_of({.connections_max = 0}), Code::kInvalidArgument);
  EXPECT_EQ(code_of({.connections_max = 1025}), Code::kInvalidArgument);
  EXPECT_EQ(code_of({.header_bytes_max = 10}), Code::kInvalidArgument);
  EXPECT_EQ(code_of({.tick = milliseconds(2000)}), Code::kInvalidArgument);
  EXPECT_EQ(code_of({}), Code::kOk);
}

}  // namespace
}  // namespace embedflow
