// Content hashes and checksums.
//
// Identity uses SHA-256 cut to 128 bits: two texts with one hash would share a vector, and nobody
// who writes documents may be able to bring that about. Checksums against damage use XXH3.
#ifndef EMBEDFLOW_BASE_HASH_H_
#define EMBEDFLOW_BASE_HASH_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace embedflow {

// 128 bits that stand for content.
struct ContentHash {
  std::array<unsigned char, 16> bytes{};

  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // `raw` must hold 16 bytes.
  static ContentHash FromBytes(std::string_view raw);
  // The first eight bytes, big endian.
  std::uint64_t high64() const;
  std::string hex() const;
  auto operator<=>(const ContentHash&) const = default;
};

// The hash of the parts, each preceded by its length, so that ("ab","c") and ("a","bc") differ.
// One part alone is hashed the same way.
ContentHash HashContent(std::span<const std::string_view> parts);
ContentHash HashContent(std::string_view text);

// The whole SHA-256 of `data` alone, in hexadecimal: what sha256sum prints.
std::string Sha256Hex(std::string_view data);

// XXH3-64 of `data`, starting from `seed`: parts are chained by passing the last result as seed.
std::uint64_t Checksum(std::string_view data, std::uint64_t seed = 0);
inline std::uint64_t Checksum(std::span<const float> data, std::uint64_t seed = 0) {
  return Checksum({reinterpret_cast<const char*>(data.data()), data.size_bytes()}, seed);
}

}  // namespace embedflow

template <>
struct std::hash<embedflow::ContentHash> {
  std::size_t operator()(const embedflow::ContentHash& content) const noexcept {
    std::size_t value;
    std::memcpy(&value, content.bytes.data(), sizeof value);
    return value;
  }
};

#endif  // EMBEDFLOW_BASE_HASH_H_
