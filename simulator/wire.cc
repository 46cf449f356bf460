#include "simulator/wire.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>

#include "simulator/gzip.h"

namespace embedflow {
namespace {

constexpr std::size_t kHeaderFloodBytes = 20u << 20;
constexpr std::size_t kGiantChunkBytes = 64u << 10;
// Long enough for every client to lose patience.
constexpr Duration kStall = std::chrono::hours(24);

std::string Chunk(std::string_view data) {
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), data.size(), 16).ptr;
  return std::string(size.data(), end) + "\r\n" + std::string(data) + "\r\n";
}

std::string InTwoChunks(std::string_view body) {
  std::string chunks;
  const std::size_t half = body.size() / 2 + 1;
  if (!body.empty()) chunks += Chunk(body.substr(0, half));
  if (body.size() > half) chunks += Chunk(body.substr(half));
  return chunks + "0\r\n\r\n";
}

std::string_view ReasonOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Simulated";
  }
}

// Up to and without the line that says how long the body is.
std::string HeadOf(const SimulatorReply& reply) {
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " ";
  head += std::string(ReasonOf(reply.status)) + "\r\n";
  bool has_type = false;
  for (const auto& [name, value] : reply.headers) {
    has_type |= LowerAscii(name) == "content-type";
    head.append(name).append(": ").append(value).append("\r\n");
  }
  if (!has_type) head += "Content-Type: application/json\r\n";
  if (reply.wire == SimulatorWire::kGzip) head += "Content-Encoding: gzip\r\n";
  return head;
}

}  // namespace

void MakeCloseReset(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

bool SimulatorSocket::Pause(Duration time) const {
  const TimePoint end = std::chrono::steady_clock::now() + time;
  while (true) {
    const Duration left = end - std::chrono::steady_clock::now();
    if (left <= Duration::zero()) return true;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec timeout{
        static_cast<std::time_t>(seconds.count()),
        static_cast<long>(std::chrono::nanoseconds(left - seconds)
                              .count())};  // NOLINT(google-runtime-int): timespec's type.
    std::array<pollfd, 2> waits{{{fd_, POLLRDHUP, 0}, {stop_fd_, POLLIN, 0}}};
    const int ready = ::ppoll(waits.data(), waits.size(), &timeout, nullptr);
    if (ready > 0 || (ready < 0 && errno != EINTR)) return false;
  }
}

bool SimulatorSocket::SendAll(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool SimulatorSocket::SendBoth(std::string_view head, std::string_view body) const {
  std::array<iovec, 2> parts{{{const_cast<char*>(head.data()), head.size()},
                              {const_cast<char*>(body.data()), body.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  const ssize_t n = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
  if (n <= 0) return false;
  const auto sent = static_cast<std::size_t>(n);
  if (sent < head.size()) return SendAll(head.substr(sent)) && SendAll(body);
  return SendAll(body.substr(sent - head.size()));
}

SimulatorSent SimulatorSocket::Send(const SimulatorReply& reply, std::string body) {
  SimulatorSent sent;
  if (!Pause(reply.delay + reply.latency)) return sent;
  switch (reply.wire) {
    case SimulatorWire::kStall:
      Pause(kStall);
      return sent;
    case SimulatorWire::kCloseNoReply:
      return sent;
    case SimulatorWire::kResetNoReply:
      sent.resets = true;
      return sent;
    case SimulatorWire::kGarbage:
      SendAll("220 mail.example ESMTP\r\n");
      return sent;
    case SimulatorWire::kGiant:
    case SimulatorWire::kGzipBomb:
      sent.has_begun = true;
      sent.goes_on = SendGiant(reply) && !reply.closes_after;
      return sent;
    case SimulatorWire::kHeaderFlood:
      sent.has_begun = true;
      sent.goes_on = SendHeaderFlood();
      return sent;
    default:
      break;
  }
  std::string head = HeadOf(reply);
  if (reply.wire == SimulatorWire::kGzip) body = ToGzip(body);
  if (reply.wire == SimulatorWire::kChunked) {
    head += "Transfer-Encoding: chunked\r\n\r\n";
    body = InTwoChunks(body);
  } else if (reply.wire == SimulatorWire::kNoLength) {
    head += "Connection: close\r\n\r\n";
  } else {
    head += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  }
  return SendPieces(reply, head, body);
}

SimulatorSent SimulatorSocket::SendPieces(const SimulatorReply& reply, std::string_view head,
                                          std::string_view body) const {
  SimulatorSent sent;
  sent.has_begun = true;
  switch (reply.wire) {
    case SimulatorWire::kTruncatedLength:
      SendBoth(head, body.substr(0, body.size() / 2));
      return sent;
    case SimulatorWire::kResetMidBody:
      sent.resets = true;
      SendBoth(head, body.substr(0, body.size() / 2));
      return sent;
    case SimulatorWire::kResetMidHead:
      sent.resets = true;
      SendAll(head.substr(0, head.size() / 2));
      return sent;
    case SimulatorWire::kSlices:
    case SimulatorWire::kDrip:
      sent.is_whole = SendByteWise(reply, head) && SendByteWise(reply, body);
      break;
    default:
      sent.is_whole = SendBoth(head, body);
  }
  sent.goes_on = sent.is_whole && !reply.closes_after && reply.wire != SimulatorWire::kNoLength;
  return sent;
}

bool SimulatorSocket::SendByteWise(const SimulatorReply& reply, std::string_view bytes) const {
  for (const char& c : bytes) {
    if (reply.wire == SimulatorWire::kDrip &&
        !Pause(reply.drip ? Duration(*reply.drip) : Duration(reply.delay))) {
      return false;
    }
    if (!SendAll({&c, 1})) return false;
  }
  return true;
}

bool SimulatorSocket::SendGiant(const SimulatorReply& reply) const {
  std::string head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
  if (reply.wire == SimulatorWire::kGzipBomb) {
    const std::string bomb = GzipBomb(reply.giant_bytes);
    head += "Content-Encoding: gzip\r\nContent-Length: " + std::to_string(bomb.size());
    return SendBoth(head + "\r\n\r\n", bomb);
  }
  if (!SendAll(head + "Transfer-Encoding: chunked\r\n\r\n")) return false;
  const std::string chunk = Chunk(std::string(kGiantChunkBytes, ' '));
  for (std::size_t sent = 0; sent < reply.giant_bytes; sent += kGiantChunkBytes) {
    if (!SendAll(chunk)) return false;
  }
  return SendAll("0\r\n\r\n");
}

bool SimulatorSocket::SendHeaderFlood() const {
  if (!SendAll("HTTP/1.1 200 OK\r\n")) return false;
  const std::string header = "X-Flood: " + std::string(1000, 'x') + "\r\n";
  for (std::size_t sent = 0; sent < kHeaderFloodBytes; sent += header.size()) {
    if (!SendAll(header)) return false;
  }
  return SendAll("Content-Length: 0\r\n\r\n");
}

}  // namespace embedflow
