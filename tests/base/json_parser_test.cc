// The streaming JSON parser against RapidJSON as the judge, whole and cut into pieces anywhere.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/check.h"
#include "base/json_reader.h"
#include "base/random.h"
#include "base/utf8.h"
#define RAPIDJSON_ASSERT(condition) EF_CHECK(condition)
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

namespace embedflow {
namespace {

// Writes every event down, so that two parses can be compared.
class EventList : public JsonHandler {
 public:
  bool Null() override { return Note("null", {}); }
  bool Bool(bool value) override { return Note(value ? "true" : "false", {}); }
  bool Number(std::string_view text) override { return Note("number ", text); }
  bool String(std::string_view value) override { return Note("string ", value); }
  bool StartObject() override { return Note("{", {}); }
  bool Key(std::string_view name) override { return Note("key ", name); }
  bool EndObject() override { return Note("}", {}); }
  bool StartArray() override { return Note("[", {}); }
  bool EndArray() override { return Note("]", {}); }
  const std::string& events() const { return events_; }
  void StopAfter(int events) { left_ = events; }

 private:
  bool Note(std::string_view kind, std::string_view text) {
    events_ += kind;
    events_ += text;
    events_ += '\n';
    return --left_ != 0;
  }
  std::string events_;
  int left_ = -1;
};

class Judge {
 public:
  bool Null() { return list_.Null(); }
  bool Bool(bool value) { return list_.Bool(value); }
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return list_.Number({text, size});
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return list_.String({text, size});
  }
  bool StartObject() { return list_.StartObject(); }
  bool Key(const char* text, rapidjson::SizeType size, bool) { return list_.Key({text, size}); }
  bool EndObject(rapidjson::SizeType) { return list_.EndObject(); }
  bool StartArray() { return list_.StartArray(); }
  bool EndArray(rapidjson::SizeType) { return list_.EndArray(); }
  const std::string& events() const { return list_.events(); }

 private:
  EventList list_;
};

struct Parse {
  bool ok = false;
  bool is_number_too_big = false;  // For a double, which is the judge's limit alone.
  std::string events;
};

Parse ByJudge(const std::string& text) {
  rapidjson::MemoryStream bytes(text.data(), text.size());
  rapidjson::EncodedInputStream<rapidjson::UTF8<>, rapidjson::MemoryStream> stream(bytes);
  rapidjson::Reader reader;
  Judge judge;
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, judge);
  const bool ok = !result.IsError() && bytes.Tell() >= text.size();
  // It lets a lone low surrogate pass, which is no character.
  return {ok && IsValidUtf8(judge.events()), result.Code() == rapidjson::kParseErrorNumberTooBig,
          judge.events()};
}

Parse InPieces(const std::string& text, Rng* rng, std::size_t token_bytes_max = 1 << 20) {
  EventList list;
  JsonParser parser(64, token_bytes_max, &list);
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t size = rng == nullptr ? rest.size() : 1 + rng->Below(5);
    // A copy of its own, so that a look beyond the piece is seen by the address sanitizer.
    const std::string piece(rest.substr(0, size));
    if (!parser.Feed(piece)) break;
    rest.remove_prefix(std::min(size, rest.size()));
  }
  return {parser.Finish().ok(), false, list.events()};
}

std::string RandomJson(Rng& rng, int depth) {
  switch (rng.Below(depth > 4 ? 5 : 7)) {
    case 0:
      return rng.Below(2) == 0 ? "null" : "true";
    case 1: {
      static const std::vector<std::string> kNumbers = {
          "0", "-0", "1", "-12.5", "1e9", "1E-9", "0.0001", "10e+2", "123456789012"};
      return kNumbers[rng.Below(kNumbers.size())];
    }
    case 2:
    case 3:
    case 4: {
      static const std::vector<std::string> kParts = {"a",
                                                      "plain words",
                                                      "\\n",
                                                      "\\\"",
                                                      "\\\\",
                                                      "\\u0041",
                                                      "\\ud83d\\ude00",
                                                      "ä",
                                                      "日本語",
                                                      "\\u0000",
                                                      "\\/",
                                                      "🙂",
                                                      "0123456789012345678901234567890"};
      std::string text = "\"";
      for (std::uint64_t n = rng.Below(5); n > 0; --n) text += kParts[rng.Below(kParts.size())];
      return text + "\"";
    }
    case 5: {
      std::string text = "[";
      for (std::uint64_t n = rng.Below(4); n > 0; --n)
        text += RandomJson(rng, depth + 1) + (n > 1 ? " , " : "");
      return text + "]";
    }
    default: {
      std::string text = "{";
      for (std::uint64_t n = rng.Below(4); n > 0; --n)
        text += "\"k\\t" + std::to_string(n) + "\" :" + RandomJson(rng, depth + 1) +
                (n > 1 ? "," : "\n");
      return text + "}";
    }
  }
}

TEST(JsonParser, AgreesWithTheJudgeOnRandomTextsWholeCutAndDamaged) {
  const std::uint64_t seed = testing::UnitTest::GetInstance()->random_seed() + 20261122u;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  int good = 0, bad = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string text = RandomJson(rng, 0);
    if (round % 2 == 1) {
      static const std::string kBytes = "{}[]\",:\\0-+.eEtfnu \x01\xC3\xFF";
      for (std::uint64_t n = 1 + rng.Below(2); n > 0 && !text.empty(); --n) {
        const std::size_t at = rng.Below(text.size());
        switch (rng.Below(3)) {
          case 0:
            text[at] = kBytes[rng.Below(kBytes.size())];
            break;
          case 1:
            text.erase(at, 1);
            break;
          default:
            text.insert(at, 1, kBytes[rng.Below(kBytes.size())]);
        }
      }
    }
    // The judge does not look at the encoding, and takes a raw NUL for the end.
    if (!IsValidUtf8(text) || text.find('\0') != std::string::npos) {
      EXPECT_FALSE(InPieces(text, nullptr).ok) << text;
      EXPECT_FALSE(InPieces(text, &rng).ok) << text;
      continue;
    }
    const Parse judged = ByJudge(text);
    if (judged.is_number_too_big) continue;
    const Parse whole = InPieces(text, nullptr);
    const Parse cut = InPieces(text, &rng);
    ASSERT_EQ(judged.ok, whole.ok) << text;
    ASSERT_EQ(judged.ok, cut.ok) << text;
    ASSERT_EQ(whole.events, cut.events) << text;
    if (judged.ok) {
      ASSERT_EQ(judged.events, whole.events) << text;
    }
    (judged.ok ? good : bad)++;
  }
  EXPECT_GT(good, 5000);
  EXPECT_GT(bad, 2000);
}

TEST(JsonParser, TakesNumbersOfAnySizeAndAByteOrderMark) {
  Rng rng(1);
  const std::string huge = "[1e400, -" + std::string(5000, '9') + "]";
  EXPECT_TRUE(InPieces(huge, nullptr).ok);
  EXPECT_TRUE(InPieces(huge, &rng).ok);
  EXPECT_EQ(InPieces("\xEF\xBB\xBF{}", &rng).events, "{\n}\n");
  EXPECT_FALSE(InPieces("\xEF\xBB{}", nullptr).ok);
  EXPECT_FALSE(InPieces("\xEF", nullptr).ok);
  EXPECT_FALSE(InPieces("{}\xEF\xBB\xBF", nullptr).ok);
}

TEST(JsonParser, StopsWhenTheHandlerSaysSo) {
  for (int events = 1; events < 8; ++events) {
    EventList list;
    list.StopAfter(events);
    JsonParser parser(64, 100, &list);
    EXPECT_FALSE(parser.Feed(R"({"a":[1,"x",null]})")) << events;
    EXPECT_EQ(parser.Finish().message().rfind("stopped, byte ", 0), 0u) << events;
  }
}

// However it was cut, and however it is escaped; what is just as long is taken.
TEST(JsonParser, RefusesATokenThatIsTooLong) {
  Rng rng(20261122);
  const auto error_of = [&](const std::string& text, bool is_cut) {
    EventList list;
    JsonParser parser(64, 8, &list);
    const std::size_t size = is_cut ? 1 + rng.Below(3) : text.size();
    for (std::size_t at = 0; at < text.size(); at += size) (void)parser.Feed(text.substr(at, size));
    return parser.Finish().message();
  };
  for (int round = 0; round < 20; ++round) {
    const bool is_cut = round > 0;
    for (const char* text : {R"("12345678")", R"({"12345678":-1234567})", R"("123456\u00fc")",
                             R"("\n\n\n\n\n\n\n\n")", "12345678", "false"}) {
      EXPECT_EQ(error_of(text, is_cut), "") << text;
    }
    for (const char* text : {R"("123456789")", R"({"123456789":1})", R"("1234567\u00fc")",
                             R"("\n\n\n\n\n\n\n\n\n")", R"("1234567\n9")"}) {
      EXPECT_EQ(error_of(text, is_cut).rfind("not JSON: a string longer than 8 bytes, byte ", 0),
                0u)
          << text << ": " << error_of(text, is_cut);
    }
    EXPECT_EQ(error_of("[123456.89]", is_cut).rfind("not JSON: a number longer than 8 bytes", 0),
              0u);
    EXPECT_EQ(error_of("123456.89", is_cut).rfind("not JSON: a number longer than 8 bytes", 0), 0u);
  }
}

TEST(JsonParser, RefusesWhatIsNestedTooDeep) {
  for (const int depth : {1, 2, 64}) {
    EventList list;
    const auto nested = [](int levels) {
      return std::string(static_cast<std::size_t>(levels), '[') +
             std::string(static_cast<std::size_t>(levels), ']');
    };
    EXPECT_TRUE(ParseJson(nested(depth), depth, &list).ok());
    EXPECT_EQ(ParseJson(nested(depth + 1), depth, &list).message(),
              "not JSON: nested deeper than " + std::to_string(depth) + " levels, byte " +
                  std::to_string(depth));
  }
}

}  // namespace
}  // namespace embedflow
