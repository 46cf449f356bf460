#include "sources/lines.h"

#include <gmock/gmock.h>

#include "tests/sources/input_files.h"

namespace embedflow {
namespace {

TEST(Lines, AnyCuttingGivesTheSameLines) {
  // Lines around the size of the buffer and of the limit, in pieces of every kind.
  Rng rng(TestSeed());
  constexpr std::uint64_t kLimit = kReadBufferBytes * 2;
  for (int round = 0; round < 60; ++round) {
    std::string bytes;
    std::vector<std::string> expected;
    const std::size_t count = 1 + rng.Below(12);
    for (std::size_t i = 0; i < count; ++i) {
      static constexpr std::size_t kSizes[] = {0,
                                               1,
                                               100,
                                               kReadBufferBytes - 1,
                                               kReadBufferBytes,
                                               kReadBufferBytes + 1,
                                               kLimit - 1,
                                               kLimit,
                                               kLimit + 1,
                                               kLimit + 2,
                                               kLimit + 3,
                                               kLimit * 3};
      const std::size_t size = kSizes[rng.Below(std::size(kSizes))];
      const std::string line(size, static_cast<char>('a' + i));
      const bool is_last = i + 1 == count;
      const std::string end = is_last && size > 0 && rng.Below(2) == 0 ? ""
                              : rng.Below(2) == 0                      ? "\n"
                                                                       : "\r\n";
      bytes += line + end;
      expected.push_back((size > kLimit ? "too large" : line) + "/" + std::to_string(i + 1) + "/" +
                         std::to_string(size + end.size()));
    }
    MemoryBytes stream(bytes, rng.Below(2) == 0 ? 1 + rng.Below(5000) : 1 << 30);
    LineEnd line_end;
    RecordReader reader(&stream, &line_end, kLimit);
    std::vector<std::string> lines;
    RawRecord record;
    for (;;) {
      const Result<bool> found = reader.Next(&record);
      ASSERT_TRUE(found.ok());
      if (!*found) break;
      EXPECT_EQ(record.lines, 1u);
      lines.push_back((record.is_too_large ? "too large" : std::string(record.bytes)) + "/" +
                      std::to_string(record.line) + "/" + std::to_string(record.size));
    }
    ASSERT_TRUE(lines == expected) << "round " << round;
  }
}

TEST(Lines, OnlyTheLineEndIsTaken) {
  MemoryBytes stream("a\r\r\n\rb\n", 3);
  LineEnd line_end;
  RecordReader reader(&stream, &line_end, 100);
  RawRecord record;
  ASSERT_TRUE(*reader.Next(&record));
  EXPECT_EQ(record.bytes, "a\r");
  ASSERT_TRUE(*reader.Next(&record));
  EXPECT_EQ(record.bytes, "\rb");
  EXPECT_FALSE(*reader.Next(&record));
  EXPECT_FALSE(*reader.Next(&record));
}

TEST(Lines, TheBeginningIsJudgedByItsFirstBytes) {
  std::size_t mark = 9;
  EXPECT_TRUE(CheckBeginning("\xef\xbb\xbf{", &mark).ok());
  EXPECT_EQ(mark, 3u);
  for (const char* fine : {"", "{", "\xef\xbb", "\xef\xbb\xbe", "\x1f", "\x28\xb5\x2f"}) {
    EXPECT_TRUE(CheckBeginning(fine, &mark).ok()) << fine;
    EXPECT_EQ(mark, 0u);
  }
}

}  // namespace
}  // namespace embedflow
