#include "simulator/request.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/json_reader.h"

namespace embedflow {
namespace {

constexpr std::size_t kHeadBytesMax = 64u << 10;
constexpr std::size_t kBodyBytesMax = 256u << 20;
constexpr std::size_t kReadBytes = 256u << 10;
constexpr int kBodyDepthMax = 16;

struct BodyForm {
  std::size_t length = 0;
  bool is_chunked = false;
};

BodyForm ReadHead(std::string_view head, SimulatorRequest* request) {
  BodyForm form;
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
    const std::string& name = request->headers.back().first;
    if (name == "content-length") {
      std::from_chars(value.data(), value.data() + value.size(), form.length);
    }
    if (name == "transfer-encoding") form.is_chunked = LowerAscii(value) == "chunked";
  }
  return form;
}

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Whether texts stand under this name in requests of a shape.
bool IsInputOf(SimulatorShape shape, std::string_view name) {
  switch (shape) {
    case SimulatorShape::kOpenAi:
    case SimulatorShape::kOllama:
      return name == "input";
    case SimulatorShape::kCohere:
      return name == "texts";
    case SimulatorShape::kGemini:
      return name == "requests";
    case SimulatorShape::kGeminiSingle:
      return name == "content";
    case SimulatorShape::kTei:
      return name == "inputs";
    case SimulatorShape::kLlamaCpp:
      return name == "content" || name == "input";
  }
  return false;
}

// Takes the members that any dialect has; what it does not know it passes over.
class BodyHandler final : public JsonHandler {
 public:
  explicit BodyHandler(SimulatorRequest* request) : request_(request) {}
  bool Null() override { return true; }
  bool Bool(bool value) override {
    if (depth_ == 1 && IsOneOf(key_, {"truncate", "truncation"})) request_->truncates = value;
    return true;
  }
  bool Number(std::string_view text) override {
    if (InTexts()) request_->has_token_ids = true;
    std::int64_t value = 0;
    if (IsOneOf(key_, {"dimensions", "output_dimension", "outputDimensionality"}) &&
        std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{}) {
      request_->dimensions = value;
    }
    return true;
  }
  bool String(std::string_view value) override {
    if (InTexts()) request_->texts.emplace_back(value);
    if (is_in_parts_ && key_ == "text") request_->texts.back() += value;
    if (key_ == "model" && (depth_ == 1 || top_ == "requests")) request_->model = value;
    if (top_ == "embedding_types" && value == "base64") request_->encoding_format = value;
    if (depth_ != 1) return true;
    if (IsOneOf(key_, {"encoding_format", "embedding_type"})) request_->encoding_format = value;
    if (key_ == "input_type") request_->has_input_type = true;
    if (key_ == "truncate") request_->truncates = value != "NONE";
    return true;
  }
  bool StartObject() override { return ++depth_, true; }
  bool Key(std::string_view name) override {
    key_ = name;
    if (depth_ == 1) {
      top_ = name;
      request_->has_input |= IsInputOf(request_->shape, name);
    }
    return true;
  }
  bool EndObject() override { return --depth_, true; }
  bool StartArray() override {
    ++depth_;
    // Gemini's text comes in parts.
    if (key_ == "parts" && IsOneOf(top_, {"requests", "content"})) {
      request_->texts.emplace_back();
      is_in_parts_ = true;
    }
    return true;
  }
  bool EndArray() override {
    --depth_;
    is_in_parts_ = false;
    return true;
  }

 private:
  bool InTexts() const {
    return key_ == top_ && IsOneOf(key_, {"input", "inputs", "texts", "content"});
  }

  SimulatorRequest* const request_;
  std::string key_;  // The last one.
  std::string top_;  // The last one of the outermost object.
  bool is_in_parts_ = false;
  int depth_ = 0;
};

}  // namespace

std::string LowerAscii(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

std::string SimulatorRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::string_view SimulatorRequest::path() const {
  return std::string_view(target).substr(0, target.find('?'));
}

std::uint64_t SimulatedTokens(const SimulatorRequest& request) {
  std::uint64_t bytes = 0;
  for (const std::string& text : request.texts) bytes += text.size();
  return SimulatedTokens(bytes);
}

bool SimulatorReader::More() {
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kReadBytes);
  const ssize_t n = ::recv(fd_, buffer_.data() + before, kReadBytes, 0);
  buffer_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return n > 0;
}

bool SimulatorReader::ReadBody(std::size_t length, std::string* body) {
  if (body->size() + length > kBodyBytesMax) return false;
  while (buffer_.size() < length) {
    if (!More()) return false;
  }
  body->append(buffer_, 0, length);
  buffer_.erase(0, length);
  return true;
}

bool SimulatorReader::ReadChunkedBody(std::string* body) {
  while (true) {
    std::size_t end = std::string::npos;
    while ((end = buffer_.find("\r\n")) == std::string::npos) {
      if (buffer_.size() > kHeadBytesMax || !More()) return false;
    }
    std::size_t size = 0;
    const auto read = std::from_chars(buffer_.data(), buffer_.data() + end, size, 16);
    if (read.ec != std::errc{} || size > kBodyBytesMax) return false;
    buffer_.erase(0, end + 2);
    if (!ReadBody(size, body)) return false;
    std::string line_end;
    if (!ReadBody(2, &line_end) || line_end != "\r\n") return false;
    if (size == 0) return true;
  }
}

bool SimulatorReader::Next(SimulatorRequest* request) {
  std::size_t head_end = std::string::npos;
  while ((head_end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (buffer_.size() > kHeadBytesMax || !More()) return false;
  }
  const BodyForm form = ReadHead(std::string_view(buffer_).substr(0, head_end + 2), request);
  buffer_.erase(0, head_end + 4);
  return form.is_chunked ? ReadChunkedBody(&request->body) : ReadBody(form.length, &request->body);
}

void ReadSimulatorBody(SimulatorRequest* request) {
  BodyHandler handler(request);
  const Status status = ParseJson(request->body, kBodyDepthMax, &handler);
  if (status.ok()) return;
  request->texts.clear();
  request->model.clear();
  request->encoding_format.clear();
  request->dimensions.reset();
  request->truncates.reset();
  request->has_input = request->has_input_type = request->has_token_ids = false;
  request->body_error = status.message();
}

}  // namespace embedflow
