#include "providers/embeddings_reply.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "providers/floats.h"

namespace embedflow {
namespace {

// Above this a count of tokens is a mistake.
constexpr std::uint64_t kModelTokensMax = std::uint64_t{1} << 53;

// Collects the vectors in the order in which they come; Finish() puts them into place.
class ReplyHandler final : public VectorsHandler {
 public:
  ReplyHandler(std::size_t inputs, std::size_t dimensions, OutputDtype dtype,
               std::span<float> vectors)
      : inputs_(inputs), dimensions_(dimensions), dtype_(dtype), vectors_(vectors) {}

  bool Null() override {
    if (skipped_ > 0) return true;
    if (where_ == Where::kEmbedding) return Refuse("holds null among its numbers");
    if (where_ == Where::kData) return Refuse("is null");
    if (where_ == Where::kStart) return Refuse("", "the reply is null");
    if (where_ == Where::kEntry && field_ == Field::kEmbedding) return Refuse("is null");
    if (where_ == Where::kTop && field_ == Field::kData) return Refuse("", "data is null");
    return true;
  }
  bool Bool(bool) override { return Odd("a boolean"); }
  bool Number(std::string_view text) override;
  bool String(std::string_view value) override;
  bool StartObject() override;
  bool Key(std::string_view name) override;
  bool EndObject() override;
  bool StartArray() override;
  bool EndArray() override;

  const std::string& refusal() const override { return refusal_; }
  bool has_error() const override { return has_error_; }
  std::optional<std::uint64_t> model_tokens() const override {
    return total_tokens_ ? total_tokens_ : prompt_tokens_;
  }
  std::size_t base64_bytes() const override { return (dimensions_ * sizeof(float) + 2) / 3 * 4; }
  std::string Finish() override;

 private:
  enum class Where { kStart, kTop, kData, kEntry, kEmbedding, kUsage, kEnd };
  enum class Field { kOther, kData, kUsage, kError, kIndex, kEmbedding, kTotal, kPrompt };

  bool Refuse(const std::string& what, const std::string& whole = {});
  // A value of a kind that only belongs into fields we do not read.
  bool Odd(const char* kind);
  std::span<float> Row(std::size_t i) const {
    return vectors_.subspan(i * dimensions_, dimensions_);
  }
  std::string PlaceByIndex();

  // Constant after construction.
  const std::size_t inputs_;
  const std::size_t dimensions_;
  const OutputDtype dtype_;
  const std::span<float> vectors_;
  // The parse.
  Where where_ = Where::kStart;
  Field field_ = Field::kOther;
  int skipped_ = 0;         // Levels inside a value that is not read.
  std::size_t filled_ = 0;  // Floats of the vector at hand.
  bool entry_has_embedding_ = false;
  bool data_seen_ = false;
  bool has_error_ = false;
  std::vector<std::optional<std::uint64_t>> indexes_;  // One an entry.
  std::optional<std::uint64_t> total_tokens_, prompt_tokens_;
  std::string refusal_;
};

bool ReplyHandler::Refuse(const std::string& what, const std::string& whole) {
  refusal_ =
      whole.empty()
          ? "vector " + std::to_string(indexes_.empty() ? 0 : indexes_.size() - 1) + " " + what
          : whole;
  return false;
}

bool ReplyHandler::Odd(const char* kind) {
  if (skipped_ > 0) return true;
  switch (where_) {
    case Where::kStart:
      return Refuse("", std::string("the reply is ") + kind);
    case Where::kData:
      return Refuse("", std::string("an entry of data is ") + kind);
    case Where::kEmbedding:
      return Refuse(std::string("holds ") + kind + " among its numbers");
    case Where::kEntry:
      if (field_ == Field::kEmbedding) return Refuse(std::string("is ") + kind);
      if (field_ == Field::kIndex) return Refuse(std::string("has ") + kind + " as index");
      return true;
    case Where::kTop:
      if (field_ == Field::kData) return Refuse("", std::string("data is ") + kind);
      has_error_ |= field_ == Field::kError;
      return true;
    case Where::kUsage:
    case Where::kEnd:
      return true;
  }
  return true;
}

bool ReplyHandler::Number(std::string_view text) {
  if (where_ == Where::kEmbedding && skipped_ == 0) {
    const std::size_t width = FloatsPerNumber(dtype_);
    if (filled_ + width > dimensions_) {
      return Refuse("has more than " + std::to_string(dimensions_) + " dimensions");
    }
    if (!ReadNumber(dtype_, text, Row(indexes_.size() - 1).subspan(filled_, width))) {
      return Refuse(std::string("holds a number that is no ") + OutputDtypeName(dtype_));
    }
    filled_ += width;
    return true;
  }
  const bool is_index = where_ == Where::kEntry && field_ == Field::kIndex;
  if (skipped_ > 0 || !(is_index || where_ == Where::kUsage)) return Odd("a number");
  std::uint64_t count = 0;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, count);
  const bool whole = result.ec == std::errc{} && result.ptr == end;
  if (is_index) {
    if (!whole) return Refuse("has " + EscapeControl(text, 40) + " as index");
    if (indexes_.back()) return Refuse("has two indexes");
    indexes_.back() = count;
  } else if (whole && count <= kModelTokensMax) {
    if (field_ == Field::kTotal) total_tokens_ = count;
    if (field_ == Field::kPrompt) prompt_tokens_ = count;
  }
  return true;
}

bool ReplyHandler::String(std::string_view value) {
  if (skipped_ > 0 || where_ != Where::kEntry || field_ != Field::kEmbedding)
    return Odd("a string");
  if (dtype_ != OutputDtype::kFloat) return Odd("a string");
  if (entry_has_embedding_) return Refuse("is given twice");
  entry_has_embedding_ = true;
  if (DecodeBase64Floats(value, Row(indexes_.size() - 1))) return true;
  const std::size_t expected = base64_bytes();
  if (value.size() != expected) {
    return Refuse("has " + std::to_string(value.size()) + " base64 characters, " +
                  std::to_string(expected) + " make " + std::to_string(dimensions_) +
                  " dimensions");
  }
  return Refuse("is not base64");
}

bool ReplyHandler::StartObject() {
  if (skipped_ > 0) return ++skipped_, true;
  if (where_ == Where::kStart) return where_ = Where::kTop, true;
  if (where_ == Where::kData) {
    if (indexes_.size() == inputs_) {
      return Refuse(
          "", "the reply holds more than the " + std::to_string(inputs_) + " vectors asked for");
    }
    indexes_.emplace_back();
    entry_has_embedding_ = false;
    return where_ = Where::kEntry, true;
  }
  if (where_ == Where::kTop && field_ == Field::kUsage) return where_ = Where::kUsage, true;
  if (!Odd("an object")) return false;
  return ++skipped_, true;
}

bool ReplyHandler::Key(std::string_view name) {
  if (skipped_ > 0) return true;
  field_ = Field::kOther;
  if (where_ == Where::kTop) {
    if (name == "data") field_ = Field::kData;
    if (name == "usage") field_ = Field::kUsage;
    if (name == "error") field_ = Field::kError;
  } else if (where_ == Where::kEntry) {
    if (name == "index") field_ = Field::kIndex;
    if (name == "embedding") field_ = Field::kEmbedding;
  } else if (where_ == Where::kUsage) {
    if (name == "total_tokens") field_ = Field::kTotal;
    if (name == "prompt_tokens") field_ = Field::kPrompt;
  }
  return true;
}

bool ReplyHandler::EndObject() {
  if (skipped_ > 0) return --skipped_, true;
  if (where_ == Where::kEntry) {
    if (!entry_has_embedding_) return Refuse("is missing");
    return where_ = Where::kData, true;
  }
  where_ = where_ == Where::kUsage ? Where::kTop : Where::kEnd;
  return true;
}

bool ReplyHandler::StartArray() {
  if (skipped_ > 0) return ++skipped_, true;
  if (where_ == Where::kTop && field_ == Field::kData) {
    if (data_seen_) return Refuse("", "the reply holds data twice");
    data_seen_ = true;
    return where_ = Where::kData, true;
  }
  if (where_ == Where::kEntry && field_ == Field::kEmbedding) {
    if (entry_has_embedding_) return Refuse("is given twice");
    entry_has_embedding_ = true;
    filled_ = 0;
    return where_ = Where::kEmbedding, true;
  }
  if (!Odd("an array")) return false;
  return ++skipped_, true;
}

bool ReplyHandler::EndArray() {
  if (skipped_ > 0) return --skipped_, true;
  if (where_ == Where::kEmbedding) {
    where_ = Where::kEntry;
    if (filled_ == dimensions_) return true;
    return Refuse("has " + std::to_string(filled_) + " dimensions instead of " +
                  std::to_string(dimensions_));
  }
  where_ = Where::kTop;
  return true;
}

std::string ReplyHandler::PlaceByIndex() {
  std::vector<bool> taken(inputs_, false);
  for (const std::optional<std::uint64_t>& index : indexes_) {
    if (!index) return "some vectors have an index and some have none";
    if (*index >= inputs_) return "index " + std::to_string(*index) + " is out of range";
    if (taken[*index]) return "index " + std::to_string(*index) + " comes twice";
    taken[*index] = true;
  }
  // Each swap brings one row home.
  for (std::size_t at = 0; at < inputs_; ++at) {
    while (*indexes_[at] != at) {
      const std::size_t home = *indexes_[at];
      std::swap_ranges(Row(at).begin(), Row(at).end(), Row(home).begin());
      std::swap(indexes_[at], indexes_[home]);
    }
  }
  return {};
}

std::string ReplyHandler::Finish() {
  if (!data_seen_) return "the reply holds no data";
  if (indexes_.size() != inputs_) {
    return "the reply holds " + std::to_string(indexes_.size()) + " vectors, " +
           std::to_string(inputs_) + " were asked for";
  }
  const bool by_position =
      std::none_of(indexes_.begin(), indexes_.end(), [](const auto& index) { return !!index; });
  if (!by_position) {
    if (std::string why = PlaceByIndex(); !why.empty()) return why;
  }
  for (std::size_t i = 0; i < inputs_; ++i) {
    if (const char* why = WhyUnusable(Row(i))) return "vector " + std::to_string(i) + " " + why;
  }
  return {};
}

}  // namespace

std::unique_ptr<VectorsHandler> NewEmbeddingsHandler(std::size_t inputs, int dimensions,
                                                     std::span<float> vectors, OutputDtype dtype) {
  EF_CHECK(dimensions > 0 && vectors.size() == inputs * static_cast<std::size_t>(dimensions));
  return std::make_unique<ReplyHandler>(inputs, static_cast<std::size_t>(dimensions), dtype,
                                        vectors);
}

}  // namespace embedflow
