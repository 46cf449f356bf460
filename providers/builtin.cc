#include "providers/builtin.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace embedflow {
namespace {

constexpr int kDimensionsMax = 65536;
constexpr std::size_t kLettersMax = 64;     // In a word.
constexpr std::size_t kFeaturesMax = 3072;  // Different words and pairs in a section.
constexpr std::size_t kSlots = 8192;        // A power of two, well above kFeaturesMax.

// Weights are integers so that sums do not depend on the order of addition.
// kSublinear[t] is 1024 * (1 + ln(t)), rounded; a table, because libraries differ in the last bit
// of a logarithm. From the last entry on another occurrence adds nothing.
constexpr std::array<std::int32_t, 33> kSublinear = {
    0,    1024, 1734, 2149, 2444, 2672, 2859, 3017, 3153, 3274, 3382,
    3479, 3569, 3651, 3726, 3797, 3863, 3925, 3984, 4039, 4092, 4142,
    4189, 4235, 4278, 4320, 4360, 4399, 4436, 4472, 4507, 4540, 4573};
// By letters in the word. What was tried on WordNet: bench/README.md.
constexpr std::array<std::int32_t, 9> kWordWeight = {0, 14, 15, 16, 18, 20, 20, 20, 20};
constexpr std::int32_t kPairShift = 1;  // A pair weighs the mean of its words, halved.
// Of a run of letters; 1024 times the unit of kWordWeight.
constexpr std::int32_t kRunWeight = 5 * 1024;

// Odd numbers without pattern: digits of pi (Blowfish's P-array).
constexpr std::uint64_t kWordFactor = 0x243F6A8885A308D3u;
constexpr std::uint64_t kPairFactor = 0x13198A2E03707345u;
constexpr std::uint64_t kRun3Factor = 0xA4093822299F31D1u;
constexpr std::uint64_t kRun4Factor = 0x082EFA98EC4E6C89u;
constexpr std::uint64_t kByteFactor = 0x452821E638D01377u;

// What a code point is.
enum class Kind { kSeparator, kLetter, kAlone };

// Small letters and digits stand for themselves, 0 is a separator.
constexpr std::array<std::uint8_t, 128> MakeAsciiFold() {
  std::array<std::uint8_t, 128> fold{};
  for (int c = '0'; c <= '9'; ++c) fold[c] = static_cast<std::uint8_t>(c);
  for (int c = 'a'; c <= 'z'; ++c) fold[c] = static_cast<std::uint8_t>(c);
  for (int c = 'A'; c <= 'Z'; ++c) fold[c] = static_cast<std::uint8_t>(c + ('a' - 'A'));
  return fold;
}
constexpr std::array<std::uint8_t, 128> kAsciiFold = MakeAsciiFold();

constexpr bool Within(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

Kind KindOf(char32_t c) {
  if (c < 0xC0) return c == 0xAA || c == 0xB5 || c == 0xBA ? Kind::kLetter : Kind::kSeparator;
  if (c < 0x2000) return c == 0xD7 || c == 0xF7 ? Kind::kSeparator : Kind::kLetter;
  if (c < 0x2C00) return c < 0x2070 || c >= 0x20A0 ? Kind::kSeparator : Kind::kLetter;
  if (Within(c, 0x3000, 0x303F) || c == 0xFEFF || c == 0xFFFD) return Kind::kSeparator;
  if (Within(c, 0xFF00, 0xFF0F) || Within(c, 0xFF1A, 0xFF20) || Within(c, 0xFF3B, 0xFF40) ||
      Within(c, 0xFF5B, 0xFF65)) {
    return Kind::kSeparator;
  }
  if (Within(c, 0x3040, 0x30FF) || Within(c, 0x3400, 0x9FFF) || Within(c, 0xF900, 0xFAFF) ||
      Within(c, 0x20000, 0x3FFFF)) {
    return Kind::kAlone;
  }
  return Kind::kLetter;
}

char32_t Fold(char32_t c) {
  if (Within(c, 0xC0, 0xDE)) return c + 0x20;
  if (Within(c, 0x391, 0x3A9)) return c + 0x20;
  if (Within(c, 0x410, 0x42F)) return c + 0x20;
  if (Within(c, 0x400, 0x40F)) return c + 0x50;
  return c;
}

// The code point at `*at`, which is not ASCII; moves *at behind it. A byte that begins no well-
// formed sequence stands for itself, so that no input is an error.
char32_t Decode(std::string_view text, std::size_t* at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[*at + i]); };
  const auto lead = byte(0);
  const std::size_t left = text.size() - *at;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || left < length) return *at += 1, char32_t{lead};
  char32_t c = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return *at += 1, char32_t{lead};
    c = (c << 6) | (byte(i) & 0x3Fu);
  }
  *at += length;
  return c;
}

// One thread's working space, kept between calls.
struct Scratch {
  std::vector<std::int64_t> sums;  // One per dimension; zero between texts.
  // Open addressing: a slot holds 1 + the place in `features`, or 0.
  std::array<std::uint16_t, kSlots> slots{};
  struct Feature {
    std::uint64_t key;
    std::uint32_t slot;
    std::uint32_t times;
  };
  std::array<Feature, kFeaturesMax> features;
};

// Turns one text into sums.
class Counter {
 public:
  // `scratch->sums` must have the dimensions' size and be zero.
  Counter(Scratch* scratch, std::size_t text_bytes)
      : scratch_(*scratch),
        dimensions_(scratch->sums.size()),
        // A table that fits the text stays in the first-level cache.
        slot_mask_(std::min(kSlots, std::bit_ceil(text_bytes + 64)) - 1) {}
  ~Counter() { ForgetFeatures(); }
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  void Read(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
      const auto byte = static_cast<unsigned char>(text[at]);
      if (byte < 0x80) {
        ++at;
        if (const std::uint8_t folded = kAsciiFold[byte]; folded != 0) {
          AddLetter(folded);
        } else if (length_ != 0) {
          EndWord();
        }
        continue;
      }
      const char32_t c = Decode(text, &at);
      const Kind kind = KindOf(c);
      if (kind != Kind::kLetter && length_ != 0) EndWord();
      if (kind != Kind::kSeparator) AddLetter(Fold(c));
      if (kind == Kind::kAlone) EndWord();
    }
    if (length_ != 0) EndWord();
  }

 private:
  void AddLetter(char32_t c) {
    word_ = (word_ ^ c) * kByteFactor;
    word_ ^= word_ >> 32;
    letters_[1 + length_] = static_cast<std::uint16_t>(c);
    if (++length_ == kLettersMax) EndWord();
  }

  void EndWord() {
    const std::int32_t weight = kWordWeight[std::min(length_, kWordWeight.size() - 1)];
    // The factor in the key keeps a word and a pair of the same hash apart.
    if (Count(word_ * kWordFactor, weight)) AddRuns();
    if (last_weight_ != 0) {
      Count((std::rotl(last_word_, 29) ^ word_) * kPairFactor,
            (weight + last_weight_) >> (kPairShift + 1));
    }
    last_word_ = word_;
    last_weight_ = weight;
    word_ = 0;
    length_ = 0;
  }

  // The runs of 3 and 4 letters of the word in `letters_`, edges included.
  void AddRuns() {
    letters_[length_ + 1] = letters_[0] = ' ';
    std::uint64_t run = (std::uint64_t{letters_[0]} << 16) | letters_[1];
    for (std::size_t i = 2; i < length_ + 2; ++i) {
      run = (run << 16) | letters_[i];
      Add((run & 0xFFFFFFFFFFFFu) * kRun3Factor, kRunWeight);
      if (i > 2) Add(run * kRun4Factor, kRunWeight);
    }
  }

  // One more occurrence. True if it is the first.
  bool Count(std::uint64_t key, std::int32_t weight) {
    if (feature_count_ == kFeaturesMax) ForgetFeatures();
    std::size_t slot = (key >> 40) & slot_mask_;
    while (scratch_.slots[slot] != 0) {
      Scratch::Feature& known = scratch_.features[scratch_.slots[slot] - 1u];
      if (known.key == key) {
        if (known.times + 1 < kSublinear.size()) {
          ++known.times;
          Add(key, weight * (kSublinear[known.times] - kSublinear[known.times - 1]));
        }
        return false;
      }
      slot = (slot + 1) & slot_mask_;
    }
    scratch_.features[feature_count_++] = {key, static_cast<std::uint32_t>(slot), 1};
    scratch_.slots[slot] = static_cast<std::uint16_t>(feature_count_);
    Add(key, weight * kSublinear[1]);
    return true;
  }

  void Add(std::uint64_t product, std::int32_t weight) {
    const std::uint64_t hash = product ^ (product >> 32);
    const std::uint64_t place = ((hash & 0xFFFFFFFFu) * dimensions_) >> 32;
    const std::int64_t sign = -static_cast<std::int64_t>(product >> 63);  // 0 or -1.
    scratch_.sums[place] += (weight ^ sign) - sign;
  }

  void ForgetFeatures() {
    for (std::size_t i = 0; i < feature_count_; ++i) scratch_.slots[scratch_.features[i].slot] = 0;
    feature_count_ = 0;
  }

  Scratch& scratch_;
  const std::uint64_t dimensions_;
  const std::size_t slot_mask_;
  std::size_t feature_count_ = 0;
  std::array<std::uint16_t, kLettersMax + 2> letters_;  // [0] and the last are the edges.
  std::size_t length_ = 0;
  std::uint64_t word_ = 0;
  std::uint64_t last_word_ = 0;
  std::int32_t last_weight_ = 0;
};

// Writes `sums` at unit length and clears them. False if all are zero.
bool Scale(std::span<std::int64_t> sums, std::span<float> vector) {
  std::int64_t largest = 0;
  for (const std::int64_t sum : sums) largest = std::max(largest, sum < 0 ? -sum : sum);
  if (largest == 0) return false;
  // Below 2^23 the squares of 65,536 sums fit an integer, and an exact sum has no order.
  std::int64_t divisor = 1;
  while (largest / divisor >= (std::int64_t{1} << 23)) divisor *= 2;
  std::int64_t squares = 0;
  for (std::int64_t& sum : sums) {
    sum /= divisor;
    squares += sum * sum;
  }
  const double factor = 1.0 / std::sqrt(static_cast<double>(squares));
  for (std::size_t i = 0; i < sums.size(); ++i) {
    vector[i] = static_cast<float>(static_cast<double>(sums[i]) * factor);
    sums[i] = 0;
  }
  return true;
}

// For texts without features: signs, so that two such texts are unlike each other.
void WriteSigns(std::string_view text, std::span<float> vector) {
  std::uint64_t hash = text.size();
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * kByteFactor;
    hash ^= hash >> 32;
  }
  Rng rng(hash);
  const auto value = static_cast<float>(1.0 / std::sqrt(static_cast<double>(vector.size())));
  for (float& v : vector) v = (rng.Next() >> 63) != 0 ? -value : value;
}

class Builtin final : public Embedder {
 public:
  explicit Builtin(int dimensions) {
    space_.provider = "builtin";
    space_.model = "hash-v1";
    space_.dimensions = dimensions;
  }

  const Space& space() const override { return space_; }

  // Some milliseconds of work and a megabyte of vectors at 512 dimensions: large enough to make
  // the cost of a message vanish, small enough to spread over the cores.
  RequestLimits limits() const override {
    RequestLimits limits;
    limits.inputs_max = 512;
    return limits;
  }

  Status Embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    const auto dimensions = static_cast<std::size_t>(space_.dimensions);
    if (vectors.size() != texts.size() * dimensions) {
      return {Code::kInvalidArgument, "vectors must hold " +
                                          std::to_string(texts.size() * dimensions) +
                                          " floats, got " + std::to_string(vectors.size())};
    }
    thread_local Scratch scratch;
    scratch.sums.assign(dimensions, 0);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::span<float> vector = vectors.subspan(i * dimensions, dimensions);
      Counter(&scratch, texts[i].size()).Read(texts[i]);
      if (!Scale(scratch.sums, vector)) WriteSigns(texts[i], vector);
    }
    return {};
  }

 private:
  Space space_;
};

}  // namespace

std::shared_ptr<const Provider> MakeBuiltin(int dimensions) {
  if (dimensions < 1 || dimensions > kDimensionsMax) return nullptr;
  return std::make_shared<Builtin>(dimensions);
}

}  // namespace embedflow
