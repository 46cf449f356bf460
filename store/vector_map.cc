#include "store/vector_map.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

namespace embedflow {
namespace {

struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  char mode[5] = {};
};

// All 0 where the system does not tell.
Mapping FindMapping(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> maps(std::fopen("/proc/self/maps", "re"));
  if (maps == nullptr) return {};
  char line[512];
  while (std::fgets(line, sizeof line, maps.get()) != nullptr) {
    Mapping mapping;
    if (std::sscanf(line, "%lx-%lx %4s", &mapping.begin, &mapping.end, mapping.mode) != 3) continue;
    if (wanted >= mapping.begin && wanted < mapping.end) return mapping;
  }
  return {};
}

}  // namespace

void ReleaseMappingAround(const void* address) {
  const Mapping mapping = FindMapping(address);
  // Only "r--s": dropping pages of any other kind would lose what is in them.
  if (std::strcmp(mapping.mode, "r--s") == 0) {
    madvise(reinterpret_cast<void*>(mapping.begin), mapping.end - mapping.begin, MADV_DONTNEED);
  }
}

const char* MappingBegin(const void* address) {
  return reinterpret_cast<const char*>(FindMapping(address).begin);
}

}  // namespace embedflow
