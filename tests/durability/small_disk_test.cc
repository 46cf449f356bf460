// A real file system that is too small: a tmpfs of every size from hardly anything to enough. What
// writes through a mapping, which the shim cannot see, meets a full disk here too.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>

#include "tests/durability/crash_run.h"

namespace embedflow {
namespace {

// Vectors of a usual length: the fewer of them fit into memory at once, the less room on disk their
// names need.
constexpr CrashInput kInput = [] {
  CrashInput input;
  input.dimensions = 512;
  return input;
}();
constexpr int kExitComplete = 0;
constexpr int kExitIo = 7;
constexpr int kEnoughKib = 65536;

// A tmpfs at `path` while it lives.
class Tmpfs {
 public:
  Tmpfs(std::string path, int kib) : path_(std::move(path)) {
    std::filesystem::create_directory(path_);
    is_mounted_ = mount("embedflow", path_.c_str(), "tmpfs", 0, Options(kib).c_str()) == 0;
  }
  ~Tmpfs() {
    if (is_mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  Tmpfs(const Tmpfs&) = delete;
  Tmpfs& operator=(const Tmpfs&) = delete;

  bool is_mounted() const { return is_mounted_; }
  bool Grow(int kib) const {
    return mount("embedflow", path_.c_str(), "tmpfs", MS_REMOUNT, Options(kib).c_str()) == 0;
  }
  bool MakeReadOnly(bool is_read_only) const {
    return mount("embedflow", path_.c_str(), "tmpfs", MS_REMOUNT | (is_read_only ? MS_RDONLY : 0),
                 Options(kEnoughKib).c_str()) == 0;
  }

 private:
  static std::string Options(int kib) { return "mode=0700,size=" + std::to_string(kib) + "k"; }
  const std::string path_;
  bool is_mounted_ = false;
};

TEST(SmallDisk, OfEverySizeEndsWith7AndCompletesOnceThereIsRoom) {
  const ScratchFolder scratch("small");
  const int step_kib = TriesAll() ? 16 : 192;
  int full = 0;
  int kib = step_kib;
  for (;; kib += step_kib) {
    ASSERT_LT(kib, kEnoughKib);
    SCOPED_TRACE(std::to_string(kib) + " KiB");
    const std::string folder = scratch.path() + "/" + std::to_string(kib);
    std::filesystem::create_directory(folder);
    const CrashRun run(folder, kInput);
    const Tmpfs disk(run.corpus(), kib);
    if (!disk.is_mounted()) GTEST_SKIP() << "cannot mount a tmpfs: " << std::strerror(errno);
    const CrashRun::Ingested first = run.Ingest();
    if (first.program.exit_code == kExitComplete) break;
    ++full;
    EXPECT_EQ(first.program.exit_code, kExitIo) << first.program.err;
    EXPECT_NE(first.program.err.find(run.corpus()), std::string::npos) << first.program.err;
    EXPECT_NE(first.program.err.find("free space"), std::string::npos) << first.program.err;
    // Still full; where hardly anything was missing, what the first run's log took may be enough.
    const CrashRun::Ingested second = run.Ingest();
    EXPECT_TRUE(second.program.exit_code == kExitIo || second.program.exit_code == kExitComplete)
        << second.program.exit_code << ": " << second.program.err;
    ASSERT_TRUE(disk.Grow(kEnoughKib)) << std::strerror(errno);
    run.ExpectCompletes(run.ExpectKept(run.Acknowledged()), std::nullopt);
  }
  std::cout << "  " << full << " sizes were too small, " << kib << " KiB was enough\n";
  EXPECT_GE(full, 5);
}

TEST(SmallDisk, ReadOnlyIsToldBeforeAnythingIsSent) {
  const ScratchFolder scratch("read_only");
  const CrashRun run(scratch.path(), kInput);
  const Tmpfs disk(run.corpus(), kEnoughKib);
  if (!disk.is_mounted()) GTEST_SKIP() << "cannot mount a tmpfs: " << std::strerror(errno);
  ASSERT_TRUE(disk.MakeReadOnly(true)) << std::strerror(errno);
  const CrashRun::Ingested first = run.Ingest();
  EXPECT_EQ(first.program.exit_code, kExitIo);
  EXPECT_NE(first.program.err.find("make the file system writable"), std::string::npos)
      << first.program.err;
  EXPECT_TRUE(first.bought.empty());
  ASSERT_TRUE(disk.MakeReadOnly(false)) << std::strerror(errno);
  run.ExpectCompletes(ExportedCorpus(), first.bought);
  // What is complete can be read there all the same, and a run says that it cannot write.
  ASSERT_TRUE(disk.MakeReadOnly(true)) << std::strerror(errno);
  const ExportedCorpus exported = run.ExpectKept(run.Acknowledged());
  EXPECT_EQ(exported.documents.size(), static_cast<std::size_t>(kInput.documents));
  const CrashRun::Ingested last = run.Ingest();
  EXPECT_EQ(last.program.exit_code, kExitIo) << last.program.err;
  EXPECT_NE(last.program.err.find("make the file system writable"), std::string::npos)
      << last.program.err;
  EXPECT_TRUE(last.bought.empty());
}

}  // namespace
}  // namespace embedflow
