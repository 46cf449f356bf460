#include "providers/floats.h"

#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace embedflow {
namespace {

static_assert(std::endian::native == std::endian::little,
              "base64 replies are little-endian floats");

constexpr std::uint32_t kBadCharacter = 0x80000000u;

// Four tables, one a place in a group of four characters: or-ing them gives three bytes in memory
// order. Bit 31 marks a character outside the alphabet.
struct Base64Tables {
  std::array<std::array<std::uint32_t, 256>, 4> place;
};

constexpr Base64Tables MakeBase64Tables() {
  Base64Tables tables{};
  for (auto& table : tables.place) table.fill(kBadCharacter);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::uint32_t value = 0; value < 64; ++value) {
    const auto c = static_cast<unsigned char>(kAlphabet[value]);
    tables.place[0][c] = value << 2;
    tables.place[1][c] = (value >> 4) | ((value & 15u) << 12);
    tables.place[2][c] = ((value >> 2) << 8) | ((value & 3u) << 22);
    tables.place[3][c] = value << 16;
  }
  return tables;
}

constexpr Base64Tables kBase64 = MakeBase64Tables();

std::uint32_t DecodeGroup(const unsigned char* in) {
  return kBase64.place[0][in[0]] | kBase64.place[1][in[1]] | kBase64.place[2][in[2]] |
         kBase64.place[3][in[3]];
}

}  // namespace

bool DecodeBase64Floats(std::string_view base64, std::span<float> row) {
  const std::size_t bytes = row.size_bytes();
  if (base64.size() != (bytes + 2) / 3 * 4) return false;
  const auto* in = reinterpret_cast<const unsigned char*>(base64.data());
  auto* out = reinterpret_cast<unsigned char*>(row.data());
  std::uint32_t bad = 0;
  std::size_t left = bytes;
  // Four bytes are written where three are meant: the next group mends the fourth.
  for (; left > 3; left -= 3, in += 4, out += 3) {
    const std::uint32_t group = DecodeGroup(in);
    bad |= group;
    std::memcpy(out, &group, 4);
  }
  if (left > 0) {
    std::array<unsigned char, 4> last = {in[0], in[1], in[2], in[3]};
    for (std::size_t i = left + 1; i < 4; ++i) {
      if (last[i] != '=') return false;
      last[i] = 'A';
    }
    const std::uint32_t group = DecodeGroup(last.data());
    bad |= group;
    std::memcpy(out, &group, left);
    if (left < 3 && ((group & 0xFFFFFFu) >> (8 * left)) != 0) return false;
  }
  return (bad & kBadCharacter) == 0;
}

const char* WhyUnusable(std::span<const float> vector) {
  // Eight sums, so that the compiler can use vector registers without re-ordering a single sum.
  std::array<float, 8> sums{};
  std::size_t i = 0;
  for (; i + 8 <= vector.size(); i += 8) {
    for (std::size_t j = 0; j < 8; ++j) sums[j] += vector[i + j] * vector[i + j];
  }
  float sum = 0;
  for (; i < vector.size(); ++i) sum += vector[i] * vector[i];
  for (const float part : sums) sum += part;

  const float square_max = FLT_MAX / static_cast<float>(vector.size());
  // The usual case: if the sum is below the bound of one square, so is every square.
  if (sum >= FLT_MIN && sum < square_max) return nullptr;
  for (const float x : vector) {
    if (!std::isfinite(x)) return "is not finite";
    if (x * x >= square_max) return "is too large: its length would overflow";
  }
  return sum >= FLT_MIN ? nullptr : "is zero";
}

}  // namespace embedflow
