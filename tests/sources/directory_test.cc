#include "sources/directory.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "tests/sources/input_files.h"

namespace embedflow {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Walk(const std::string& root, Status* end = nullptr) {
  DirectoryWalk walk(root, DirectoryWalk::Says::kPassedOver);
  std::vector<std::string> paths;
  std::string relative;
  for (;;) {
    const Result<bool> found = walk.Next(&relative);
    if (!found.ok() && end != nullptr) *end = found.status();
    if (!found.ok() || !*found) return paths;
    paths.push_back(relative);
  }
}

TEST(Directory, FilesComeInByteOrderOfTheirPaths) {
  const TemporaryDirectory directory;
  for (const char* name : {"b", "a/x", "a-b/x", "a.txt", "a0", "A", ".hidden", "a/b/c", "a/b.c",
                           "\xc3\xa9", "a/.h/y", "aa"}) {
    directory.Write(name, "");
  }
  const auto paths = Walk(directory.path());
  EXPECT_THAT(paths, ElementsAre(".hidden", "A", "a-b/x", "a.txt", "a/.h/y", "a/b.c", "a/b/c",
                                 "a/x", "a0", "aa", "b", "\xc3\xa9"));
  EXPECT_EQ(Walk(directory.path() + "/"), paths);
}

TEST(Directory, TheOrderIsThatOfWholePathsWhateverTheNames) {
  Rng rng(TestSeed());
  const TemporaryDirectory directory;
  static const char* kNames[] = {"a", "b", "a-", "a.", "a0", "-", ".x", "ab", "\xff", " "};
  std::set<std::string> files;
  for (int i = 0; i < 200; ++i) {
    std::string path;
    for (std::uint64_t depth = rng.Below(4); depth > 0; --depth)
      path += std::string(kNames[rng.Below(std::size(kNames))]) + "/";
    path += std::string(kNames[rng.Below(std::size(kNames))]) + "f";
    directory.Write(path, "");
    files.insert(path);
  }
  EXPECT_EQ(Walk(directory.path()), std::vector<std::string>(files.begin(), files.end()));
}

TEST(Directory, LinksAndSpecialFilesArePassedOver) {
  const TemporaryDirectory directory;
  directory.Write("real/file", "");
  const auto at = [&](const char* name) { return directory.path() + "/" + name; };
  ASSERT_EQ(::symlink(".", at("real/loop").c_str()), 0);
  ASSERT_EQ(::symlink("..", at("real/up").c_str()), 0);
  ASSERT_EQ(::symlink("/etc/passwd", at("outside").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", at("dangling").c_str()), 0);
  ASSERT_EQ(::symlink("real", at("linked").c_str()), 0);
  ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
  const LogCapture log(LogLevel::kDebug);
  EXPECT_THAT(Walk(directory.path()), ElementsAre("real/file"));
  EXPECT_THAT(log.text(), HasSubstr(at("outside") + ": passed over, neither file nor directory"));
  // The directory that is given may be a link.
  EXPECT_THAT(Walk(at("linked")), ElementsAre("file"));
}

TEST(Directory, WhatCannotBeListedIsAnError) {
  const TemporaryDirectory directory;
  Status end;
  EXPECT_TRUE(Walk(directory.path() + "/none", &end).empty());
  EXPECT_EQ(end.code(), Code::kNotFound);
  EXPECT_THAT(end.message(), HasSubstr(directory.path() + "/none: "));
  EXPECT_TRUE(Walk(directory.Write("file", ""), &end).empty());
  EXPECT_FALSE(end.ok());
}

TEST(Directory, WhatVanishesIsPassedOver) {
  const TemporaryDirectory directory;
  directory.Write("a", "");
  directory.Write("b/file", "");
  directory.Write("c", "");
  const LogCapture log(LogLevel::kWarning);
  DirectoryWalk walk(directory.path(), DirectoryWalk::Says::kNothing);
  std::string relative;
  ASSERT_TRUE(*walk.Next(&relative));
  std::filesystem::remove_all(directory.path() + "/b");
  ASSERT_TRUE(*walk.Next(&relative));
  EXPECT_EQ(relative, "c");
  EXPECT_FALSE(*walk.Next(&relative));
  EXPECT_THAT(log.text(), HasSubstr("/b/: the directory is gone since it was listed"));
}

TEST(Directory, APathLongerThanTheSystemTakesIsAnError) {
  // 20 levels of 250 bytes are more than the 4,096 bytes that a path may have.
  const TemporaryDirectory directory;
  const std::string start = std::filesystem::current_path().string();
  ASSERT_EQ(::chdir(directory.path().c_str()), 0);
  const std::string name(250, 'd');
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(::mkdir(name.c_str(), 0700), 0);
    ASSERT_EQ(::chdir(name.c_str()), 0);
  }
  ASSERT_EQ(::chdir(start.c_str()), 0);
  Status end;
  EXPECT_TRUE(Walk(directory.path(), &end).empty());
  EXPECT_EQ(end.code(), Code::kIo);
}

}  // namespace
}  // namespace embedflow
