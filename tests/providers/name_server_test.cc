// What a name server can do to us. One that says where "localhost" is must not decide where a key
// goes. This program answers libcurl's question itself: its own getaddrinfo comes before the C
// library's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/fakes/flaky_server.h"
#include "tests/providers/wire.h"

namespace {
// Host order. 192.0.2.1 belongs to nobody (RFC 5737).
constexpr std::uint32_t kStranger = 0xC0000201u;
std::atomic<std::uint32_t> answer_address{INADDR_LOOPBACK};
std::atomic<int> questions{0};
std::atomic<bool> is_held{false};  // An answer takes as long as this is true.
}  // namespace

// One block, as freeaddrinfo() of the C library expects it.
extern "C" int getaddrinfo(const char*, const char* service, const addrinfo*, addrinfo** out) {
  ++questions;
  questions.notify_all();
  is_held.wait(true);
  if (answer_address == 0) return EAI_NONAME;
  auto* block = static_cast<unsigned char*>(std::calloc(1, sizeof(addrinfo) + sizeof(sockaddr_in)));
  auto* info = reinterpret_cast<addrinfo*>(block);
  auto* address = reinterpret_cast<sockaddr_in*>(block + sizeof(addrinfo));
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(answer_address.load());
  address->sin_port = htons(static_cast<std::uint16_t>(service ? std::atoi(service) : 0));
  info->ai_family = AF_INET;
  info->ai_socktype = SOCK_STREAM;
  info->ai_protocol = IPPROTO_TCP;
  info->ai_addrlen = sizeof(sockaddr_in);
  info->ai_addr = reinterpret_cast<sockaddr*>(address);
  *out = info;
  return 0;
}

namespace embedflow {
namespace {

TEST(NameServer, TheAddressDecidesAndNotTheName) {
  answer_address = INADDR_LOOPBACK;
  FlakyServer server;
  HttpRequest request =
      PostTo("http://loopback.example:" + std::to_string(server.port()) + "/v1/embeddings");
  Wire wire;
  // Without a key any machine may be asked, so this shows that the question reaches us.
  EXPECT_EQ(wire.Send(request).reply.status, 200);
  EXPECT_GE(questions, 1);

  answer_address = kStranger;
  const int before = questions;
  request.url = "http://other.example/v1/embeddings";
  request.headers.emplace_back("Authorization", "Bearer secret");
  EXPECT_EQ(wire.Send(request).reply.transport.word(), "insecure");
  EXPECT_EQ(questions, before);
}

TEST(NameServer, ALocalhostThatIsElsewhereGetsNothing) {
  FlakyServer server;
  HttpRequest request =
      PostTo("http://localhost:" + std::to_string(server.port()) + "/v1/embeddings");
  request.headers.emplace_back("Authorization", "Bearer secret");
  answer_address = kStranger;
  ReactorOptions options;
  options.send.connect_timeout = std::chrono::milliseconds(500);
  Wire wire(options);
  const TransportAnswer answer = wire.Send(request);
  // libcurl from 7.78 on answers for "localhost" itself, so the request arrives here; one that asks
  // is stopped when it opens the socket. It never knocks at the stranger's door.
  EXPECT_TRUE(answer.reply.status == 200 || answer.reply.transport.word() == "insecure")
      << answer.reply.transport.ToString();
  EXPECT_EQ(wire.transport().sends(), server.requests());
}

// A name that leads to where cloud machines keep their credentials, with a key or without.
TEST(NameServer, AMetadataAddressGetsNothing) {
  answer_address = 0xA9FEA9FEu;  // 169.254.169.254
  Wire wire;
  for (const char* url : {"http://innocent.example/v1/embeddings", "https://innocent.example/v1"}) {
    const TransportAnswer answer = wire.Send(PostTo(url));
    EXPECT_EQ(answer.reply.transport.code(), Code::kInvalidArgument);
    EXPECT_EQ(answer.reply.transport.word(), "insecure");
    EXPECT_THAT(answer.reply.transport.message(), testing::HasSubstr("innocent.example"));
    EXPECT_FALSE(answer.sent);
  }
  EXPECT_EQ(wire.transport().sends(), 0u);
}

TEST(NameServer, ANameNobodyKnowsIsNotSent) {
  answer_address = 0;
  Wire wire;
  const TransportAnswer answer = wire.Send(PostTo("http://nowhere.example/v1/embeddings"));
  EXPECT_EQ(answer.reply.transport.word(), "name_not_found");
  EXPECT_THAT(answer.reply.transport.message(), testing::HasSubstr("nowhere.example:80"));
  EXPECT_FALSE(answer.sent);
}

TEST(NameServer, AbortDoesNotWaitForIt) {
  is_held = true;
  answer_address = 0;
  const int before = questions;
  Wire wire;
  wire.Submit(1, PostTo("http://slow.example/v1/embeddings"));
  questions.wait(before);
  wire.transport().Abort();
  EXPECT_EQ(wire.WaitFor(1).at(0).reply.transport.code(), Code::kCancelled);
  wire.Destroy();
  is_held = false;
  is_held.notify_all();
}

}  // namespace
}  // namespace embedflow
