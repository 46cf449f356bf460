#include "cli/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "cli/options.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kBufferBytes = 256 << 10;
constexpr char kPipeClosed[] = "pipe_closed";

Status IoError(std::string_view what, const std::string& name, int error) {
  std::string word = "io";
  if (error == ENOSPC || error == EDQUOT) word = "disk_full";
  return Status(Code::kIo,
                std::string(what) + " " + Printable(name) + ": " + std::string(strerror(error)))
      .WithWord(std::move(word));
}

std::string FolderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Follows links, so that a link to a file keeps being one.
std::string Resolved(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return path;
  std::string resolved(real);
  std::free(real);
  return resolved;
}

// Writes all of `bytes`; returns 0 or the errno.
int WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

bool ExistsAndIsNoFile(const std::string& path, struct stat* info) {
  return ::stat(path.c_str(), info) == 0 && !S_ISREG(info->st_mode);
}

}  // namespace

bool IsPipeClosed(const Status& status) { return status.word() == kPipeClosed; }

Output::Output(int fd, std::string name, std::string temporary, std::string path)
    : fd_(fd), name_(std::move(name)), temporary_(std::move(temporary)), path_(std::move(path)) {}

Output::~Output() {
  if (!temporary_.empty() && !committed_) ::unlink(temporary_.c_str());
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

std::unique_ptr<Output> Output::Standard() {
  return std::unique_ptr<Output>(new Output(STDOUT_FILENO, "standard output", {}, {}));
}

Result<std::unique_ptr<Output>> Output::Create(const std::string& path) {
  struct stat info {};
  if (ExistsAndIsNoFile(path, &info)) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return IoError("cannot write", path, errno);
    return std::unique_ptr<Output>(new Output(fd, path, {}, path));
  }
  const std::string resolved = Resolved(path);
  const std::string temporary = resolved + ".tmp-" + std::to_string(::getpid());
  // A file of this name is left from a killed process that had our id.
  ::unlink(temporary.c_str());
  const int fd =
      ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return IoError("cannot write", path, errno);
  return std::unique_ptr<Output>(new Output(fd, path, temporary, resolved));
}

Status Output::Failed(std::string_view what, int error) const {
  if (error == EPIPE) {
    return Status(Code::kIo, "the reader of " + Printable(name_) + " has gone away")
        .WithWord(kPipeClosed);
  }
  return IoError(what, name_, error);
}

Status Output::Write(std::string_view bytes) {
  buffer_ += bytes;
  return buffer_.size() < kBufferBytes ? Status() : Flush();
}

Status Output::Flush() {
  const int error = WriteAll(fd_, buffer_);
  buffer_.clear();
  return error == 0 ? Status() : Failed("cannot write", error);
}

Status Output::WriteAt(std::uint64_t offset, std::string_view bytes) {
  EF_RETURN_IF_ERROR(Flush());
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("cannot go back in", errno);
    offset += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Status Output::Commit() {
  EF_RETURN_IF_ERROR(Flush());
  if (temporary_.empty()) return {};
  if (::fsync(fd_) != 0) return Failed("cannot sync", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return Failed("cannot rename", errno);
  committed_ = true;
  const int folder = ::open(FolderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return Failed("cannot sync the folder of", errno);
  const int error = ::fsync(folder) == 0 ? 0 : errno;
  ::close(folder);
  // Some file systems cannot sync a folder; the file itself is safe.
  return error == 0 || error == EINVAL ? Status() : Failed("cannot sync the folder of", error);
}

Status CheckWritable(const std::string& path) {
  struct stat info {};
  if (ExistsAndIsNoFile(path, &info)) {
    return S_ISDIR(info.st_mode) ? IoError("cannot write", path, EISDIR) : Status();
  }
  const std::string folder = FolderOf(Resolved(path));
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return IoError("cannot write", path, errno);
  return {};
}

Status CheckApart(std::string_view option, const std::string& path, const std::string& directory,
                  const std::vector<std::string>& inputs) {
  if (path.empty()) return {};
  const auto whole = [](const std::filesystem::path& given) {
    std::error_code error;
    std::filesystem::path canonical = std::filesystem::weakly_canonical(given, error);
    return error ? given : canonical;
  };
  const std::filesystem::path target = whole(path);
  if (target.parent_path() == whole(directory)) {
    return UsageError(std::string(option) + " " + Printable(path, 200) +
                          " lies in the corpus, whose files are not to be replaced",
                      "write it elsewhere");
  }
  for (const std::string& input : inputs) {
    if (input != "-" && whole(input) == target) {
      return UsageError(std::string(option) + " " + Printable(path, 200) + " is an input",
                        "write it elsewhere");
    }
  }
  return {};
}

Status WriteWhole(const std::string& path, std::string_view bytes) {
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Output> file, Output::Create(path));
  EF_RETURN_IF_ERROR(file->Write(bytes));
  return file->Commit();
}

AppendLog::AppendLog(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

AppendLog::~AppendLog() { ::close(fd_); }

Result<std::unique_ptr<AppendLog>> AppendLog::Open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return IoError("cannot write", path, errno);
  std::unique_ptr<AppendLog> log(new AppendLog(fd, path));
  struct stat info {};
  char last = '\n';
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 &&
      ::pread(fd, &last, 1, info.st_size - 1) == 1 && last != '\n') {
    EF_RETURN_IF_ERROR(log->Append({}));
  }
  return log;
}

Status AppendLog::Append(std::string line) {
  line += '\n';
  const int error = WriteAll(fd_, line);
  return error == 0 ? Status() : IoError("cannot write", path_, error);
}

}  // namespace embedflow::cli
