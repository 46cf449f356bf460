// The tests' side of the disk shim: what to ask of it, and what it has seen.
#ifndef EMBEDFLOW_TESTS_FAKES_DISK_TRACE_H_
#define EMBEDFLOW_TESTS_FAKES_DISK_TRACE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/fakes/disk_shim.h"

namespace embedflow {

// What the shim shall do in one run of the program.
struct DiskShimOptions {
  std::string directory;   // Canonical path of the corpus, which need not exist.
  std::string state_file;  // Begun anew by Environment().
  std::string trace_file;  // Empty: no trace. Several runs may append to one.
  std::string also_file;   // See kDiskShimAlso; empty: none.
  // Which calls count. Empty: all kinds, all files.
  std::vector<DiskCall> kinds;
  std::string file;
  // 0: never.
  std::uint64_t kill_at = 0;
  DiskKill kill_how = DiskKill::kBefore;
  std::uint64_t fail_at = 0;
  std::uint64_t fail_calls = 0;  // 0: all from there.
  int fail_with = 0;
  bool fail_short = false;

  // Entries for Program. `library` is the built shim.
  std::vector<std::string> Environment(const std::string& library) const;
};

struct DiskShimCounts {
  std::uint64_t calls = 0;
  std::uint64_t failed = 0;
  bool killed = false;
};
// All zero if the program has made no call that counts.
DiskShimCounts ReadDiskShimState(const std::string& file);

struct DiskOperation {
  DiskTraceHeader header;
  std::string name;    // Below the directory; empty is the directory itself.
  std::string second;  // The new name of a rename or link.
  std::string data;

  bool failed() const { return header.result < 0; }
  bool is_sync() const {
    return header.call == DiskCall::kSync || header.call == DiskCall::kDataSync;
  }
};
// A torn last record is left out.
std::vector<DiskOperation> ReadDiskTrace(const std::string& file);

// "fdatasync corpus.sqlite-wal", for messages.
std::string Describe(const DiskOperation& operation);

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_DISK_TRACE_H_
