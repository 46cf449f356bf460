#include "simulator/gzip.h"

#include <cstdint>

namespace embedflow {

std::string ToGzip(std::string_view bytes) {
  std::string out("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10);
  const auto put = [&out](std::uint32_t value, int count) {  // Lowest byte first.
    for (int i = 0; i < count; ++i) out += static_cast<char>(value >> (8 * i));
  };
  // Stored blocks of at most 65,535 bytes each: nothing gets smaller, but it is gzip.
  std::uint32_t crc = 0xFFFFFFFFu;
  for (std::string_view rest = bytes;;) {
    const std::string_view block = rest.substr(0, 65535);
    rest.remove_prefix(block.size());
    put(rest.empty() ? 1 : 0, 1);
    put(static_cast<std::uint32_t>(block.size()), 2);
    put(~static_cast<std::uint32_t>(block.size()), 2);
    out += block;
    if (rest.empty()) break;
  }
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) ? 0xEDB88320u : 0u);
  }
  put(~crc, 4);
  put(static_cast<std::uint32_t>(bytes.size()), 4);
  return out;
}

std::string GzipBomb(std::size_t bytes) {
  // One deflate block with the fixed code: a space, then copies of 258 bytes from one byte back,
  // 13 bits each: the code of length 285 is 11000101, that of distance 1 is 00000.
  std::string out("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10);
  unsigned bits = 0;
  int held = 0;
  const auto put = [&](unsigned value, int count) {  // Lowest bit first.
    for (int i = 0; i < count; ++i) {
      bits |= ((value >> i) & 1u) << held;
      if (++held == 8) {
        out += static_cast<char>(bits);
        bits = 0;
        held = 0;
      }
    }
  };
  put(1, 1);           // The last block,
  put(1, 2);           // with the fixed code.
  put(0b00001010, 8);  // A space: 0x30 + 0x20 = 01010000, highest bit first.
  for (std::size_t copied = 0; copied + 258 < bytes; copied += 258) {
    put(0b10100011, 8);
    put(0, 5);
  }
  put(0, 7);  // The end.
  if (held > 0) put(0, 8 - held);
  out += std::string(8, '\0');
  return out;
}

}  // namespace embedflow
