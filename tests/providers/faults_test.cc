// Faults of the way: connections that never stand, files that run out, waits that must not be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/fakes/flaky_server.h"
#include "tests/providers/wire.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// A listener that never accepts and has no room to let anyone wait: the kernel drops what knocks.
class FullListener {
 public:
  FullListener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address_), size), 0);
    EXPECT_EQ(::listen(fd_, 0), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address_), &size), 0);
    for (int i = 0; i < 8; ++i) {
      const int knock = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      ::connect(knock, reinterpret_cast<sockaddr*>(&address_), sizeof address_);
      knocking_.push_back(knock);
    }
  }
  ~FullListener() {
    for (const int knock : knocking_) ::close(knock);
    ::close(fd_);
  }
  int port() const { return ntohs(address_.sin_port); }

 private:
  const int fd_;
  sockaddr_in address_{};
  std::vector<int> knocking_;
};

// Answers the first request of every connection and resets the connection once the second is read:
// not one byte of a reply, on a connection that worked.
class ResettingServer {
 public:
  ResettingServer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~ResettingServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  std::uint64_t requests() const { return requests_; }

 private:
  void Serve() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      Converse(fd);
      ::close(fd);
    }
  }
  // The requests of these tests end with "]}".
  void Converse(int fd) {
    std::string read;
    char piece[4096];
    for (int on_connection = 1;;) {
      const ssize_t got = ::recv(fd, piece, sizeof piece, 0);
      if (got <= 0) return;
      read.append(piece, static_cast<std::size_t>(got));
      if (!read.ends_with("]}")) continue;
      read.clear();
      ++requests_;
      if (on_connection++ > 1) {
        const linger at_once{1, 0};
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        return;
      }
      constexpr std::string_view kReply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
      if (::send(fd, kReply.data(), kReply.size(), MSG_NOSIGNAL) < 0) return;
    }
  }

  const int listener_;
  int port_ = 0;
  std::atomic<std::uint64_t> requests_{0};
  std::thread thread_;
};

// F1 by a reset in place of a close: the same, and just as silent if nobody stops it.
TEST(Faults, AResetOfAUsedConnectionIsNotSentAgain) {
  ResettingServer server;
  ReactorOptions options;
  options.connections_max = 1;
  Wire wire(options);
  std::uint64_t lost = 0;
  for (std::uint64_t i = 1; i <= 8; ++i) {
    const TransportAnswer answer = wire.Send(PostTo(server.url()));
    EXPECT_TRUE(answer.sent);
    EXPECT_EQ(server.requests(), i);
    if (answer.reply.status == 200) continue;
    ++lost;
    EXPECT_EQ(answer.reply.transport.word(), "connection_lost");
  }
  EXPECT_EQ(lost, 4u);
  EXPECT_EQ(wire.transport().sends(), 8u);
  wire.Destroy();
}

// N3.
TEST(Faults, AStalledConnectEndsWithItsOwnTimeout) {
  FullListener listener;
  ReactorOptions options;
  options.send.connect_timeout = milliseconds(200);
  Wire wire(options);
  const TimePoint start = SystemClock().Now();
  const TransportAnswer answer =
      wire.Send(PostTo("http://127.0.0.1:" + std::to_string(listener.port()) + "/v1/embeddings"));
  EXPECT_LT(SystemClock().Now() - start, std::chrono::seconds(20));
  EXPECT_EQ(answer.reply.transport.word(), "cannot_connect") << answer.reply.transport.ToString();
  EXPECT_THAT(answer.reply.transport.message(),
              HasSubstr("127.0.0.1:" + std::to_string(listener.port())));
  EXPECT_FALSE(answer.sent);
  EXPECT_EQ(wire.transport().sends(), 0u);
}

// N14: the only connection is busy, and there is no file left for another. Who got none is told so;
// the one that has it arrives.
TEST(Faults, FilesRunOut) {
  std::promise<void> go;
  std::shared_future<void> gate = go.get_future().share();
  FlakyServer server({}, [gate](const FlakyRequest&) {
    gate.wait();
    return FlakyReply{.body = "x"};
  });
  const std::string url = server.base_url() + "/embeddings";
  ReactorOptions options;
  options.connections_max = 64;
  Wire wire(options);
  wire.Submit(1, PostTo(url));
  ASSERT_TRUE(server.WaitForRequests(1));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // All that are open now, and none more.
  const int lowest_free = ::dup(0);
  ASSERT_GE(lowest_free, 0);
  ::close(lowest_free);
  const rlimit none{static_cast<rlim_t>(lowest_free), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  for (std::uint64_t id = 10; id < 42; ++id) wire.Submit(id, PostTo(url));
  for (const TransportAnswer& answer : wire.WaitFor(32)) {
    EXPECT_EQ(answer.reply.transport.word(), "cannot_connect");
    EXPECT_THAT(answer.reply.transport.ToString(), HasSubstr("ulimit -n"));
    EXPECT_FALSE(answer.sent);
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  go.set_value();
  EXPECT_EQ(wire.WaitFor(33).at(32).reply.status, 200);
  // And then it works again.
  EXPECT_EQ(wire.Send(PostTo(url)).reply.status, 200);
  EXPECT_EQ(wire.transport().sends(), 2u);
  EXPECT_EQ(server.requests(), 2u);
}

// N17: a server that never says "100 Continue" is not waited for.
TEST(Faults, LargeRequestsGoAtOnce) {
  FlakyServer server({}, [](const FlakyRequest&) { return FlakyReply{.body = "x"}; });
  ReactorOptions options;
  // Less than the second that libcurl would wait.
  options.send.timeout = milliseconds(900);
  Wire wire(options);
  const TransportAnswer answer =
      wire.Send(PostTo(server.base_url() + "/embeddings", std::string(2u << 20, 'x')));
  EXPECT_EQ(answer.reply.status, 200) << answer.reply.transport.ToString();
  EXPECT_EQ(server.ledger().at(0).header("expect"), "");
}

// N18: a reply cut into single bytes, on a connection that is used again.
TEST(Faults, RepliesOfSingleBytesFollowEachOther) {
  FlakyServer server({}, [](const FlakyRequest& request) {
    return FlakyReply{.body = "reply " + std::to_string(request.number),
                      .wire = FlakyWire::kSlices};
  });
  Wire wire;
  for (int i = 1; i <= 20; ++i) {
    EXPECT_EQ(wire.Send(PostTo(server.base_url() + "/embeddings")).reply.body,
              "reply " + std::to_string(i));
  }
  EXPECT_EQ(server.connections(), 1u);
}

// One host hangs and holds its share of the connections, not the others'.
TEST(Faults, AHostThatHangsLeavesRoomForTheOthers) {
  FlakyServer hung({},
                   [](const FlakyRequest&) { return FlakyReply{.delay = std::chrono::hours(1)}; });
  FlakyServer well({}, [](const FlakyRequest&) { return FlakyReply{.body = "x"}; });
  ReactorOptions options;
  options.connections_max = 4;
  options.host_connections_max = 3;
  Wire wire(options);
  for (std::uint64_t id = 0; id < 10; ++id)
    wire.Submit(id, PostTo(hung.base_url() + "/embeddings"));
  ASSERT_TRUE(hung.WaitForRequests(3));
  for (std::uint64_t id = 100; id < 120; ++id)
    wire.Submit(id, PostTo(well.base_url() + "/embeddings"));
  for (const TransportAnswer& answer : wire.WaitFor(20)) {
    EXPECT_GE(answer.id, 100u);
    EXPECT_EQ(answer.reply.status, 200);
  }
  EXPECT_EQ(hung.requests(), 3u);
}

}  // namespace
}  // namespace embedflow
