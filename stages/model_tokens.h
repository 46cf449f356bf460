// What a code point counts for in the estimate of model tokens.
#ifndef EMBEDFLOW_STAGES_MODEL_TOKENS_H_
#define EMBEDFLOW_STAGES_MODEL_TOKENS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace embedflow {

// The estimate is a sum: every code point counts for some units, booked on its first byte, so that
// a sum may be carried on byte by byte in either direction and spans add up exactly. A text of u
// units is estimated at ceil(u / kUnitsPerModelToken) model tokens.
inline constexpr std::uint64_t kUnitsPerModelToken = 64;
inline constexpr std::uint64_t kUnitsUnlimited = std::numeric_limits<std::uint64_t>::max();

// By byte. A byte that begins a code point counts for 1 to kUnitsPerModelToken units, so a chunk
// of one model token always has room for any code point; a continuation byte counts for none.
extern const std::array<std::uint8_t, 256> kModelTokenUnits;

// Units of `text`.
std::uint64_t ModelTokenUnits(std::string_view text);

// Adds the units of text[at..] to *units for as long as *units stays at or below `units_max`.
// Returns where it stopped: text.size(), or the begin of the code point that did not fit.
// `at` must be the begin of a code point or text.size().
std::size_t AdvanceByUnits(std::string_view text, std::size_t at, std::uint64_t units_max,
                           std::uint64_t* units);

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_MODEL_TOKENS_H_
