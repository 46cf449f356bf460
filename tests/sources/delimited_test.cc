#include "sources/delimited.h"

#include <gmock/gmock.h>

#include "tests/sources/input_files.h"

namespace embedflow {
namespace {

using std::string_literals::operator""s;
using testing::ElementsAre;
using testing::HasSubstr;

Harvest ReadRows(const std::string& bytes, char delimiter = ',',
                 const FileSourceOptions& options = {}, std::size_t piece_bytes = 1 << 20) {
  const auto reader =
      NewDelimitedReader(std::make_unique<MemoryBytes>(bytes, piece_bytes), delimiter, options);
  return ReadAll(*reader);
}

TEST(Delimited, RowsBecomeDocuments) {
  struct Case {
    std::string rows, document, metadata;
  };
  const Case cases[] = {
      {"1,one,x", "1=one", "m:s:x"},
      {"1,one,x\r\n", "1=one", "m:s:x"},
      {"1,,", "1=", "m:s:"},
      {",one,", "=one", "m:s:"},
      {"\"1\",\"one\",\"x\"", "1=one", "m:s:x"},
      {"\"1\",\"one\",\"x\"\r\n", "1=one", "m:s:x"},
      {"\"1\",\"one\",\"x\"\r", "1=one", "m:s:x"},
      {"1,\"a,b\",x", "1=a,b", "m:s:x"},
      {"1,\"line 1\nline 2\r\nline 3\",x\n", "1=line 1\nline 2\r\nline 3", "m:s:x"},
      {"1,\"she said \"\"hi\"\"\",\"\"\"\"\n", "1=she said \"hi\"", "m:s:\""},
      {"1,\"\",\"\"\n", "1=", "m:s:"},
      {"1,5\" pipe,a \"bare\" quote\n", "1=5\" pipe", "m:s:a \"bare\" quote"},
      {"1, \"space first\",x\n", "1= \"space first\"", "m:s:x"},
      {"1,a\rb,x\n", "1=a\rb", "m:s:x"},
      {"1,a\0b,x\n"s, "1=a\0b"s, "m:s:x"},
      {"007,0.10,true", "007=0.10", "m:s:true"},
      {"\n\r\n1,one,x\n\n", "1=one", "m:s:x"},
      {"1,\xc3\xa9,x", "1=\xc3\xa9", "m:s:x"},
  };
  for (const Case& c : cases) {
    for (const std::size_t piece : {1u, 2u, 5u, 1000u}) {
      const Harvest harvest = ReadRows("id,text,m\n" + c.rows, ',', {}, piece);
      EXPECT_TRUE(harvest.end.ok()) << harvest.end.ToString();
      EXPECT_THAT(harvest.Lines(), ElementsAre(c.document)) << c.rows;
      ASSERT_EQ(harvest.records.size(), 1u);
      EXPECT_EQ(Show(harvest.records[0].document.metadata), c.metadata) << c.rows;
    }
  }
}

TEST(Delimited, BadRowsSayWhyAndReadingGoesOn) {
  struct Case {
    std::string row, reason;
  };
  const Case cases[] = {
      {"1", "it has 1 field, the header has 3"},
      {" ", "it has 1 field, the header has 3"},
      {"1,a,b,c", "it has 4 fields, the header has 3"},
      {"1,\xff,b", "invalid UTF-8 at byte 2"},
      {"1,\"said \"hi\" there\",b", "in field 2 something follows the closing quote, byte 9"},
      {"1,\"a\" ,b", "in field 2 something follows the closing quote, byte 5"},
      {"1,\"a\"\rx,b", "in field 2 something follows the closing quote, byte 5"},
      {"1,\"two\nlines\"x,b", "in field 2 something follows the closing quote, byte 13"},
      {"1\0,a,b"s, "the id holds a NUL"},
      {std::string(1025, 'i') + ",a,b", "the id is 1025 bytes long, the limit is 1024"},
  };
  for (const Case& c : cases) {
    for (const std::size_t piece : {1u, 3u, 1000u}) {
      const Harvest harvest =
          ReadRows("id,text,m\n0,before,\n" + c.row + "\n9,after,\n", ',', {}, piece);
      EXPECT_TRUE(harvest.end.ok());
      EXPECT_THAT(harvest.Lines(), ElementsAre("0=before", "!" + c.reason, "9=after")) << c.row;
    }
  }
}

TEST(Delimited, LinesAreCountedThroughQuotedLineEnds) {
  const Harvest harvest = ReadRows("id,text\n1,\"a\nb\nc\"\n\n2,d\n3,\"e\n\"\"\n\"\n4,f");
  ASSERT_EQ(harvest.records.size(), 4u);
  EXPECT_EQ(harvest.records[0].origin.line, 2u);
  EXPECT_EQ(harvest.records[1].origin.line, 6u);
  EXPECT_EQ(harvest.records[2].origin.line, 7u);
  EXPECT_EQ(harvest.records[3].origin.line, 10u);
  EXPECT_EQ(harvest.records[0].bytes, 10u);
}

TEST(Delimited, TabsSeparateTsv) {
  EXPECT_THAT(ReadRows("id\ttext\n1\ta, b\n2\t\"tab\there\"\n", '\t').Lines(),
              ElementsAre("1=a, b", "2=tab\there"));
}

TEST(Delimited, TheHeaderRules) {
  EXPECT_EQ(ReadRows("\xef\xbb\xbftext\nx\n").Lines(), std::vector<std::string>{"=x"});
  EXPECT_EQ(ReadRows("\r\n\n\"id\",\"text\"\r\n1,x\r\n").Lines(), std::vector<std::string>{"1=x"});
  // Of repeated columns the last wins, in the place of the first.
  const Harvest repeated = ReadRows("k,text,m,k,text,id,id\n1,old,2,3,new,4,5\n");
  ASSERT_EQ(repeated.records.size(), 1u);
  EXPECT_EQ(repeated.Lines()[0], "5=new");
  EXPECT_EQ(Show(repeated.records[0].document.metadata), "k:s:3 m:s:2");
  EXPECT_TRUE(ReadRows("").records.empty());
  EXPECT_TRUE(ReadRows("id,text\n").records.empty());
}

TEST(Delimited, AHeaderThatCannotServeIsAnError) {
  const std::pair<std::string, const char*> cases[] = {
      {"id,body,lang\n1,a,b\n", "no column 'text'; it has id, body, lang"},
      {"1;a;b\n", "no column 'text'; it has 1;a;b"},
      {"id,te\xfft\n1,a\n", "the header row cannot be read: invalid UTF-8 at byte 5"},
      {"id,\"text\n1,a\n",
       "the header row cannot be read: a quote is never closed; 2 lines are "
       "passed over"},
      {"id,\"text\"x\n1,a\n",
       "the header row cannot be read: in field 2 something follows the closing quote, byte 9"},
  };
  for (const auto& [bytes, message] : cases) {
    const Harvest harvest = ReadRows(bytes);
    EXPECT_TRUE(harvest.records.empty());
    EXPECT_EQ(harvest.end.code(), Code::kInvalidArgument);
    EXPECT_EQ(harvest.end.message(), message);
    EXPECT_EQ(harvest.end.word(), "input_format");
    EXPECT_THAT(harvest.end.next(), HasSubstr("--text-field"));
  }
  const std::string wide = std::string(kFieldsMax, ',') + "text\n";
  EXPECT_EQ(ReadRows(wide).end.message(), "the header row cannot be read: more than 10000 fields");
}

TEST(Delimited, ARowOverTheLimitIsPassedOverWithItsQuotes) {
  // The line feeds and commas inside the long field must not become rows.
  FileSourceOptions options;
  options.document_bytes_max = 100;
  std::string text;
  while (text.size() < 600000) text += "3,no row\n\"\"\n";
  const std::string bytes = "id,text\n1,a\n2,\"" + text + "\"\n4,b\n";
  for (const std::size_t piece : {1000u, 1u << 20}) {
    const Harvest harvest = ReadRows(bytes, ',', options, piece);
    EXPECT_THAT(harvest.Lines(),
                ElementsAre("1=a", "!larger than 100 bytes (--max-document-bytes)", "4=b"));
    EXPECT_EQ(harvest.records[2].origin.line,
              4u + static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')));
  }
}

TEST(Delimited, AQuoteOpenAtTheEndIsOneBadRecord) {
  const Harvest harvest = ReadRows("id,text\n1,a\n2,\"b\n3,c\n4,d\n");
  EXPECT_THAT(harvest.Lines(),
              ElementsAre("1=a", "!a quote is never closed; 3 lines are passed over"));
  EXPECT_EQ(harvest.records[1].origin.line, 3u);
  EXPECT_THAT(ReadRows("id,text\n2,\"b").Lines(), ElementsAre("!a quote is never closed"));
}

TEST(Delimited, AnUnclosedQuoteSwallowsNoMoreThanTheSearchAllows) {
  // The row ends with the line that holds the last byte searched, wherever the pieces are cut.
  const std::string line = "2,\"open\n";
  const std::string filler = "0123456\n";
  std::string bytes = line;
  for (int i = 0; i < 20; ++i) bytes += filler;
  for (const std::size_t search : {40u, 41u, 47u, 48u}) {
    for (const std::size_t piece : {1u, 3u, 8u, 1000u}) {
      RowEnd end(',', search);
      end.Begin();
      std::size_t taken = 0;
      for (std::size_t at = 0; at < bytes.size(); at += piece) {
        const std::string_view part = std::string_view(bytes).substr(at, piece);
        const std::size_t found = end.Find(part);
        taken += found == std::string::npos ? part.size() : found;
        if (found != std::string::npos) break;
      }
      EXPECT_EQ(taken, search / 8 * 8 + 8) << search << " in pieces of " << piece;
      EXPECT_TRUE(end.is_quote_open());
      EXPECT_EQ(end.line_feeds(), taken / 8);
    }
  }
}

TEST(Delimited, ReadingGoesOnBehindAnUnclosedQuote) {
  FileSourceOptions options;
  options.document_bytes_max = 1000;
  std::string bytes = "id,text\n1,\"open\n";
  const std::string filler = "2,filler without any quote in it, but with a comma\n";
  while (bytes.size() < kQuoteSearchBytes + 100) bytes += filler;
  const std::size_t lines = static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
  const Harvest harvest = ReadRows(bytes + "3,after\n", ',', options);
  ASSERT_GE(harvest.records.size(), 2u);
  EXPECT_THAT(harvest.Lines()[0], HasSubstr("a quote is never closed; "));
  EXPECT_EQ(harvest.Lines().back(), "3=after");
  EXPECT_EQ(harvest.records.back().origin.line, lines + 1);
  EXPECT_LE(harvest.records.size(), 10u);
}

// A writer as simple as RFC 4180: quotes where needed, and now and then where not.
std::string WriteField(const std::string& value, Rng& rng) {
  const bool must = value.find_first_of(",\t\"\r\n") != std::string::npos;
  if (!must && rng.Below(3) > 0) return value;
  std::string field = "\"";
  for (const char c : value) field += c == '"' ? "\"\"" : std::string(1, c);
  return field + "\"";
}

TEST(Delimited, WhatIsWrittenIsReadBack) {
  Rng rng(TestSeed());
  static const char* kPieces[] = {
      "a", "b c", ",", "\t", "\"", "\"\"", "\n", "\r\n", "\r", "\xc3\xa9", "\xf0\x9f\x98\x80",
      "'", "\\",  ";", ""};
  for (int round = 0; round < 400; ++round) {
    const char delimiter = rng.Below(2) == 0 ? ',' : '\t';
    const std::string line_end = rng.Below(2) == 0 ? "\n" : "\r\n";
    std::string bytes = std::string("m") + delimiter + "id" + delimiter + "text" + line_end;
    std::vector<std::string> expected;
    const std::size_t rows = rng.Below(12);
    for (std::size_t row = 0; row < rows; ++row) {
      std::vector<std::string> values(3);
      for (std::string& value : values) {
        for (std::uint64_t n = rng.Below(6); n > 0; --n)
          value += kPieces[rng.Below(std::size(kPieces))];
      }
      for (std::size_t i = 0; i < 3; ++i)
        bytes += WriteField(values[i], rng) + (i < 2 ? std::string(1, delimiter) : line_end);
      expected.push_back(values[1] + "=" + values[2] + "|m:s:" + values[0]);
    }
    if (rng.Below(2) == 0 && rows > 0) bytes.resize(bytes.size() - line_end.size());
    const std::size_t piece = 1 + rng.Below(40);
    const Harvest harvest = ReadRows(bytes, delimiter, {}, piece);
    EXPECT_TRUE(harvest.end.ok());
    std::vector<std::string> read = harvest.Lines();
    for (std::size_t i = 0; i < read.size(); ++i)
      read[i] += "|" + Show(harvest.records[i].document.metadata);
    ASSERT_EQ(read, expected) << "round " << round << ", pieces of " << piece << ":\n" << bytes;
  }
}

TEST(Delimited, NoBytesBreakTheReader) {
  // Whatever the input, the lines add up and the same records come out of any cutting into pieces.
  Rng rng(TestSeed());
  static const char kAlphabet[] = "\"\"\",,\n\n\rab\xff";
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = "id,text\n";
    for (std::uint64_t n = rng.Below(60); n > 0; --n)
      bytes += kAlphabet[rng.Below(sizeof kAlphabet - 1)];
    const Harvest whole = ReadRows(bytes);
    const Harvest pieces = ReadRows(bytes, ',', {}, 1 + rng.Below(4));
    ASSERT_EQ(whole.Lines(), pieces.Lines()) << bytes;
    std::uint64_t line = 1;
    for (const Record& record : whole.records) {
      ASSERT_GT(record.origin.line, line) << bytes;
      line = record.origin.line;
    }
    ASSERT_LE(line, 1u + static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\n')));
  }
}

}  // namespace
}  // namespace embedflow
