// Inside the disk shim: what it was told to do, and where a call goes.
#ifndef EMBEDFLOW_TESTS_FAKES_DISK_SHIM_PLACE_H_
#define EMBEDFLOW_TESTS_FAKES_DISK_SHIM_PLACE_H_

#include <cerrno>
#include <cstddef>

#include "tests/fakes/disk_shim.h"

namespace embedflow::disk_shim {

inline constexpr std::size_t kPathMax = 1024;  // Of any path the tests use.

// From the environment; see disk_shim.h.
struct Settings {
  char directory[kPathMax] = {};
  std::size_t directory_bytes = 0;  // 0: the shim does nothing.
  std::size_t parent_bytes = 0;
  char also[kPathMax] = {};
  const char* file = nullptr;
  unsigned long kinds = ~0ul;
  unsigned long kill_at = 0;
  DiskKill kill_how = DiskKill::kBefore;
  unsigned long fail_at = 0;
  unsigned long fail_calls = 0;
  int fail_with = EIO;
  bool fail_short = false;
  int trace = -1;
  DiskShimState* state = nullptr;
};

// Reads them when first called. Threads: any.
const Settings& TheSettings();

// Ends the process: a wrong setting would make tests pass that prove nothing.
[[noreturn]] void Refuse(const char* what);

struct Where {
  DiskPlace place = DiskPlace::kElsewhere;
  char path[kPathMax] = {};
  // Below the directory; the whole path elsewhere.
  const char* name() const;
};
// All leave errno as it may be, take no memory from malloc, and know nothing without a directory.
Where OfDescriptor(int fd);
// Absolute, without empty parts. Links and ".." are left: no test has them below the directory.
Where OfPath(int directory, const char* path);
// The file that is mapped at `address`.
Where OfAddress(const void* address);

}  // namespace embedflow::disk_shim

#endif  // EMBEDFLOW_TESTS_FAKES_DISK_SHIM_PLACE_H_
