// The disk shim: a library that is preloaded into the built program (LD_PRELOAD) and stands between
// it and every libc call that changes what one directory holds. It counts these calls, kills the
// process at one of them, lets them fail, and records them for a replay of power cuts.
//
// This header is what the shim and the tests must agree on: names of variables, the shared state,
// the records of a trace. tests/fakes/disk_trace.h is the tests' side.
//
// What it cannot see: writes through a shared mapping, and stdio's own (libc calls itself
// directly). LMDB's and SQLite's lock files are such mappings; both make them anew after a reboot.
#ifndef EMBEDFLOW_TESTS_FAKES_DISK_SHIM_H_
#define EMBEDFLOW_TESTS_FAKES_DISK_SHIM_H_

#include <atomic>
#include <cstdint>

namespace embedflow {

// The variables of the environment. Without the first the shim does nothing.
inline constexpr char kDiskShimDirectory[] = "DISK_SHIM_DIRECTORY";  // Canonical; need not exist.
inline constexpr char kDiskShimState[] = "DISK_SHIM_STATE";          // File of one DiskShimState.
inline constexpr char kDiskShimTrace[] = "DISK_SHIM_TRACE";          // Records are appended to it.
// A file outside of the directory whose writes are recorded, neither counted nor failed.
inline constexpr char kDiskShimAlso[] = "DISK_SHIM_ALSO";
// Which calls count: a sum of 1 << DiskCall, and the end of a file's name. Unset: all.
inline constexpr char kDiskShimKinds[] = "DISK_SHIM_KINDS";
inline constexpr char kDiskShimFile[] = "DISK_SHIM_FILE";
inline constexpr char kDiskShimKillAt[] = "DISK_SHIM_KILL_AT";      // From 1.
inline constexpr char kDiskShimKillHow[] = "DISK_SHIM_KILL_HOW";    // A DiskKill.
inline constexpr char kDiskShimFailAt[] = "DISK_SHIM_FAIL_AT";      // From 1.
inline constexpr char kDiskShimFailWith[] = "DISK_SHIM_FAIL_WITH";  // An errno.
inline constexpr char kDiskShimFailCalls[] =
    "DISK_SHIM_FAIL_CALLS";  // How many; 0: all from there.
// Unless 0, the first call to fail writes its first pages, if it is a write: as a disk that gets
// full does.
inline constexpr char kDiskShimFailShort[] = "DISK_SHIM_FAIL_SHORT";

enum class DiskCall : std::uint8_t {
  kCreate,     // A file that was not there.
  kWrite,      // All calls that write.
  kSync,       // fsync, of files and directories.
  kDataSync,   // fdatasync.
  kRangeSync,  // sync_file_range, msync: no promise about a power cut.
  kRename,
  kLink,
  kUnlink,
  kTruncate,  // Also open with O_TRUNC of a file that was there.
  kAllocate,
  kMakeDirectory,
  kRemoveDirectory,
  kMode,
};
inline constexpr int kDiskCalls = 13;

enum class DiskKill : std::uint8_t {
  kBefore,
  kAfter,
  kTorn,  // A write in the middle, at a page's boundary; what has none, and other calls, as kAfter.
};

// Mapped by the shim, so that it outlives the process.
struct DiskShimState {
  std::atomic<std::uint64_t> calls;   // Of those that count.
  std::atomic<std::uint64_t> failed;  // That were made to fail.
  std::atomic<std::uint64_t> killed;  // 1 once the process was.
};

enum class DiskPlace : std::uint8_t {
  kElsewhere,
  kInside,  // The directory itself, whose name is empty, or something in it.
  kParent,  // The directory that holds it.
  kAlso,    // The file that is only recorded.
};

// A record of a trace; name, second name and data follow. In the order in which the calls were
// made: the shim lets one in at a time.
struct DiskTraceHeader {
  static constexpr std::uint32_t kMagic = 0x4B534944;
  std::uint32_t magic = kMagic;
  DiskCall call = DiskCall::kWrite;
  DiskPlace place = DiskPlace::kElsewhere;
  std::uint8_t is_synced_write = 0;  // The file was opened with O_DSYNC.
  std::uint8_t is_directory = 0;
  std::int64_t result = 0;   // What the call returned; -errno for a failure.
  std::uint64_t file = 0;    // The inode.
  std::uint64_t offset = 0;  // Of a write; the new length of kTruncate and kAllocate.
  std::uint32_t name_bytes = 0;
  std::uint32_t second_bytes = 0;  // kRename and kLink: the new name.
  std::uint64_t data_bytes = 0;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_DISK_SHIM_H_
