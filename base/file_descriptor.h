// Owns an open file descriptor and closes it; does nothing else with it.
#ifndef EMBEDFLOW_BASE_FILE_DESCRIPTOR_H_
#define EMBEDFLOW_BASE_FILE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace embedflow {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = other.Release();
    }
    return *this;
  }
  ~FileDescriptor() { Close(); }

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  // Gives up ownership.
  int Release() { return std::exchange(fd_, -1); }

 private:
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int fd_ = -1;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_FILE_DESCRIPTOR_H_
