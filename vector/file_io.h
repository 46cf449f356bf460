// Files as the index needs them: blocks with a checksum, a temporary file put in place at the end,
// exact reads. No exceptions, errors name the path.
#ifndef EMBEDFLOW_VECTOR_FILE_IO_H_
#define EMBEDFLOW_VECTOR_FILE_IO_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "embedflow/status.h"

namespace embedflow {

// The checksum of a file is chained over blocks of this size; a part of the format.
inline constexpr std::size_t kBlockBytes = 1 << 20;
inline constexpr std::size_t kChecksumBytes = 8;

// kIo, "what path: why" and what to do next; with a word ("disk_full", ...) where `error`, an
// errno, says so.
Status IoStatus(int error, const std::string& what, const std::string& path);
// kCorruption, "path: what".
Status DamagedFile(const std::string& path, const std::string& what);

// --- Numbers, little endian on every machine ---

template <typename T>
void AppendNumber(std::string* out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) *out += static_cast<char>(value >> (8 * i));
}
// Takes a number off the front of `in`, which must be long enough.
template <typename T>
T TakeNumber(std::string_view* in) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(static_cast<T>(static_cast<unsigned char>((*in)[i])) << (8 * i));
  }
  in->remove_prefix(sizeof(T));
  return value;
}

// Owns a file descriptor; -1 is none.
class FileHandle {
 public:
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(other.Release()) {}
  FileHandle& operator=(FileHandle&&) = delete;
  ~FileHandle();
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// A file under the name "<path>.tmp", gone at the end unless it was put in place. A left-over of
// that name is removed first: the corpus has one writer.
class TemporaryFile {
 public:
  // Mode 0600, whatever the umask is.
  static Result<std::unique_ptr<TemporaryFile>> Create(const std::string& path);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int fd() const { return fd_.get(); }
  // Syncs the file, renames it to `path` and syncs the directory. The last step of its life.
  Status Place();

 private:
  TemporaryFile(int fd, std::string name, std::string path);
  FileHandle fd_;
  const std::string name_;
  const std::string path_;
  bool placed_ = false;
};

// Appends to a file in blocks, with the checksum of all that was appended.
class BlockWriter {
 public:
  // `fd` must outlive this; `path` is for messages.
  BlockWriter(int fd, std::string path);
  Status Write(std::string_view data);
  // Writes what is left, then the checksum.
  Status Finish();

 private:
  Status Flush();
  Status WriteAll();

  const int fd_;
  const std::string path_;
  std::string block_;
  std::uint64_t checksum_ = 0;
};

// Reads exactly `bytes` at `offset`. Errors: kIo; kCorruption if the file ends before.
Status ReadAt(int fd, const std::string& path, std::uint64_t offset, void* out,
              std::uint64_t bytes);

// Reads a file of `file_bytes` that BlockWriter wrote and compares the checksum at its end.
// Errors: kIo, kCorruption.
Status VerifyBlocks(int fd, const std::string& path, std::uint64_t file_bytes);

}  // namespace embedflow

#endif  // EMBEDFLOW_VECTOR_FILE_IO_H_
