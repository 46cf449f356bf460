// HTTP/2: only where asked for and over TLS; streams that fail are reported once, and never sent
// again by libcurl.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/providers/tls_server.h"
#include "tests/providers/wire.h"

namespace embedflow {
namespace {

ReactorOptions WithHttp2(bool is_enabled = true) {
  ReactorOptions options;
  options.ca_file = TlsServer::authority_file();
  options.send.http2_enabled = is_enabled;
  options.send.timeout = std::chrono::seconds(20);
  return options;
}

TEST(Http2, IsUsedWhereAskedForOnly) {
  TlsServer server({.has_http2 = true});
  {
    Wire wire(WithHttp2(false));
    EXPECT_EQ(wire.Send(PostTo(server.url())).reply.status, 200);
    EXPECT_EQ(server.http2_requests(), 0u);
  }
  Wire wire(WithHttp2());
  const TransportAnswer answer = wire.Send(PostTo(server.url(), std::string(1u << 20, 'x')));
  EXPECT_EQ(answer.reply.status, 200) << answer.reply.transport.ToString();
  EXPECT_EQ(answer.reply.body, "ok");
  EXPECT_EQ(server.http2_requests(), 1u);
  EXPECT_EQ(server.requests(), 2u);
}

TEST(Http2, AServerWithoutItIsSpokenToAsBefore) {
  TlsServer server;
  Wire wire(WithHttp2());
  for (std::uint64_t id = 0; id < 8; ++id) wire.Submit(id, PostTo(server.url()));
  for (const TransportAnswer& answer : wire.WaitFor(8)) EXPECT_EQ(answer.reply.status, 200);
  EXPECT_EQ(server.http2_requests(), 0u);
  EXPECT_EQ(server.requests(), 8u);
}

// The server answers when all ten have come over one connection, the last first.
TEST(Http2, RequestsShareAConnection) {
  TlsServer server({.has_http2 = true,
                    .script = [](std::uint64_t) { return Http2Answer::kHeld; },
                    .held_max = 10});
  Wire wire(WithHttp2());
  for (std::uint64_t id = 0; id < 10; ++id) wire.Submit(id, PostTo(server.url()));
  for (const TransportAnswer& answer : wire.WaitFor(10))
    EXPECT_EQ(answer.reply.status, 200) << answer.reply.transport.ToString();
  EXPECT_EQ(server.connections(), 1u);
  EXPECT_EQ(wire.transport().sends(), 10u);
}

struct Broken {
  const char* name;
  Http2Answer answer;
};
void PrintTo(const Broken& broken, std::ostream* out) { *out << broken.name; }
class BrokenStream : public testing::TestWithParam<Broken> {};

// The first stream of a connection, and one on a connection that was used before: the two that
// libcurl treats differently.
TEST_P(BrokenStream, IsReportedOnce) {
  TlsServer server({.has_http2 = true, .script = [](std::uint64_t number) {
                      return number % 3 == 2 ? Http2Answer::kOk : GetParam().answer;
                    }});
  Wire wire(WithHttp2());
  std::uint64_t failed = 0;
  for (std::uint64_t i = 1; i <= 9; ++i) {
    const TransportAnswer answer = wire.Send(PostTo(server.url()));
    EXPECT_TRUE(answer.sent);
    EXPECT_EQ(server.requests(), i);
    if (answer.reply.status == 200) continue;
    ++failed;
    EXPECT_EQ(answer.reply.transport.code(), Code::kUnavailable);
    EXPECT_EQ(answer.reply.transport.word(), "connection_lost")
        << answer.reply.transport.ToString();
  }
  EXPECT_EQ(failed, 6u);
  EXPECT_EQ(wire.transport().sends(), 9u);
  EXPECT_EQ(server.requests(), 9u);
}

INSTANTIATE_TEST_SUITE_P(Streams, BrokenStream,
                         testing::Values(Broken{"Refused", Http2Answer::kRefused},
                                         Broken{"Reset", Http2Answer::kReset},
                                         Broken{"Calm", Http2Answer::kCalm},
                                         Broken{"Closed", Http2Answer::kClosed}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Http2, AConnectionThatSaysGoodbyeIsReplaced) {
  TlsServer server(
      {.has_http2 = true, .script = [](std::uint64_t) { return Http2Answer::kOkGoAway; }});
  Wire wire(WithHttp2());
  std::uint64_t ok = 0;
  for (int i = 0; i < 10; ++i) {
    // The goodbye may cross the next request: then that one is lost, wherever it had got to.
    const TransportAnswer answer = wire.Send(PostTo(server.url()));
    if (answer.reply.status == 200) ++ok;
  }
  EXPECT_LE(ok, server.requests());
  EXPECT_LE(server.requests(), wire.transport().sends());
  EXPECT_LE(wire.transport().sends(), 10u);
  EXPECT_GE(ok, 5u);
}

}  // namespace
}  // namespace embedflow
