// The header of a .npy file (format 1.0): what NumPy reads before a matrix.
// Threads: pure functions.
#ifndef EMBEDFLOW_CLI_NPY_H_
#define EMBEDFLOW_CLI_NPY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace embedflow::cli {

// Bytes of every header that NpyHeader makes, whatever the shape, so that it can be written over
// once the number of rows is known.
inline constexpr std::size_t kNpyHeaderBytes = 128;

// For rows of `columns` items of `type` ("f4", "i8") in this machine's byte order; without
// `columns`, for a list of `rows` items.
std::string NpyHeader(std::string_view type, std::uint64_t rows,
                      std::optional<std::uint64_t> columns);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_NPY_H_
