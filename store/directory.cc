#include "store/directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/utf8.h"

namespace embedflow {
namespace {

// Below this much free space a failed write is taken for a full disk.
constexpr unsigned long long kFullBelowBytes = 1u << 20;

std::string Reason(int error_number) { return std::generic_category().message(error_number); }

// What an EIO means: LMDB says it of a full disk, SQLite where it has lost the reason.
int WhyIoFails(const std::string& path) {
  struct statvfs answer;
  const std::string directory = std::filesystem::path(path).parent_path().string();
  if (statvfs(path.c_str(), &answer) != 0 &&
      statvfs(directory.empty() ? "." : directory.c_str(), &answer) != 0) {
    return EIO;
  }
  if ((answer.f_flag & ST_RDONLY) != 0) return EROFS;
  const auto free = static_cast<unsigned long long>(answer.f_bavail) * answer.f_frsize;
  return free < kFullBelowBytes ? ENOSPC : EIO;
}

// The process id that a writer left in the lock file; 0 if there is none to be read.
long ReadHolder(int fd) {
  std::array<char, 32> text;
  const ssize_t size = pread(fd, text.data(), text.size(), 0);
  long holder = 0;
  if (size > 0) std::from_chars(text.data(), text.data() + size, holder);
  return holder;
}

std::string ParentOf(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path().string() : ".";
}

// Makes the directories above `path`, each name durable before the next: else a power cut could
// take the lower ones with an upper one.
Status MakeParents(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> missing;
  for (std::filesystem::path at = path.parent_path(); !at.empty(); at = at.parent_path()) {
    struct stat status;
    if (stat(at.c_str(), &status) == 0 || at == at.parent_path()) break;
    missing.push_back(at);
  }
  for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
    if (mkdir(at->c_str(), 0777) != 0 && errno != EEXIST) {
      return IoError(at->string(), "make directory", errno);
    }
    EF_RETURN_IF_ERROR(SyncDirectory(ParentOf(*at)));
  }
  return {};
}

}  // namespace

Status IoError(const std::string& path, std::string_view doing, int error_number) {
  const std::string printable = EscapeControl(path);
  Status status(Code::kIo,
                "cannot " + std::string(doing) + " " + printable + ": " + Reason(error_number));
  if (error_number == EIO) error_number = WhyIoFails(path);
  if (error_number == ENOSPC || error_number == EDQUOT) {
    return status.WithWord("disk_full")
        .WithNext("free space on the file system of " + printable +
                  ", then run the same command again");
  }
  switch (error_number) {
    case EROFS:
      return status.WithWord("read_only")
          .WithNext("make the file system writable, then run the same command again");
    case EACCES:
    case EPERM:
      return status.WithWord("no_permission")
          .WithNext("run as the owner of " + printable + ", or give this user the right to it");
    case EFBIG:
      return status.WithNext("raise the limit of file sizes (ulimit -f), then run again");
    default:
      return status.WithNext("look at the disk of " + printable +
                             ", then run the same command again");
  }
}

std::string ShellWord(const std::string& path) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
  if (!path.empty() && path.find_first_not_of(kPlain) == std::string::npos) return path;
  std::string word = "'";
  for (const char c : EscapeControl(path)) {
    if (c == '\'') {
      word += "'\\''";
    } else {
      word += c;
    }
  }
  return word + "'";
}

std::string RepairCommand(const std::string& directory) {
  return "embedflow verify " + ShellWord(directory) + " --repair";
}

Status Damage(const std::string& path, std::string_view what) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash);
  return Status(Code::kCorruption, EscapeControl(path) + ": " + std::string(what))
      .WithNext(RepairCommand(directory));
}

bool IsNetworkFileSystem(unsigned long magic) {
  switch (magic & 0xFFFFFFFFul) {
    case 0x6969ul:      // NFS
    case 0xFF534D42ul:  // CIFS
    case 0xFE534D42ul:  // SMB2
    case 0x517Bul:      // SMB
    case 0x5346414Ful:  // AFS
    case 0x6B414653ul:  // kAFS
    case 0x73757245ul:  // Coda
    case 0x564Cul:      // NCP
    case 0x00C36400ul:  // Ceph
      return true;
    default:
      return false;
  }
}

Status MakeDirectory(const std::string& directory) {
  std::filesystem::path path(directory);
  if (!path.has_filename()) path = path.parent_path();
  EF_RETURN_IF_ERROR(MakeParents(path));
  const std::string parent = ParentOf(path);
  if (mkdir(path.c_str(), 0700) != 0) {
    if (errno != EEXIST) return IoError(directory, "make directory", errno);
    // Whoever made it may have died before its name was durable, unless they got to the database.
    // Whatever else is wrong with it is said by ExamineDirectory().
    const Result<long long> bytes = FileBytes(directory + "/" + kDatabaseFile);
    if (!bytes.ok() || *bytes > 0) return {};
    const Status synced = SyncDirectory(parent);
    // One that was made for us, in a directory that is not ours to read.
    return synced.word() == "no_permission" ? Status() : synced;
  }
  if (chmod(path.c_str(), 0700) != 0) return IoError(directory, "set the mode of", errno);
  return SyncDirectory(parent);
}

Status ExamineDirectory(const std::string& directory) {
  const std::string printable = EscapeControl(directory);
  struct stat status;
  if (stat(directory.c_str(), &status) != 0) {
    if (errno == ENOENT) {
      return Status(Code::kNotFound, "there is no corpus at " + printable)
          .WithNext("check the path, or make one with embedflow ingest");
    }
    return IoError(directory, "open", errno);
  }
  if (!S_ISDIR(status.st_mode)) {
    return Status(Code::kInvalidArgument, printable + " is a file; a corpus is a directory")
        .WithNext("give the directory, or the path of one that is to be made");
  }
  struct statfs system;
  if (statfs(directory.c_str(), &system) != 0) return IoError(directory, "examine", errno);
  if (IsNetworkFileSystem(static_cast<unsigned long>(system.f_type))) {
    return Status(Code::kUnsupported,
                  printable +
                      " is on a network file system, where locks and mapped files do not "
                      "keep a corpus safe")
        .WithWord("network_file_system")
        .WithNext("use a directory on a local disk");
  }
  return {};
}

Status MakePrivateFile(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode)) {
      return Status(Code::kIo, EscapeControl(path) + " is not a regular file");
    }
    // By path and never by opening it: closing any descriptor of a file drops the POSIX locks that
    // SQLite or LMDB may hold on it in this process.
    if ((status.st_mode & 07777) != 0600 && chmod(path.c_str(), 0600) != 0) {
      return IoError(path, "set the mode of", errno);
    }
    return {};
  }
  const FileDescriptor file(
      open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.ok()) return IoError(path, "make", errno);
  if (fchmod(file.get(), 0600) != 0) return IoError(path, "set the mode of", errno);
  return {};
}

Status SyncDirectory(const std::string& directory) {
  const FileDescriptor file(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.ok()) return IoError(directory, "open", errno);
  if (fsync(file.get()) != 0) return IoError(directory, "sync", errno);
  return {};
}

Result<long long> FileBytes(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) == 0) return static_cast<long long>(status.st_size);
  if (errno == ENOENT) return -1LL;
  return IoError(path, "examine", errno);
}

Result<FilesInPlace> FilesInPlace::Note(const std::string& directory) {
  FilesInPlace noted;
  for (const char* name : {kLockFile, kDatabaseFile, kVectorFile}) {
    const std::string path = directory + "/" + name;
    struct stat status;
    if (stat(path.c_str(), &status) != 0) return IoError(path, "examine", errno);
    noted.files_.push_back({path, status.st_dev, status.st_ino});
  }
  return noted;
}

Status FilesInPlace::Check() const {
  for (const Noted& file : files_) {
    struct stat status;
    const bool is_there = stat(file.path.c_str(), &status) == 0;
    if (is_there && status.st_dev == file.device && status.st_ino == file.inode) continue;
    return Status(Code::kIo, EscapeControl(file.path) + " was " +
                                 (is_there ? "replaced" : "removed") + " while it was in use")
        .WithKept("nothing was acknowledged since")
        .WithNext(
            "put it back, or run embedflow verify --repair on the directory, then the same "
            "command");
  }
  return {};
}

Result<std::unique_ptr<DirectoryLock>> DirectoryLock::Take(const std::string& directory) {
  const std::string path = directory + "/" + kLockFile;
  EF_RETURN_IF_ERROR(MakePrivateFile(path));
  FileDescriptor file(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file.ok()) return IoError(path, "open", errno);
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return IoError(path, "lock", errno);
    const long holder = ReadHolder(file.get());
    const std::string name = holder > 0 ? "process " + std::to_string(holder) : "another process";
    return Status(Code::kInUse, EscapeControl(directory) + " is in use: " + name + " writes to it")
        .WithKept("nothing was changed or sent")
        .WithNext(holder > 0 ? "wait for it, or stop it with: kill -INT " + std::to_string(holder)
                             : "wait for it");
  }
  const std::string holder = std::to_string(getpid()) + "\n";
  if (ftruncate(file.get(), 0) != 0 ||
      pwrite(file.get(), holder.data(), holder.size(), 0) != static_cast<ssize_t>(holder.size())) {
    return IoError(path, "write", errno);
  }
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(std::move(file)));
}

}  // namespace embedflow
