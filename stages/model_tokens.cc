#include "stages/model_tokens.h"

#include "stages/chunker.h"

namespace embedflow {
namespace {

// docs/chunking.md gives the reason for each figure: they are set for cl100k_base, the tokenizer of
// the embedding models most used, and capped at one token so that every chunk size can be kept.
constexpr std::uint8_t UnitsOfAscii(unsigned byte) {
  if (byte >= 'a' && byte <= 'z') return 15;
  if (byte >= 'A' && byte <= 'Z') return 24;
  if (byte >= '0' && byte <= '9') return 32;
  if (byte == ' ') return 4;
  if (byte == '\r') return 16;
  if (byte == '\n' || byte == '\t') return 32;
  if (byte < 0x20 || byte == 0x7F) return 64;
  return 48;
}

constexpr std::uint8_t UnitsOfByte(unsigned byte) {
  if (byte < 0x80) return UnitsOfAscii(byte);
  if (byte < 0xC0) return 0;
  if (byte <= 0xC3) return 48;                  // U+0080: Latin-1 letters and signs.
  if (byte <= 0xCF) return 58;                  // U+0100: Latin extended, Greek, combining marks.
  if (byte <= 0xD3) return 36;                  // U+0400: Cyrillic.
  if (byte >= 0xD8 && byte <= 0xDB) return 54;  // U+0600: Arabic.
  return 64;
}

constexpr std::array<std::uint8_t, 256> MakeUnits() {
  std::array<std::uint8_t, 256> units{};
  for (unsigned byte = 0; byte < units.size(); ++byte) units[byte] = UnitsOfByte(byte);
  return units;
}

constexpr std::size_t kBlockBytes = 16;

inline std::uint64_t UnitsOfBlock(const char* text) {
  unsigned sum = 0;
  for (std::size_t i = 0; i < kBlockBytes; ++i) {
    sum += kModelTokenUnits[static_cast<unsigned char>(text[i])];
  }
  return sum;
}

}  // namespace

constexpr std::array<std::uint8_t, 256> kModelTokenUnits = MakeUnits();

std::uint64_t ModelTokenUnits(std::string_view text) {
  std::uint64_t units = 0;
  AdvanceByUnits(text, 0, kUnitsUnlimited, &units);
  return units;
}

std::size_t AdvanceByUnits(std::string_view text, std::size_t at, std::uint64_t units_max,
                           std::uint64_t* units) {
  const char* const p = text.data();
  const std::size_t n = text.size();
  std::uint64_t sum = *units;
  // A block at a time: one comparison in 16 bytes instead of one a byte.
  while (n - at >= kBlockBytes) {
    const std::uint64_t next = sum + UnitsOfBlock(p + at);
    if (next > units_max) break;
    sum = next;
    at += kBlockBytes;
  }
  // Continuation bytes count for nothing, so the byte that does not fit begins a code point.
  for (; at < n; ++at) {
    const std::uint64_t next = sum + kModelTokenUnits[static_cast<unsigned char>(p[at])];
    if (next > units_max) break;
    sum = next;
  }
  *units = sum;
  return at;
}

std::size_t EstimateModelTokens(std::string_view text) {
  return (ModelTokenUnits(text) + kUnitsPerModelToken - 1) / kUnitsPerModelToken;
}

}  // namespace embedflow
