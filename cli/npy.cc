#include "cli/npy.h"

#include <bit>

namespace embedflow::cli {

std::string NpyHeader(std::string_view type, std::uint64_t rows,
                      std::optional<std::uint64_t> columns) {
  const char order = std::endian::native == std::endian::little ? '<' : '>';
  std::string shape = "(" + std::to_string(rows) + ",";
  if (columns) shape += " " + std::to_string(*columns);
  std::string dictionary = std::string("{'descr': '") + order + std::string(type) +
                           "', 'fortran_order': False, 'shape': " + shape + "), }";
  // Magic, version and a length of two bytes stand before the dictionary, which ends in a newline.
  constexpr std::size_t kPrefixBytes = 10;
  constexpr std::size_t kLength = kNpyHeaderBytes - kPrefixBytes;
  dictionary.resize(kLength - 1, ' ');
  dictionary += '\n';
  std::string header = "\x93NUMPY";
  header += '\x01';
  header += '\0';
  header += static_cast<char>(kLength & 0xFF);
  header += static_cast<char>(kLength >> 8);
  return header + dictionary;
}

}  // namespace embedflow::cli
