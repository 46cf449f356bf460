#include "vector/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/hash.h"

namespace embedflow {

Status IoStatus(int error, const std::string& what, const std::string& path) {
  Status status(Code::kIo, what + " " + path + ": " + std::generic_category().message(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return status.WithWord("disk_full")
          .WithNext("free space on the file system of " + path +
                    ", then run the same command again");
    case EROFS:
      return status.WithWord("read_only")
          .WithNext("make the file system writable, then run the same command again");
    case EACCES:
    case EPERM:
      return status.WithWord("no_permission")
          .WithNext("run as the owner of " + path + ", or give this user the right to it");
    case EFBIG:
      return status.WithWord("disk_full")
          .WithNext("raise the limit of file sizes (ulimit -f), then run the same command again");
    default:
      return status.WithNext("look at the disk of " + path + ", then run the same command again");
  }
}

Status DamagedFile(const std::string& path, const std::string& what) {
  return Status(Code::kCorruption, path + ": " + what)
      .WithNext("the index can be rebuilt from the stored vectors, nothing is bought again");
}

FileHandle::~FileHandle() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::unique_ptr<TemporaryFile>> TemporaryFile::Create(const std::string& path) {
  const std::string name = path + ".tmp";
  if (::unlink(name.c_str()) != 0 && errno != ENOENT) {
    return IoStatus(errno, "cannot remove the left-over", name);
  }
  const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return IoStatus(errno, "cannot create", name);
  auto file = std::unique_ptr<TemporaryFile>(new TemporaryFile(fd, name, path));
  if (::fchmod(fd, 0600) != 0) return IoStatus(errno, "cannot set the mode of", name);
  return file;
}

TemporaryFile::TemporaryFile(int fd, std::string name, std::string path)
    : fd_(fd), name_(std::move(name)), path_(std::move(path)) {}

TemporaryFile::~TemporaryFile() {
  if (!placed_) ::unlink(name_.c_str());
}

Status TemporaryFile::Place() {
  if (::fsync(fd_.get()) != 0) return IoStatus(errno, "cannot sync", name_);
  if (::close(fd_.Release()) != 0) return IoStatus(errno, "cannot close", name_);
  if (::rename(name_.c_str(), path_.c_str()) != 0) return IoStatus(errno, "cannot place", path_);
  placed_ = true;
  const std::size_t slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  const FileHandle directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) {
    return IoStatus(errno, "cannot sync", folder);
  }
  return {};
}

BlockWriter::BlockWriter(int fd, std::string path) : fd_(fd), path_(std::move(path)) {
  block_.reserve(kBlockBytes);
}

Status BlockWriter::Write(std::string_view data) {
  while (!data.empty()) {
    const std::size_t bytes = std::min(data.size(), kBlockBytes - block_.size());
    block_.append(data.substr(0, bytes));
    data.remove_prefix(bytes);
    if (block_.size() == kBlockBytes) EF_RETURN_IF_ERROR(Flush());
  }
  return {};
}

Status BlockWriter::Finish() {
  EF_RETURN_IF_ERROR(Flush());
  AppendNumber<std::uint64_t>(&block_, checksum_);
  return WriteAll();
}

Status BlockWriter::Flush() {
  if (block_.empty()) return {};
  checksum_ = Checksum(block_, checksum_);
  return WriteAll();
}

Status BlockWriter::WriteAll() {
  std::string_view left = block_;
  while (!left.empty()) {
    const ssize_t written = ::write(fd_, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return IoStatus(written < 0 ? errno : ENOSPC, "cannot write", path_);
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  block_.clear();
  return {};
}

Status ReadAt(int fd, const std::string& path, std::uint64_t offset, void* out,
              std::uint64_t bytes) {
  char* at = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(fd, at, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return IoStatus(errno, "cannot read", path);
    if (got == 0) return DamagedFile(path, "is cut short at byte " + std::to_string(offset));
    at += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::uint64_t>(got);
  }
  return {};
}

Status VerifyBlocks(int fd, const std::string& path, std::uint64_t file_bytes) {
  if (file_bytes < kChecksumBytes) return DamagedFile(path, "is too short for a checksum");
  std::string block(kBlockBytes, '\0');
  std::uint64_t checksum = 0;
  const std::uint64_t end = file_bytes - kChecksumBytes;
  for (std::uint64_t at = 0; at < end; at += block.size()) {
    block.resize(std::min<std::uint64_t>(kBlockBytes, end - at));
    EF_RETURN_IF_ERROR(ReadAt(fd, path, at, block.data(), block.size()));
    checksum = Checksum(block, checksum);
  }
  std::string stored(kChecksumBytes, '\0');
  EF_RETURN_IF_ERROR(ReadAt(fd, path, end, stored.data(), stored.size()));
  std::string_view view = stored;
  if (TakeNumber<std::uint64_t>(&view) != checksum) {
    return DamagedFile(path, "the checksum is wrong");
  }
  return {};
}

}  // namespace embedflow
