#include "stages/chunker_cut.h"

#include <string.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "stages/model_tokens.h"

namespace embedflow {
namespace {

enum ByteClass : std::uint8_t { kPlain, kWhite, kHigh };

constexpr std::array<std::uint8_t, 256> MakeByteClasses() {
  std::array<std::uint8_t, 256> classes{};
  for (unsigned byte = 0; byte < classes.size(); ++byte) {
    const bool is_white = byte == ' ' || (byte >= 0x09 && byte <= 0x0D);
    classes[byte] = byte >= 0x80 ? kHigh : is_white ? kWhite : kPlain;
  }
  return classes;
}
constexpr std::array<std::uint8_t, 256> kByteClasses = MakeByteClasses();

inline std::uint8_t ClassOf(char byte) { return kByteClasses[static_cast<unsigned char>(byte)]; }

// The begin of the code point that ends at `at`, which must be above 0.
inline std::size_t Before(std::string_view text, std::size_t at) {
  do {
    --at;
  } while (at > 0 && IsContinuation(text[at]));
  return at;
}

inline char32_t CodePointAt(std::string_view text, std::size_t at) {
  return NextCodePoint(text, &at);
}

// A sentence may end in one of these, then closing marks.
bool EndsSentence(char32_t c) {
  return c == '.' || c == '!' || c == '?' || c == 0x2026 || c == 0x0964 || c == 0x06D4 ||
         c == 0x061F;
}
// The same for scripts that put no space behind it.
bool EndsSentenceAlone(char32_t c) {
  return c == 0x3002 || c == 0xFF01 || c == 0xFF0E || c == 0xFF1F || c == 0xFF61;
}
bool IsClosingMark(char32_t c) {
  return c == '"' || c == '\'' || c == ')' || c == ']' || c == '}' || c == 0xBB || c == 0x2019 ||
         c == 0x201D || c == 0x203A || c == 0x300B || c == 0x300D || c == 0x300F || c == 0x3011 ||
         c == 0xFF09;
}
constexpr int kClosingMarksMax = 4;

// Scripts that do not part words by spaces, and pictographs: a cut at either side of one is as
// good as a word end.
bool StandsAlone(char32_t c) {
  return (c >= 0x0E00 && c <= 0x0EFF) || (c >= 0x1000 && c <= 0x109F) ||
         (c >= 0x1780 && c <= 0x17FF) || (c >= 0x2E80 && c <= 0x9FFF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFF00 && c <= 0xFFEF) ||
         (c >= 0x1F000 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

// Code points that belong to the one before: combining marks, joiners, variation selectors, skin
// tones. Not the whole of Unicode's Grapheme_Extend; a cut before another mark is allowed.
bool Extends(char32_t c) {
  return (c >= 0x0300 && c <= 0x036F) || (c >= 0x1AB0 && c <= 0x1AFF) ||
         (c >= 0x1DC0 && c <= 0x1DFF) || c == 0x200D || (c >= 0x20D0 && c <= 0x20FF) ||
         (c >= 0x3099 && c <= 0x309A) || (c >= 0xFE00 && c <= 0xFE0F) ||
         (c >= 0xFE20 && c <= 0xFE2F) || (c >= 0x1F3FB && c <= 0x1F3FF) ||
         (c >= 0xE0100 && c <= 0xE01EF);
}
constexpr int kExtendersMax = 16;

bool IsJoined(std::string_view text, std::size_t at) {
  return Extends(CodePointAt(text, at)) || CodePointAt(text, Before(text, at)) == 0x200D;
}

// Whether a word may be taken to end or begin between the code points around `at`, though there is
// no white space.
bool IsUnspacedBound(std::string_view text, std::size_t at) {
  if (ClassOf(text[at - 1]) != kHigh && ClassOf(text[at]) != kHigh) return false;
  const char32_t before = CodePointAt(text, Before(text, at));
  const char32_t after = CodePointAt(text, at);
  return (StandsAlone(before) || StandsAlone(after)) && !IsWhiteSpace(before) &&
         !IsWhiteSpace(after) && !IsJoined(text, at);
}

bool IsWordBegin(std::string_view text, std::size_t at) {
  return IsWhiteSpace(CodePointAt(text, Before(text, at))) || IsUnspacedBound(text, at);
}

// Finds the best place to end a chunk.
class CutSearch {
 public:
  // A chunk with new text from `fresh` on may end anywhere in (fresh, limit], and should end in
  // [floor, limit]. `limit` must be below text.size(), and text must not end in white space.
  CutSearch(std::string_view text, std::size_t fresh, std::size_t floor, std::size_t limit)
      : text_(text), fresh_(fresh), floor_(floor), limit_(limit) {
    // White space behind the limit costs the chunk nothing: it is trimmed.
    white_end_ = SkipWhiteSpace(text, limit);
  }

  std::size_t Find() const {
    if (const std::size_t cut = LastLineBreak()) return cut;
    std::size_t word = 0;
    if (const std::size_t cut = LastSentenceEnd(&word)) return cut;
    if (word != 0) return word;
    if (IsUnspacedBound(text_, limit_)) return limit_;
    if (const std::size_t cut = LastWordEndBelowFloor()) return cut;
    return LastCodePointBound();
  }

 private:
  // The last paragraph break (white space with two line ends) at or above the floor, else the last
  // line break, else 0. Text is read backwards from the limit, so that nothing is noted on the way.
  std::size_t LastLineBreak() const {
    std::size_t line = 0;
    std::size_t at = white_end_;
    while (at > floor_) {
      const void* found = memrchr(text_.data() + floor_, '\n', at - floor_);
      if (found == nullptr) break;
      const auto newline = static_cast<std::size_t>(static_cast<const char*>(found) - text_.data());
      const std::size_t cut = TrimWhiteSpace(text_, newline);
      if (cut < floor_) break;
      if (memchr(text_.data() + cut, '\n', newline - cut) != nullptr) return cut;
      if (line == 0) line = cut;
      at = cut;
    }
    return line;
  }

  // The last sentence end at or above the floor, else 0. Sets *word to the last end of a word
  // there, if it sees one on the way.
  std::size_t LastSentenceEnd(std::size_t* word) const {
    std::size_t at = white_end_;
    while (at > floor_) {
      const std::uint8_t byte_class = ClassOf(text_[at - 1]);
      if (byte_class == kPlain) {
        --at;
        continue;
      }
      const std::size_t begin = Before(text_, at);
      const char32_t c = CodePointAt(text_, begin);
      if (IsWhiteSpace(c)) {
        const std::size_t cut = TrimWhiteSpace(text_, begin);
        if (cut < floor_) break;
        if (*word == 0) *word = cut;
        if (IsSentenceEnd(cut, at)) return cut;
        at = cut;
      } else if (EndsSentenceAlone(c)) {
        return WithClosingMarks(at);
      } else {
        at = begin;
      }
    }
    return 0;
  }

  // Whether the word that ends at `cut` ends a sentence, if the next one begins at `next`. A lower
  // case letter there means an abbreviation.
  bool IsSentenceEnd(std::size_t cut, std::size_t next) const {
    if (next < text_.size() && text_[next] >= 'a' && text_[next] <= 'z') return false;
    std::size_t at = cut;
    for (int marks = 0; marks <= kClosingMarksMax && at > fresh_; ++marks) {
      const std::size_t begin = Before(text_, at);
      const char32_t c = CodePointAt(text_, begin);
      if (EndsSentence(c) || EndsSentenceAlone(c)) return true;
      if (!IsClosingMark(c)) return false;
      at = begin;
    }
    return false;
  }

  std::size_t WithClosingMarks(std::size_t at) const {
    for (int marks = 0; marks < kClosingMarksMax && at < limit_; ++marks) {
      std::size_t next = at;
      if (!IsClosingMark(NextCodePoint(text_, &next)) || next > limit_) break;
      at = next;
    }
    return at;
  }

  std::size_t LastWordEndBelowFloor() const {
    // The run of white space may reach over the floor.
    std::size_t at = SkipWhiteSpace(text_, floor_);
    while (at > fresh_) {
      if (ClassOf(text_[at - 1]) == kPlain) {
        --at;
        continue;
      }
      const std::size_t begin = Before(text_, at);
      if (IsWhiteSpace(CodePointAt(text_, begin))) return TrimWhiteSpace(text_, begin);
      at = begin;
    }
    return 0;
  }

  std::size_t LastCodePointBound() const {
    std::size_t at = limit_;
    for (int extenders = 0; extenders < kExtendersMax && at > floor_; ++extenders) {
      if (!IsJoined(text_, at)) return at;
      at = Before(text_, at);
    }
    return limit_;
  }

  const std::string_view text_;
  const std::size_t fresh_, floor_, limit_;
  std::size_t white_end_;
};

}  // namespace

CutLimits::CutLimits(const ChunkerOptions& options)
    : size_units(static_cast<std::uint64_t>(options.size_tokens) * kUnitsPerModelToken),
      overlap_units(static_cast<std::uint64_t>(options.overlap_tokens) * kUnitsPerModelToken) {}

std::size_t SkipWhiteSpace(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const std::uint8_t byte_class = ClassOf(text[at]);
    if (byte_class == kPlain) break;
    std::size_t next = at;
    if (byte_class == kHigh && !IsWhiteSpace(NextCodePoint(text, &next))) break;
    at = byte_class == kHigh ? next : at + 1;
  }
  return at;
}

std::size_t TrimWhiteSpace(std::string_view text, std::size_t at) {
  while (at > 0) {
    const std::uint8_t byte_class = ClassOf(text[at - 1]);
    if (byte_class == kPlain) break;
    const std::size_t begin = Before(text, at);
    if (byte_class == kHigh && !IsWhiteSpace(CodePointAt(text, begin))) break;
    at = begin;
  }
  return at;
}

void CutRecursively(std::string_view text, std::uint64_t offset, const CutLimits& limits,
                    std::vector<ChunkSpan>* spans) {
  text = text.substr(0, TrimWhiteSpace(text, text.size()));
  std::size_t fresh = SkipWhiteSpace(text, 0);
  std::size_t begin = fresh;
  while (fresh < text.size()) {
    std::uint64_t units = 0;
    AdvanceByUnits(text.substr(0, fresh), begin, kUnitsUnlimited, &units);
    // At least half of the room is filled where any cut allows it, so that the number of chunks,
    // each of which is paid for, stays within twice the least possible.
    const std::uint64_t floor_units = units + (limits.size_units - units) / 2;
    const std::size_t floor = AdvanceByUnits(text, fresh, floor_units, &units);
    const std::size_t limit = AdvanceByUnits(text, floor, limits.size_units, &units);
    if (limit == text.size()) {
      spans->push_back({offset + begin, offset + limit, {}});
      return;
    }
    // In a chunk of very few tokens the floor may lie at `fresh` itself.
    std::size_t least = fresh;
    NextCodePoint(text, &least);
    const std::size_t end = CutSearch(text, fresh, std::max(floor, least), limit).Find();
    spans->push_back({offset + begin, offset + end, {}});
    fresh = SkipWhiteSpace(text, end);
    begin = OverlapBegin(text, begin, end, fresh, limits);
  }
}

std::size_t OverlapBegin(std::string_view text, std::size_t previous_begin,
                         std::size_t previous_end, std::size_t fresh, const CutLimits& limits) {
  std::uint64_t units = 0;
  std::size_t at = fresh;
  while (at > previous_begin) {
    units += kModelTokenUnits[static_cast<unsigned char>(text[at - 1])];
    if (units > limits.overlap_units) break;
    --at;
  }
  if (at == previous_begin) ++at;
  while (at < previous_end && IsContinuation(text[at])) ++at;
  if (at >= previous_end) return fresh;
  if (IsWordBegin(text, at)) return SkipWhiteSpace(text, at);
  for (std::size_t word = at; word < previous_end;) {
    if (ClassOf(text[word]) == kPlain) {
      ++word;
      continue;
    }
    const std::size_t next = SkipWhiteSpace(text, word);
    if (next != word || IsWordBegin(text, word)) return next;
    NextCodePoint(text, &word);
  }
  return IsJoined(text, at) ? fresh : at;
}

}  // namespace embedflow
