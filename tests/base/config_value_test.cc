#include "base/config_value.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/toml_reader.h"

namespace embedflow {
namespace {

std::string JsonOf(const ConfigValue& value) {
  std::string json;
  AppendConfigAsJson(&json, value);
  return json;
}

std::string Repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(ParseToml, MakesAPlainTreeInTheOrderOfTheText) {
  const Result<ConfigValue> root = ParseToml(
      "zebra = 1\n"
      "apple = \"a \\u00e9\" # a comment with ....... dots\n"
      "list = [true, 2.5, [-3]]\n"
      "[part.inner]\n"
      "port = 0x10\n"
      "[[row]]\nname = 'x'\n[[row]]\nname = 'y'\n",
      {});
  ASSERT_TRUE(root.ok()) << root.status().ToString();
  EXPECT_EQ(JsonOf(*root),
            "{\"zebra\":1,\"apple\":\"a \xC3\xA9\",\"list\":[true,2.5,[-3]],"
            "\"part\":{\"inner\":{\"port\":16}},\"row\":[{\"name\":\"x\"},{\"name\":\"y\"}]}");
  const ConfigValue* apple = root->Find("apple");
  ASSERT_NE(apple, nullptr);
  EXPECT_EQ(apple->line, 2u);
  EXPECT_EQ(apple->column, 1u);
  EXPECT_EQ(root->Find("pear"), nullptr);
}

TEST(ParseToml, AnErrorNamesLineAndColumn) {
  const struct {
    std::string toml, place;
  } cases[] = {
      {"a = 1\nb = = 2\n", "line 2, column 5: "},
      {"a = 1\na = 2\n", "line 2, column "},
      {"a = \"x", "line 1, column "},
      {"[t\n", "line 1, column "},
      {"when = 2026-01-01\n", "line 1, column 8: dates and times have no use here"},
      {"a = \"\xFF\"\n", "line 1, column "},
      {"x = 99999999999999999999\n", "line 1, column "},
  };
  for (const auto& c : cases) {
    const Result<ConfigValue> root = ParseToml(c.toml, {});
    ASSERT_FALSE(root.ok()) << c.toml;
    EXPECT_EQ(root.status().code(), Code::kInvalidArgument);
    EXPECT_EQ(root.status().message().rfind(c.place, 0), 0u) << root.status().message();
  }
}

TEST(ParseToml, NothingIsReadBeyondTheLimits) {
  ConfigLimits limits;
  limits.bytes_max = 10;
  EXPECT_EQ(ParseToml("a = 123456789\n", limits).status().message(), "longer than 10 bytes");
  limits = {};
  limits.depth_max = 2;
  EXPECT_TRUE(ParseToml("a = { b = 1 }\n", limits).ok());
  EXPECT_EQ(ParseToml("a = 1\nt = { b = { c = 1 } }\n", limits).status().message(),
            "line 2, column 11: nested deeper than 2 levels");
  // What would overflow the stack of a parser that recurses, or of a tree that is freed.
  EXPECT_FALSE(ParseToml("a = " + Repeated("[", 100'000), {}).ok());
  EXPECT_FALSE(ParseToml("a = " + Repeated("{b=", 100'000), {}).ok());
  EXPECT_FALSE(ParseToml(Repeated("a.", 400'000) + "a = 1", {}).ok());
  EXPECT_FALSE(ParseToml("[" + Repeated("\"a\" . ", 100'000) + "a]", {}).ok());
  EXPECT_FALSE(ParseToml(std::string("a = \"\0\"", 7), {}).ok());
}

TEST(ParseToml, ManyNumbersAreNoLongKey) {
  const Result<ConfigValue> root =
      ParseToml("# a.b.c, 1.2\na = [" + Repeated("1.5, ", 1000) + "1.5]", {});
  ASSERT_TRUE(root.ok()) << root.status().ToString();
  EXPECT_EQ(root->Find("a")->items.size(), 1001u);
}

TEST(ParseJsonConfig, KeepsNumbersAsTheyCame) {
  const Result<ConfigValue> root =
      ParseJsonConfig(R"({"a":1.10,"b":12345678901234567890,"c":[null,true,{"d":"x"}]})", {});
  ASSERT_TRUE(root.ok()) << root.status().ToString();
  EXPECT_EQ(JsonOf(*root), R"({"a":1.10,"b":12345678901234567890,"c":[null,true,{"d":"x"}]})");
  EXPECT_EQ(root->Find("b")->kind, ConfigValue::Kind::kFloat);
}

TEST(ParseJsonConfig, RefusesWhatIsNoObject) {
  EXPECT_EQ(ParseJsonConfig("[1]", {}).status().message(), "must be a JSON object, got an array");
  EXPECT_EQ(ParseJsonConfig(R"({"a":1,"a":2})", {}).status().message(), "the name a comes twice");
  EXPECT_EQ(ParseJsonConfig("{", {}).status().message().rfind("not JSON: ", 0), 0u);
  EXPECT_EQ(ParseJsonConfig("{\"\xFF\":1}", {}).status().message(), "not JSON: not UTF-8");
  EXPECT_FALSE(ParseJsonConfig("{\"a\":" + Repeated("[", 100'000), {}).ok());
  ConfigLimits limits;
  limits.bytes_max = 3;
  EXPECT_EQ(ParseJsonConfig("{ } ", limits).status().message(), "not JSON: longer than 3 bytes");
}

struct Fields {
  bool on = false;
  int count = 7;
  std::uint32_t small = 1;
  std::uint64_t large = 2;
  double ratio = 0.5;
  std::string name = "none";
  std::optional<std::size_t> size = 9;
  std::vector<std::string> words;
};

Status ReadFields(const std::string& json, Fields* fields) {
  EF_ASSIGN_OR_RETURN(const ConfigValue root, ParseJsonConfig(json, {}));
  ConfigTable table(root, "part");
  table.Read("on", &fields->on);
  table.Read("count", &fields->count);
  table.Read("small", &fields->small);
  table.Read("large", &fields->large);
  table.Read("ratio", &fields->ratio);
  table.Read("name", &fields->name);
  table.Read("size", &fields->size);
  table.Read("words", &fields->words);
  return table.Finish();
}

TEST(ConfigTable, TakesWhatIsThereAndKeepsTheRest) {
  Fields fields;
  EXPECT_TRUE(ReadFields("{}", &fields).ok());
  EXPECT_EQ(fields.count, 7);
  EXPECT_EQ(fields.size, 9u);
  ASSERT_TRUE(ReadFields(R"({"on":true,"count":-1,"small":4294967295,"ratio":3,"name":"x",)"
                         R"("large":9223372036854775807,"size":null,"words":["a","b"]})",
                         &fields)
                  .ok());
  EXPECT_TRUE(fields.on);
  EXPECT_EQ(fields.count, -1);
  EXPECT_EQ(fields.small, 4294967295u);
  EXPECT_EQ(fields.large, 9223372036854775807u);
  EXPECT_EQ(fields.ratio, 3.0);
  EXPECT_EQ(fields.name, "x");
  EXPECT_EQ(fields.size, std::nullopt);
  EXPECT_EQ(fields.words, (std::vector<std::string>{"a", "b"}));
}

TEST(ConfigTable, AnErrorNamesThePath) {
  const struct {
    std::string json, message;
  } cases[] = {
      {R"({"countt":1})", "there is no field part.countt"},
      {R"({"on":1})", "part.on must be true or false, got 1"},
      {R"({"on":null})", "part.on must be true or false, got null"},
      {R"({"count":1.5})", "part.count must be a whole number, got 1.5"},
      {R"({"count":2147483648})",
       "part.count must be in [-2147483648, 2147483647], got 2147483648"},
      {R"({"small":-1})", "part.small must be in [0, 4294967295], got -1"},
      {R"({"large":18446744073709551615})",
       "part.large must be a whole number, got 18446744073709551615"},
      {R"({"ratio":"1"})", "part.ratio must be a number, got a string"},
      {R"({"name":[]})", "part.name must be a string, got an array"},
      {R"({"size":{}})", "part.size must be a whole number, got a table"},
      {R"({"words":["a",1]})", "part.words must be an array of strings, got an array"},
  };
  for (const auto& c : cases) {
    Fields fields;
    const Status status = ReadFields(c.json, &fields);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(status.message(), c.message);
  }
}

TEST(ConfigTable, ATableMustBeOne) {
  const Result<ConfigValue> root = ParseToml("part = 3\n", {});
  ASSERT_TRUE(root.ok());
  ConfigTable table(*root->Find("part"), "part");
  int count = 1;
  table.Read("count", &count);
  EXPECT_EQ(table.Finish().message(), "line 1, column 1: part must be a table of fields, got 3");
}

}  // namespace
}  // namespace embedflow
