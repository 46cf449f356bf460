// See disk_shim.h. Everything goes to the kernel by syscall(), so that nothing has to be looked up
// in libc, and it makes no difference whether a sanitizer's runtime is there. No memory is taken
// from malloc: a call may come from anywhere.
#include "tests/fakes/disk_shim.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "tests/fakes/disk_shim_place.h"

namespace {

using embedflow::DiskCall;
using embedflow::DiskKill;
using embedflow::DiskPlace;
using embedflow::DiskTraceHeader;
using embedflow::disk_shim::OfAddress;
using embedflow::disk_shim::OfDescriptor;
using embedflow::disk_shim::OfPath;
using embedflow::disk_shim::Refuse;
using embedflow::disk_shim::Settings;
using embedflow::disk_shim::TheSettings;
using embedflow::disk_shim::Where;

constexpr std::uint64_t kPageBytes = 4096;
constexpr int kPartsMax = 64;  // Of a writev that is cut in the middle.

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

struct Record {
  explicit Record(DiskCall call) { header.call = call; }
  DiskTraceHeader header;
  Where where;
  Where second;
  const iovec* parts = nullptr;
  int parts_count = 0;
};

void FillFile(int fd, Record* record) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return;
  record->header.file = info.st_ino;
  record->header.is_directory = S_ISDIR(info.st_mode) ? 1 : 0;
}

void Write(Record record, long result, std::size_t bytes) {
  if (TheSettings().trace < 0 || record.where.place == DiskPlace::kElsewhere) return;
  record.header.place = record.where.place;
  record.header.result = result;
  const char* name = record.where.name();
  const char* second = record.second.path[0] == '\0' ? "" : record.second.name();
  record.header.name_bytes = static_cast<std::uint32_t>(std::strlen(name));
  record.header.second_bytes = static_cast<std::uint32_t>(std::strlen(second));
  record.header.data_bytes = record.parts == nullptr ? 0 : bytes;
  const auto put = [](const void* data, std::size_t size) {
    if (size > 0 &&
        syscall(SYS_write, TheSettings().trace, data, size) != static_cast<long>(size)) {
      Refuse("the trace cannot be written");
    }
  };
  put(&record.header, sizeof record.header);
  put(name, record.header.name_bytes);
  put(second, record.header.second_bytes);
  std::size_t left = record.header.data_bytes;
  for (int i = 0; i < record.parts_count && left > 0; ++i) {
    const std::size_t size = left < record.parts[i].iov_len ? left : record.parts[i].iov_len;
    put(record.parts[i].iov_base, size);
    left -= size;
  }
}

[[noreturn]] void Die() {
  TheSettings().state->killed = 1;
  for (;;) {
    syscall(SYS_kill, getpid(), SIGKILL);
    pause();
  }
}

bool Counts(const Record& record) {
  if (record.where.place != DiskPlace::kInside && record.where.place != DiskPlace::kParent) {
    return false;
  }
  if ((TheSettings().kinds >> static_cast<unsigned>(record.header.call) & 1) == 0) return false;
  if (TheSettings().file == nullptr) return true;
  const std::size_t size = std::strlen(record.where.path);
  const std::size_t end = std::strlen(TheSettings().file);
  return size >= end && std::strcmp(record.where.path + size - end, TheSettings().file) == 0;
}

struct Verdict {
  bool kills = false;
  bool fails = false;
  bool is_short = false;
};

Verdict Judge(const Record& record) {
  Verdict verdict;
  if (!Counts(record)) return verdict;
  const Settings& told = TheSettings();
  const std::uint64_t number = ++told.state->calls;
  verdict.kills = number == told.kill_at;
  verdict.fails = told.fail_at != 0 && number >= told.fail_at &&
                  (told.fail_calls == 0 || number < told.fail_at + told.fail_calls);
  verdict.is_short = verdict.fails && told.fail_short && number == told.fail_at &&
                     record.header.call == DiskCall::kWrite;
  return verdict;
}

// `perform(record, half)` makes the call, of a write only the first half if asked to, and returns
// what the kernel does; it may complete the record. One call at a time, so that nothing else
// reaches the disk behind the one that kills.
template <typename Perform>
long Do(Record record, Perform perform) {
  if (record.where.place == DiskPlace::kElsewhere) return perform(&record, false);
  pthread_mutex_lock(&mutex);
  const Verdict verdict = Judge(record);
  if (verdict.kills && TheSettings().kill_how == DiskKill::kBefore) Die();
  long result = -1;
  int error = TheSettings().fail_with;
  if (!verdict.fails || verdict.is_short) {
    const bool is_torn = verdict.kills && TheSettings().kill_how == DiskKill::kTorn;
    result = perform(&record, is_torn || verdict.is_short);
    error = errno;
  }
  if (verdict.fails) ++TheSettings().state->failed;
  Write(record, result < 0 ? -error : result, result < 0 ? 0 : static_cast<std::size_t>(result));
  if (verdict.kills) Die();
  pthread_mutex_unlock(&mutex);
  errno = error;
  return result;
}

// How many bytes a write makes that is cut off in the middle: up to a page's boundary, because
// nothing stops the kernel within a page. All of them if there is none.
std::size_t CutAtPage(std::uint64_t offset, const iovec* parts, int count) {
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  const std::uint64_t middle = (offset + bytes / 2) / kPageBytes * kPageBytes;
  const std::uint64_t boundary = middle > offset ? middle : (offset / kPageBytes + 1) * kPageBytes;
  return boundary < offset + bytes ? static_cast<std::size_t>(boundary - offset) : bytes;
}

long DoWrite(int fd, const iovec* parts, int count, long long offset) {
  Record record(DiskCall::kWrite);
  record.where = OfDescriptor(fd);
  record.parts = parts;
  record.parts_count = count;
  if (record.where.place != DiskPlace::kElsewhere) {
    FillFile(fd, &record);
    const long flags = syscall(SYS_fcntl, fd, F_GETFL);
    record.header.is_synced_write = (flags & O_DSYNC) != 0 ? 1 : 0;
    const int whence = (flags & O_APPEND) != 0 ? SEEK_END : SEEK_CUR;
    record.header.offset = static_cast<std::uint64_t>(
        offset >= 0 ? offset : static_cast<long long>(syscall(SYS_lseek, fd, 0, whence)));
  }
  return Do(record, [&](Record*, bool half) -> long {
    iovec cut[kPartsMax];
    const iovec* given = parts;
    int number = count;
    if (half && count <= kPartsMax) {
      std::size_t left = CutAtPage(record.header.offset, parts, count);
      for (number = 0; number < count && left > 0; ++number) {
        cut[number] = parts[number];
        if (cut[number].iov_len > left) cut[number].iov_len = left;
        left -= cut[number].iov_len;
      }
      given = cut;
    }
    if (offset >= 0) return syscall(SYS_pwritev, fd, given, number, offset, 0L);
    return syscall(SYS_writev, fd, given, number);
  });
}

int DoOpen(int directory, const char* path, int flags, mode_t mode) {
  const auto perform = [&](Record*, bool) {
    return syscall(SYS_openat, directory, path, flags, mode);
  };
  if ((flags & (O_CREAT | O_TRUNC)) == 0) return static_cast<int>(perform(nullptr, false));
  Record record(DiskCall::kCreate);
  record.where = OfPath(directory, path);
  if (record.where.place != DiskPlace::kElsewhere) {
    struct stat info {};
    const bool is_there = fstatat(directory, path, &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_there && ((flags & O_TRUNC) == 0 || (flags & O_EXCL) != 0)) {
      return static_cast<int>(perform(nullptr, false));
    }
    if (is_there) record.header.call = DiskCall::kTruncate;
  }
  return static_cast<int>(Do(record, [&](Record* made, bool half) -> long {
    const long fd = perform(made, half);
    if (fd >= 0) FillFile(static_cast<int>(fd), made);
    return fd;
  }));
}

template <typename... Arguments>
int DoFile(DiskCall call, int fd, std::uint64_t offset, long number, Arguments... arguments) {
  Record record(call);
  record.where = OfDescriptor(fd);
  record.header.offset = offset;
  if (record.where.place != DiskPlace::kElsewhere) FillFile(fd, &record);
  return static_cast<int>(
      Do(record, [&](Record*, bool) { return syscall(number, fd, arguments...); }));
}

template <typename... Arguments>
int DoName(DiskCall call, int directory, const char* path, long number, Arguments... arguments) {
  const auto perform = [&](Record*, bool) {
    return syscall(number, directory, path, arguments...);
  };
  Record record(call);
  record.where = OfPath(directory, path);
  if (record.where.place != DiskPlace::kElsewhere) {
    // What changes nothing on a good disk gives the same error on a bad one.
    struct stat info {};
    const bool is_there = fstatat(directory, path, &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_there == (call == DiskCall::kMakeDirectory)) {
      return static_cast<int>(perform(nullptr, false));
    }
  }
  return static_cast<int>(Do(record, perform));
}

int DoTwoNames(DiskCall call, int from, const char* old_path, int to, const char* new_path,
               long number, unsigned flags) {
  Record record(call);
  record.where = OfPath(from, old_path);
  record.second = OfPath(to, new_path);
  return static_cast<int>(Do(
      record, [&](Record*, bool) { return syscall(number, from, old_path, to, new_path, flags); }));
}

mode_t ModeOf(int flags, va_list list) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
}

}  // namespace

// --- libc's names ---

extern "C" {

int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = ModeOf(flags, list);
  va_end(list);
  return DoOpen(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = ModeOf(flags, list);
  va_end(list);
  return DoOpen(AT_FDCWD, path, flags, mode);
}
int openat(int directory, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = ModeOf(flags, list);
  va_end(list);
  return DoOpen(directory, path, flags, mode);
}
int openat64(int directory, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = ModeOf(flags, list);
  va_end(list);
  return DoOpen(directory, path, flags, mode);
}
int creat(const char* path, mode_t mode) {
  return DoOpen(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char* path, mode_t mode) {
  return DoOpen(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

ssize_t write(int fd, const void* data, std::size_t bytes) {
  const iovec part = {const_cast<void*>(data), bytes};
  return DoWrite(fd, &part, 1, -1);
}
ssize_t pwrite(int fd, const void* data, std::size_t bytes, off_t offset) {
  const iovec part = {const_cast<void*>(data), bytes};
  return DoWrite(fd, &part, 1, offset);
}
ssize_t pwrite64(int fd, const void* data, std::size_t bytes, off64_t offset) {
  const iovec part = {const_cast<void*>(data), bytes};
  return DoWrite(fd, &part, 1, offset);
}
ssize_t writev(int fd, const iovec* parts, int count) { return DoWrite(fd, parts, count, -1); }
ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  return DoWrite(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const iovec* parts, int count, off64_t offset) {
  return DoWrite(fd, parts, count, offset);
}

int fsync(int fd) { return DoFile(DiskCall::kSync, fd, 0, SYS_fsync); }
int fdatasync(int fd) { return DoFile(DiskCall::kDataSync, fd, 0, SYS_fdatasync); }
int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned flags) {
  return DoFile(DiskCall::kRangeSync, fd, static_cast<std::uint64_t>(offset), SYS_sync_file_range,
                offset, bytes, flags);
}
int msync(void* address, std::size_t bytes, int flags) {
  Record record(DiskCall::kRangeSync);
  record.where = OfAddress(address);
  return static_cast<int>(
      Do(record, [&](Record*, bool) { return syscall(SYS_msync, address, bytes, flags); }));
}

int ftruncate(int fd, off_t bytes) noexcept {
  return DoFile(DiskCall::kTruncate, fd, static_cast<std::uint64_t>(bytes), SYS_ftruncate, bytes);
}
int ftruncate64(int fd, off64_t bytes) noexcept {
  return DoFile(DiskCall::kTruncate, fd, static_cast<std::uint64_t>(bytes), SYS_ftruncate, bytes);
}
int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  return DoFile(DiskCall::kAllocate, fd, static_cast<std::uint64_t>(offset + bytes), SYS_fallocate,
                mode, offset, bytes);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t bytes) {
  return fallocate(fd, mode, offset, bytes);
}
int posix_fallocate(int fd, off_t offset, off_t bytes) {
  return fallocate(fd, 0, offset, bytes) == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off64_t offset, off64_t bytes) {
  return fallocate(fd, 0, offset, bytes) == 0 ? 0 : errno;
}
int fchmod(int fd, mode_t mode) noexcept {
  return DoFile(DiskCall::kMode, fd, 0, SYS_fchmod, mode);
}

int chmod(const char* path, mode_t mode) noexcept {
  return DoName(DiskCall::kMode, AT_FDCWD, path, SYS_fchmodat, mode);
}
int unlink(const char* path) noexcept {
  return DoName(DiskCall::kUnlink, AT_FDCWD, path, SYS_unlinkat, 0);
}
int unlinkat(int directory, const char* path, int flags) noexcept {
  const bool is_directory = (flags & AT_REMOVEDIR) != 0;
  return DoName(is_directory ? DiskCall::kRemoveDirectory : DiskCall::kUnlink, directory, path,
                SYS_unlinkat, flags);
}
int rmdir(const char* path) noexcept {
  return DoName(DiskCall::kRemoveDirectory, AT_FDCWD, path, SYS_unlinkat, AT_REMOVEDIR);
}
int remove(const char* path) noexcept {
  if (unlink(path) == 0) return 0;
  return errno == EISDIR || errno == EPERM ? rmdir(path) : -1;
}
int mkdir(const char* path, mode_t mode) noexcept {
  return DoName(DiskCall::kMakeDirectory, AT_FDCWD, path, SYS_mkdirat, mode);
}
int mkdirat(int directory, const char* path, mode_t mode) noexcept {
  return DoName(DiskCall::kMakeDirectory, directory, path, SYS_mkdirat, mode);
}
int rename(const char* from, const char* to) noexcept {
  return DoTwoNames(DiskCall::kRename, AT_FDCWD, from, AT_FDCWD, to, SYS_renameat2, 0);
}
int renameat(int from, const char* old_path, int to, const char* new_path) noexcept {
  return DoTwoNames(DiskCall::kRename, from, old_path, to, new_path, SYS_renameat2, 0);
}
int link(const char* from, const char* to) noexcept {
  return DoTwoNames(DiskCall::kLink, AT_FDCWD, from, AT_FDCWD, to, SYS_linkat, 0);
}
int linkat(int from, const char* old_path, int to, const char* new_path, int flags) noexcept {
  return DoTwoNames(DiskCall::kLink, from, old_path, to, new_path, SYS_linkat,
                    static_cast<unsigned>(flags));
}

}  // extern "C"
