// Where results go: standard output, or a file that appears whole or not at all.
#ifndef EMBEDFLOW_CLI_OUTPUT_H_
#define EMBEDFLOW_CLI_OUTPUT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "embedflow/status.h"

namespace embedflow::cli {

// Buffered bytes to a file or to standard output. A file is written under a temporary name beside
// its own and renamed by Commit(); one that was not committed is removed. A path that names no
// regular file (/dev/stdout, a named pipe) is written directly.
// Threads: not thread-safe. Errors: kIo; the word "pipe_closed" when the reader has gone away.
class Output {
 public:
  // Makes the temporary file, mode 0600 under the process's umask.
  static Result<std::unique_ptr<Output>> Create(const std::string& path);
  static std::unique_ptr<Output> Standard();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output();

  Status Write(std::string_view bytes);
  // Writes over bytes that were written before; fails where there is no going back (a pipe).
  Status WriteAt(std::uint64_t offset, std::string_view bytes);
  // Writes what is buffered, syncs a regular file and gives it its name. Once, as the last call.
  Status Commit();

 private:
  Output(int fd, std::string name, std::string temporary, std::string path);
  Status Flush();
  Status Failed(std::string_view what, int error) const;

  const int fd_;
  const std::string name_;       // As messages call it.
  const std::string temporary_;  // Empty when written directly.
  const std::string path_;
  std::string buffer_;
  bool committed_ = false;
};

// Fails early, with kIo, where Output::Create(path) would fail late: a folder that is missing or
// read-only, a path that is a folder.
Status CheckWritable(const std::string& path);

// A usage error if `path` lies in the corpus `directory`, whose files a result must not replace, or
// is one of `inputs`. `option` names it in the message.
Status CheckApart(std::string_view option, const std::string& path, const std::string& directory,
                  const std::vector<std::string>& inputs);

// The whole of `bytes` as the file at `path`.
Status WriteWhole(const std::string& path, std::string_view bytes);

// Lines that are in the kernel's hands when Append() returns; they survive a kill.
// Threads: Append may be called by one thread at a time.
class AppendLog {
 public:
  // Opens or makes the file and puts a line end behind a torn last line.
  static Result<std::unique_ptr<AppendLog>> Open(const std::string& path);
  AppendLog(const AppendLog&) = delete;
  AppendLog& operator=(const AppendLog&) = delete;
  ~AppendLog();
  Status Append(std::string line);

 private:
  AppendLog(int fd, std::string path);
  const int fd_;
  const std::string path_;
};

bool IsPipeClosed(const Status& status);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_OUTPUT_H_
