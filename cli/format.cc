#include "cli/format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

std::string Fixed(double value, int decimals) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string Scaled(double value, const std::array<const char*, 5>& units) {
  std::size_t i = 0;
  // 999.95 would print as "1000.0".
  while (i + 1 < units.size() && value >= 999.95) {
    value /= 1000;
    ++i;
  }
  const int decimals = i == 0 || value >= 99.95 ? 0 : 1;
  return Fixed(value, decimals) + units[i];
}

struct Range {
  char32_t first;
  char32_t last;
};
// What terminals draw two columns wide, and what takes none. Coarse on purpose: a wrong guess costs
// a column, not a fact.
constexpr Range kWide[] = {{0x1100, 0x115F}, {0x2E80, 0xA4CF},   {0xAC00, 0xD7A3},
                           {0xF900, 0xFAFF}, {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
                           {0xFFE0, 0xFFE6}, {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD}};
constexpr Range kNarrow[] = {
    {0x0300, 0x036F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}};

template <std::size_t N>
bool IsIn(char32_t c, const Range (&ranges)[N]) {
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [c](const Range& range) { return c >= range.first && c <= range.last; });
}

// The code point at `at`, of valid UTF-8; anything else counts byte by byte.
struct CodePoint {
  std::size_t bytes = 1;
  std::size_t columns = 1;
};
CodePoint CodePointAt(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0xC0) return {};
  const std::size_t bytes = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (at + bytes > text.size()) return {};
  char32_t c = lead & (0xFFu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    c = (c << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3Fu);
  }
  return {bytes, IsIn(c, kWide) ? std::size_t{2} : IsIn(c, kNarrow) ? std::size_t{0} : 1};
}

// Bytes of the longest beginning that takes at most `columns`.
std::size_t BytesWithin(std::string_view text, std::size_t columns) {
  std::size_t used = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const CodePoint next = CodePointAt(text, at);
    if (used + next.columns > columns) break;
    used += next.columns;
    at += next.bytes;
  }
  return at;
}

}  // namespace

std::string WithCommas(std::uint64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string Short(double value) { return Scaled(value, {"", " k", " M", " G", " T"}); }

std::string Bytes(std::uint64_t bytes) {
  return Scaled(static_cast<double>(bytes), {" B", " kB", " MB", " GB", " TB"});
}

std::string Duration(double seconds) {
  if (seconds < 0 || !std::isfinite(seconds)) return "?";
  if (seconds < 0.05) return "under 0.1 s";
  if (seconds < 9.95) return Fixed(seconds, 1) + " s";
  if (seconds < 99.5) return Fixed(seconds, 0) + " s";
  const auto minutes = static_cast<std::uint64_t>(std::llround(seconds / 60));
  if (minutes < 60) return std::to_string(minutes) + " min";
  return WithCommas(minutes / 60) + " h " + std::to_string(minutes % 60) + " min";
}

std::string Usd(double usd) {
  if (usd <= 0) return "$0";
  if (usd >= 0.99995) return "$" + Fixed(usd, 2);
  return usd < 0.0001 ? "under $0.0001" : "$" + Fixed(usd, 4);
}

std::string Count(std::uint64_t count, std::string_view noun) {
  return WithCommas(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::size_t Columns(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint next = CodePointAt(text, at);
    columns += next.columns;
    at += next.bytes;
  }
  return columns;
}

std::string CutToColumns(std::string_view text, std::size_t columns, bool utf8) {
  if (Columns(text) <= columns) return std::string(text);
  const std::string_view mark = utf8 ? "\u2026" : "...";
  const std::size_t mark_columns = utf8 ? 1 : 3;
  if (columns < mark_columns) return std::string(text.substr(0, BytesWithin(text, columns)));
  return std::string(text.substr(0, BytesWithin(text, columns - mark_columns))) + std::string(mark);
}

std::string PadRight(std::string text, std::size_t columns) {
  const std::size_t used = Columns(text);
  if (used < columns) text.append(columns - used, ' ');
  return text;
}

std::string PadLeft(const std::string& text, std::size_t columns) {
  const std::size_t used = Columns(text);
  return used < columns ? std::string(columns - used, ' ') + text : text;
}

std::vector<std::string> Wrap(std::string_view text, std::size_t columns) {
  columns = std::max<std::size_t>(columns, 2);  // A wide letter must fit.
  std::vector<std::string> lines;
  while (!text.empty()) {
    std::size_t end = BytesWithin(text, columns);
    if (end < text.size() && text[end] != ' ') {
      const std::size_t space = text.substr(0, end).rfind(' ');
      if (space != std::string_view::npos && space > 0) end = space;
    }
    lines.emplace_back(text.substr(0, end));
    while (end < text.size() && text[end] == ' ') ++end;
    text.remove_prefix(end);
  }
  return lines;
}

std::string OneLine(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool is_space = c == ' ' || (c >= '\t' && c <= '\r');
    if (!is_space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  return Printable(line);
}

std::string ShellQuoted(std::string_view word) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(word);
  }
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string ShellQuoted(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    line += ShellQuoted(word);
  }
  return line;
}

}  // namespace embedflow::cli
