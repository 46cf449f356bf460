#include "sources/whole_file.h"

#include <gmock/gmock.h>

#include "tests/sources/input_files.h"

namespace embedflow {
namespace {

using std::string_literals::operator""s;

Harvest ReadWhole(const std::string& bytes, WholeFileOptions file = {"id"},
                  std::uint64_t document_bytes_max = 64 << 20, Status end = {}) {
  FileSourceOptions options;
  options.document_bytes_max = document_bytes_max;
  const auto reader = NewWholeFileReader(std::make_unique<MemoryBytes>(bytes, 1000, std::move(end)),
                                         std::move(file), options);
  Harvest harvest = ReadAll(*reader);
  EXPECT_LE(harvest.records.size(), 1u);
  return harvest;
}

TEST(WholeFile, IsOneDocumentByteForByte) {
  const std::string texts[] = {"",        " ", "one\r\ntwo\n", "a\0b"s, std::string(700000, 'x'),
                               "\xc3\xa9"};
  for (const std::string& text : texts) {
    for (const std::uint64_t hint :
         {std::uint64_t{0}, std::uint64_t{text.size()}, std::uint64_t{1}}) {
      const Harvest harvest = ReadWhole(text, {"the id", hint});
      ASSERT_EQ(harvest.records.size(), 1u);
      const Record& record = harvest.records[0];
      EXPECT_FALSE(record.bad.has_value());
      EXPECT_TRUE(record.document.text == text);
      EXPECT_EQ(record.document.id, "the id");
      EXPECT_TRUE(record.document.metadata.empty());
      EXPECT_EQ(record.origin.line, 0u);
      EXPECT_EQ(record.bytes, text.size());
    }
  }
  const Harvest marked = ReadWhole("\xef\xbb\xbftext");
  EXPECT_EQ(marked.records[0].document.text, "text");
  EXPECT_EQ(marked.records[0].bytes, 7u);
}

TEST(WholeFile, BadOnesSayWhy) {
  EXPECT_EQ(ReadWhole("ab\xff").records[0].bad->reason, "invalid UTF-8 at byte 2");
  EXPECT_EQ(ReadWhole("ab\xff").records[0].bad->id, "id");
  EXPECT_EQ(ReadWhole("x", {std::string(1025, 'i')}).records[0].bad->reason,
            "the id is 1025 bytes long, the limit is 1024");
  EXPECT_EQ(ReadWhole("x", {"not\xffutf8"}).records[0].bad->reason, "the id is not UTF-8");
  EXPECT_EQ(ReadWhole("x", {"not\xffutf8"}).records[0].bad->id, "");
}

TEST(WholeFile, TheLimitIsOnItsText) {
  EXPECT_FALSE(ReadWhole(std::string(5000, 'x'), {"id"}, 5000).records[0].bad.has_value());
  EXPECT_FALSE(
      ReadWhole("\xef\xbb\xbf" + std::string(5000, 'x'), {"id"}, 5000).records[0].bad.has_value());
  for (const std::size_t size : {5001u, 5003u, 5004u, 900000u}) {
    EXPECT_EQ(ReadWhole(std::string(size, 'x'), {"id"}, 5000).records[0].bad->reason,
              "larger than 5000 bytes (--max-document-bytes)");
  }
}

TEST(WholeFile, UnreadableContentsEndAnInputOrCostOneOfManyFiles) {
  const Status damaged(Code::kInvalidArgument, "is damaged at byte 9");
  const WholeFileOptions member = {"id", 0, /*unreadable_is_bad_record=*/true};
  EXPECT_EQ(ReadWhole("\xff\xfex\0"s).end.word(), "input_encoding");
  EXPECT_EQ(ReadWhole("\xff\xfex\0"s, member).records[0].bad->reason,
            "is UTF-16 or UTF-32; only UTF-8 is read");
  EXPECT_EQ(ReadWhole("abc", {"id"}, 100, damaged).end.message(), "is damaged at byte 9");
  EXPECT_EQ(ReadWhole("abc", member, 100, damaged).records[0].bad->reason, "is damaged at byte 9");
  // What this machine cannot read is never the document's fault.
  for (const Code code : {Code::kIo, Code::kCancelled}) {
    const Harvest harvest = ReadWhole("abc", member, 100, Status(code, "broken"));
    EXPECT_TRUE(harvest.records.empty());
    EXPECT_EQ(harvest.end.code(), code);
  }
}

}  // namespace
}  // namespace embedflow
