#include "tests/fakes/flaky_request.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

namespace embedflow {
namespace {

constexpr std::size_t kHeadBytesMax = 64u << 10;
constexpr std::size_t kBodyBytesMax = 256u << 20;

// Returns the length of the body.
std::size_t ReadHead(std::string_view head, FlakyRequest* request) {
  std::size_t length = 0;
  bool first = true;
  while (!head.empty()) {
    const std::size_t end = head.find("\r\n");
    const std::string line(head.substr(0, end));
    head.remove_prefix(end + 2);
    if (std::exchange(first, false)) {
      const std::size_t space = std::min(line.find(' '), line.size());
      request->method = line.substr(0, space);
      const std::string rest = line.substr(std::min(space + 1, line.size()));
      request->target = rest.substr(0, rest.find(' '));
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string value = line.substr(colon + 1);
    value.erase(0, value.find_first_not_of(' '));
    request->headers.emplace_back(LowerAscii(line.substr(0, colon)), value);
    if (request->headers.back().first == "content-length")
      std::from_chars(value.data(), value.data() + value.size(), length);
  }
  return length;
}

}  // namespace

std::string LowerAscii(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

std::string FlakyRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

bool FlakyReader::More() {
  std::array<char, 65536> block;
  const ssize_t n = ::recv(fd_, block.data(), block.size(), 0);
  if (n <= 0) return false;
  buffer_.append(block.data(), static_cast<std::size_t>(n));
  return true;
}

bool FlakyReader::Next(FlakyRequest* request) {
  std::size_t head_end = std::string::npos;
  while ((head_end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (buffer_.size() > kHeadBytesMax || !More()) return false;
  }
  const std::size_t length = ReadHead(buffer_.substr(0, head_end + 2), request);
  if (length > kBodyBytesMax) return false;
  while (buffer_.size() < head_end + 4 + length) {
    if (!More()) return false;
  }
  request->body = buffer_.substr(head_end + 4, length);
  buffer_.erase(0, head_end + 4 + length);
  return true;
}

}  // namespace embedflow
