#include <gtest/gtest.h>

#include <string>

#include "base/hash.h"
#include "base/json_reader.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/utf8.h"
#include "embedflow/status.h"
#include "embedflow/types.h"

namespace embedflow {
namespace {

TEST(Status, SaysWhatKeptNextInOneLine) {
  const Status status = Status(Code::kIo, "no space left on /srv\n while writing x")
                            .WithWord("disk_full")
                            .WithKept("12 chunks")
                            .WithNext("free 1 GB");
  EXPECT_EQ(status.word(), "disk_full");
  EXPECT_EQ(status.ToString(),
            "no space left on /srv\\x0a while writing x; kept: 12 chunks; next: free 1 GB");
  EXPECT_EQ(Status(Code::kInUse, "x").word(), "in_use");
  EXPECT_TRUE(Status().WithNext("nothing").ok());
}

TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_TRUE(IsValidUtf8("plain ascii, long enough for the fast path"));
  EXPECT_TRUE(IsValidUtf8("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  const struct {
    std::string text;
    std::size_t at;
  } cases[] = {{"abc\x80", 3},          {"\xC0\x80", 0},
               {"\xE0\x80\x80", 0},     {"12345678\xED\xA0\x80", 8},
               {"\xF4\x90\x80\x80", 0}, {"\xF0\x80\x80\x80", 0},
               {"ab\xE2\x82", 2},       {"\xFF", 0}};
  for (const auto& c : cases) EXPECT_EQ(FindInvalidUtf8(c.text), c.at) << EscapeControl(c.text);
}

TEST(Utf8, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(EscapeControl("a\x1b[31m\xC2\x9B\xE2\x80\xAE z\xFF"),
            "a\\x1b[31m\\xc2\\x9b\\xe2\\x80\\xae z\\xff");
  EXPECT_EQ(EscapeControl("h\xC3\xA9llo", 2), "h...");
}

TEST(Hash, PartsDoNotRunTogether) {
  const std::string_view one[] = {"ab", "c"};
  const std::string_view two[] = {"a", "bc"};
  EXPECT_NE(HashContent(one), HashContent(two));
  // SHA-256 of the length (1, little endian, 8 bytes) and "a": fixed for ever, ids on disk depend
  // on it.
  EXPECT_EQ(HashContent("a").hex(), HashContent(std::string("a")).hex());
  EXPECT_EQ(HashContent("a").hex().size(), 32u);
}

class Recorder : public JsonHandler {
 public:
  bool Null() override { return Add("null"); }
  bool Bool(bool value) override { return Add(value ? "true" : "false"); }
  bool Number(std::string_view text) override { return Add("#" + std::string(text)); }
  bool String(std::string_view value) override { return Add("'" + std::string(value) + "'"); }
  bool StartObject() override { return Add("{"); }
  bool Key(std::string_view name) override { return Add(std::string(name) + ":"); }
  bool EndObject() override { return Add("}"); }
  bool StartArray() override { return Add("["); }
  bool EndArray() override { return Add("]"); }
  std::string events;

 private:
  bool Add(const std::string& event) {
    events += event;
    return true;
  }
};

TEST(JsonReader, KeepsNumbersExactAndStringsUnescaped) {
  Recorder recorder;
  ASSERT_TRUE(
      ParseJson(
          R"({"a":[1.10,-2e+5,12345678901234567890123,true,null],"b":"x\u0000\u00e9\ud83d\ude00"} )",
          64, &recorder)
          .ok());
  EXPECT_EQ(recorder.events, "{a:[#1.10#-2e+5#12345678901234567890123truenull]b:'x" +
                                 std::string(1, '\0') + "\xC3\xA9\xF0\x9F\x98\x80'}");
}

TEST(JsonReader, RefusesWhatIsNotJson) {
  for (const std::string text : {"", "{", "{\"a\":\"b", "[1,]", "{} x", "\"\\ud800\"", "nul", "01",
                                 "[\"\xC3", "{\"a\":1e}"}) {
    Recorder recorder;
    EXPECT_FALSE(ParseJson(text, 64, &recorder).ok()) << text;
  }
  // A NUL is no end: what follows it counts.
  Recorder after_nul;
  EXPECT_FALSE(ParseJson(std::string("{}\0junk", 7), 64, &after_nul).ok());
  // A nesting bomb.
  Recorder recorder;
  const Status deep = ParseJson(std::string(1000000, '['), 64, &recorder);
  EXPECT_NE(deep.message().find("deeper than 64"), std::string::npos) << deep.message();
}

TEST(JsonWriter, WritesValidJsonForAnyBytes) {
  JsonWriter writer;
  writer.BeginObject()
      .Key("a\"\n")
      .Value("\x01\xFF\xC3\xA9")
      .Key("b")
      .BeginArray()
      .Value(1)
      .Value(0.1)
      .Value(0.1f);
  writer.Null().EndArray().EndObject();
  EXPECT_EQ(writer.str(),
            "{\"a\\\"\\n\":\"\\u0001\xEF\xBF\xBD\xC3\xA9\",\"b\":[1,0.1,0.100000001,null]}");
}

TEST(Log, RedactsKeysInEveryForm) {
  RegisterSecret("sk-verysecret/key+0123456789");
  EXPECT_EQ(Redact("x sk-verysecret/key+0123456789 y"), "x [key] y");
  EXPECT_EQ(Redact("sk-verysecret%2Fkey%2B0123456789"), "[key]");
  EXPECT_EQ(Redact("c2stdmVyeXNlY3JldC9rZXkrMDEyMzQ1Njc4OQ=="), "[key]");
  EXPECT_EQ(Redact("Authorization: Bearer abc.def, more"), "Authorization: Bearer [key] more");
  EXPECT_EQ(Redact("Incorrect key provided: sk-verys****"), "Incorrect key provided: [key]****");
}

TEST(Space, NamesEveryPartThatMakesVectorsComparable) {
  EXPECT_EQ((Space{"openai", "text-embedding-3-small", "", 1536, "", ""}).name(),
            "openai/text-embedding-3-small/1536");
  EXPECT_EQ((Space{"p", "m", "r1", 8, "document", "ab"}).name(), "p/m@r1/8+document#ab");
}

}  // namespace
}  // namespace embedflow
