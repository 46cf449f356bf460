#include "base/json_reader.h"

#include <bit>
#include <cstring>
#include <utility>

#include "base/utf8.h"

namespace embedflow {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool IsJsonSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNumberByte(char c) {
  return IsDigit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}
std::string_view WordThatBeginsWith(char c) {
  if (c == 'n') return "null";
  return c == 't' ? "true" : "false";
}

// The number of bytes before the first quote, backslash or control byte. Eight bytes at a time: a
// byte of the word that matches leaves its top bit set (Mycroft's test for a zero byte).
std::size_t PlainBytes(std::string_view text) {
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  constexpr std::uint64_t kTops = 0x8080808080808080u;
  const auto zeros = [](std::uint64_t word) { return (word - kOnes) & ~word & kTops; };
  std::size_t at = 0;
  for (; at + sizeof(std::uint64_t) <= text.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, sizeof(word));
    const std::uint64_t control = (word - kOnes * 0x20) & ~word & kTops;
    if ((zeros(word ^ kOnes * '"') | zeros(word ^ kOnes * '\\') | control) != 0) break;
  }
  while (at < text.size() && text[at] != '"' && text[at] != '\\' &&
         static_cast<unsigned char>(text[at]) >= 0x20) {
    ++at;
  }
  return at;
}

std::size_t Digits(std::string_view text, std::size_t from) {
  std::size_t at = from;
  while (at < text.size() && IsDigit(text[at])) ++at;
  return at - from;
}

// RFC 8259, section 6.
bool IsJsonNumber(std::string_view text) {
  std::size_t at = !text.empty() && text[0] == '-' ? 1 : 0;
  const std::size_t whole = Digits(text, at);
  if (whole == 0 || (whole > 1 && text[at] == '0')) return false;
  at += whole;
  if (at < text.size() && text[at] == '.') {
    const std::size_t fraction = Digits(text, ++at);
    if (fraction == 0) return false;
    at += fraction;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const std::size_t exponent = Digits(text, at);
    if (exponent == 0) return false;
    at += exponent;
  }
  return at == text.size();
}

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char Unescaped(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c == '"' || c == '\\' || c == '/' ? c : '\0';
  }
}

void AppendUtf8(std::string* out, char32_t c) {
  const auto tail = [](char32_t bits) { return static_cast<char>(0x80 | (bits & 0x3F)); };
  if (c < 0x80) {
    *out += static_cast<char>(c);
  } else if (c < 0x800) {
    *out += static_cast<char>(0xC0 | c >> 6);
    *out += tail(c);
  } else if (c < 0x10000) {
    *out += static_cast<char>(0xE0 | c >> 12);
    *out += tail(c >> 6);
    *out += tail(c);
  } else {
    *out += static_cast<char>(0xF0 | c >> 18);
    *out += tail(c >> 12);
    *out += tail(c >> 6);
    *out += tail(c);
  }
}

}  // namespace

JsonParser::JsonParser(int depth_max, std::size_t token_bytes_max, JsonHandler* handler)
    : depth_max_(depth_max), token_bytes_max_(token_bytes_max), handler_(handler) {}

bool JsonParser::Fail(std::string what) {
  error_ = "not JSON: " + std::move(what) + ", byte " + std::to_string(offset_);
  return false;
}

bool JsonParser::Hold(std::string_view part) {
  if (part.size() > token_bytes_max_ - held_.size()) {
    return Fail((token_ == Token::kNumber ? "a number longer than " : "a string longer than ") +
                std::to_string(token_bytes_max_) + " bytes");
  }
  held_ += part;
  return true;
}

bool JsonParser::Stop() {
  error_ = "stopped, byte " + std::to_string(offset_);
  return false;
}

bool JsonParser::Feed(std::string_view piece) {
  if (!error_.empty()) return false;
  const std::uint64_t begin = offset_;
  std::size_t at = 0;
  while (at < piece.size()) {
    offset_ = begin + at;
    bool goes_on = true;
    switch (token_) {
      case Token::kString:
        goes_on = ReadString(piece, &at);
        break;
      case Token::kNumber:
        goes_on = ReadNumber(piece, &at);
        break;
      case Token::kWord:
        goes_on = ReadWord(piece, &at);
        break;
      case Token::kNone:
        if (IsJsonSpace(piece[at])) {
          ++at;
        } else if (mark_ == offset_ && mark_ < kByteOrderMark.size() &&
                   piece[at] == kByteOrderMark[mark_]) {
          ++mark_;
          ++at;
        } else if (mark_ != 0 && offset_ < kByteOrderMark.size()) {
          goes_on = Fail("invalid value");
        } else {
          goes_on = TakeStructure(piece[at]);
          // Numbers and words begin with the byte they are told by.
          if (token_ == Token::kNone || token_ == Token::kString) ++at;
        }
        break;
    }
    if (!goes_on) return false;
  }
  offset_ = begin + piece.size();
  return true;
}

Status JsonParser::Finish() {
  if (error_.empty() && token_ == Token::kNumber) (void)EndNumber(std::exchange(held_, {}));
  if (error_.empty() && token_ == Token::kWord) (void)Fail("invalid value");
  if (error_.empty() && token_ == Token::kString) (void)Fail("ends inside a string");
  if (error_.empty() && !open_.empty()) {
    (void)Fail(open_.back() ? "ends inside an object" : "ends inside an array");
  }
  if (error_.empty() && expect_ != Expect::kNothing) (void)Fail("it is empty");
  if (error_.empty()) return {};
  return {Code::kInvalidArgument, error_};
}

bool JsonParser::TakeStructure(char c) {
  switch (expect_) {
    case Expect::kNothing:
      return Fail("something follows the value");
    case Expect::kColon:
      if (c != ':') return Fail("missing a colon after a name");
      expect_ = Expect::kValue;
      return true;
    case Expect::kCommaOrEnd:
      if (c == ',') {
        expect_ = open_.back() ? Expect::kKey : Expect::kValue;
        return true;
      }
      if (c == '}' || c == ']') return Close(c == '}');
      return Fail(open_.back() ? "missing a comma or } after a member"
                               : "missing a comma or ] after an element");
    case Expect::kFirstKey:
      if (c == '}') return Close(true);
      [[fallthrough]];
    case Expect::kKey:
      if (c != '"') return Fail("missing a name for a member");
      is_key_ = true;
      token_ = Token::kString;
      return true;
    case Expect::kFirstElement:
      if (c == ']') return Close(false);
      [[fallthrough]];
    case Expect::kValue:
      return BeginToken(c);
  }
  return false;
}

bool JsonParser::BeginToken(char c) {
  if (c == '{' || c == '[') return Open(c == '{');
  if (c == '"') {
    is_key_ = false;
    token_ = Token::kString;
    return true;
  }
  if (c == '-' || IsDigit(c)) {
    token_ = Token::kNumber;
    return true;
  }
  if (c != 't' && c != 'f' && c != 'n') return Fail("invalid value");
  token_ = Token::kWord;
  return true;
}

bool JsonParser::Open(bool is_object) {
  if (open_.size() == static_cast<std::size_t>(depth_max_)) {
    return Fail("nested deeper than " + std::to_string(depth_max_) + " levels");
  }
  open_.push_back(is_object);
  expect_ = is_object ? Expect::kFirstKey : Expect::kFirstElement;
  return Told(is_object ? handler_->StartObject() : handler_->StartArray());
}

bool JsonParser::Close(bool is_object) {
  if (open_.back() != is_object) {
    return Fail(open_.back() ? "missing a comma or } after a member"
                             : "missing a comma or ] after an element");
  }
  open_.pop_back();
  return Told(is_object ? handler_->EndObject() : handler_->EndArray()) && EndValue();
}

bool JsonParser::EndValue() {
  token_ = Token::kNone;
  expect_ = open_.empty() ? Expect::kNothing : Expect::kCommaOrEnd;
  return true;
}

bool JsonParser::ReadString(std::string_view piece, std::size_t* at) {
  if (escape_ != Escape::kNone) return ReadEscape(piece, at);
  const std::string_view plain = piece.substr(*at, PlainBytes(piece.substr(*at)));
  const std::size_t end = *at + plain.size();
  offset_ += plain.size();
  if (high_surrogate_ != 0 && (!plain.empty() || (end < piece.size() && piece[end] != '\\')))
    return Fail("lone surrogate in a string");
  *at = end;
  if (end == piece.size()) return Hold(plain);
  ++*at;
  if (piece[end] == '\\') {
    escape_ = Escape::kBackslash;
    return Hold(plain);
  }
  if (piece[end] != '"') return Fail("a control byte inside a string");
  // A string that lies in one piece is handed on where it lies.
  if (held_.empty() && plain.size() <= token_bytes_max_) return EndString(plain);
  if (!Hold(plain)) return false;
  const bool goes_on = EndString(held_);
  held_.clear();
  return goes_on;
}

bool JsonParser::ReadEscape(std::string_view piece, std::size_t* at) {
  const char c = piece[*at];
  ++*at;
  if (escape_ == Escape::kBackslash) {
    if (c == 'u') {
      escape_ = Escape::kHex;
      hex_digits_ = 0;
      hex_ = 0;
      return true;
    }
    if (high_surrogate_ != 0) return Fail("lone surrogate in a string");
    const char plain = Unescaped(c);
    if (plain == '\0') return Fail("invalid escape in a string");
    escape_ = Escape::kNone;
    return Hold({&plain, 1});
  }
  const int digit = HexValue(c);
  if (digit < 0) return Fail("invalid escape in a string");
  hex_ = hex_ << 4 | static_cast<char32_t>(digit);
  if (++hex_digits_ < 4) return true;
  escape_ = Escape::kNone;
  return AppendCodePoint(hex_);
}

bool JsonParser::AppendCodePoint(char32_t unit) {
  const bool is_high = unit >= 0xD800 && unit < 0xDC00;
  const bool is_low = unit >= 0xDC00 && unit < 0xE000;
  if (is_low != (high_surrogate_ != 0)) return Fail("lone surrogate in a string");
  if (is_high) {
    high_surrogate_ = unit;
    return true;
  }
  if (is_low) unit = 0x10000 + ((high_surrogate_ - 0xD800) << 10) + (unit - 0xDC00);
  high_surrogate_ = 0;
  std::string bytes;
  AppendUtf8(&bytes, unit);
  return Hold(bytes);
}

bool JsonParser::EndString(std::string_view value) {
  if (!IsValidUtf8(value)) return Fail("a string that is not UTF-8");
  if (is_key_) {
    token_ = Token::kNone;
    expect_ = Expect::kColon;
    return Told(handler_->Key(value));
  }
  return Told(handler_->String(value)) && EndValue();
}

bool JsonParser::ReadNumber(std::string_view piece, std::size_t* at) {
  std::size_t end = *at;
  while (end < piece.size() && IsNumberByte(piece[end])) ++end;
  const std::string_view part = piece.substr(*at, end - *at);
  *at = end;
  if (end == piece.size()) return Hold(part);
  if (held_.empty() && part.size() <= token_bytes_max_) return EndNumber(part);
  if (!Hold(part)) return false;
  return EndNumber(std::exchange(held_, {}));
}

bool JsonParser::EndNumber(std::string_view text) {
  if (!IsJsonNumber(text)) return Fail("invalid number");
  return Told(handler_->Number(text)) && EndValue();
}

bool JsonParser::ReadWord(std::string_view piece, std::size_t* at) {
  const std::string_view word =
      held_.empty() ? WordThatBeginsWith(piece[*at]) : WordThatBeginsWith(held_[0]);
  while (*at < piece.size() && held_.size() < word.size()) {
    if (piece[*at] != word[held_.size()]) return Fail("invalid value");
    held_ += piece[(*at)++];
  }
  if (held_.size() < word.size()) return true;
  held_.clear();
  return Told(word == "null" ? handler_->Null() : handler_->Bool(word == "true")) && EndValue();
}

Status ParseJson(std::string_view text, int depth_max, JsonHandler* handler) {
  JsonParser parser(depth_max, text.size(), handler);
  (void)parser.Feed(text);
  return parser.Finish();
}

}  // namespace embedflow
