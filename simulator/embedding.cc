#include "simulator/embedding.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "embedflow/simulator.h"

namespace embedflow {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Two characters for every twelve bits: half the look-ups of a table of single characters.
constexpr std::array<char, 8192> MakePairs() {
  std::array<char, 8192> pairs{};
  for (std::size_t i = 0; i < 4096; ++i) {
    pairs[2 * i] = kAlphabet[i >> 6];
    pairs[2 * i + 1] = kAlphabet[i & 63];
  }
  return pairs;
}
constexpr std::array<char, 8192> kPairs = MakePairs();

}  // namespace

void FillSimulatedVector(std::string_view text, std::span<float> out) {
  Rng rng(Checksum(text, static_cast<std::uint64_t>(out.size())));
  double square = 0;
  for (float& x : out) {
    x = static_cast<float>(2 * rng.Uniform() - 1);
    square += static_cast<double>(x) * static_cast<double>(x);
  }
  const double length = std::sqrt(square);
  for (float& x : out) x = static_cast<float>(static_cast<double>(x) / length);
}

std::vector<float> SimulatedVector(std::string_view text, int dimensions) {
  std::vector<float> vector(static_cast<std::size_t>(dimensions));
  FillSimulatedVector(text, vector);
  return vector;
}

void AppendBase64(std::string* out, std::string_view bytes) {
  const std::size_t begin = out->size();
  out->resize(begin + (bytes.size() + 2) / 3 * 4);
  char* to = out->data() + begin;
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  const auto put = [&to](unsigned group) {
    const char* upper = &kPairs[2 * static_cast<std::size_t>(group >> 12)];
    const char* lower = &kPairs[2 * static_cast<std::size_t>(group & 4095)];
    to[0] = upper[0];
    to[1] = upper[1];
    to[2] = lower[0];
    to[3] = lower[1];
    to += 4;
  };
  for (; left >= 3; left -= 3, from += 3) {
    put(static_cast<unsigned>(from[0] << 16 | from[1] << 8 | from[2]));
  }
  if (left == 0) return;
  put(static_cast<unsigned>(from[0] << 16 | (left == 2 ? from[1] << 8 : 0)));
  to[-1] = '=';
  if (left == 1) to[-2] = '=';
}

std::string ToBase64(std::string_view bytes) {
  std::string out;
  AppendBase64(&out, bytes);
  return out;
}

}  // namespace embedflow
