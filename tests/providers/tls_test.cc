// Whom the transport trusts. A server that cannot be trusted gets nothing, whatever else it offers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/providers/tls_server.h"
#include "tests/providers/wire.h"

namespace embedflow {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kKey = "sk-tls-0123456789abcdef";

ReactorOptions Trusting() {
  ReactorOptions options;
  options.ca_file = TlsServer::authority_file();
  return options;
}

HttpRequest WithKey(const std::string& url) {
  HttpRequest request = PostTo(url);
  request.headers.emplace_back("Authorization", std::string("Bearer ") + kKey);
  return request;
}

TEST(Tls, AGoodCertificateIsTrusted) {
  TlsServer server;
  Wire wire(Trusting());
  for (int i = 0; i < 3; ++i) {
    const TransportAnswer answer = wire.Send(WithKey(server.url()));
    EXPECT_EQ(answer.reply.status, 200) << answer.reply.transport.ToString();
    EXPECT_EQ(answer.reply.body, "ok");
  }
  EXPECT_EQ(server.requests(), 3u);
  EXPECT_EQ(server.connections(), 1u);
  EXPECT_EQ(server.http2_requests(), 0u);
  EXPECT_THAT(server.received(), HasSubstr(kKey));
}

struct Untrusted {
  const char* name;
  TlsCertificate certificate;
  const char* words;
};
void PrintTo(const Untrusted& untrusted, std::ostream* out) { *out << untrusted.name; }
class UntrustedServer : public testing::TestWithParam<Untrusted> {};

TEST_P(UntrustedServer, GetsNothingAndTheMessageSaysWhy) {
  TlsServer server({.certificate = GetParam().certificate});
  Wire wire(Trusting());
  const TransportAnswer answer = wire.Send(WithKey(server.url()));
  EXPECT_EQ(answer.reply.status, 0);
  // Refused, not unavailable: the same certificate comes back every time.
  EXPECT_EQ(answer.reply.transport.code(), Code::kRefused);
  EXPECT_EQ(answer.reply.transport.word(), "certificate_refused");
  EXPECT_THAT(answer.reply.transport.message(), HasSubstr(GetParam().words));
  EXPECT_THAT(answer.reply.transport.message(),
              HasSubstr("127.0.0.1:" + std::to_string(server.port())));
  EXPECT_FALSE(answer.sent);
  EXPECT_EQ(wire.transport().sends(), 0u);
  wire.Destroy();
  EXPECT_EQ(server.requests(), 0u);
  // It was not tried again without TLS, or with less of it.
  EXPECT_EQ(server.connections(), 1u);
  EXPECT_EQ(server.received(), "");
}

INSTANTIATE_TEST_SUITE_P(
    Certificates, UntrustedServer,
    testing::Values(Untrusted{"Expired", TlsCertificate::kExpired, "certificate has expired"},
                    Untrusted{"NotYetGood", TlsCertificate::kNotYetGood, "not yet valid"},
                    Untrusted{"OtherHost", TlsCertificate::kOtherHost,
                              "no alternative certificate subject name matches"},
                    Untrusted{"SelfSigned", TlsCertificate::kSelfSigned, "self-signed certificate"},
                    Untrusted{"OtherAuthority", TlsCertificate::kOtherAuthority,
                              "unable to get local issuer certificate"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Tls, OldVersionsAreRefused) {
  TlsServer server({.is_old = true});
  Wire wire(Trusting());
  const TransportAnswer answer = wire.Send(WithKey(server.url()));
  EXPECT_EQ(answer.reply.transport.word(), "tls_failed") << answer.reply.transport.ToString();
  EXPECT_THAT(answer.reply.transport.message(), HasSubstr("protocol version"));
  EXPECT_FALSE(answer.sent);
  EXPECT_EQ(server.connections(), 1u);
  EXPECT_EQ(server.received(), "");
}

TEST(Tls, PlainHttpBehindAnHttpsAddressIsRefused) {
  TlsServer server({.is_plain = true});
  Wire wire(Trusting());
  const TransportAnswer answer = wire.Send(WithKey(server.url()));
  EXPECT_EQ(answer.reply.transport.word(), "tls_failed") << answer.reply.transport.ToString();
  EXPECT_FALSE(answer.sent);
  EXPECT_EQ(server.connections(), 1u);
  EXPECT_EQ(wire.transport().sends(), 0u);
}

TEST(Tls, AnHttpAddressOfATlsServerIsNoReply) {
  TlsServer server;
  Wire wire(Trusting());
  const TransportAnswer answer =
      wire.Send(PostTo("http://127.0.0.1:" + std::to_string(server.port()) + "/v1/embeddings"));
  EXPECT_EQ(answer.reply.status, 0);
  EXPECT_EQ(answer.reply.transport.code(), Code::kUnavailable);
  EXPECT_EQ(server.requests(), 0u);
}

TEST(Tls, TheEnvironmentSaysWhomToTrust) {
  TlsServer server;
  {
    Wire wire;
    EXPECT_EQ(wire.Send(WithKey(server.url())).reply.transport.word(), "certificate_refused");
  }
  ::setenv("SSL_CERT_FILE", TlsServer::authority_file().c_str(), 1);
  {
    Wire wire;
    EXPECT_EQ(wire.Send(WithKey(server.url())).reply.status, 200);
  }
  ::setenv("SSL_CERT_FILE", "/nonexistent/authorities.pem", 1);
  {
    // A file that is not there is not taken for "trust anyone".
    Wire wire;
    const TransportAnswer answer = wire.Send(WithKey(server.url()));
    EXPECT_EQ(answer.reply.transport.word(), "certificate_refused");
    EXPECT_THAT(answer.reply.transport.message(), HasSubstr("/nonexistent/authorities.pem"));
  }
  ::unsetenv("SSL_CERT_FILE");
  EXPECT_EQ(server.requests(), 1u);
}

}  // namespace
}  // namespace embedflow
