#include "tests/fakes/flaky_reply.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/hash.h"
#include "base/json_reader.h"
#include "base/json_writer.h"

namespace embedflow {
namespace {

class RequestHandler final : public JsonHandler {
 public:
  explicit RequestHandler(FlakyRequest* request) : request_(request) {}
  bool Null() override { return true; }
  bool Bool(bool) override { return true; }
  bool Number(std::string_view text) override {
    std::int64_t value = 0;
    if (depth_ == 1 && key_ == "dimensions" &&
        std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{}) {
      request_->dimensions = value;
    }
    return true;
  }
  bool String(std::string_view value) override {
    if (key_ == "input") request_->texts.emplace_back(value);
    if (depth_ == 1 && key_ == "model") request_->model = value;
    if (depth_ == 1 && key_ == "encoding_format") request_->encoding_format = value;
    return true;
  }
  bool StartObject() override { return ++depth_, true; }
  bool Key(std::string_view name) override { return key_ = name, true; }
  bool EndObject() override { return --depth_, true; }
  bool StartArray() override { return ++depth_, true; }
  bool EndArray() override { return --depth_, true; }

 private:
  FlakyRequest* const request_;
  std::string key_;
  int depth_ = 0;
};

std::vector<float> SpoiltVector(std::string_view text, int dimensions, FlakyFlaw flaw) {
  switch (flaw) {
    case FlakyFlaw::kShortVector:
      return FlakyVector(text, std::max(1, dimensions - 1));
    case FlakyFlaw::kLongVector:
      return FlakyVector(text, dimensions + 1);
    default:
      break;
  }
  std::vector<float> vector = FlakyVector(text, dimensions);
  if (flaw == FlakyFlaw::kNan) vector[0] = std::numeric_limits<float>::quiet_NaN();
  if (flaw == FlakyFlaw::kInfinity) vector[0] = std::numeric_limits<float>::infinity();
  if (flaw == FlakyFlaw::kZero) std::fill(vector.begin(), vector.end(), 0.0f);
  if (flaw == FlakyFlaw::kHuge) std::fill(vector.begin(), vector.end(), 1e20f);
  if (flaw == FlakyFlaw::kDenormal) std::fill(vector.begin(), vector.end(), 1e-40f);
  return vector;
}

void AppendBase64(std::string* out, const std::vector<float>& vector, FlakyFlaw flaw) {
  std::string text =
      ToBase64({reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
  if (flaw == FlakyFlaw::kBadBase64) text[0] = '*';
  if (flaw == FlakyFlaw::kUrlBase64) text[0] = '-';
  if (flaw == FlakyFlaw::kSpacedBase64) text.insert(text.size() / 2, "\\n");
  *out += '"' + text + '"';
}

void AppendFloats(std::string* out, const std::vector<float>& vector, FlakyFlaw flaw) {
  *out += '[';
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (i > 0) *out += ',';
    if (flaw == FlakyFlaw::kNull && i == 0) {
      *out += "null";
    } else if (flaw == FlakyFlaw::kStrings) {
      *out += "\"0.5\"";
    } else if (std::isnan(vector[i])) {
      *out += "NaN";
    } else if (std::isinf(vector[i])) {
      *out += "1e999";
    } else {
      AppendJsonNumber(out, vector[i]);
    }
  }
  *out += ']';
}

// ",\"index\":...", or nothing.
std::string IndexMember(std::size_t index, std::size_t count, FlakyFlaw flaw) {
  const bool first = index == 0;
  const bool last = index + 1 == count;
  std::string value = std::to_string(index);
  if (flaw == FlakyFlaw::kNoIndex || (flaw == FlakyFlaw::kSomeIndexes && first)) return {};
  if (flaw == FlakyFlaw::kRepeatedIndex && last) value = "0";
  if (flaw == FlakyFlaw::kNegativeIndex && first) value = "-1";
  if (flaw == FlakyFlaw::kFractionalIndex && first) value = "0.5";
  if (flaw == FlakyFlaw::kTextIndex && first) value = "\"0\"";
  if (flaw == FlakyFlaw::kLargeIndex && last) value = std::to_string(count);
  if (flaw == FlakyFlaw::kHugeIndex && last) value = "18446744073709551616";
  return ",\"index\":" + value;
}

// Bodies that hold no vectors at all; empty for other flaws.
std::optional<std::string> BodyWithoutVectors(FlakyFlaw flaw) {
  switch (flaw) {
    case FlakyFlaw::kErrorInside:
      return R"({"error":{"message":"the model is on fire","type":"server_error","code":null}})";
    case FlakyFlaw::kEmptyData:
      return R"({"object":"list","data":[]})";
    case FlakyFlaw::kNullData:
      return R"({"object":"list","data":null})";
    case FlakyFlaw::kNoData:
      return "{}";
    case FlakyFlaw::kEmptyBody:
      return "";
    case FlakyFlaw::kHtml:
      return "<html><body><h1>It works!</h1></body></html>";
    case FlakyFlaw::kNested:
      return std::string(200'000, '[');
    default:
      return {};
  }
}

}  // namespace

std::vector<float> FlakyVector(std::string_view text, int dimensions) {
  Rng rng(Checksum(text, static_cast<std::uint64_t>(dimensions)));
  std::vector<float> vector(static_cast<std::size_t>(dimensions));
  double square = 0;
  for (float& x : vector) {
    x = static_cast<float>(2 * rng.Uniform() - 1);
    square += static_cast<double>(x) * static_cast<double>(x);
  }
  const double length = std::sqrt(square);
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / length);
  return vector;
}

std::string ToBase64(std::string_view bytes) {
  static const char* kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  const auto byte = [&](std::size_t i) {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u;
  };
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const unsigned group = (byte(i) << 16) | (byte(i + 1) << 8) | byte(i + 2);
    out += kAlphabet[group >> 18];
    out += kAlphabet[(group >> 12) & 63u];
    out += i + 1 < bytes.size() ? kAlphabet[(group >> 6) & 63u] : '=';
    out += i + 2 < bytes.size() ? kAlphabet[group & 63u] : '=';
  }
  return out;
}

void ReadFlakyBody(FlakyRequest* request) {
  RequestHandler handler(request);
  if (!ParseJson(request->body, 16, &handler).ok()) {
    request->texts.clear();
    request->model.clear();
    request->encoding_format.clear();
    request->dimensions.reset();
  }
}

std::string WriteFlakyBody(const FlakyRequest& request, const FlakyReply& reply, int dimensions,
                           Rng& rng) {
  const FlakyFlaw flaw = reply.flaw;
  if (std::optional<std::string> body = BodyWithoutVectors(flaw)) return *std::move(body);
  bool is_base64 = reply.is_base64.value_or(request.encoding_format == "base64");
  if (flaw == FlakyFlaw::kNull || flaw == FlakyFlaw::kStrings) is_base64 = false;
  if (flaw == FlakyFlaw::kBadBase64 || flaw == FlakyFlaw::kUrlBase64 ||
      flaw == FlakyFlaw::kSpacedBase64) {
    is_base64 = true;
  }
  const std::size_t count = request.texts.size();
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (flaw == FlakyFlaw::kShuffled) {
    for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
  }
  if (flaw == FlakyFlaw::kTooFew && count > 0) order.pop_back();
  if (flaw == FlakyFlaw::kTooMany && count > 0) order.push_back(0);

  std::string body = R"({"object":"list","data":[)";
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::string& text = request.texts[order[i]];
    bytes += text.size();
    body += i > 0 ? ",{" : "{";
    body += "\"object\":\"embedding\"";
    if (!(flaw == FlakyFlaw::kMissingVector && i == 0)) {
      body += ",\"embedding\":";
      const std::vector<float> vector = SpoiltVector(text, dimensions, flaw);
      if (is_base64) {
        AppendBase64(&body, vector, flaw);
      } else {
        AppendFloats(&body, vector, flaw);
      }
    }
    body += IndexMember(flaw == FlakyFlaw::kTooMany ? i : order[i], count, flaw) + "}";
  }
  body += "],\"model\":";
  AppendJsonString(&body, request.model);
  if (flaw != FlakyFlaw::kNoUsage) {
    const std::string tokens = std::to_string((bytes + 3) / 4);
    body += ",\"usage\":{\"prompt_tokens\":" + tokens + ",\"total_tokens\":" + tokens + "}";
  }
  body += '}';
  if (flaw == FlakyFlaw::kTruncatedJson) body.resize(body.size() / 2);
  if (flaw == FlakyFlaw::kBadUtf8) body += "\xE2\x82";
  return body;
}

std::string ToGzip(std::string_view bytes) {
  std::string out("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10);
  const auto put = [&out](std::uint32_t value, int count) {  // Lowest byte first.
    for (int i = 0; i < count; ++i) out += static_cast<char>(value >> (8 * i));
  };
  // Stored blocks of at most 65,535 bytes each: nothing gets smaller, but it is gzip.
  std::uint32_t crc = 0xFFFFFFFFu;
  for (std::string_view rest = bytes;;) {
    const std::string_view block = rest.substr(0, 65535);
    rest.remove_prefix(block.size());
    put(rest.empty() ? 1 : 0, 1);
    put(static_cast<std::uint32_t>(block.size()), 2);
    put(~static_cast<std::uint32_t>(block.size()), 2);
    out += block;
    if (rest.empty()) break;
  }
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) ? 0xEDB88320u : 0u);
  }
  put(~crc, 4);
  put(static_cast<std::uint32_t>(bytes.size()), 4);
  return out;
}

std::string GzipBomb(std::size_t bytes) {
  // One deflate block with the fixed code: a space, then copies of 258 bytes from one byte back,
  // 13 bits each: the code of length 285 is 11000101, that of distance 1 is 00000.
  std::string out("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10);
  unsigned bits = 0;
  int held = 0;
  const auto put = [&](unsigned value, int count) {  // Lowest bit first.
    for (int i = 0; i < count; ++i) {
      bits |= ((value >> i) & 1u) << held;
      if (++held == 8) {
        out += static_cast<char>(bits);
        bits = 0;
        held = 0;
      }
    }
  };
  put(1, 1);           // The last block,
  put(1, 2);           // with the fixed code.
  put(0b00001010, 8);  // A space: 0x30 + 0x20 = 01010000, highest bit first.
  for (std::size_t copied = 0; copied + 258 < bytes; copied += 258) {
    put(0b10100011, 8);
    put(0, 5);
  }
  put(0, 7);  // The end.
  if (held > 0) put(0, 8 - held);
  out += std::string(8, '\0');
  return out;
}

}  // namespace embedflow
