#include "base/utf8.h"

#include <cstring>

namespace embedflow {
namespace {

// The length of the valid code point at `p` with `left` bytes to go, or 0.
std::size_t CodePointLength(const unsigned char* p, std::size_t left) {
  const unsigned char b = p[0];
  if (b < 0x80) return 1;
  const auto cont = [&](std::size_t i) { return i < left && (p[i] & 0xC0u) == 0x80u; };
  if (b >= 0xC2 && b <= 0xDF) return cont(1) ? 2 : 0;
  if (b >= 0xE0 && b <= 0xEF) {
    if (!cont(1) || !cont(2)) return 0;
    if (b == 0xE0 && p[1] < 0xA0) return 0;
    if (b == 0xED && p[1] > 0x9F) return 0;
    return 3;
  }
  if (b >= 0xF0 && b <= 0xF4) {
    if (!cont(1) || !cont(2) || !cont(3)) return 0;
    if (b == 0xF0 && p[1] < 0x90) return 0;
    if (b == 0xF4 && p[1] > 0x8F) return 0;
    return 4;
  }
  return 0;
}

bool IsHidden(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

void AppendHex(std::string* out, std::string_view bytes) {
  static const char* kDigits = "0123456789abcdef";
  for (const char byte : bytes) {
    const auto b = static_cast<unsigned char>(byte);
    *out += "\\x";
    *out += kDigits[b >> 4];
    *out += kDigits[b & 15];
  }
}

}  // namespace

std::size_t FindInvalidUtf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const std::size_t n = text.size();
  std::size_t i = 0;
  while (i < n) {
    // Most text is ASCII: eight bytes at a time.
    while (i + 8 <= n) {
      std::uint64_t word;
      std::memcpy(&word, p + i, 8);
      if (word & 0x8080808080808080ull) break;
      i += 8;
    }
    if (i >= n) break;
    const std::size_t length = CodePointLength(p + i, n - i);
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

char32_t NextCodePoint(std::string_view text, std::size_t* at) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data()) + *at;
  const unsigned char b = p[0];
  if (b < 0x80) {
    *at += 1;
    return b;
  }
  if (b < 0xE0) {
    *at += 2;
    return (static_cast<char32_t>(b & 0x1F) << 6) | (p[1] & 0x3Fu);
  }
  if (b < 0xF0) {
    *at += 3;
    return (static_cast<char32_t>(b & 0x0F) << 12) | (static_cast<char32_t>(p[1] & 0x3F) << 6) |
           (p[2] & 0x3Fu);
  }
  *at += 4;
  return (static_cast<char32_t>(b & 0x07) << 18) | (static_cast<char32_t>(p[1] & 0x3F) << 12) |
         (static_cast<char32_t>(p[2] & 0x3F) << 6) | (p[3] & 0x3Fu);
}

bool IsWhiteSpace(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000 || c == 0xFEFF;
}

bool IsBlank(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    if (!IsWhiteSpace(NextCodePoint(text, &at))) return false;
  }
  return true;
}

std::string EscapeControl(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::size_t i = 0;
  while (i < text.size()) {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data()) + i;
    const std::size_t length = CodePointLength(p, text.size() - i);
    if (length == 0) {
      AppendHex(&out, text.substr(i, 1));
      i += 1;
      continue;
    }
    std::size_t at = i;
    const char32_t c = NextCodePoint(text, &at);
    if (IsHidden(c)) {
      AppendHex(&out, text.substr(i, length));
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  return out;
}

std::string EscapeControl(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return EscapeControl(text);
  std::size_t cut = bytes_max;
  while (cut > 0 && IsContinuation(text[cut])) --cut;
  return EscapeControl(text.substr(0, cut)) + "...";
}

}  // namespace embedflow
