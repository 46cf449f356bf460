#include "simulator/reply_body.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/json_writer.h"
#include "simulator/embedding.h"

namespace embedflow {
namespace {

using Flaw = SimulatorFlaw;
using Shape = SimulatorShape;

// A reader that recurses overflows its stack before this.
constexpr std::size_t kNestedLevels = 200'000;

bool ForcesBase64(Flaw flaw) {
  return flaw == Flaw::kBadBase64 || flaw == Flaw::kUrlBase64 || flaw == Flaw::kSpacedBase64 ||
         flaw == Flaw::kOddBase64;
}

bool ForcesFloats(Flaw flaw) {
  return flaw == Flaw::kNull || flaw == Flaw::kStrings || flaw == Flaw::kOverflow;
}

void AppendVectorAsBase64(std::string* out, std::span<const float> vector, Flaw flaw) {
  *out += '"';
  const std::size_t begin = out->size();
  AppendBase64(out, {reinterpret_cast<const char*>(vector.data()), vector.size_bytes()});
  if (flaw == Flaw::kBadBase64) (*out)[begin] = '*';
  if (flaw == Flaw::kUrlBase64) (*out)[begin] = '-';
  if (flaw == Flaw::kOddBase64) out->pop_back();
  if (flaw == Flaw::kSpacedBase64) out->insert(begin + (out->size() - begin) / 2, "\\n");
  *out += '"';
}

void AppendVectorAsFloats(std::string* out, std::span<const float> vector, Flaw flaw) {
  *out += '[';
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (i > 0) *out += ',';
    if (flaw == Flaw::kNull && i == 0) {
      *out += "null";
    } else if (flaw == Flaw::kOverflow && i == 0) {
      *out += "1e300";
    } else if (flaw == Flaw::kStrings) {
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
std::string IndexMember(std::size_t index, std::size_t count, Flaw flaw) {
  const bool first = index == 0;
  const bool last = index + 1 == count;
  std::string value = std::to_string(index);
  if (flaw == Flaw::kNoIndex || (flaw == Flaw::kSomeIndexes && first)) return {};
  if (flaw == Flaw::kRepeatedIndex && last) value = "0";
  if (flaw == Flaw::kNegativeIndex && first) value = "-1";
  if (flaw == Flaw::kFractionalIndex && first) value = "0.5";
  if (flaw == Flaw::kTextIndex && first) value = "\"0\"";
  if (flaw == Flaw::kLargeIndex && last) value = std::to_string(count);
  if (flaw == Flaw::kHugeIndex && last) value = "18446744073709551616";
  return ",\"index\":" + value;
}

// What stands around a list, or around nothing, in a shape.
std::string WithList(Shape shape, std::string_view list) {
  switch (shape) {
    case Shape::kOpenAi:
      return R"({"object":"list","data":)" + std::string(list) + "}";
    case Shape::kCohere:
      return R"({"id":"simulated","embeddings":{"float":)" + std::string(list) + "}}";
    case Shape::kGemini:
    case Shape::kOllama:
      return R"({"embeddings":)" + std::string(list) + "}";
    case Shape::kGeminiSingle:
      return R"({"embedding":{"values":)" + std::string(list) + "}}";
    case Shape::kTei:
    case Shape::kLlamaCpp:
      return std::string(list);
  }
  return {};
}

// Bodies that hold no vectors at all; nothing for other flaws.
std::optional<std::string> BodyWithoutVectors(Flaw flaw, Shape shape) {
  switch (flaw) {
    case Flaw::kErrorInside:
      return R"({"error":{"message":"the model is on fire","type":"server_error","code":null}})";
    case Flaw::kEmptyData:
      return WithList(shape, "[]");
    case Flaw::kNullData:
      return WithList(shape, "null");
    case Flaw::kNoData:
      return "{}";
    case Flaw::kEmptyBody:
      return "";
    case Flaw::kHtml:
      return "<html><body><h1>It works!</h1></body></html>";
    case Flaw::kNested:
      return std::string(kNestedLevels, '[');
    default:
      return std::nullopt;
  }
}

// Writes one body.
class BodyWriter {
 public:
  BodyWriter(const SimulatorRequest& request, const SimulatorReply& reply, int dimensions)
      : request_(request), flaw_(reply.flaw), cut_bytes_(reply.cut_bytes), dimensions_(dimensions) {
    is_base64_ = reply.is_base64.value_or(request.encoding_format == "base64");
    if (ForcesFloats(flaw_)) is_base64_ = false;
    if (ForcesBase64(flaw_)) is_base64_ = true;
    if (request.shape != Shape::kOpenAi && request.shape != Shape::kCohere) is_base64_ = false;
  }

  std::string Write(const std::vector<std::size_t>& order) {
    const std::size_t bytes =
        static_cast<std::size_t>(dimensions_) * (is_base64_ ? 16 : 39) / 3 + 64;
    out_.reserve(bytes * order.size() + 512);
    AppendHead();
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i > 0) out_ += ',';
      const std::size_t index = flaw_ == Flaw::kTooMany ? i : order[i];
      AppendEntry(request_.texts[order[i]], index, flaw_ == Flaw::kMissingVector && i == 0);
    }
    AppendTail();
    return std::move(out_);
  }

 private:
  void AppendHead() {
    switch (request_.shape) {
      case Shape::kOpenAi:
        out_ += R"({"object":"list","data":[)";
        break;
      case Shape::kCohere:
        out_ += R"({"id":"sim-)" + std::to_string(request_.number) + R"(","embeddings":{")";
        out_ += is_base64_ ? R"(base64":[)" : R"(float":[)";
        break;
      case Shape::kGemini:
        out_ += R"({"embeddings":[)";
        break;
      case Shape::kGeminiSingle:
        out_ += R"({"embedding":)";
        break;
      case Shape::kOllama:
        out_ += R"({"model":)";
        AppendJsonString(&out_, ModelInReply());
        out_ += R"(,"embeddings":[)";
        break;
      case Shape::kTei:
      case Shape::kLlamaCpp:
        out_ += '[';
        break;
    }
  }

  void AppendEntry(std::string_view text, std::size_t index, bool is_missing) {
    switch (request_.shape) {
      case Shape::kOpenAi:
        out_ += R"({"object":"embedding")";
        if (!is_missing) {
          out_ += R"(,"embedding":)";
          AppendVector(text);
        }
        out_ += IndexMember(index, request_.texts.size(), flaw_) + "}";
        break;
      case Shape::kGemini:
      case Shape::kGeminiSingle:
        out_ += is_missing ? "{" : R"({"values":)";
        if (!is_missing) AppendVector(text);
        out_ += '}';
        break;
      case Shape::kLlamaCpp:
        out_ += R"({"embedding":[)";
        if (!is_missing) AppendVector(text);
        out_ += "]" + IndexMember(index, request_.texts.size(), flaw_) + "}";
        break;
      case Shape::kCohere:
      case Shape::kOllama:
      case Shape::kTei:
        if (is_missing) {
          out_ += "null";
        } else {
          AppendVector(text);
        }
        break;
    }
  }

  void AppendVector(std::string_view text) {
    int dimensions = dimensions_;
    if (flaw_ == Flaw::kShortVector) dimensions = std::max(1, dimensions - 1);
    if (flaw_ == Flaw::kLongVector) dimensions += 1;
    if (cut_bytes_ > 0) text = text.substr(0, cut_bytes_);
    vector_.resize(static_cast<std::size_t>(dimensions));
    FillSimulatedVector(text, vector_);
    if (flaw_ == Flaw::kNan) vector_[0] = std::numeric_limits<float>::quiet_NaN();
    if (flaw_ == Flaw::kInfinity) vector_[0] = std::numeric_limits<float>::infinity();
    if (flaw_ == Flaw::kZero) std::fill(vector_.begin(), vector_.end(), 0.0f);
    if (flaw_ == Flaw::kHuge) std::fill(vector_.begin(), vector_.end(), 1e20f);
    if (flaw_ == Flaw::kDenormal) std::fill(vector_.begin(), vector_.end(), 1e-40f);
    if (is_base64_) {
      AppendVectorAsBase64(&out_, vector_, flaw_);
    } else {
      AppendVectorAsFloats(&out_, vector_, flaw_);
    }
  }

  std::string ModelInReply() const {
    return flaw_ == Flaw::kOtherModel ? "another-model" : request_.model;
  }

  std::string TokensInReply() const {
    return flaw_ == Flaw::kAbsurdUsage ? "-1" : std::to_string(SimulatedTokens(request_));
  }

  void AppendTail() {
    const bool has_usage = flaw_ != Flaw::kNoUsage;
    switch (request_.shape) {
      case Shape::kOpenAi:
        out_ += R"(],"model":)";
        AppendJsonString(&out_, ModelInReply());
        if (has_usage) AppendUsage();
        out_ += '}';
        break;
      case Shape::kCohere:
        out_ += R"(]},"texts":[)";
        for (std::size_t i = 0; i < request_.texts.size(); ++i) {
          if (i > 0) out_ += ',';
          AppendJsonString(&out_, request_.texts[i]);
        }
        out_ += R"(],"meta":{"api_version":{"version":"2"})";
        if (has_usage) out_ += R"(,"billed_units":{"input_tokens":)" + TokensInReply() + "}";
        out_ += R"(},"response_type":"embeddings_by_type"})";
        break;
      case Shape::kGemini:
        out_ += "]}";
        break;
      case Shape::kGeminiSingle:
        out_ += '}';
        break;
      case Shape::kOllama:
        out_ += R"(],"total_duration":1000000,"load_duration":1000)";
        if (has_usage) out_ += R"(,"prompt_eval_count":)" + TokensInReply();
        out_ += '}';
        break;
      case Shape::kTei:
      case Shape::kLlamaCpp:
        out_ += ']';
        break;
    }
  }

  void AppendUsage() {
    const std::string tokens = TokensInReply();
    out_ += R"(,"usage":{)";
    if (request_.dialect != SimulatorDialect::kVoyage) {
      out_ += R"("prompt_tokens":)" + tokens + ",";
    }
    out_ += R"("total_tokens":)" + tokens + "}";
    if (request_.dialect == SimulatorDialect::kMistral) {
      out_ += R"(,"id":"sim-)" + std::to_string(request_.number) + '"';
    }
  }

  const SimulatorRequest& request_;
  const Flaw flaw_;
  const std::size_t cut_bytes_;
  const int dimensions_;
  bool is_base64_ = false;
  std::vector<float> vector_;
  std::string out_;
};

}  // namespace

bool FlawApplies(SimulatorFlaw flaw, SimulatorShape shape) {
  switch (flaw) {
    case Flaw::kShuffled:
    case Flaw::kNoIndex:
    case Flaw::kSomeIndexes:
    case Flaw::kRepeatedIndex:
    case Flaw::kNegativeIndex:
    case Flaw::kFractionalIndex:
    case Flaw::kTextIndex:
    case Flaw::kLargeIndex:
    case Flaw::kHugeIndex:
      return shape == Shape::kOpenAi || shape == Shape::kLlamaCpp;
    case Flaw::kBadBase64:
    case Flaw::kUrlBase64:
    case Flaw::kSpacedBase64:
    case Flaw::kOddBase64:
      return shape == Shape::kOpenAi || shape == Shape::kCohere;
    case Flaw::kNoUsage:
    case Flaw::kAbsurdUsage:
      return shape == Shape::kOpenAi || shape == Shape::kCohere || shape == Shape::kOllama;
    case Flaw::kOtherModel:
      return shape == Shape::kOpenAi || shape == Shape::kOllama;
    case Flaw::kTooFew:
    case Flaw::kTooMany:
      return shape != Shape::kGeminiSingle;
    default:
      return true;
  }
}

std::string WriteSimulatorBody(const SimulatorRequest& request, const SimulatorReply& reply,
                               int dimensions, Rng& rng) {
  SimulatorReply applied = reply;
  if (!FlawApplies(reply.flaw, request.shape)) applied.flaw = Flaw::kNone;
  const Flaw flaw = applied.flaw;
  if (std::optional<std::string> body = BodyWithoutVectors(flaw, request.shape)) {
    return *std::move(body);
  }
  const std::size_t count = request.texts.size();
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (flaw == Flaw::kShuffled) {
    for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
  }
  if (flaw == Flaw::kTooFew && count > 0) order.pop_back();
  if (flaw == Flaw::kTooMany && count > 0) order.push_back(0);
  std::string body = BodyWriter(request, applied, dimensions).Write(order);
  if (flaw == Flaw::kTruncatedJson) body.resize(body.size() / 2);
  if (flaw == Flaw::kBadUtf8) body += "\xE2\x82";
  return body;
}

}  // namespace embedflow
