// Offsets and flags of LMDB's data format version 1, for lmdb_*.cc only.
#ifndef EMBEDFLOW_STORE_LMDB_LAYOUT_H_
#define EMBEDFLOW_STORE_LMDB_LAYOUT_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "embedflow/status.h"

namespace embedflow {
namespace lmdb_layout {

static_assert(std::endian::native == std::endian::little && sizeof(std::size_t) == 8,
              "the LMDB data format depends on the machine");

inline constexpr std::uint32_t kMagic = 0xBEEFC0DE;
inline constexpr std::uint32_t kDataVersion = 1;
inline constexpr std::size_t kPageHeader = 16;
inline constexpr std::size_t kNodeHeader = 8;
inline constexpr std::size_t kTreeRecord = 48;
inline constexpr std::size_t kMetaBytes = 136;
inline constexpr std::uint64_t kNoRoot = ~std::uint64_t{0};
inline constexpr std::uint16_t kBranchPage = 0x01;
inline constexpr std::uint16_t kLeafPage = 0x02;
inline constexpr std::uint16_t kOverflowPage = 0x04;
inline constexpr std::uint16_t kMetaPage = 0x08;
inline constexpr std::uint16_t kBigNode = 0x01;
inline constexpr std::uint16_t kTreeNode = 0x02;
inline constexpr std::uint16_t kIntegerKeys = 0x08;
// The free list's flags also keep how the environment was opened: MDB_NOSUBDIR.
inline constexpr std::uint16_t kSingleFile = 0x4000;
inline constexpr std::size_t kPageBytesMin = 512;
inline constexpr std::size_t kPageBytesMax = 65536;

template <typename T>
T Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace lmdb_layout

// Reads `size` bytes; fewer only at the end of the file.
Result<std::size_t> ReadLmdbBytes(int fd, const std::string& path, std::uint64_t offset, char* out,
                                  std::size_t size);

// As the first page tells, or else the system's, which LMDB takes for a new file.
std::size_t LmdbPageBytes(int fd);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_LMDB_LAYOUT_H_
