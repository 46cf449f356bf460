#include "sources/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>
#include <system_error>

namespace embedflow {

Status InputError(int error, const std::string& what) {
  const std::string message = what + ": " + std::generic_category().message(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Status(Code::kNotFound, message)
          .WithWord("input_missing")
          .WithNext("check the path; names with spaces or wildcards need quotes");
    case EACCES:
    case EPERM:
      return Status(Code::kIo, message)
          .WithWord("input_unreadable")
          .WithNext("give this user the right to read it, then the same command");
    case EMFILE:
    case ENFILE:
      return Status(Code::kIo, message)
          .WithWord("input_unreadable")
          .WithNext("raise the limit of open files (ulimit -n), then the same command");
    default:
      return Status(Code::kIo, message)
          .WithWord("input_unreadable")
          .WithNext("see that it can be read (cat it to /dev/null), then the same command");
  }
}

Result<std::unique_ptr<StopSignal>> StopSignal::Create() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return InputError(errno, "cannot make an event descriptor");
  return std::unique_ptr<StopSignal>(new StopSignal(fd));
}

StopSignal::~StopSignal() { ::close(fd_); }

void StopSignal::Set() {
  is_set_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  // The only failure is a counter that is full, and then the descriptor is readable already.
  [[maybe_unused]] const ssize_t written = ::write(fd_, &one, sizeof one);
}

FileBytes::FileBytes(int fd, bool owned, const StopSignal* stop,
                     std::atomic<std::uint64_t>* bytes_read)
    : fd_(fd), owned_(owned), stop_(stop), bytes_read_(bytes_read) {}

FileBytes::~FileBytes() {
  if (owned_) ::close(fd_);
}

Result<std::unique_ptr<FileBytes>> FileBytes::Open(const std::string& path, Links links,
                                                   const StopSignal* stop,
                                                   std::atomic<std::uint64_t>* bytes_read) {
  // O_NONBLOCK: a FIFO without a writer would hold up open(), where no stop can wake us; poll()
  // waits for the writer instead.
  int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  if (links == Links::kRefuse) flags |= O_NOFOLLOW;
  const int fd = ::open(path.c_str(), flags);
  if (fd < 0) return InputError(errno, "cannot be opened");
  std::unique_ptr<FileBytes> file(new FileBytes(fd, /*owned=*/true, stop, bytes_read));
  EF_RETURN_IF_ERROR(file->Examine());
  if (file->is_regular()) ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return file;
}

Result<std::unique_ptr<FileBytes>> FileBytes::OpenStandardInput(
    const StopSignal* stop, std::atomic<std::uint64_t>* bytes_read) {
  std::unique_ptr<FileBytes> file(new FileBytes(STDIN_FILENO, /*owned=*/false, stop, bytes_read));
  EF_RETURN_IF_ERROR(file->Examine());
  return file;
}

Status FileBytes::Examine() {
  if (::fstat(fd_, &opened_as_) != 0) return InputError(errno, "cannot be examined");
  if (S_ISDIR(opened_as_.st_mode)) {
    return Status(Code::kInvalidArgument, "is a directory where a file was expected")
        .WithWord("input_unreadable")
        .WithNext("name the directory as an input of its own");
  }
  return {};
}

Status FileBytes::WaitReadable() const {
  struct pollfd waits[] = {{fd_, POLLIN, 0}, {stop_->fd(), POLLIN, 0}};
  while (::poll(waits, 2, /*timeout=*/-1) < 0) {
    if (errno != EINTR) return InputError(errno, "cannot wait for input");
  }
  if (waits[1].revents != 0) return {Code::kCancelled, "stopped while waiting for input"};
  return {};
}

Result<std::size_t> FileBytes::Read(char* into, std::size_t size) {
  for (;;) {
    if (stop_->is_set()) return Status(Code::kCancelled, "stopped while reading");
    if (!is_regular()) EF_RETURN_IF_ERROR(WaitReadable());
    const ssize_t got = ::read(fd_, into, size);
    if (got >= 0) {
      offset_ += static_cast<std::uint64_t>(got);
      bytes_read_->fetch_add(static_cast<std::uint64_t>(got), std::memory_order_relaxed);
      return static_cast<std::size_t>(got);
    }
    if (errno == EINTR || errno == EAGAIN) continue;
    return InputError(errno, "cannot be read at byte " + std::to_string(offset_));
  }
}

std::uint64_t FileBytes::size() const {
  return is_regular() ? static_cast<std::uint64_t>(opened_as_.st_size) : 0;
}

void FileBytes::SkipRest() {
  if (size() <= offset_) return;
  bytes_read_->fetch_add(size() - offset_, std::memory_order_relaxed);
  offset_ = size();
}

std::string FileBytes::DescribeChange(const std::string& path) const {
  if (!is_regular()) return {};
  struct stat now {};
  if (::fstat(fd_, &now) != 0) return {};
  const auto sizes = [&] {
    return " from " + std::to_string(opened_as_.st_size) + " to " + std::to_string(now.st_size) +
           " bytes";
  };
  if (now.st_size > opened_as_.st_size) return "it grew" + sizes();
  if (now.st_size < opened_as_.st_size) return "it shrank" + sizes();
  if (now.st_mtim.tv_sec != opened_as_.st_mtim.tv_sec ||
      now.st_mtim.tv_nsec != opened_as_.st_mtim.tv_nsec) {
    return "it was written to";
  }
  struct stat named {};
  if (!owned_) return {};  // Standard input has no name that could have been given to another file.
  if (::stat(path.c_str(), &named) != 0) return "it was removed";
  if (named.st_ino != opened_as_.st_ino || named.st_dev != opened_as_.st_dev)
    return "another file has taken its name";
  return {};
}

}  // namespace embedflow
