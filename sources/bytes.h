// The bytes of one input: a file, a FIFO or standard input, read so that a stop wakes the reader.
#ifndef EMBEDFLOW_SOURCES_BYTES_H_
#define EMBEDFLOW_SOURCES_BYTES_H_

#include <sys/stat.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "embedflow/status.h"

namespace embedflow {

// Wakes a thread that waits for input. Once set it stays set.
// Threads: any; Set() is also safe in a signal handler.
class StopSignal {
 public:
  // Errors: kIo when the process has no file descriptor left.
  static Result<std::unique_ptr<StopSignal>> Create();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  void Set();
  bool is_set() const { return is_set_.load(std::memory_order_acquire); }
  // Readable from the moment of Set(). Owned by the signal.
  int fd() const { return fd_; }

 private:
  explicit StopSignal(int fd) : fd_(fd) {}
  const int fd_;
  std::atomic<bool> is_set_{false};
};

// A stream of bytes. Its messages name no file: the caller puts the name before them.
// Threads: one at a time.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Reads at least one byte and at most `size` (which must be positive) into `into`; returns how
  // many, 0 at the end. May block. Errors: kCancelled after a stop; kIo; kInvalidArgument for
  // damaged data, after every byte before the damage was handed out. An error comes back at every
  // later call.
  virtual Result<std::size_t> Read(char* into, std::size_t size) = 0;
};

// A file descriptor as a stream. Works without seeking.
class FileBytes : public ByteStream {
 public:
  enum class Links { kFollow, kRefuse };
  // Opens `path`; does not wait for the writer of a FIFO. `stop` must outlive the stream, and so
  // must `bytes_read`, which is increased by what is read. Errors: kNotFound, kIo, kInvalidArgument
  // for a directory.
  static Result<std::unique_ptr<FileBytes>> Open(const std::string& path, Links links,
                                                 const StopSignal* stop,
                                                 std::atomic<std::uint64_t>* bytes_read);
  // The same over standard input, which stays open afterwards.
  static Result<std::unique_ptr<FileBytes>> OpenStandardInput(
      const StopSignal* stop, std::atomic<std::uint64_t>* bytes_read);
  ~FileBytes() override;
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  Result<std::size_t> Read(char* into, std::size_t size) override;

  bool is_regular() const { return S_ISREG(opened_as_.st_mode); }
  // The size when it was opened; 0 if it is no regular file.
  std::uint64_t size() const;
  std::uint64_t offset() const { return offset_; }
  // Counts the rest of a regular file as read without reading it.
  void SkipRest();
  // How the file differs from what was opened, e.g. "it grew from 10 to 20 bytes"; empty if it does
  // not, or if it is no regular file. `path` is where it was opened.
  std::string DescribeChange(const std::string& path) const;

 private:
  FileBytes(int fd, bool owned, const StopSignal* stop, std::atomic<std::uint64_t>* bytes_read);
  // Fills opened_as_. Errors: kIo, kInvalidArgument for a directory.
  Status Examine();
  // Waits until the descriptor is readable or at its end. Errors: kCancelled, kIo.
  Status WaitReadable() const;

  // Constant after construction.
  const int fd_;
  const bool owned_;
  const StopSignal* const stop_;
  std::atomic<std::uint64_t>* const bytes_read_;
  struct stat opened_as_ {};
  // The reading thread only.
  std::uint64_t offset_ = 0;
};

// `what` failed with errno value `error`, as a Status with a word and a next step: kNotFound for
// what is not there, else kIo.
Status InputError(int error, const std::string& what);

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCES_BYTES_H_
