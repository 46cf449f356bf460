// A key in memory, in addresses, and on its way to a stranger.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <concepts>
#include <cstdlib>
#include <ostream>
#include <string>
#include <utility>

#include "embedflow/log.h"
#include "providers/curl_start.h"
#include "providers/key.h"
#include "providers/url.h"
#include "tests/fakes/flaky_server.h"
#include "tests/providers/wire.h"

namespace embedflow {
namespace {

using testing::HasSubstr;
using testing::Not;

template <typename T>
concept IsPrintable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(IsPrintable<std::string>);
static_assert(!IsPrintable<Secret>);
static_assert(!std::convertible_to<Secret, std::string_view>);
static_assert(!std::convertible_to<Secret, std::string>);
static_assert(!std::convertible_to<std::string, Secret>);

TEST(Secret, LeavesNothingWhereItWas) {
  for (const std::string& key : {std::string("short"), std::string(100, 'k')}) {
    Secret first(key);
    Secret second = std::move(first);
    EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): that is the question.
    EXPECT_EQ(second.Reveal(), key);
    const Secret copy = second;
    EXPECT_EQ(copy.Reveal(), key);
    // The bytes stay where they are while the object lives, and are gone when it takes others.
    const char* const bytes = second.Reveal().data();
    second = Secret();
    if (key.size() < 15) {
      EXPECT_EQ(std::string(bytes, key.size()), std::string(key.size(), '\0'));
    }
    EXPECT_EQ(copy.Reveal(), key);
  }
}

TEST(Wipe, OverwritesTheWholeBuffer) {
  std::string text(100, 'k');
  text.resize(10);
  const char* const bytes = text.data();
  Wipe(&text);
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.data(), bytes);
  text.resize(100, '\0');
  ASSERT_EQ(text.data(), bytes);
  EXPECT_EQ(text.find('k'), std::string::npos);
}

TEST(Url, RefusesLinkLocalAddresses) {
  for (const char* url :
       {"http://169.254.169.254/latest/meta-data", "https://169.254.0.1/v1", "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/", "https://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/",
        // The same written otherwise.
        "http://0xa9fea9fe/", "http://2852039166/", "http://169.254.43518/"}) {
    const Status status = ParseUrl(url).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << url;
    EXPECT_EQ(status.word(), "insecure") << url;
    EXPECT_THAT(status.message(), HasSubstr("link-local")) << url;
    EXPECT_FALSE(JoinUrl(url, "embeddings").ok()) << url;
  }
  // Private networks are where one's own servers live.
  for (const char* url : {"http://10.0.0.1/", "http://192.168.1.1/", "https://172.16.0.1/",
                          "http://[fd00::1]/", "http://169.253.0.1/", "https://api.example/"}) {
    EXPECT_TRUE(ParseUrl(url).ok()) << url;
  }
}

TEST(Url, TellsLoopbackFromItsLookalikes) {
  for (const char* url : {"http://127.0.0.1/", "http://127.1/", "http://0x7f000001/",
                          "http://[::1]/", "http://[0:0:0:0:0:0:0:1]/", "http://LocalHost/"}) {
    ASSERT_TRUE(ParseUrl(url).ok()) << url;
    EXPECT_TRUE(ParseUrl(url)->loopback) << url;
  }
  for (const char* url :
       {"http://127.0.0.1.example/", "http://localhost.example/", "http://128.0.0.1/",
        "http://[::2]/", "http://0.0.0.0/", "http://[::ffff:1.2.3.4]/"}) {
    ASSERT_TRUE(ParseUrl(url).ok()) << url;
    EXPECT_FALSE(ParseUrl(url)->loopback) << url;
  }
}

TEST(Url, MessagesRepeatNoPartThatCouldBeSecret) {
  for (const char* url :
       {"http://user:hunter2@host/", "hunter2", "ftp://hunter2@host/", "http://host/?key=hunter2#x",
        "http://ho st/hunter2", "http://host:99999/hunter2"}) {
    const Status status = ParseUrl(url).status();
    EXPECT_FALSE(status.ok()) << url;
    EXPECT_THAT(status.ToString(), Not(HasSubstr("hunter2"))) << url;
  }
}

// N13: the proxy wants a password, and what it says of ours must not be shown.
TEST(Proxy, ARefusalOfAProxyShowsNoPassword) {
  FlakyServer proxy({}, [](const FlakyRequest& request) {
    FlakyReply reply;
    reply.status = 407;
    reply.headers = {{"Proxy-Authenticate", "Basic realm=\"x\""}};
    reply.body = "you sent " + request.header("proxy-authorization");
    return reply;
  });
  const std::string address =
      "http://someone:hunter2hunter2@127.0.0.1:" + std::to_string(proxy.port());
  for (const char* name : {"http_proxy", "https_proxy"}) ::setenv(name, address.c_str(), 1);
  Wire wire;
  // Through the proxy as it is: the reply is the proxy's.
  const TransportAnswer plain = wire.Send(PostTo("http://embedflow.invalid/v1/embeddings"));
  EXPECT_EQ(plain.reply.status, 407);
  // Through a tunnel: the request never left, and neither did its key.
  HttpRequest request = PostTo("https://embedflow.invalid/v1/embeddings");
  request.headers.emplace_back("Authorization", "Bearer sk-not-for-proxies-1");
  const TransportAnswer tunnel = wire.Send(request);
  EXPECT_EQ(tunnel.reply.status, 0);
  EXPECT_FALSE(tunnel.sent);
  EXPECT_FALSE(tunnel.reply.transport.ok());
  EXPECT_THAT(tunnel.reply.transport.ToString(), HasSubstr("407"));
  EXPECT_THAT(tunnel.reply.transport.ToString(), Not(HasSubstr("hunter2")));
  const std::vector<FlakyRequest> ledger = proxy.ledger();
  ASSERT_EQ(ledger.size(), 2u);
  EXPECT_EQ(ledger[1].method, "CONNECT");
  EXPECT_EQ(ledger[1].header("authorization"), "");
  EXPECT_EQ(wire.transport().sends(), 1u);
  for (const char* name : {"http_proxy", "https_proxy"}) ::unsetenv(name);
}

TEST(Proxy, ADeadProxyIsNamedWithoutItsPassword) {
  int port = 0;
  {
    FlakyServer gone;
    port = gone.port();
  }
  ::setenv("https_proxy", ("http://someone:hunter2@127.0.0.1:" + std::to_string(port)).c_str(), 1);
  Wire wire;
  const TransportAnswer answer = wire.Send(PostTo("https://embedflow.invalid/v1/embeddings"));
  EXPECT_EQ(answer.reply.transport.word(), "cannot_connect");
  EXPECT_THAT(answer.reply.transport.ToString(), Not(HasSubstr("hunter2")));
  EXPECT_FALSE(answer.sent);
  ::unsetenv("https_proxy");
}

}  // namespace
}  // namespace embedflow
