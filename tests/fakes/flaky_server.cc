#include "tests/fakes/flaky_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <list>
#include <thread>

#include "base/check.h"
#include "base/mutex.h"
#include "base/random.h"
#include "tests/fakes/flaky_reply.h"
#include "tests/fakes/flaky_request.h"

namespace embedflow {
namespace {

constexpr std::size_t kHeaderFloodBytes = 20u << 20;

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

// The next close() resets the connection instead of ending it.
void MakeCloseReset(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

std::string Chunk(std::string_view data) {
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), data.size(), 16).ptr;
  return std::string(size.data(), end) + "\r\n" + std::string(data) + "\r\n";
}

}  // namespace

class FlakyServer::Impl {
 public:
  Impl(const FlakyOptions& options, Script script)
      : options_(options), script_(std::move(script)), rng_(options.seed) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EF_CHECK(listener_ >= 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(options.port);
    EF_CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    EF_CHECK(::listen(listener_, 512) == 0);
    socklen_t size = sizeof address;
    EF_CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }

  ~Impl() {
    {
      MutexLock lock(mu_);
      is_stopping_ = true;
      for (Connection& connection : connections_) ::shutdown(connection.fd, SHUT_RDWR);
    }
    changed_.SignalAll();
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    // Nobody adds connections any more.
    for (Connection& connection : connections_) connection.thread.join();
    for (Connection& connection : connections_) ::close(connection.fd);
    ::close(listener_);
  }

  int port() const { return port_; }
  std::uint64_t requests() const {
    MutexLock lock(mu_);
    return ledger_.size();
  }
  std::uint64_t connections() const {
    MutexLock lock(mu_);
    return connections_ever_;
  }
  std::map<std::string, std::uint64_t> received() const {
    MutexLock lock(mu_);
    return received_;
  }
  std::map<std::string, std::uint64_t> answered() const {
    MutexLock lock(mu_);
    return answered_;
  }
  std::vector<FlakyRequest> ledger() const {
    MutexLock lock(mu_);
    return ledger_;
  }
  void CloseIdle() {
    MutexLock lock(mu_);
    for (Connection& connection : connections_) {
      if (!connection.is_busy) ::shutdown(connection.fd, SHUT_RDWR);
    }
  }
  bool WaitFor(std::uint64_t count) {
    MutexLock lock(mu_);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (ledger_.size() < count) {
      const auto left = end - std::chrono::steady_clock::now();
      if (left <= left.zero()) return false;
      changed_.WaitFor(mu_, left);
    }
    return true;
  }

 private:
  struct Connection {
    int fd = -1;
    std::uint64_t number = 0;
    bool is_busy = false;    // Guarded by mu_.
    bool has_ended = false;  // Guarded by mu_.
    std::thread thread;
  };

  void Accept() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      MutexLock lock(mu_);
      if (is_stopping_) {
        if (fd >= 0) ::close(fd);
        return;
      }
      if (fd < 0) continue;
      connections_.remove_if([](Connection& connection) {
        if (!connection.has_ended) return false;
        connection.thread.join();
        ::close(connection.fd);
        return true;
      });
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      Connection& connection = connections_.emplace_back();
      connection.fd = fd;
      connection.number = ++connections_ever_;
      connection.thread = std::thread([this, &connection] { Serve(&connection); });
    }
  }

  void Serve(Connection* connection) {
    FlakyReader reader(connection->fd);
    bool is_reset = false;
    for (std::uint64_t n = 1;; ++n) {
      FlakyRequest request;
      request.connection = connection->number;
      request.on_connection = n;
      if (!reader.Next(&request)) break;
      ReadFlakyBody(&request);
      {
        MutexLock lock(mu_);
        connection->is_busy = true;
        request.number = ledger_.size() + 1;
        ledger_.push_back(request);
        for (const std::string& text : request.texts) ++received_[text];
      }
      changed_.SignalAll();
      FlakyReply reply;
      if (script_) {
        MutexLock lock(script_mu_);
        reply = script_(request);
      }
      const bool goes_on = Answer(connection->fd, request, reply, &is_reset);
      MutexLock lock(mu_);
      connection->is_busy = false;
      if (!goes_on) break;
    }
    if (is_reset) {
      MakeCloseReset(connection->fd);
      // Only close() resets; dup2 closes and keeps the number ours.
      const int other = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      ::dup2(other, connection->fd);
      ::close(other);
    } else {
      ::shutdown(connection->fd, SHUT_RDWR);
    }
    MutexLock lock(mu_);
    connection->has_ended = true;
  }

  // False when the server ends.
  bool Pause(std::chrono::milliseconds delay) {
    MutexLock lock(mu_);
    const auto end = std::chrono::steady_clock::now() + delay;
    while (!is_stopping_) {
      const auto left = end - std::chrono::steady_clock::now();
      if (left <= left.zero()) return true;
      changed_.WaitFor(mu_, left);
    }
    return false;
  }

  // False when the connection shall end.
  bool Answer(int fd, const FlakyRequest& request, const FlakyReply& reply, bool* is_reset) {
    if (reply.delay.count() > 0 && !Pause(reply.delay)) return false;
    switch (reply.wire) {
      case FlakyWire::kCloseNoReply:
        return false;
      case FlakyWire::kGarbage:
        SendAll(fd, "220 mail.example ESMTP\r\n");
        return false;
      case FlakyWire::kGiant:
      case FlakyWire::kGzipBomb:
        return SendGiant(fd, reply);
      case FlakyWire::kHeaderFlood:
        return SendHeaderFlood(fd);
      default:
        return SendReply(fd, request, reply, is_reset);
    }
  }

  bool SendReply(int fd, const FlakyRequest& request, const FlakyReply& reply, bool* is_reset) {
    std::string body;
    if (reply.body) {
      body = *reply.body;
    } else if (reply.status == 200) {
      MutexLock lock(mu_);
      body = WriteFlakyBody(
          request, reply, static_cast<int>(request.dimensions.value_or(options_.dimensions)), rng_);
    } else {
      body = R"({"error":{"message":"status )" + std::to_string(reply.status) +
             R"( as the test asked","type":"test","code":null}})";
    }
    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Scripted\r\n";
    bool has_type = false;
    for (const auto& [name, value] : reply.headers) {
      has_type |= LowerAscii(name) == "content-type";
      head += name + ": " + value + "\r\n";
    }
    if (!has_type) head += "Content-Type: application/json\r\n";
    if (reply.wire == FlakyWire::kGzip) {
      head += "Content-Encoding: gzip\r\n";
      body = ToGzip(body);
    }
    switch (reply.wire) {
      case FlakyWire::kChunked:
        head += "Transfer-Encoding: chunked\r\n\r\n";
        body = body.empty() ? "0\r\n\r\n"
                            : Chunk(std::string_view(body).substr(0, body.size() / 2 + 1)) +
                                  (body.size() > 1
                                       ? Chunk(std::string_view(body).substr(body.size() / 2 + 1))
                                       : "") +
                                  "0\r\n\r\n";
        break;
      case FlakyWire::kNoLength:
        head += "Connection: close\r\n\r\n";
        break;
      default:
        head += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    }
    return SendWhole(fd, request, reply, head, body, is_reset);
  }

  bool SendWhole(int fd, const FlakyRequest& request, const FlakyReply& reply,
                 const std::string& head, const std::string& body, bool* is_reset) {
    switch (reply.wire) {
      case FlakyWire::kTruncatedLength:
        SendAll(fd, head + body.substr(0, body.size() / 2));
        return false;
      case FlakyWire::kResetMidBody:
        *is_reset = true;
        SendAll(fd, head + body.substr(0, body.size() / 2));
        return false;
      case FlakyWire::kResetMidHead:
        *is_reset = true;
        SendAll(fd, head.substr(0, head.size() / 2));
        return false;
      case FlakyWire::kSlices:
      case FlakyWire::kDrip:
        for (const char c : head + body) {
          if (reply.wire == FlakyWire::kDrip && !Pause(reply.delay)) return false;
          if (!SendAll(fd, {&c, 1})) return false;
        }
        break;
      default:
        if (!SendAll(fd, head + body)) return false;
    }
    if (reply.status == 200) {
      MutexLock lock(mu_);
      for (const std::string& text : request.texts) ++answered_[text];
    }
    return !reply.closes_after && reply.wire != FlakyWire::kNoLength;
  }

  bool SendGiant(int fd, const FlakyReply& reply) {
    std::string head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    if (reply.wire == FlakyWire::kGzipBomb) {
      const std::string bomb = GzipBomb(reply.giant_bytes);
      head += "Content-Encoding: gzip\r\nContent-Length: " + std::to_string(bomb.size());
      return SendAll(fd, head + "\r\n\r\n" + bomb) && !reply.closes_after;
    }
    if (!SendAll(fd, head + "Transfer-Encoding: chunked\r\n\r\n")) return false;
    const std::string chunk = Chunk(std::string(65536, ' '));
    for (std::size_t sent = 0; sent < reply.giant_bytes; sent += 65536) {
      if (!SendAll(fd, chunk)) return false;
    }
    return SendAll(fd, "0\r\n\r\n");
  }

  static bool SendHeaderFlood(int fd) {
    if (!SendAll(fd, "HTTP/1.1 200 OK\r\n")) return false;
    const std::string header = "X-Flood: " + std::string(1000, 'x') + "\r\n";
    for (std::size_t sent = 0; sent < kHeaderFloodBytes; sent += header.size()) {
      if (!SendAll(fd, header)) return false;
    }
    return SendAll(fd, "Content-Length: 0\r\n\r\n");
  }

  // Constant after construction.
  const FlakyOptions options_;
  const Script script_;
  int listener_ = -1;
  int port_ = 0;
  std::thread acceptor_;
  // One call of the script at a time.
  Mutex script_mu_;
  // Guarded by mu_.
  mutable Mutex mu_;
  CondVar changed_;
  Rng rng_ EF_GUARDED_BY(mu_);
  bool is_stopping_ EF_GUARDED_BY(mu_) = false;
  std::uint64_t connections_ever_ EF_GUARDED_BY(mu_) = 0;
  std::list<Connection> connections_;  // Changed by the acceptor, under mu_.
  std::vector<FlakyRequest> ledger_ EF_GUARDED_BY(mu_);
  std::map<std::string, std::uint64_t> received_ EF_GUARDED_BY(mu_);
  std::map<std::string, std::uint64_t> answered_ EF_GUARDED_BY(mu_);
};

FlakyServer::FlakyServer(const FlakyOptions& options, Script script)
    : impl_(std::make_unique<Impl>(options, std::move(script))) {}
FlakyServer::~FlakyServer() = default;
int FlakyServer::port() const { return impl_->port(); }
std::string FlakyServer::base_url() const {
  return "http://127.0.0.1:" + std::to_string(port()) + "/v1";
}
std::uint64_t FlakyServer::requests() const { return impl_->requests(); }
std::uint64_t FlakyServer::connections() const { return impl_->connections(); }
std::map<std::string, std::uint64_t> FlakyServer::texts_received() const {
  return impl_->received();
}
std::map<std::string, std::uint64_t> FlakyServer::texts_answered() const {
  return impl_->answered();
}
std::vector<FlakyRequest> FlakyServer::ledger() const { return impl_->ledger(); }
void FlakyServer::CloseIdleConnections() { impl_->CloseIdle(); }
bool FlakyServer::WaitForRequests(std::uint64_t count) const { return impl_->WaitFor(count); }

}  // namespace embedflow
