// A server behind TLS, on loopback, with certificates made when it starts: what a client must not
// trust, and HTTP/2 that goes wrong. It answers every request with status 200 and "ok" unless told
// otherwise.
//
// Owns its threads: one that accepts, one a connection.
// Threads: the public functions may be called from any.
#ifndef EMBEDFLOW_TESTS_PROVIDERS_TLS_SERVER_H_
#define EMBEDFLOW_TESTS_PROVIDERS_TLS_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace embedflow {

enum class TlsCertificate {
  kGood,        // For 127.0.0.1, by the authority in authority_file().
  kExpired,     // Since an hour.
  kNotYetGood,  // In an hour.
  kOtherHost,   // For other.example.
  kSelfSigned,
  kOtherAuthority,
};

// What becomes of an HTTP/2 request.
enum class Http2Answer {
  kOk,
  kHeld,      // With the others that are held, once `held_max` are.
  kRefused,   // RST_STREAM, REFUSED_STREAM.
  kReset,     // RST_STREAM, INTERNAL_ERROR.
  kCalm,      // GOAWAY, ENHANCE_YOUR_CALM, and the connection is closed.
  kOkGoAway,  // Answered; then GOAWAY, NO_ERROR, and the connection is closed.
  kClosed,    // The connection is closed.
};

struct TlsOptions {
  TlsCertificate certificate = TlsCertificate::kGood;
  bool is_old = false;    // Speaks TLS 1.1 at most.
  bool is_plain = false;  // Speaks no TLS at all: whatever comes is a bad HTTP request.
  bool has_http2 = false;
  // What becomes of the request of this number, from 1.
  std::function<Http2Answer(std::uint64_t number)> script{};
  std::uint64_t held_max = 1;
};

class TlsServer {
 public:
  // Listens at once; ends the process if it cannot.
  explicit TlsServer(TlsOptions options = {});
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  int port() const;
  std::string url() const;  // "https://127.0.0.1:PORT/v1/embeddings".
  // The certificate of the authority that signs the good ones, the same for the whole process.
  static std::string authority_file();

  std::uint64_t connections() const;
  // Requests whose every byte arrived.
  std::uint64_t requests() const;
  std::uint64_t http2_requests() const;
  // All that was said inside of TLS; and as it came over the wire where that was no TLS.
  std::string received() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_PROVIDERS_TLS_SERVER_H_
