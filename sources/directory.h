// The files of a directory tree, in a stable order.
#ifndef EMBEDFLOW_SOURCES_DIRECTORY_H_
#define EMBEDFLOW_SOURCES_DIRECTORY_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "embedflow/status.h"

namespace embedflow {

// `directory` and `relative` with one slash between them.
std::string JoinPath(std::string_view directory, std::string_view relative);

// Walks the regular files below a directory in byte order of their relative paths, hidden ones too.
// Symbolic links, FIFOs, sockets and devices are passed over; so no loop is possible, and the depth
// is bounded by the longest path the system takes. Holds the names of the levels it is in, nothing
// else. Threads: one at a time.
class DirectoryWalk {
 public:
  // Says in the debug log what is passed over, or not.
  enum class Says { kPassedOver, kNothing };
  // Nothing is read before Next(). A `root` that is a symbolic link is followed.
  DirectoryWalk(std::string root, Says says) : root_(std::move(root)), says_(says) {}

  // Sets `*relative` to the next file's path below the root; returns false at the end. Errors: kIo
  // and kNotFound for a directory that cannot be listed, with its path. A directory that vanished
  // since its parent was listed is passed over with a warning.
  Result<bool> Next(std::string* relative);
  // False once a directory was passed over for that.
  bool is_complete() const { return is_complete_; }

 private:
  // One directory: its names in order, those of directories with a slash behind them.
  struct Level {
    std::string prefix;  // Relative to the root: "" or "a/b/".
    std::string names;   // Each followed by a NUL. One string, because there may be a million.
    std::vector<std::size_t> order;  // Where the names begin, in byte order of the names.
    std::size_t next = 0;            // In `order`.
  };
  // Lists root/prefix as a new level.
  Status Enter(std::string prefix);

  const std::string root_;
  const Says says_;
  bool begun_ = false;
  bool is_complete_ = true;
  std::vector<Level> levels_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCES_DIRECTORY_H_
