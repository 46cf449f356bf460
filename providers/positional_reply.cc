#include "providers/positional_reply.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "providers/floats.h"

namespace embedflow {
namespace {

// Above this a count of tokens is a mistake.
constexpr double kModelTokensMax = 9007199254740992.0;

// Follows the way through the reply: one name a level, empty inside arrays.
class PositionalHandler final : public VectorsHandler {
 public:
  PositionalHandler(PositionalShape shape, std::size_t inputs, std::size_t dimensions,
                    std::span<float> vectors)
      : shape_(std::move(shape)), inputs_(inputs), dimensions_(dimensions), vectors_(vectors) {}

  bool Null() override { return Odd("null"); }
  bool Bool(bool) override { return Odd("a boolean"); }
  bool Number(std::string_view text) override;
  bool String(std::string_view value) override;
  bool StartObject() override;
  bool Key(std::string_view name) override {
    path_.back() = name;
    return true;
  }
  bool EndObject() override;
  bool StartArray() override;
  bool EndArray() override;

  const std::string& refusal() const override { return refusal_; }
  bool has_error() const override { return has_error_; }
  std::optional<std::uint64_t> model_tokens() const override { return model_tokens_; }
  std::size_t base64_bytes() const override { return (dimensions_ * sizeof(float) + 2) / 3 * 4; }
  std::string Finish() override;

 private:
  // Outside the rows; among them; in an entry that is an object; among a vector's numbers.
  enum class Where { kOutside, kRows, kEntry, kNumbers };

  bool Refuse(std::string why) {
    refusal_ = std::move(why);
    return false;
  }
  bool RefuseVector(const std::string& what) {
    return Refuse("vector " + std::to_string(std::max<std::size_t>(rows_, 1) - 1) + " " + what);
  }
  // A value of a kind that belongs nowhere but into what is not read.
  bool Odd(const char* kind);
  bool AtRows() const {
    return where_ == Where::kOutside &&
           std::any_of(shape_.rows.begin(), shape_.rows.end(), [this](const auto& way) {
             return std::equal(way.begin(), way.end(), path_.begin(), path_.end());
           });
  }
  bool IsVectorNext() const {
    return (where_ == Where::kRows && shape_.row.empty()) ||
           (where_ == Where::kEntry && path_.size() == entry_depth_ && path_.back() == shape_.row);
  }
  bool BeginVector();
  std::span<float> Row() const { return vectors_.subspan((rows_ - 1) * dimensions_, dimensions_); }

  // Constant after construction.
  const PositionalShape shape_;
  const std::size_t inputs_;
  const std::size_t dimensions_;
  const std::span<float> vectors_;
  // The parse.
  Where where_ = Where::kOutside;
  std::vector<std::string> path_;
  std::size_t rows_depth_ = 0;   // Of the array of rows, in levels of path_.
  std::size_t entry_depth_ = 0;  // Of the entry at hand.
  std::size_t rows_ = 0;         // Begun.
  std::size_t filled_ = 0;       // Floats of the vector at hand.
  bool rows_seen_ = false;
  bool entry_has_vector_ = false;
  bool has_error_ = false;
  std::optional<std::uint64_t> model_tokens_;
  std::string refusal_;
};

bool PositionalHandler::Odd(const char* kind) {
  if (where_ == Where::kNumbers) return RefuseVector(std::string("holds ") + kind);
  if (where_ == Where::kRows) {
    return Refuse("an entry of the vectors is " + std::string(kind));
  }
  if (IsVectorNext()) return RefuseVector(std::string("is ") + kind);
  // Types that were not asked for may be null.
  if (AtRows() && kind != std::string_view("null")) {
    return Refuse("where the vectors belong is " + std::string(kind));
  }
  has_error_ |= path_.size() == 1 && path_[0] == "error" && kind != std::string_view("null");
  return true;
}

bool PositionalHandler::BeginVector() {
  if (where_ == Where::kEntry) {
    if (entry_has_vector_) return RefuseVector("is given twice");
    entry_has_vector_ = true;
    return true;
  }
  if (rows_ == inputs_) {
    return Refuse("the reply holds more than the " + std::to_string(inputs_) +
                  " vectors asked for");
  }
  ++rows_;
  return true;
}

bool PositionalHandler::Number(std::string_view text) {
  if (where_ == Where::kNumbers) {
    const std::size_t width = FloatsPerNumber(shape_.dtype);
    if (filled_ + width > dimensions_) {
      return RefuseVector("has more than " + std::to_string(dimensions_) + " dimensions");
    }
    if (!ReadNumber(shape_.dtype, text, Row().subspan(filled_, width))) {
      return RefuseVector(std::string("holds a number that is no ") +
                          OutputDtypeName(shape_.dtype));
    }
    filled_ += width;
    return true;
  }
  const auto& way = shape_.model_tokens;
  if (where_ == Where::kOutside && !way.empty() &&
      std::equal(way.begin(), way.end(), path_.begin(), path_.end())) {
    // Cohere writes counts as 12.0.
    double count = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), count);
    if (result.ec == std::errc{} && count >= 0 && count <= kModelTokensMax) {
      model_tokens_ = static_cast<std::uint64_t>(count);
    }
    return true;
  }
  return Odd("a number");
}

bool PositionalHandler::String(std::string_view value) {
  if (!IsVectorNext() || shape_.dtype != OutputDtype::kFloat) return Odd("a string");
  if (!BeginVector()) return false;
  if (DecodeBase64Floats(value, Row())) return true;
  const std::size_t expected = base64_bytes();
  if (value.size() == expected) return RefuseVector("is not base64");
  return RefuseVector("has " + std::to_string(value.size()) + " base64 characters, " +
                      std::to_string(expected) + " make " + std::to_string(dimensions_) +
                      " dimensions");
}

bool PositionalHandler::StartObject() {
  const bool is_entry = where_ == Where::kRows && !shape_.row.empty();
  if (is_entry) {
    if (!BeginVector()) return false;
    where_ = Where::kEntry;
    entry_has_vector_ = false;
    entry_depth_ = path_.size() + 1;
  } else if (!Odd("an object")) {
    return false;
  }
  path_.emplace_back();
  return true;
}

bool PositionalHandler::EndObject() {
  if (where_ == Where::kEntry && path_.size() == entry_depth_) {
    if (!entry_has_vector_) return RefuseVector("is missing");
    where_ = Where::kRows;
  }
  path_.pop_back();
  return true;
}

bool PositionalHandler::StartArray() {
  if (AtRows()) {
    if (rows_seen_) return Refuse("the reply holds its vectors twice");
    rows_seen_ = true;
    where_ = Where::kRows;
    rows_depth_ = path_.size() + 1;
  } else if (IsVectorNext()) {
    if (!BeginVector()) return false;
    where_ = Where::kNumbers;
    filled_ = 0;
  } else if (!Odd("an array")) {
    return false;
  }
  path_.emplace_back();
  return true;
}

bool PositionalHandler::EndArray() {
  path_.pop_back();
  if (where_ == Where::kNumbers) {
    where_ = shape_.row.empty() ? Where::kRows : Where::kEntry;
    if (filled_ == dimensions_) return true;
    return RefuseVector("has " + std::to_string(filled_) + " dimensions instead of " +
                        std::to_string(dimensions_));
  }
  if (where_ == Where::kRows && path_.size() + 1 == rows_depth_) where_ = Where::kOutside;
  return true;
}

std::string PositionalHandler::Finish() {
  if (!rows_seen_) return "the reply holds no vectors";
  if (rows_ != inputs_) {
    return "the reply holds " + std::to_string(rows_) + " vectors, " + std::to_string(inputs_) +
           " were asked for";
  }
  for (std::size_t i = 0; i < inputs_; ++i) {
    if (const char* why = WhyUnusable(vectors_.subspan(i * dimensions_, dimensions_))) {
      return "vector " + std::to_string(i) + " " + why;
    }
  }
  return {};
}

}  // namespace

std::unique_ptr<VectorsHandler> NewPositionalHandler(PositionalShape shape, std::size_t inputs,
                                                     int dimensions, std::span<float> vectors) {
  EF_CHECK(dimensions > 0 && vectors.size() == inputs * static_cast<std::size_t>(dimensions));
  return std::make_unique<PositionalHandler>(std::move(shape), inputs,
                                             static_cast<std::size_t>(dimensions), vectors);
}

}  // namespace embedflow
