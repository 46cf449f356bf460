#include "store/vector_map.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

namespace embedflow {

void ReleaseMappingAround(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> maps(std::fopen("/proc/self/maps", "re"));
  if (maps == nullptr) return;
  char line[512];
  while (std::fgets(line, sizeof line, maps.get()) != nullptr) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char mode[5] = {};
    if (std::sscanf(line, "%lx-%lx %4s", &begin, &end, mode) != 3) continue;
    if (wanted < begin || wanted >= end) continue;
    // Only "r--s": dropping pages of any other kind would lose what is in them.
    if (std::strcmp(mode, "r--s") == 0) {
      madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
    return;
  }
}

}  // namespace embedflow
