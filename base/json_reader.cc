#include "base/json_reader.h"

#include <string>

// A failed assertion inside RapidJSON would be a fault of this file, never of the input.
#include "base/check.h"
#define RAPIDJSON_ASSERT(condition) EF_CHECK(condition)
#define RAPIDJSON_HAS_STDSTRING 0
#if defined(__SSE2__)
#define RAPIDJSON_SSE2
#endif
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

namespace embedflow {
namespace {

// Adapts RapidJSON's events and counts the depth.
class Adapter {
 public:
  Adapter(int depth_max, JsonHandler* handler) : depth_max_(depth_max), handler_(handler) {}

  bool Null() { return handler_->Null(); }
  bool Bool(bool value) { return handler_->Bool(value); }
  // Never called: numbers arrive through RawNumber.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return handler_->Number({text, size});
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return handler_->String({text, size});
  }
  bool StartObject() { return Deeper() && handler_->StartObject(); }
  bool Key(const char* text, rapidjson::SizeType size, bool) { return handler_->Key({text, size}); }
  bool EndObject(rapidjson::SizeType) {
    --depth_;
    return handler_->EndObject();
  }
  bool StartArray() { return Deeper() && handler_->StartArray(); }
  bool EndArray(rapidjson::SizeType) {
    --depth_;
    return handler_->EndArray();
  }

  bool too_deep() const { return too_deep_; }

 private:
  bool Deeper() {
    too_deep_ = ++depth_ > depth_max_;
    return !too_deep_;
  }

  const int depth_max_;
  JsonHandler* const handler_;
  int depth_ = 0;
  bool too_deep_ = false;
};

std::string Describe(rapidjson::ParseErrorCode code) {
  switch (code) {
    case rapidjson::kParseErrorDocumentEmpty:
      return "it is empty";
    case rapidjson::kParseErrorDocumentRootNotSingular:
      return "something follows the value";
    case rapidjson::kParseErrorStringMissQuotationMark:
      return "ends inside a string";
    case rapidjson::kParseErrorStringUnicodeSurrogateInvalid:
      return "lone surrogate in a string";
    default:
      break;
  }
  std::string text = rapidjson::GetParseError_En(code);
  if (!text.empty() && text.back() == '.') text.pop_back();
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z')
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

}  // namespace

Status ParseJson(std::string_view text, int depth_max, JsonHandler* handler) {
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::MemoryStream bytes(text.data(), text.size());
  rapidjson::EncodedInputStream<rapidjson::UTF8<>, rapidjson::MemoryStream> stream(bytes);
  rapidjson::Reader reader;
  Adapter adapter(depth_max, handler);
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, adapter);
  if (!result.IsError()) {
    // To RapidJSON a NUL is the end of the text, wherever it stands.
    if (bytes.Tell() >= text.size()) return {};
    return {Code::kInvalidArgument,
            "not JSON: something follows the value, byte " + std::to_string(bytes.Tell())};
  }
  const std::string at = ", byte " + std::to_string(result.Offset());
  if (adapter.too_deep()) {
    return {Code::kInvalidArgument,
            "not JSON: nested deeper than " + std::to_string(depth_max) + " levels" + at};
  }
  if (result.Code() == rapidjson::kParseErrorTermination)
    return {Code::kInvalidArgument, "stopped" + at};
  return {Code::kInvalidArgument, "not JSON: " + Describe(result.Code()) + at};
}

}  // namespace embedflow
