#include "simulator/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"
#include "base/random.h"
#include "simulator/dialect.h"
#include "simulator/reply_body.h"
#include "simulator/request.h"

namespace embedflow {
namespace {

// Each has a thread; what comes beyond is closed at once.
constexpr std::size_t kConnectionsMax = 1024;
constexpr int kBacklog = 1024;
constexpr int kDimensionsMax = 65536;

struct Listener {
  int fd = -1;
  int port = 0;
};

Status ListenFailed(int fd, std::uint16_t port, const char* what) {
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (error == EADDRINUSE) {
    return Status(Code::kInvalidArgument, "port " + std::to_string(port) + " is in use")
        .WithWord("port_in_use")
        .WithNext("take another, or 0 for any free one");
  }
  return Status(Code::kIo, std::string(what) + " 127.0.0.1:" + std::to_string(port) + ": " +
                               std::strerror(error));
}

Result<Listener> OpenListener(std::uint16_t port) {
  Listener listener;
  listener.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener.fd < 0) return ListenFailed(-1, port, "cannot make a socket for");
  const int on = 1;
  ::setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::bind(listener.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return ListenFailed(listener.fd, port, "cannot bind to");
  }
  if (::listen(listener.fd, kBacklog) != 0) {
    return ListenFailed(listener.fd, port, "cannot listen on");
  }
  socklen_t size = sizeof address;
  EF_CHECK(::getsockname(listener.fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  listener.port = ntohs(address.sin_port);
  return listener;
}

}  // namespace

class SimulatorServer::Impl {
 public:
  Impl(const SimulatorServerOptions& options, Listener listener, Script script, Observer observer)
      : options_(options),
        listener_(listener),
        script_(std::move(script)),
        observer_(std::move(observer)),
        stop_fd_(::eventfd(0, EFD_CLOEXEC)) {
    EF_CHECK(stop_fd_ >= 0);
    acceptor_ = std::thread([this] { Accept(); });
  }

  ~Impl() {
    {
      MutexLock lock(mu_);
      is_stopping_ = true;
      for (Connection& connection : connections_) ::shutdown(connection.fd, SHUT_RDWR);
    }
    const std::uint64_t one = 1;
    EF_CHECK(::write(stop_fd_, &one, sizeof one) == sizeof one);
    changed_.SignalAll();
    ::shutdown(listener_.fd, SHUT_RDWR);
    acceptor_.join();
    // Nobody adds connections any more.
    for (Connection& connection : connections_) connection.thread.join();
    for (Connection& connection : connections_) ::close(connection.fd);
    ::close(listener_.fd);
    ::close(stop_fd_);
  }

  int port() const { return listener_.port; }
  std::uint64_t requests() const {
    MutexLock lock(mu_);
    return requests_;
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
  std::vector<SimulatorRequest> ledger() const {
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
    while (requests_ < count) {
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
      const int fd = ::accept4(listener_.fd, nullptr, nullptr, SOCK_CLOEXEC);
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
      if (connections_.size() >= kConnectionsMax) {
        ::close(fd);
        continue;
      }
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      Connection& connection = connections_.emplace_back();
      connection.fd = fd;
      connection.number = ++connections_ever_;
      connection.thread = std::thread([this, &connection] { Serve(&connection); });
    }
  }

  void Serve(Connection* connection) {
    SimulatorReader reader(connection->fd);
    SimulatorSocket socket(connection->fd, stop_fd_);
    SimulatorSent sent;
    for (std::uint64_t n = 1;; ++n) {
      SimulatorRequest request;
      request.connection = connection->number;
      request.on_connection = n;
      if (!reader.Next(&request)) break;
      RouteSimulatorRequest(options_.dialect, &request);
      ReadSimulatorBody(&request);
      Record(connection, &request);
      SimulatorReply reply;
      if (script_) {
        MutexLock lock(script_mu_);
        reply = script_(request);
      }
      sent = Answer(&socket, request, reply);
      if (observer_) observer_(request, reply, sent);
      MutexLock lock(mu_);
      connection->is_busy = false;
      if (!sent.goes_on) break;
    }
    if (sent.resets) {
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

  void Record(Connection* connection, SimulatorRequest* request) {
    {
      MutexLock lock(mu_);
      connection->is_busy = true;
      request->number = ++requests_;
      request->arrived = SystemClock().Now();
      if (options_.keeps_requests) {
        ledger_.push_back(*request);
        for (const std::string& text : request->texts) ++received_[text];
      }
    }
    changed_.SignalAll();
  }

  SimulatorSent Answer(SimulatorSocket* socket, const SimulatorRequest& request,
                       const SimulatorReply& reply) {
    std::string body;
    if (reply.body) {
      body = *reply.body;
    } else if (reply.status == 200) {
      const std::int64_t otherwise = reply.dimensions.value_or(options_.dimensions);
      const std::int64_t dimensions =
          std::clamp<std::int64_t>(request.dimensions.value_or(otherwise), 1, kDimensionsMax);
      Rng rng(options_.seed ^ request.number << 32);
      body = WriteSimulatorBody(request, reply, static_cast<int>(dimensions), rng);
    } else {
      body = R"({"error":{"message":"status )" + std::to_string(reply.status) +
             R"( as the test asked","type":"test","code":null}})";
    }
    const SimulatorSent sent = socket->Send(reply, std::move(body));
    if (sent.is_whole && reply.status == 200 && options_.keeps_requests) {
      MutexLock lock(mu_);
      for (const std::string& text : request.texts) ++answered_[text];
    }
    return sent;
  }

  // Constant after construction.
  const SimulatorServerOptions options_;
  const Listener listener_;
  const Script script_;
  const Observer observer_;
  const int stop_fd_;
  std::thread acceptor_;
  // One call of the script at a time.
  Mutex script_mu_;
  // Guarded by mu_.
  mutable Mutex mu_;
  CondVar changed_;
  bool is_stopping_ EF_GUARDED_BY(mu_) = false;
  std::uint64_t connections_ever_ EF_GUARDED_BY(mu_) = 0;
  std::uint64_t requests_ EF_GUARDED_BY(mu_) = 0;
  std::list<Connection> connections_;  // Changed by the acceptor, under mu_.
  std::vector<SimulatorRequest> ledger_ EF_GUARDED_BY(mu_);
  std::map<std::string, std::uint64_t> received_ EF_GUARDED_BY(mu_);
  std::map<std::string, std::uint64_t> answered_ EF_GUARDED_BY(mu_);
};

Result<std::unique_ptr<SimulatorServer>> SimulatorServer::Listen(
    const SimulatorServerOptions& options, Script script, Observer observer) {
  EF_ASSIGN_OR_RETURN(const Listener listener, OpenListener(options.port));
  return std::unique_ptr<SimulatorServer>(new SimulatorServer(
      std::make_unique<Impl>(options, listener, std::move(script), std::move(observer))));
}

SimulatorServer::SimulatorServer(const SimulatorServerOptions& options, Script script)
    : impl_([&] {
        Result<Listener> listener = OpenListener(options.port);
        EF_CHECK(listener.ok());
        return std::make_unique<Impl>(options, *listener, std::move(script), Observer());
      }()) {}
SimulatorServer::SimulatorServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SimulatorServer::~SimulatorServer() = default;
int SimulatorServer::port() const { return impl_->port(); }
std::string SimulatorServer::base_url() const {
  return "http://127.0.0.1:" + std::to_string(port()) + "/v1";
}
std::uint64_t SimulatorServer::requests() const { return impl_->requests(); }
std::uint64_t SimulatorServer::connections() const { return impl_->connections(); }
std::map<std::string, std::uint64_t> SimulatorServer::texts_received() const {
  return impl_->received();
}
std::map<std::string, std::uint64_t> SimulatorServer::texts_answered() const {
  return impl_->answered();
}
std::vector<SimulatorRequest> SimulatorServer::ledger() const { return impl_->ledger(); }
void SimulatorServer::CloseIdleConnections() { impl_->CloseIdle(); }
bool SimulatorServer::WaitForRequests(std::uint64_t count) const { return impl_->WaitFor(count); }

}  // namespace embedflow
