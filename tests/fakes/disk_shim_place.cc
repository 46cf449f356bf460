#include "tests/fakes/disk_shim_place.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace embedflow::disk_shim {
namespace {

Settings settings;
pthread_once_t once = PTHREAD_ONCE_INIT;

unsigned long NumberOf(const char* name, unsigned long otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoul(text, nullptr, 10);
}

void CopyPath(const char* name, char* out) {
  const char* text = std::getenv(name);
  if (text == nullptr) return;
  if (text[0] != '/' || std::strlen(text) >= kPathMax) Refuse("a path is relative or too long");
  std::strcpy(out, text);  // NOLINT(clang-analyzer-security.insecureAPI.strcpy): measured above.
}

void Initialize() {
  CopyPath(kDiskShimDirectory, settings.directory);
  if (settings.directory[0] == '\0') return;
  CopyPath(kDiskShimAlso, settings.also);
  settings.parent_bytes =
      static_cast<std::size_t>(std::strrchr(settings.directory, '/') - settings.directory);
  settings.file = std::getenv(kDiskShimFile);
  settings.kinds = NumberOf(kDiskShimKinds, ~0ul);
  settings.kill_at = NumberOf(kDiskShimKillAt, 0);
  settings.kill_how = static_cast<DiskKill>(NumberOf(kDiskShimKillHow, 0));
  settings.fail_at = NumberOf(kDiskShimFailAt, 0);
  settings.fail_calls = NumberOf(kDiskShimFailCalls, 0);
  settings.fail_with = static_cast<int>(NumberOf(kDiskShimFailWith, EIO));
  settings.fail_short = NumberOf(kDiskShimFailShort, 0) != 0;
  if (const char* trace = std::getenv(kDiskShimTrace); trace != nullptr) {
    settings.trace = static_cast<int>(
        syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    if (settings.trace < 0) Refuse("the trace cannot be opened");
  }
  const char* state = std::getenv(kDiskShimState);
  const int fd = state == nullptr ? -1
                                  : static_cast<int>(syscall(SYS_openat, AT_FDCWD, state,
                                                             O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof(DiskShimState)) != 0) {
    Refuse("the state cannot be opened");
  }
  void* map = mmap(nullptr, sizeof(DiskShimState), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) Refuse("the state cannot be mapped");
  syscall(SYS_close, fd);
  settings.state = static_cast<DiskShimState*>(map);
  settings.directory_bytes = std::strlen(settings.directory);
}

bool IsActive() { return TheSettings().directory_bytes != 0; }

void Classify(Where* where) {
  const std::size_t size = settings.directory_bytes;
  if (std::strncmp(where->path, settings.directory, size) == 0 &&
      (where->path[size] == '\0' || where->path[size] == '/')) {
    where->place = DiskPlace::kInside;
  } else if (std::strlen(where->path) == settings.parent_bytes &&
             std::strncmp(where->path, settings.directory, settings.parent_bytes) == 0) {
    where->place = DiskPlace::kParent;
  } else if (settings.also[0] != '\0' && std::strcmp(where->path, settings.also) == 0) {
    where->place = DiskPlace::kAlso;
  } else {
    where->place = DiskPlace::kElsewhere;
  }
}

}  // namespace

const Settings& TheSettings() {
  pthread_once(&once, Initialize);
  return settings;
}

void Refuse(const char* what) {
  std::fprintf(stderr, "disk shim: %s\n", what);
  _exit(125);
}

const char* Where::name() const {
  if (place != DiskPlace::kInside) return path;
  const char* rest = path + settings.directory_bytes;
  return *rest == '/' ? rest + 1 : rest;
}

Where OfDescriptor(int fd) {
  Where where;
  if (!IsActive()) return where;
  char link[32];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t bytes = readlink(link, where.path, kPathMax - 1);
  where.path[bytes < 0 ? 0 : bytes] = '\0';
  // The kernel says so of a file without a name; which one it had matters to nobody.
  if (char* gone = std::strstr(where.path, " (deleted)"); gone != nullptr) *gone = '\0';
  Classify(&where);
  return where;
}

Where OfPath(int directory, const char* path) {
  Where where;
  if (!IsActive()) return where;
  std::size_t size = 0;
  if (path[0] != '/') {
    if (directory == AT_FDCWD) {
      if (getcwd(where.path, kPathMax) == nullptr) return where;
    } else {
      where = OfDescriptor(directory);
    }
    size = std::strlen(where.path);
    if (size + 1 < kPathMax) where.path[size++] = '/';
  }
  for (const char* at = path; *at != '\0'; ++at) {
    if (*at == '/' && size > 0 && where.path[size - 1] == '/') continue;
    if (size + 1 >= kPathMax) return Where();
    where.path[size++] = *at;
  }
  if (size > 1 && where.path[size - 1] == '/') --size;
  where.path[size] = '\0';
  Classify(&where);
  return where;
}

Where OfAddress(const void* address) {
  Where where;
  if (!IsActive()) return where;
  const int fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY, 0));
  char line[kPathMax + 128];
  std::size_t size = 0;
  char next = 0;
  while (where.path[0] == '\0' && syscall(SYS_read, fd, &next, 1) == 1) {
    if (next != '\n') {
      if (size + 1 < sizeof line) line[size++] = next;
      continue;
    }
    line[size] = '\0';
    size = 0;
    char* end = nullptr;
    const unsigned long from = std::strtoul(line, &end, 16);
    const unsigned long until = std::strtoul(end + 1, nullptr, 16);
    const auto at = reinterpret_cast<unsigned long>(address);
    const char* path = std::strchr(line, '/');
    if (at < from || at >= until || path == nullptr || std::strlen(path) >= kPathMax) continue;
    std::strcpy(where.path, path);  // NOLINT(clang-analyzer-security.insecureAPI.strcpy)
    Classify(&where);
  }
  syscall(SYS_close, fd);
  return where;
}

}  // namespace embedflow::disk_shim
