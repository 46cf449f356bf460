#include "providers/error_reply.h"

#include <limits>

#include "base/json_reader.h"
#include "base/log.h"
#include "base/utf8.h"

namespace embedflow {
namespace {

constexpr int kDepthMax = 64;
constexpr std::size_t kQuotaIdsBytesMax = 1000;

// Takes the outermost message, type and code; of equally deep ones the first.
class ErrorHandler final : public JsonHandler {
 public:
  bool Null() override { return true; }
  bool Bool(bool) override { return true; }
  bool Number(std::string_view text) override {
    if (key_ == "code") Take(&code_depth_, &reply_.code, text);
    return true;
  }
  bool String(std::string_view value) override {
    if (value.empty()) return true;
    if (key_ == "message" || key_ == "error" || key_ == "detail" || key_ == "msg")
      Take(&message_depth_, &reply_.message, value);
    // Google's status is what others call the type.
    if (key_ == "type" || key_ == "error_type" || key_ == "status") {
      Take(&type_depth_, &reply_.type, value);
    }
    if (key_ == "quotaId" && reply_.quota_ids.size() < kQuotaIdsBytesMax) {
      reply_.quota_ids += (reply_.quota_ids.empty() ? "" : " ") + std::string(value);
    }
    if (key_ == "retryDelay" && reply_.retry_delay.empty()) reply_.retry_delay = value;
    if (key_ == "reason" && reply_.reason.empty()) reply_.reason = value;
    if (key_ == "code") Take(&code_depth_, &reply_.code, value);
    return true;
  }
  bool StartObject() override { return Deeper(); }
  bool Key(std::string_view name) override {
    key_ = name.substr(0, 16);
    return true;
  }
  bool EndObject() override { return Back(); }
  bool StartArray() override { return Deeper(); }
  bool EndArray() override { return Back(); }

  ErrorReply Take() { return std::move(reply_); }

 private:
  bool Deeper() { return ++depth_, true; }
  bool Back() {
    key_.clear();
    return --depth_, true;
  }
  void Take(int* best, std::string* out, std::string_view value) {
    if (depth_ >= *best) return;
    *best = depth_;
    *out = value;
  }

  int depth_ = 0;
  std::string key_;
  ErrorReply reply_;
  int message_depth_ = std::numeric_limits<int>::max();
  int type_depth_ = std::numeric_limits<int>::max();
  int code_depth_ = std::numeric_limits<int>::max();
};

}  // namespace

ErrorReply ReadError(std::string_view body) {
  if (IsValidUtf8(body)) {
    ErrorHandler handler;
    if (ParseJson(body, kDepthMax, &handler).ok()) return handler.Take();
  }
  ErrorReply plain;
  plain.message = body;
  return plain;
}

std::string Wording(std::string_view words, std::size_t bytes_max) {
  // Redaction comes first: a key that is cut in two would be no longer recognised.
  return EscapeControl(Redact(words), bytes_max);
}

std::string DescribeError(std::string_view body) {
  const std::string words = Wording(ReadError(body).message);
  return words.empty() ? "no words" : words;
}

}  // namespace embedflow
