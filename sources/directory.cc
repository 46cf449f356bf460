#include "sources/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/log.h"
#include "sources/bytes.h"

namespace embedflow {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// The kind of an entry as readdir tells it, asked of the file itself where it does not.
unsigned char KindOf(DIR* directory, const struct dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type;
  struct stat examined {};
  if (::fstatat(::dirfd(directory), entry.d_name, &examined, AT_SYMLINK_NOFOLLOW) != 0)
    return DT_UNKNOWN;
  return static_cast<unsigned char>(IFTODT(examined.st_mode));
}

}  // namespace

std::string JoinPath(std::string_view directory, std::string_view relative) {
  std::string path(directory);
  if (!relative.empty() && !path.empty() && path.back() != '/') path += '/';
  return path += relative;
}

Status DirectoryWalk::Enter(std::string prefix) {
  const std::string path = JoinPath(root_, prefix);
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (prefix.empty() ? 0 : O_NOFOLLOW);
  const int fd = ::open(path.c_str(), flags);
  const std::unique_ptr<DIR, CloseDirectory> directory(fd < 0 ? nullptr : ::fdopendir(fd));
  if (directory == nullptr) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    if (!prefix.empty() && (error == ENOENT || error == ENOTDIR || error == ELOOP)) {
      Log(LogLevel::kWarning, path + ": the directory is gone since it was listed; passed over");
      is_complete_ = false;
      return {};
    }
    return InputError(error, path + ": the directory cannot be opened");
  }
  Level level;
  level.prefix = std::move(prefix);
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) {
      if (errno != 0) return InputError(errno, path + ": the directory cannot be listed");
      break;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const unsigned char kind = KindOf(directory.get(), *entry);
    if (kind != DT_REG && kind != DT_DIR) {
      if (says_ == Says::kPassedOver && LogEnabled(LogLevel::kDebug))
        Log(LogLevel::kDebug, JoinPath(path, name) + ": passed over, neither file nor directory");
      continue;
    }
    level.order.push_back(level.names.size());
    level.names += name;
    // The slash puts a directory where its files belong: "a.txt" < "a/b.txt" < "a0.txt".
    if (kind == DT_DIR) level.names += '/';
    level.names += '\0';
  }
  const char* names = level.names.data();
  std::sort(level.order.begin(), level.order.end(), [names](std::size_t a, std::size_t b) {
    return std::strcmp(names + a, names + b) < 0;
  });
  levels_.push_back(std::move(level));
  return {};
}

Result<bool> DirectoryWalk::Next(std::string* relative) {
  if (!begun_) {
    begun_ = true;
    EF_RETURN_IF_ERROR(Enter({}));
  }
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.next == level.order.size()) {
      levels_.pop_back();
      continue;
    }
    std::string path = level.prefix + (level.names.data() + level.order[level.next++]);
    if (path.back() == '/') {
      EF_RETURN_IF_ERROR(Enter(std::move(path)));
      continue;
    }
    *relative = std::move(path);
    return true;
  }
  return false;
}

}  // namespace embedflow
