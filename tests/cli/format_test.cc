#include "cli/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cli/npy.h"

namespace embedflow::cli {
namespace {

using ::testing::ElementsAre;

TEST(Format, Numbers) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1000), "1,000");
  EXPECT_EQ(WithCommas(3045670), "3,045,670");
  EXPECT_EQ(WithCommas(18446744073709551615u), "18,446,744,073,709,551,615");
  EXPECT_EQ(Short(910), "910");
  EXPECT_EQ(Short(999.96), "1.0 k");
  EXPECT_EQ(Short(98'000), "98.0 k");
  EXPECT_EQ(Short(333'600'000), "334 M");
  EXPECT_EQ(Short(9'800'000), "9.8 M");
  EXPECT_EQ(Bytes(512), "512 B");
  EXPECT_EQ(Bytes(21'600'000'000), "21.6 GB");
  EXPECT_EQ(Count(1, "chunk"), "1 chunk");
  EXPECT_EQ(Count(2000, "chunk"), "2,000 chunks");
}

TEST(Format, DurationsAndMoney) {
  EXPECT_EQ(Duration(0), "under 0.1 s");
  EXPECT_EQ(Duration(0.42), "0.4 s");
  EXPECT_EQ(Duration(9), "9.0 s");
  EXPECT_EQ(Duration(42.4), "42 s");
  EXPECT_EQ(Duration(53 * 60), "53 min");
  EXPECT_EQ(Duration(72 * 60), "1 h 12 min");
  EXPECT_EQ(Duration(59.6 * 60), "1 h 0 min");
  EXPECT_EQ(Duration(-1), "?");
  EXPECT_EQ(Usd(10.42), "$10.42");
  EXPECT_EQ(Usd(0.012), "$0.0120");
  // Never "$0.00" for something that cost.
  EXPECT_EQ(Usd(0.00001), "under $0.0001");
  EXPECT_EQ(Usd(0), "$0");
}

TEST(Format, ColumnsCountWideAndCombiningLetters) {
  EXPECT_EQ(Columns("abc"), 3u);
  EXPECT_EQ(Columns("\u00e9"), 1u);
  EXPECT_EQ(Columns("e\u0301"), 1u);
  EXPECT_EQ(Columns("\u65e5\u672c"), 4u);
  EXPECT_EQ(CutToColumns("\u65e5\u672c\u8a9e", 5, true), "\u65e5\u672c\u2026");
  EXPECT_EQ(CutToColumns("\u65e5\u672c\u8a9e", 6, true), "\u65e5\u672c\u8a9e");
  EXPECT_EQ(CutToColumns("abcdefgh", 6, false), "abc...");
  EXPECT_EQ(CutToColumns("abcdefgh", 2, false), "ab");
}

TEST(Format, WrapBreaksAtSpacesAndLongWordsWhereItMust) {
  EXPECT_THAT(Wrap("one two three", 8), ElementsAre("one two", "three"));
  EXPECT_THAT(Wrap("abcdefghij", 4), ElementsAre("abcd", "efgh", "ij"));
  EXPECT_THAT(Wrap("", 10), ElementsAre());
  // A width that nothing fits in still ends.
  EXPECT_THAT(Wrap("\u65e5\u672c", 0), ElementsAre("\u65e5", "\u672c"));
}

TEST(Format, OneLineHasNoControlBytes) {
  EXPECT_EQ(OneLine("  a\r\n\tb\x1b[31m  "), "a b\\x1b[31m");
}

TEST(Format, ShellWordsReadBack) {
  EXPECT_EQ(ShellQuoted("corpus/a-b_1.jsonl"), "corpus/a-b_1.jsonl");
  EXPECT_EQ(ShellQuoted("my notes"), "'my notes'");
  EXPECT_EQ(ShellQuoted("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellQuoted(""), "''");
}

TEST(Npy, HeadersHaveOneLengthAndTheShape) {
  const std::string matrix = NpyHeader("f4", 12, 512);
  EXPECT_EQ(matrix.size(), kNpyHeaderBytes);
  EXPECT_EQ(matrix.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(matrix[8], static_cast<char>(kNpyHeaderBytes - 10));
  EXPECT_EQ(matrix.substr(10, 60), "{'descr': '<f4', 'fortran_order': False, 'shape': (12, 512),");
  EXPECT_EQ(matrix.back(), '\n');
  const std::string list = NpyHeader("i8", 18446744073709551615u, std::nullopt);
  EXPECT_EQ(list.size(), kNpyHeaderBytes);
  EXPECT_NE(list.find("'shape': (18446744073709551615,), }"), std::string::npos);
}

}  // namespace
}  // namespace embedflow::cli
