// The corpus directory: its files, their modes, the lock of the one writer, and how a failing disk
// is put into words.
#ifndef EMBEDFLOW_STORE_DIRECTORY_H_
#define EMBEDFLOW_STORE_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_descriptor.h"
#include "embedflow/status.h"

namespace embedflow {

inline constexpr const char* kDatabaseFile = "corpus.sqlite";
inline constexpr const char* kVectorFile = "vectors.lmdb";
inline constexpr const char* kSealFile = "corpus.seal";
inline constexpr const char* kLockFile = "LOCK";

// kIo: "cannot <doing> <path>: <reason>", with the word "disk_full" or "read_only" where
// `error_number` says so or where an EIO meets such a file system (LMDB reports a full disk as
// EIO), and what to do next.
Status IoError(const std::string& path, std::string_view doing, int error_number);

// The command that mends the corpus in `directory`, as a shell takes it.
std::string RepairCommand(const std::string& directory);
// `path` as a word of a shell's command.
std::string ShellWord(const std::string& path);
// kCorruption: "<path>: <what>", with the command that mends the corpus in whose directory the file
// at `path` lies.
Status Damage(const std::string& path, std::string_view what);

// True for the statfs magic of file systems on which neither LMDB nor SQLite's WAL are safe.
bool IsNetworkFileSystem(unsigned long magic);

// Makes `directory` with mode 0700 whatever the umask, and the directories above it. One that is
// there already keeps its mode. Errors: kIo, with the path.
Status MakeDirectory(const std::string& directory);
// OK if `directory` is a directory on a local file system. Errors: kNotFound, kIo, kUnsupported.
Status ExamineDirectory(const std::string& directory);
// Makes `path` if it is not there, and gives it mode 0600 whatever the umask. A file that is there
// is not opened. Errors: kIo.
Status MakePrivateFile(const std::string& path);
// Makes the names in `directory` durable.
Status SyncDirectory(const std::string& directory);
// Size in bytes, -1 if there is no such file. Errors: kIo.
Result<long long> FileBytes(const std::string& path);

// That the files of a corpus are still those that were opened: what is written to a file that
// somebody has removed is lost without an error.
// Threads: any.
class FilesInPlace {
 public:
  // Notes the files that are there. Errors: kIo.
  static Result<FilesInPlace> Note(const std::string& directory);
  // Errors: kIo naming the file that is gone or another one.
  Status Check() const;

 private:
  struct Noted {
    std::string path;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
  };
  std::vector<Noted> files_;
};

// DIR/LOCK, held by flock for life: the kernel lets it go when the process dies, however it dies.
// Threads: may be destroyed on any thread.
class DirectoryLock {
 public:
  // Errors: kInUse naming the holder's process id; kIo.
  static Result<std::unique_ptr<DirectoryLock>> Take(const std::string& directory);

 private:
  explicit DirectoryLock(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_DIRECTORY_H_
