// UTF-8 as Unicode 15 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef EMBEDFLOW_BASE_UTF8_H_
#define EMBEDFLOW_BASE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace embedflow {

// The offset of the first byte that is not part of valid UTF-8, or npos if all of `text` is valid.
std::size_t FindInvalidUtf8(std::string_view text);
inline bool IsValidUtf8(std::string_view text) {
  return FindInvalidUtf8(text) == std::string_view::npos;
}

// True for a byte that does not begin a code point. A cut before such a byte splits a code point.
inline bool IsContinuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0u) == 0x80u;
}

// The code point that begins at `text[*at]`; moves *at behind it. `text` must be valid UTF-8, *at a
// start.
char32_t NextCodePoint(std::string_view text, std::size_t* at);

// White space in the sense of Unicode's White_Space property, plus U+FEFF (byte order mark).
bool IsWhiteSpace(char32_t c);
// True if `text` (valid UTF-8) holds nothing but white space.
bool IsBlank(std::string_view text);

// `text` fit for a terminal, a log or an error line: control bytes (C0, DEL, C1), bidirectional
// overrides and invalid bytes become \xNN; a backslash stays as it is.
std::string EscapeControl(std::string_view text);
// The same, cut at a code point to at most `bytes_max` bytes of input, with "..." where something
// was cut.
std::string EscapeControl(std::string_view text, std::size_t bytes_max);

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_UTF8_H_
