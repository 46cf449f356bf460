// What the numbers of a vector are made of on the wire. Whatever it is, we keep floats:
//   int8     -128 to 127, as they are;
//   uint8    0 to 255, less 128: the same as int8, around zero;
//   ubinary  eight dimensions a byte, the highest bit first; a set bit is +1, another -1;
//   binary   the same with bytes of -128 to 127, which are those of ubinary less 128.
#ifndef EMBEDFLOW_PROVIDERS_OUTPUT_DTYPE_H_
#define EMBEDFLOW_PROVIDERS_OUTPUT_DTYPE_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace embedflow {

enum class OutputDtype { kFloat, kInt8, kUint8, kBinary, kUbinary };

// "float", "int8", "uint8", "binary", "ubinary". Never null.
const char* OutputDtypeName(OutputDtype dtype);
std::optional<OutputDtype> OutputDtypeOf(std::string_view name);

// How many floats one number on the wire becomes: 8 for the two binaries, else 1.
std::size_t FloatsPerNumber(OutputDtype dtype);

// Reads one number of a JSON text into FloatsPerNumber() floats. False for what is no such number.
bool ReadNumber(OutputDtype dtype, std::string_view text, std::span<float> floats);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_OUTPUT_DTYPE_H_
