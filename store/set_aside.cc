#include "store/set_aside.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "store/directory.h"

namespace embedflow {

std::string FreeDamagedName(const std::string& path) {
  constexpr int kNamesMax = 10000;
  std::string name = path + ".damaged";
  struct stat status;
  for (int i = 2; i < kNamesMax && lstat(name.c_str(), &status) == 0; ++i) {
    name = path + ".damaged." + std::to_string(i);
  }
  return name;
}

// A link and no renaming, so that there is no moment without the file. It fails where the name is
// taken.
Status AlsoName(const std::string& path, const std::string& name) {
  if (link(path.c_str(), name.c_str()) == 0 || errno == ENOENT) return {};
  return IoError(name, "make", errno);
}

}  // namespace embedflow
