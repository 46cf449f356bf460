#include "providers/output_dtype.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>

#include "base/check.h"

namespace embedflow {
namespace {

// Number texts beyond the range of double that are longer are refused unread.
constexpr std::size_t kTinyNumberBytesMax = 100;

struct Named {
  OutputDtype dtype;
  const char* name;
};
constexpr std::array<Named, 5> kNames = {{{OutputDtype::kFloat, "float"},
                                          {OutputDtype::kInt8, "int8"},
                                          {OutputDtype::kUint8, "uint8"},
                                          {OutputDtype::kBinary, "binary"},
                                          {OutputDtype::kUbinary, "ubinary"}}};

// False for what is no float: beyond its range, or not a number at all.
bool ReadFloat(std::string_view text, float* value) {
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  if (result.ec == std::errc{}) return result.ptr == end;
  if (result.ec != std::errc::result_out_of_range) return false;
  // Too large and too small look the same to from_chars. A double knows: 1e-50 rounds to zero.
  double wide = 0;
  const auto again = std::from_chars(text.data(), end, wide);
  if (again.ec == std::errc{}) {
    *value = static_cast<float>(wide);
    return std::abs(wide) < 1;
  }
  *value = 0;
  return text.size() <= kTinyNumberBytesMax &&
         (text.find("e-") != std::string_view::npos || text.find("E-") != std::string_view::npos);
}

// A byte's number. Some servers write whole numbers as "7.0".
std::optional<int> ReadByte(std::string_view text, int min) {
  float value = 0;
  if (!ReadFloat(text, &value) || value != std::trunc(value)) return std::nullopt;
  if (value < static_cast<float>(min) || value > static_cast<float>(min + 255)) return std::nullopt;
  return static_cast<int>(value);
}

}  // namespace

const char* OutputDtypeName(OutputDtype dtype) {
  for (const Named& entry : kNames) {
    if (entry.dtype == dtype) return entry.name;
  }
  return "float";
}

std::optional<OutputDtype> OutputDtypeOf(std::string_view name) {
  for (const Named& entry : kNames) {
    if (entry.name == name) return entry.dtype;
  }
  return std::nullopt;
}

std::size_t FloatsPerNumber(OutputDtype dtype) {
  return dtype == OutputDtype::kBinary || dtype == OutputDtype::kUbinary ? 8 : 1;
}

bool ReadNumber(OutputDtype dtype, std::string_view text, std::span<float> floats) {
  EF_CHECK(floats.size() == FloatsPerNumber(dtype));
  if (dtype == OutputDtype::kFloat) return ReadFloat(text, floats.data());
  const bool is_signed = dtype == OutputDtype::kInt8 || dtype == OutputDtype::kBinary;
  const std::optional<int> byte = ReadByte(text, is_signed ? -128 : 0);
  if (!byte) return false;
  if (floats.size() == 1) {
    floats[0] = static_cast<float>(is_signed ? *byte : *byte - 128);
    return true;
  }
  const int bits = is_signed ? *byte + 128 : *byte;
  for (std::size_t i = 0; i < 8; ++i) floats[i] = ((bits >> (7 - i)) & 1) != 0 ? 1.0f : -1.0f;
  return true;
}

}  // namespace embedflow
