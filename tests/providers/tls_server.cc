#include "tests/providers/tls_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "tests/providers/tls_certificates.h"

namespace embedflow {
namespace {

// Of HTTP/2 (RFC 9113).
constexpr std::size_t kPrefaceBytes = 24;
constexpr std::size_t kFrameHeadBytes = 9;
enum FrameType : unsigned char {
  kData = 0,
  kHeaders = 1,
  kResetStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8
};
constexpr unsigned char kEndStream = 1;
constexpr unsigned char kAck = 1;
constexpr unsigned char kEndHeaders = 4;
constexpr std::uint32_t kNoError = 0, kInternalError = 2, kRefusedStream = 7, kEnhanceYourCalm = 11;
// ":status: 200" in the static table of HPACK.
constexpr char kStatus200 = static_cast<char>(0x88);

std::string Bytes(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFFu);
  return out;
}

std::uint32_t Number(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string Frame(FrameType type, unsigned char flags, std::uint32_t stream,
                  const std::string& payload) {
  std::string out = Bytes(static_cast<std::uint32_t>(payload.size())).substr(1);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  return out + Bytes(stream) + payload;
}

std::string OkFrames(std::uint32_t stream) {
  return Frame(kHeaders, kEndHeaders, stream, std::string(1, kStatus200)) +
         Frame(kData, kEndStream, stream, "ok");
}

int ChooseHttp2(SSL*, const unsigned char** out, unsigned char* out_bytes, const unsigned char* in,
                unsigned in_bytes, void* has_http2) {
  static const unsigned char kBoth[] = "\x02h2\x08http/1.1";
  const unsigned char* ours = kBoth;
  unsigned ours_bytes = sizeof kBoth - 1;
  if (!*static_cast<const bool*>(has_http2)) {
    ours += 3;
    ours_bytes -= 3;
  }
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_bytes, ours, ours_bytes, in, in_bytes) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

class TlsServer::Impl {
 public:
  explicit Impl(TlsOptions options)
      : options_(std::move(options)),
        identity_(MakeTlsIdentity(options_.certificate)),
        context_(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free) {
    std::signal(SIGPIPE, SIG_IGN);
    SSL_CTX* context = context_.get();
    EF_CHECK(context != nullptr);
    // Debian's own configuration forbids the old versions.
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    if (options_.is_old) {
      SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
      EF_CHECK(SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0") == 1);
    }
    EF_CHECK(SSL_CTX_use_certificate(context, identity_.certificate.get()) == 1);
    EF_CHECK(SSL_CTX_use_PrivateKey(context, identity_.key.get()) == 1);
    SSL_CTX_set_alpn_select_cb(context, &ChooseHttp2, const_cast<bool*>(&options_.has_http2));
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EF_CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    EF_CHECK(::listen(listener_, 64) == 0);
    EF_CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }

  ~Impl() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    {
      MutexLock lock(mu_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
  }

  int port() const { return port_; }
  std::uint64_t Count(std::uint64_t Impl::*which) {
    MutexLock lock(mu_);
    return this->*which;
  }
  std::string received() {
    MutexLock lock(mu_);
    return received_;
  }

  std::uint64_t connections_ = 0;  // Guarded by mu_.
  std::uint64_t requests_ = 0;
  std::uint64_t http2_requests_ = 0;

 private:
  void Accept() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      MutexLock lock(mu_);
      ++connections_;
      open_.insert(fd);
      threads_.emplace_back([this, fd] { Serve(fd); });
    }
  }

  void Serve(int fd) {
    // What no TLS stands before is kept as it came.
    std::string peeked(512, '\0');
    const ssize_t got = ::recv(fd, peeked.data(), peeked.size(), MSG_PEEK);
    if (got > 0 && peeked[0] != 22) {
      MutexLock lock(mu_);
      received_.append(peeked, 0, static_cast<std::size_t>(got));
    }
    if (options_.is_plain) {
      constexpr std::string_view kBad = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
      EF_CHECK(::recv(fd, peeked.data(), peeked.size(), 0) >= 0);
      EF_CHECK(::send(fd, kBad.data(), kBad.size(), MSG_NOSIGNAL) >= 0);
      ::shutdown(fd, SHUT_WR);
    }
    const std::unique_ptr<SSL, decltype(&SSL_free)> tls(SSL_new(context_.get()), &SSL_free);
    SSL_set_fd(tls.get(), fd);
    if (!options_.is_plain && SSL_accept(tls.get()) == 1) {
      const unsigned char* protocol = nullptr;
      unsigned bytes = 0;
      SSL_get0_alpn_selected(tls.get(), &protocol, &bytes);
      if (bytes == 2) {
        ServeHttp2(tls.get());
      } else {
        ServeHttp1(tls.get());
      }
      SSL_shutdown(tls.get());
    }
    {
      MutexLock lock(mu_);
      open_.erase(fd);
    }
    ::close(fd);
  }

  // Appends to `buffer` until it holds `bytes`.
  bool Fill(SSL* tls, std::string* buffer, std::size_t bytes) {
    char piece[16384];
    while (buffer->size() < bytes) {
      const int got = SSL_read(tls, piece, sizeof piece);
      if (got <= 0) return false;
      buffer->append(piece, static_cast<std::size_t>(got));
      MutexLock lock(mu_);
      received_.append(piece, static_cast<std::size_t>(got));
    }
    return true;
  }
  static bool Send(SSL* tls, const std::string& bytes) {
    return SSL_write(tls, bytes.data(), static_cast<int>(bytes.size())) > 0;
  }

  void ServeHttp1(SSL* tls) {
    std::string buffer;
    while (true) {
      std::size_t end = std::string::npos;
      while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
        if (!Fill(tls, &buffer, buffer.size() + 1)) return;
      }
      const std::size_t length = buffer.find("Content-Length: ");
      EF_CHECK(length < end);
      const std::size_t bytes = end + 4 + std::strtoul(buffer.c_str() + length + 16, nullptr, 10);
      if (!Fill(tls, &buffer, bytes)) return;
      buffer.erase(0, bytes);
      {
        MutexLock lock(mu_);
        ++requests_;
      }
      if (!Send(tls, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) return;
    }
  }

  // False: the connection ends.
  bool Answer(SSL* tls, std::uint32_t stream, std::vector<std::uint32_t>* held) {
    std::uint64_t number = 0;
    {
      MutexLock lock(mu_);
      ++requests_;
      number = ++http2_requests_;
    }
    switch (options_.script ? options_.script(number) : Http2Answer::kOk) {
      case Http2Answer::kOk:
        return Send(tls, OkFrames(stream));
      case Http2Answer::kHeld:
        held->push_back(stream);
        if (held->size() < options_.held_max) return true;
        // The last first.
        for (; !held->empty(); held->pop_back()) {
          if (!Send(tls, OkFrames(held->back()))) return false;
        }
        return true;
      case Http2Answer::kRefused:
        return Send(tls, Frame(kResetStream, 0, stream, Bytes(kRefusedStream)));
      case Http2Answer::kReset:
        return Send(tls, Frame(kResetStream, 0, stream, Bytes(kInternalError)));
      case Http2Answer::kCalm:
        Send(tls, Frame(kGoAway, 0, 0, Bytes(0) + Bytes(kEnhanceYourCalm)));
        return false;
      case Http2Answer::kOkGoAway:
        Send(tls, OkFrames(stream) + Frame(kGoAway, 0, 0, Bytes(stream) + Bytes(kNoError)));
        return false;
      case Http2Answer::kClosed:
        return false;
    }
    return false;
  }

  void ServeHttp2(SSL* tls) {
    std::string buffer;
    std::vector<std::uint32_t> held;
    if (!Fill(tls, &buffer, kPrefaceBytes)) return;
    buffer.erase(0, kPrefaceBytes);
    if (!Send(tls, Frame(kSettings, 0, 0, ""))) return;
    while (Fill(tls, &buffer, kFrameHeadBytes)) {
      const std::size_t bytes = Number(buffer.substr(0, 3));
      if (!Fill(tls, &buffer, kFrameHeadBytes + bytes)) return;
      const auto type = static_cast<unsigned char>(buffer[3]);
      const auto flags = static_cast<unsigned char>(buffer[4]);
      const std::uint32_t stream = Number(buffer.substr(5, 4));
      const std::string payload = buffer.substr(kFrameHeadBytes, bytes);
      buffer.erase(0, kFrameHeadBytes + bytes);
      std::string reply;
      if (type == kSettings && (flags & kAck) == 0) reply = Frame(kSettings, kAck, 0, "");
      if (type == kPing && (flags & kAck) == 0) reply = Frame(kPing, kAck, 0, payload);
      if (type == kGoAway) return;
      if (type == kData && bytes > 0) {
        // Everything read is room again.
        const std::string room = Bytes(static_cast<std::uint32_t>(bytes));
        reply = Frame(kWindowUpdate, 0, 0, room) + Frame(kWindowUpdate, 0, stream, room);
      }
      if (!reply.empty() && !Send(tls, reply)) return;
      const bool is_request = (type == kData || type == kHeaders) && (flags & kEndStream) != 0;
      if (is_request && !Answer(tls, stream, &held)) return;
    }
  }

  const TlsOptions options_;
  const TlsIdentity identity_;
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  int listener_ = -1;
  int port_ = 0;
  Mutex mu_;
  std::set<int> open_ EF_GUARDED_BY(mu_);
  std::string received_ EF_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;  // Grown by the acceptor, which is joined first.
  std::thread acceptor_;
};

TlsServer::TlsServer(TlsOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
TlsServer::~TlsServer() = default;

int TlsServer::port() const { return impl_->port(); }
std::string TlsServer::url() const {
  return "https://127.0.0.1:" + std::to_string(port()) + "/v1/embeddings";
}
std::string TlsServer::authority_file() { return TlsAuthorityFile(); }
std::uint64_t TlsServer::connections() const { return impl_->Count(&Impl::connections_); }
std::uint64_t TlsServer::requests() const { return impl_->Count(&Impl::requests_); }
std::uint64_t TlsServer::http2_requests() const { return impl_->Count(&Impl::http2_requests_); }
std::string TlsServer::received() const { return impl_->received(); }

}  // namespace embedflow
