// Full disks: the store stops, says so, keeps what it acknowledged, and goes on once there is room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/directory.h"
#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

using testing::HasSubstr;

constexpr int kDimensions = 600;
constexpr std::uint64_t kGroupsMax = 400;
constexpr std::uint64_t kDocumentsOfGroup = 10;

std::string IdOf(std::uint64_t n) { return "id" + std::to_string(n); }
GroupBuilder GroupOf(std::uint64_t group) {
  GroupBuilder builder;
  for (std::uint64_t i = 0; i < kDocumentsOfGroup; ++i) {
    const std::uint64_t n = group * kDocumentsOfGroup + i;
    builder.Add(IdOf(n), "text " + std::to_string(n) + std::string(700, 'x'), n, 400);
  }
  return builder;
}

struct Outcome {
  std::uint64_t groups = 0;  // Acknowledged.
  Status status;             // Why it stopped.
};

// Commits groups from `first` until something fails; then checks that nothing more is taken.
Outcome WriteUntilItFails(const std::string& directory, std::uint64_t first) {
  StoreOptions options;
  options.create = true;
  options.map_bytes = 1u << 20;
  auto store = OpenStore(directory, options, SystemClock());
  if (!store.ok()) return {0, store.status()};
  SpaceRecord wanted;
  wanted.space = TestSpace(kDimensions);
  const auto space = (*store)->AddSpace(wanted);
  if (!space.ok()) return {0, space.status()};
  const auto run = (*store)->BeginRun(space->id, 0);
  if (!run.ok()) return {0, run.status()};
  Outcome outcome;
  for (std::uint64_t group = first; group < kGroupsMax && outcome.status.ok(); ++group) {
    GroupBuilder builder = GroupOf(group);
    outcome.status = builder.Put(store->get(), space->id, kDimensions).status();
    if (outcome.status.ok()) {
      outcome.status = (*store)->Commit(builder.Group(run->run, space->id)).status();
    }
    if (outcome.status.ok()) ++outcome.groups;
  }
  if (!outcome.status.ok()) {
    GroupBuilder builder = GroupOf(first);
    EXPECT_EQ((*store)->Commit(builder.Group(run->run, space->id)).status().message(),
              outcome.status.message());
    EXPECT_EQ(builder.Put(store->get(), space->id, kDimensions).status().message(),
              outcome.status.message());
    EXPECT_FALSE((*store)->EndRun(run->run, {}).ok());
  }
  return outcome;
}

void ExpectAllThere(const std::string& directory, std::uint64_t groups) {
  auto reader = OpenStoreReader(directory);
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  for (std::uint64_t n = 0; n < groups * kDocumentsOfGroup; ++n) {
    ASSERT_TRUE((*reader)->FindDocument(IdOf(n))->has_value()) << n;
  }
  const auto check = (*reader)->Check();
  ASSERT_TRUE(check.ok());
  ExpectSound(*check);
}

// A limit of file sizes, in a child: writes fail with EFBIG wherever the limit falls.
TEST(Disk, AWriteThatFailsAnywhereStopsTheStoreCleanly) {
  for (rlim_t limit = 4096; limit < 6u << 20; limit += limit < 262144 ? 36864 : 786432) {
    SCOPED_TRACE("limit " + std::to_string(limit));
    const TemporaryDirectory directory;
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      signal(SIGXFSZ, SIG_IGN);
      const rlimit size = {limit, limit};
      if (setrlimit(RLIMIT_FSIZE, &size) != 0) _exit(9);
      const Outcome outcome = WriteUntilItFails(directory.path(), 0);
      if (write(pipe_ends[1], &outcome.groups, sizeof outcome.groups) < 0) _exit(8);
      EXPECT_EQ(outcome.status.code(), Code::kIo) << outcome.status.ToString();
      EXPECT_THAT(outcome.status.message(), HasSubstr(directory.path()));
      EXPECT_NE(outcome.status.next(), "");
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    std::uint64_t groups = 0;
    EXPECT_EQ(read(pipe_ends[0], &groups, sizeof groups), static_cast<ssize_t>(sizeof groups));
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    if (groups > 0) ExpectAllThere(directory.path(), groups);
    // With room again, the rest goes in.
    Rig rig(directory.path(), kDimensions);
    GroupBuilder next = GroupOf(groups);
    rig.Commit(next, rig.Begin());
    ExpectSound(rig.Check());
    EXPECT_EQ(rig.Reader()->Counts()->documents, (groups + 1) * kDocumentsOfGroup);
  }
}

// A small file system of its own, where the machine lets us mount one.
TEST(Disk, AFullFileSystemIsCalledFullAndGoesOnWhenItHasRoom) {
  for (const int kilobytes : {300, 500, 900, 1700, 3000}) {
    SCOPED_TRACE(std::to_string(kilobytes) + " kB");
    const TemporaryDirectory mount_point;
    const std::string small = "size=" + std::to_string(kilobytes) + "k";
    if (geteuid() != 0 ||
        mount("tmpfs", mount_point.path().c_str(), "tmpfs", 0, small.c_str()) != 0) {
      GTEST_SKIP() << "cannot mount a small file system here";
    }
    const std::string directory = mount_point.path() + "/corpus";
    const Outcome full = WriteUntilItFails(directory, 0);
    EXPECT_EQ(full.status.code(), Code::kIo) << full.status.ToString();
    EXPECT_EQ(full.status.word(), "disk_full") << full.status.ToString();
    EXPECT_THAT(full.status.message(), HasSubstr(directory));
    EXPECT_THAT(full.status.next(), HasSubstr("free space"));
    EXPECT_EQ(mount("tmpfs", mount_point.path().c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
    if (full.groups > 0) ExpectAllThere(directory, full.groups);
    const Outcome rest = WriteUntilItFails(directory, full.groups);
    EXPECT_TRUE(rest.status.ok()) << rest.status.ToString();
    ExpectAllThere(directory, kGroupsMax);
    EXPECT_EQ(umount(mount_point.path().c_str()), 0);
  }
}

TEST(Disk, ErrorsAreNamedAfterTheirCause) {
  const struct {
    int error_number;
    const char* word;
  } cases[] = {{ENOSPC, "disk_full"},     {EDQUOT, "disk_full"}, {EROFS, "read_only"},
               {EACCES, "no_permission"}, {EFBIG, "io"},         {EIO, "io"}};
  for (const auto& c : cases) {
    const Status status = IoError(
        "/tmp/some\x1b"
        "file",
        "write", c.error_number);
    EXPECT_EQ(status.code(), Code::kIo);
    EXPECT_EQ(status.word(), c.word);
    EXPECT_THAT(status.message(), HasSubstr("/tmp/some\\x1bfile"));
    EXPECT_NE(status.next(), "");
  }
}

}  // namespace
}  // namespace embedflow
