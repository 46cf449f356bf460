// Examines an LMDB file before LMDB maps it.
//
// LMDB 0.9 has no checksums and believes every page: a truncated file or a wrong page number makes
// it read outside the file, which kills the process, and an odd page trips its assertions. So the
// page tree is walked here first, by pread: every page that a lookup, an insertion or a deletion
// can reach must lie inside the file, be what its parent takes it for, and belong to one owner.
// What the walk cannot see, the values, carries checksums of our own.
//
// The layout is that of LMDB's data format version 1 on a little-endian machine of 64 bits
// (docs/formats.md).
#ifndef EMBEDFLOW_STORE_LMDB_PAGES_H_
#define EMBEDFLOW_STORE_LMDB_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "embedflow/status.h"

namespace embedflow {

// What the two pages at the start of the file say.
struct LmdbMeta {
  struct Tree {
    std::uint16_t flags = 0;
    std::uint16_t depth = 0;
    std::uint64_t entries = 0;
    std::uint64_t root = 0;
  };
  std::size_t page_bytes = 0;
  Tree free_list;
  Tree main;
  std::uint64_t last_page = 0;
  std::uint64_t transaction = 0;
};

// The newest of the two, or that of `transaction` if one of them is: while a writer waits for a
// sync, readers still begin in the state before. Errors: kCorruption naming `path` if the file is
// too short, not LMDB's, or a page is not valid or counts more pages than the file can hold, which
// LMDB takes for want of memory; kUnsupported for another data format; kIo.
Result<LmdbMeta> ReadLmdbMeta(int fd, const std::string& path,
                              std::optional<std::uint64_t> transaction = std::nullopt);

struct LmdbWalk {
  // Also what only a writer follows: the list of free pages, and that no page has two owners.
  bool free_list = false;
  // Also the headers of overflow pages: a read for each large value. Deletions rely on them.
  bool overflow_headers = false;
  // Told of each named database, and of each entry of it; `value` is empty if it is a large one.
  // May be null.
  std::function<void(std::string_view name)> database = nullptr;
  std::function<void(std::string_view database, std::string_view key, std::string_view value)>
      entry = nullptr;
};

// Walks the tree of `meta`. The caller must hold a transaction on that state, so that a writer does
// not use its pages again meanwhile. Needs a bit of memory for each page of the file.
// Errors: kCorruption naming `path` and the page; kIo.
Status WalkLmdbPages(int fd, const std::string& path, const LmdbMeta& meta, const LmdbWalk& walk);

// A search of every page, whatever the tree says. Calls may come for what only looks like a record.
struct LmdbScan {
  // A name of 32 bytes that stands where a named database would.
  std::function<void(std::string_view name)> database = nullptr;
  // A key of 16 bytes and its value. An error ends the search.
  std::function<Status(std::string_view key, std::string_view value)> record = nullptr;
  std::size_t value_bytes_max = SIZE_MAX;  // Longer values are not read.
};
// Errors: kIo, and those of scan.record.
Status ScanLmdbPages(int fd, const std::string& path, const LmdbScan& scan);

// OK if LMDB may delete or overwrite the entry whose value lies at `value` in the map that begins
// at `map_begin` (null: unknown, then a page that was copied to another's place goes unnoticed):
// LMDB believes the header before a large value and would free pages that are not its own. Errors:
// kCorruption, kIo.
Status CheckBeforeDeletion(int fd, const std::string& path, std::size_t page_bytes,
                           std::size_t key_bytes, std::string_view value, const char* map_begin);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_LMDB_PAGES_H_
