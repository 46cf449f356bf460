#include "sources/json_lines.h"

#include <gmock/gmock.h>

#include "sources/lines.h"
#include "tests/sources/input_files.h"

namespace embedflow {
namespace {

using std::string_literals::operator""s;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Harvest ReadLines(const std::string& bytes, const FileSourceOptions& options = {},
                  std::size_t piece_bytes = 1 << 20) {
  const auto reader =
      NewJsonLinesReader(std::make_unique<MemoryBytes>(bytes, piece_bytes), options);
  return ReadAll(*reader);
}

// One line; what it becomes.
Record ReadOne(const std::string& line, const FileSourceOptions& options = {}) {
  const Harvest harvest = ReadLines(line + "\n", options);
  EXPECT_TRUE(harvest.end.ok()) << harvest.end.ToString();
  EXPECT_EQ(harvest.records.size(), 1u) << line;
  return harvest.records.empty() ? Record() : harvest.records[0];
}

TEST(JsonLines, BecomeDocuments) {
  struct Case {
    std::string line, id, text, metadata;
  };
  const Case cases[] = {
      {R"({"id":"a","text":"one"})", "a", "one", ""},
      {R"({"text":"one","id":17})", "17", "one", ""},
      {R"({"id":12345678901234567890123,"text":""})", "12345678901234567890123", "", ""},
      {R"({"id":-5,"text":" "})", "-5", " ", ""},
      {R"({"text":"no id"})", "", "no id", ""},
      {R"({"id":null,"text":"null id"})", "", "null id", ""},
      {R"({"id":"","text":"empty id"})", "", "empty id", ""},
      {R"({"id":"a","text":"x","z":1.10,"b":true,"a":null,"s":"\u00e9"})", "a", "x",
       "z:d:1.10 b:b:true a:n: s:s:\xc3\xa9"},
      {R"({"n":12345678901234567890,"e":1E300,"text":"x"})", "", "x",
       "n:d:12345678901234567890 e:d:1E300"},
      {R"({"text":"x","o":{"text":"inner","id":"inner","k":[1,{"id":2}]},"l":[1,2],"k":"v"})", "",
       "x", "k:s:v"},
      {R"({"text":"old","k":1,"m":2,"k":"last","text":"new","id":"i","id":"j"})", "j", "new",
       "k:s:last m:d:2"},
      {R"({"text":"x","k":1,"k":{}})", "", "x", ""},
      {R"({"text":"x","k":[],"k":1})", "", "x", "k:d:1"},
      {R"({"text":1,"text":"the last is a string"})", "", "the last is a string", ""},
      {R"({"id":1.5,"id":"fine","text":"x"})", "fine", "x", ""},
      {R"(  {"text":"white space around"}  )", "", "white space around", ""},
      {R"({"text":"a\u0000b","k\u0000":"c\u0000"})", "", "a\0b"s, "k\0:s:c\0"s},
      {R"({"text":"\ud83d\ude00"})", "", "\xf0\x9f\x98\x80", ""},
      {"{\"text\":\"\xef\xbb\xbfinner mark\"}", "", "\xef\xbb\xbfinner mark", ""},
      {R"({"text":"x","":"empty key"})", "", "x", ":s:empty key"},
  };
  for (const Case& c : cases) {
    const Record record = ReadOne(c.line);
    EXPECT_FALSE(record.bad.has_value()) << c.line << ": " << record.bad->reason;
    EXPECT_EQ(record.document.id, c.id) << c.line;
    EXPECT_EQ(record.document.text, c.text) << c.line;
    EXPECT_EQ(Show(record.document.metadata), c.metadata) << c.line;
    EXPECT_EQ(record.bytes, c.line.size() + 1) << c.line;
  }
}

TEST(JsonLines, BadRecordsSayWhy) {
  struct Case {
    std::string line, id, reason;
  };
  const Case cases[] = {
      {R"({"id":"a","text":"unfini)", "a", "not JSON: ends inside a string, byte 24"},
      {R"({"id":"a","text":"x"} trailing)", "a", "not JSON: something follows the value, byte 22"},
      {R"({"id":"a","body":"x","lang":"en"})", "a", "no field 'text'; it has id, body, lang"},
      {R"({})", "", "no field 'text'; it has none"},
      {R"({"o":{"text":"x"}})", "", "no field 'text'; it has o"},
      {R"({"id":"a","text":3})", "a", "field 'text' is a number, not a string"},
      {R"({"id":"a","text":null})", "a", "field 'text' is null, not a string"},
      {R"({"id":"a","text":{"x":1}})", "a", "field 'text' is an object, not a string"},
      {R"({"id":"a","text":["x"]})", "a", "field 'text' is an array, not a string"},
      {R"({"id":"a","text":true})", "a", "field 'text' is a boolean, not a string"},
      {R"({"id":"a","text":"first wins not","text":false})", "a",
       "field 'text' is a boolean, not a string"},
      {R"({"id":1.5,"text":"x"})", "",
       "field 'id' is a number that is no integer; an id is a string or an integer"},
      {R"({"id":1e3,"text":"x"})", "",
       "field 'id' is a number that is no integer; an id is a string or an integer"},
      {R"({"id":true,"text":"x"})", "", "field 'id' is a boolean; an id is a string or an integer"},
      {R"({"id":[1],"text":"x"})", "", "field 'id' is an array; an id is a string or an integer"},
      {R"({"id":{},"text":"x"})", "", "field 'id' is an object; an id is a string or an integer"},
      {R"({"id":"a\u0000b","text":"x"})", "", "the id holds a NUL"},
      {"{\"id\":\"" + std::string(1025, 'i') + "\",\"text\":\"x\"}", "",
       "the id is 1025 bytes long, the limit is 1024"},
      {"[1,2]", "", "not a JSON object"},
      {"\"text\"", "", "not a JSON object"},
      {"17", "", "not a JSON object"},
      {"null", "", "not a JSON object"},
      {"{\"text\":\"a\xff\"}", "", "invalid UTF-8 at byte 10"},
      {"{\"id\":\"\xc0\xaf\",\"text\":\"a\"}", "", "invalid UTF-8 at byte 7"},
      {"{\"text\":\"\xed\xa0\x80\"}", "", "invalid UTF-8 at byte 9"},
      {"{\"text\":\"x\"}\0garbage"s, "", "not JSON: a NUL byte, byte 12"},
      {"{\"text\":\"\0\"}"s, "", "not JSON: a NUL byte, byte 9"},
  };
  for (const Case& c : cases) {
    const Record record = ReadOne(c.line);
    ASSERT_TRUE(record.bad.has_value()) << c.line;
    EXPECT_EQ(record.bad->reason, c.reason) << c.line;
    EXPECT_EQ(record.bad->id, c.id) << c.line;
    EXPECT_TRUE(record.document.id.empty() && record.document.text.empty() &&
                record.document.metadata.empty())
        << c.line;
  }
  EXPECT_THAT(ReadOne(R"({"text":"\ud800"})").bad->reason, StartsWith("not JSON: lone surrogate"));
  EXPECT_THAT(ReadOne("plain text").bad->reason, StartsWith("not JSON: "));
  EXPECT_THAT(ReadOne("{\"text\":\"tab\there\"}").document.text + ReadOne("{'text':1}").bad->reason,
              HasSubstr("not JSON: "));
}

TEST(JsonLines, AnIdOfTheGreatestLengthIsFine) {
  const std::string id(1024, 'i');
  EXPECT_EQ(ReadOne("{\"id\":\"" + id + "\",\"text\":\"x\"}").document.id, id);
}

TEST(JsonLines, DepthIsBounded) {
  const auto nested = [](std::size_t depth) {
    return "{\"k\":" + std::string(depth, '[') + std::string(depth, ']') + ",\"text\":\"x\"}";
  };
  EXPECT_FALSE(ReadOne(nested(63)).bad.has_value());
  EXPECT_THAT(ReadOne(nested(64)).bad->reason,
              StartsWith("not JSON: nested deeper than 64 levels"));
  EXPECT_THAT(ReadOne(std::string(200000, '[')).bad->reason, StartsWith("not a JSON object"));
  EXPECT_THAT(ReadOne("{\"k\":" + std::string(200000, '[')).bad->reason,
              StartsWith("not JSON: nested deeper"));
}

TEST(JsonLines, NamesInReasonsAreEscapedAndCut) {
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":1,";
  many.back() = '}';
  EXPECT_EQ(ReadOne(many).bad->reason,
            "no field 'text'; it has k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, ...");
  EXPECT_EQ(ReadOne("{\"" + std::string(500, 'k') + "\":1}").bad->reason,
            "no field 'text'; it has " + std::string(40, 'k') + "...");
  EXPECT_EQ(ReadOne(R"({"a\u001b[2J":1})").bad->reason, "no field 'text'; it has a\\x1b[2J");
}

TEST(JsonLines, FieldsAreCountedAgainstTheirLimit) {
  const auto fields = [](std::size_t count) {
    std::string line = "{\"text\":\"x\"";
    for (std::size_t i = 0; i < count; ++i) line += ",\"k" + std::to_string(i) + "\":0";
    return line + "}";
  };
  EXPECT_EQ(ReadOne(fields(kFieldsMax)).document.metadata.size(), kFieldsMax);
  EXPECT_EQ(ReadOne(fields(kFieldsMax + 1)).bad->reason, "more than 10000 fields");
}

TEST(JsonLines, RepeatedKeysAmongManyResolveAsAmongFew) {
  // Both ways of finding repeats, against a plain model.
  Rng rng(TestSeed());
  for (int round = 0; round < 300; ++round) {
    const std::size_t count = rng.Below(40);
    std::string line = "{\"text\":\"x\"";
    std::vector<std::pair<std::string, std::string>> model;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string key = "k" + std::to_string(rng.Below(20));
      const std::string value = rng.Below(5) == 0 ? "[]" : std::to_string(i);
      line += ",\"" + key + "\":" + value;
      const auto found =
          std::find_if(model.begin(), model.end(), [&](const auto& m) { return m.first == key; });
      if (found == model.end()) {
        model.emplace_back(key, value);
      } else {
        found->second = value;
      }
    }
    std::string expected;
    for (const auto& [key, value] : model) {
      if (value == "[]") continue;
      expected += (expected.empty() ? "" : " ") + key + ":d:" + value;
    }
    EXPECT_EQ(Show(ReadOne(line + "}").document.metadata), expected) << line;
  }
}

TEST(JsonLines, LineEndsMarksAndBlankLines) {
  const std::string bytes =
      "\xef\xbb\xbf{\"id\":1,\"text\":\"a\"}\r\n"
      "\n"
      " \t \r\n"
      "{\"id\":2,\"text\":\"b\"}\n"
      "{\"id\":3,\"text\":\"c\"}";
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 1000u}) {
    const Harvest harvest = ReadLines(bytes, {}, piece);
    EXPECT_TRUE(harvest.end.ok());
    EXPECT_THAT(harvest.Lines(), ElementsAre("1=a", "2=b", "3=c"));
    ASSERT_EQ(harvest.records.size(), 3u);
    EXPECT_EQ(harvest.records[0].origin.line, 1u);
    EXPECT_EQ(harvest.records[1].origin.line, 4u);
    EXPECT_EQ(harvest.records[2].origin.line, 5u);
  }
  EXPECT_TRUE(ReadLines("").records.empty());
  EXPECT_TRUE(ReadLines("\n\r\n  \n").records.empty());
  EXPECT_TRUE(ReadLines("\xef\xbb\xbf").records.empty());
}

TEST(JsonLines, FieldNamesCanBeChosen) {
  FileSourceOptions options;
  options.id_field = "key";
  options.text_field = "body";
  const Record record = ReadOne(R"({"id":"meta","key":5,"body":"b","text":"meta too"})", options);
  EXPECT_EQ(record.document.id, "5");
  EXPECT_EQ(record.document.text, "b");
  EXPECT_EQ(Show(record.document.metadata), "id:s:meta text:s:meta too");
  EXPECT_EQ(ReadOne(R"({"text":"x"})", options).bad->reason, "no field 'body'; it has text");
}

TEST(JsonLines, ALineOverTheLimitIsPassedOver) {
  FileSourceOptions options;
  options.document_bytes_max = 20;
  const std::string fits = R"({"text":"123456789"})";
  ASSERT_EQ(fits.size(), 20u);
  for (const std::string end : {"\n", "\r\n"}) {
    const std::string bytes =
        fits + end + R"({"text":"1234567890"})" + end + std::string(700000, 'x') + end + fits;
    const Harvest harvest = ReadLines(bytes, options);
    EXPECT_THAT(harvest.Lines(),
                ElementsAre("=123456789", "!larger than 20 bytes (--max-document-bytes)",
                            "!larger than 20 bytes (--max-document-bytes)", "=123456789"));
    EXPECT_EQ(harvest.records[2].bytes, 700000 + end.size());
    EXPECT_EQ(harvest.records[3].origin.line, 4u);
  }
}

TEST(JsonLines, WhatAnErrorCutsIsNotHandedOut) {
  const auto reader = NewJsonLinesReader(
      std::make_unique<MemoryBytes>("{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"text\":\"b\"}", 5,
                                    Status(Code::kIo, "broken")),
      {});
  const Harvest harvest = ReadAll(*reader);
  EXPECT_THAT(harvest.Lines(), ElementsAre("1=a"));
  EXPECT_EQ(harvest.end.message(), "broken");
}

TEST(JsonLines, OtherEncodingsAndArchivesAreErrors) {
  const std::pair<std::string, const char*> cases[] = {
      {"\xff\xfe{\0"s, "input_encoding"},     {"\xfe\xff\0{"s, "input_encoding"},
      {"\0\0\xfe\xff"s, "input_encoding"},    {"\xff\xfe"s, "input_encoding"},
      {Gzip("{\"text\":1}"), "input_format"}, {Zstd("{\"text\":1}"), "input_format"},
  };
  for (const auto& [bytes, word] : cases) {
    const Harvest harvest = ReadLines(bytes);
    EXPECT_TRUE(harvest.records.empty());
    EXPECT_EQ(harvest.end.code(), Code::kInvalidArgument);
    EXPECT_EQ(harvest.end.word(), word);
    EXPECT_FALSE(harvest.end.next().empty());
  }
}

}  // namespace
}  // namespace embedflow
