#include "sources/bytes.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "tests/sources/input_files.h"

namespace embedflow {
namespace {

using testing::HasSubstr;

class Bytes : public testing::Test {
 protected:
  Result<std::unique_ptr<FileBytes>> Open(const std::string& path,
                                          FileBytes::Links links = FileBytes::Links::kFollow) {
    return FileBytes::Open(path, links, stop_.get(), &bytes_read_);
  }

  const TemporaryDirectory directory_;
  const std::unique_ptr<StopSignal> stop_ = std::move(*StopSignal::Create());
  std::atomic<std::uint64_t> bytes_read_{0};
  char buffer_[64];
};

TEST_F(Bytes, AFileIsReadToItsEndAndCounted) {
  auto file = Open(directory_.Write("f", "0123456789"));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->is_regular());
  EXPECT_EQ((*file)->size(), 10u);
  EXPECT_EQ(*(*file)->Read(buffer_, 6), 6u);
  EXPECT_EQ(*(*file)->Read(buffer_, 64), 4u);
  EXPECT_EQ(*(*file)->Read(buffer_, 64), 0u);
  EXPECT_EQ(bytes_read_, 10u);
  EXPECT_EQ((*file)->offset(), 10u);
}

TEST_F(Bytes, TheRestCanBeSkipped) {
  auto file = Open(directory_.Write("f", "0123456789"));
  EXPECT_EQ(*(*file)->Read(buffer_, 3), 3u);
  (*file)->SkipRest();
  (*file)->SkipRest();
  EXPECT_EQ(bytes_read_, 10u);
}

TEST_F(Bytes, WhatCannotBeOpenedSaysSo) {
  EXPECT_EQ(Open(directory_.path() + "/none").status().code(), Code::kNotFound);
  EXPECT_EQ(Open(directory_.Write("f", "") + "/below").status().code(), Code::kNotFound);
  EXPECT_EQ(Open(directory_.path()).status().code(), Code::kInvalidArgument);
  const std::string link = directory_.path() + "/link";
  ASSERT_EQ(::symlink("f", link.c_str()), 0);
  EXPECT_TRUE(Open(link).ok());
  EXPECT_EQ(Open(link, FileBytes::Links::kRefuse).status().code(), Code::kIo);
  EXPECT_FALSE(Open(link, FileBytes::Links::kRefuse).status().next().empty());
}

TEST_F(Bytes, AReadErrorNamesTheByte) {
  // The first page of a process is never mapped: reading it fails with EIO.
  auto file = Open("/proc/self/mem");
  ASSERT_TRUE(file.ok());
  const auto got = (*file)->Read(buffer_, 64);
  EXPECT_EQ(got.status().code(), Code::kIo);
  EXPECT_THAT(got.status().message(), HasSubstr("cannot be read at byte 0: "));
}

TEST_F(Bytes, AStoppedStreamReadsNoMore) {
  auto file = Open(directory_.Write("f", "0123456789"));
  stop_->Set();
  stop_->Set();
  EXPECT_TRUE(stop_->is_set());
  EXPECT_EQ((*file)->Read(buffer_, 6).status().code(), Code::kCancelled);
}

TEST_F(Bytes, AStopWakesAReaderOfAFifo) {
  // Before a writer came, and after one fell silent; the writer's end stays open.
  for (const bool has_writer : {false, true}) {
    const auto stop = std::move(*StopSignal::Create());
    const std::string path = directory_.path() + (has_writer ? "/with" : "/without");
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    auto fifo = FileBytes::Open(path, FileBytes::Links::kFollow, stop.get(), &bytes_read_);
    ASSERT_TRUE(fifo.ok());
    EXPECT_FALSE((*fifo)->is_regular());
    const int writer = has_writer ? ::open(path.c_str(), O_WRONLY | O_CLOEXEC) : -1;
    if (has_writer) {
      ASSERT_EQ(::write(writer, "abc", 3), 3);
      EXPECT_EQ(*(*fifo)->Read(buffer_, 64), 3u);
    }
    Status end;
    std::thread reader([&] { end = (*fifo)->Read(buffer_, 64).status(); });
    stop->Set();
    reader.join();
    EXPECT_EQ(end.code(), Code::kCancelled);
    if (has_writer) ::close(writer);
  }
}

TEST_F(Bytes, AFifoWaitsForItsWriter) {
  const std::string path = directory_.path() + "/fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  auto fifo = Open(path);
  std::thread writer([&] { std::ofstream(path) << "late"; });
  std::string read;
  for (;;) {
    const auto got = (*fifo)->Read(buffer_, 64);
    ASSERT_TRUE(got.ok());
    if (*got == 0) break;
    read.append(buffer_, *got);
  }
  writer.join();
  EXPECT_EQ(read, "late");
}

TEST_F(Bytes, ChangesAreDescribed) {
  const std::string path = directory_.Write("f", "0123456789");
  {
    auto file = Open(path);
    EXPECT_EQ((*file)->DescribeChange(path), "");
    directory_.Write("f", "0123456789 and more");
    EXPECT_EQ((*file)->DescribeChange(path), "it grew from 10 to 19 bytes");
    directory_.Write("f", "0");
    EXPECT_EQ((*file)->DescribeChange(path), "it shrank from 10 to 1 bytes");
  }
  {
    auto file = Open(path);
    const struct timespec times[] = {{1, 0}, {1, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    EXPECT_EQ((*file)->DescribeChange(path), "it was written to");
  }
  {
    auto file = Open(path);
    ASSERT_EQ(::rename(directory_.Write("g", "0").c_str(), path.c_str()), 0);
    EXPECT_EQ((*file)->DescribeChange(path), "another file has taken its name");
    ASSERT_EQ(::unlink(path.c_str()), 0);
    EXPECT_EQ((*file)->DescribeChange(path), "it was removed");
  }
}

}  // namespace
}  // namespace embedflow
