#include "providers/positional_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace embedflow {
namespace {

using testing::HasSubstr;

constexpr int kDimensions = 2;

const PositionalShape kBare = {{{}}};
const PositionalShape kPlain = {{{"embeddings"}}, "", {"prompt_eval_count"}};
const PositionalShape kValues = {{{"embeddings"}}, "values"};
const PositionalShape kTyped = {{{"embeddings", "base64"}, {"embeddings", "float"}},
                                "",
                                {"meta", "billed_units", "input_tokens"}};

struct Reading {
  Status status;
  std::vector<float> vectors;
  std::optional<std::uint64_t> model_tokens;
};

Reading Read(const PositionalShape& shape, std::string_view body, std::size_t inputs = 2) {
  Reading reading;
  reading.vectors.resize(inputs * kDimensions);
  VectorsReader reader(NewPositionalHandler(shape, inputs, kDimensions, reading.vectors));
  reader.Take(body);
  reading.status = reader.Finish(&reading.model_tokens);
  return reading;
}

TEST(ReadPositional, FindsTheVectorsWhereverTheyStand) {
  const std::vector<float> expected = {1, 2, 3, 4};
  struct Row {
    const PositionalShape& shape;
    const char* body;
    std::optional<std::uint64_t> model_tokens;
  };
  const Row rows[] = {
      {kBare, "[[1,2],[3,4]]", {}},
      {kBare, " [ [1e0, 2.0] , [3,4] ] ", {}},
      {kPlain, R"({"embeddings":[[1,2],[3,4]],"prompt_eval_count":7})", 7},
      {kPlain, R"({"x":{"embeddings":[[9]]},"embeddings":[[1,2],[3,4]]})", {}},
      {kPlain, R"({"x":[{"embeddings":1}],"embeddings":[[1,2],[3,4]],"prompt_eval_count":-1})", {}},
      {kValues,
       R"({"embeddings":[{"values":[1,2]},{"x":[5],"values":[3,4],"y":{"values":[6]}}]})",
       {}},
      {kTyped,
       R"({"embeddings":{"float":[[1,2],[3,4]]},"meta":{"billed_units":{"input_tokens":5.0}}})", 5},
      {kTyped, R"({"embeddings":{"base64":["AACAPwAAAEA=","AABAQAAAgEA="],"float":null}})", {}},
  };
  for (const Row& row : rows) {
    const Reading reading = Read(row.shape, row.body);
    EXPECT_TRUE(reading.status.ok()) << row.body << ": " << reading.status.ToString();
    EXPECT_EQ(reading.vectors, expected) << row.body;
    EXPECT_EQ(reading.model_tokens, row.model_tokens) << row.body;
  }
}

TEST(ReadPositional, RefusesWhatIsNotExactlyTheVectors) {
  struct Row {
    const PositionalShape& shape;
    const char* body;
    const char* says;
  };
  const Row rows[] = {
      {kBare, "", "not JSON"},
      {kBare, "null", "where the vectors belong|no vectors"},
      {kBare, "7", "is a number"},
      {kBare, "{}", "is an object"},
      {kBare, "[[1,2],[3,4]", "not JSON"},
      {kBare, "[[1,2]]", "1 vectors, 2 were asked for"},
      {kBare, "[[1,2],[3,4],[5,6]]", "more than the 2 vectors"},
      {kBare, "[]", "0 vectors"},
      {kBare, "[[1,2],[3]]", "1 dimensions instead of 2"},
      {kBare, "[[1,2],[]]", "0 dimensions instead of 2"},
      {kBare, "[[1,2,3],[3,4]]", "more than 2 dimensions"},
      {kBare, "[[1,2],[3,null]]", "vector 1 holds null"},
      {kBare, "[[1,2],[3,\"4\"]]", "vector 1 holds a string"},
      {kBare, "[[1,2],[3,[4]]]", "vector 1 holds an array"},
      {kBare, "[[1,2],[3,{}]]", "vector 1 holds an object"},
      {kBare, "[[1,2],[3,true]]", "vector 1 holds a boolean"},
      {kBare, "[[1,2],null]", "an entry of the vectors is null"},
      {kBare, "[[1,2],{\"values\":[3,4]}]", "an entry of the vectors is an object"},
      {kBare, "[[1,2],[0,0]]", "vector 1 is zero"},
      {kBare, "[[1e39,2],[3,4]]", "vector 0 holds a number that is no float"},
      {kBare, "[[3e38,3e38],[3,4]]", "too large"},
      {kBare, "[\"AACAPwAAAEA=\",\"AABAQAAAgE\"]", "base64 characters"},
      {kBare, "[\"AACAPwAAAEA=\",\"AABAQAAA*EA=\"]", "not base64"},
      {kBare, "[[1,2],[3,4]] x", "not JSON"},
      {kBare, "[[1,2],[3,\xff]]", "not JSON"},
      {kPlain, R"({"embeddings":[[1,2],[3,4]],"embeddings":[[1,2],[3,4]]})", "twice"},
      {kPlain, R"({"embeddings":null})", "no vectors"},
      {kPlain, R"({"embeddings":"x"})", "where the vectors belong is a string"},
      {kPlain, R"({"embeddings":{"float":[[1,2],[3,4]]}})", "is an object"},
      {kPlain, R"({"model":"x"})", "no vectors"},
      {kPlain, R"({"error":"it broke"})", "holds an error: it broke"},
      {kPlain, R"({"error":{"message":"m"},"embeddings":[[1,2],[3,4]]})", "holds an error: m"},
      {kValues, R"({"embeddings":[{"values":[1,2]},{}]})", "vector 1 is missing"},
      {kValues, R"({"embeddings":[{"values":[1,2],"values":[1,2]}]})", "vector 0 is given twice"},
      {kValues, R"({"embeddings":[{"values":null}]})", "vector 0 is null"},
      {kValues, R"({"embeddings":[[1,2],[3,4]]})", "an entry of the vectors is an array"},
      {kValues, R"({"embeddings":[1,2]})", "an entry of the vectors is a number"},
      {kTyped, R"({"embeddings":{"base64":["AACAPwAAAEA=","AABAQAAAgEA="],"float":[[1,2],[3,4]]}})",
       "twice"},
      {kTyped, R"({"embeddings":[[1,2],[3,4]]})", "no vectors"},
      {kTyped, R"({"embeddings":{"int8":[[1,2],[3,4]]}})", "no vectors"},
  };
  for (const Row& row : rows) {
    const Reading reading = Read(row.shape, row.body);
    EXPECT_EQ(reading.status.code(), Code::kUnavailable) << row.body;
    EXPECT_EQ(reading.status.word(), "bad_reply") << row.body;
    EXPECT_THAT(reading.status.message(), testing::ContainsRegex(row.says)) << row.body;
  }
  EXPECT_FALSE(Read(kBare, std::string(100'000, '[')).status.ok());
}

TEST(ReadPositional, ReadsBytesAndBits) {
  const auto read = [](OutputDtype dtype, const char* body, int dimensions) {
    PositionalShape shape = kBare;
    shape.dtype = dtype;
    Reading reading;
    reading.vectors.resize(static_cast<std::size_t>(dimensions));
    VectorsReader reader(NewPositionalHandler(shape, 1, dimensions, reading.vectors));
    reader.Take(body);
    reading.status = reader.Finish(&reading.model_tokens);
    return reading;
  };
  EXPECT_EQ(read(OutputDtype::kInt8, "[[-128,127]]", 2).vectors, (std::vector<float>{-128, 127}));
  EXPECT_EQ(read(OutputDtype::kUint8, "[[0,255.0]]", 2).vectors, (std::vector<float>{-128, 127}));
  const std::vector<float> bits = {1, -1, -1, -1, -1, -1, -1, 1};
  EXPECT_EQ(read(OutputDtype::kUbinary, "[[129]]", 8).vectors, bits);
  EXPECT_EQ(read(OutputDtype::kBinary, "[[1]]", 8).vectors, bits);
  for (const char* body : {"[[128,1]]", "[[-129,1]]", "[[0.5,1]]", "[[1e9,1]]", "[\"AAAA\"]"}) {
    EXPECT_FALSE(read(OutputDtype::kInt8, body, 2).status.ok()) << body;
  }
  EXPECT_FALSE(read(OutputDtype::kUint8, "[[-1,1]]", 2).status.ok());
  EXPECT_FALSE(read(OutputDtype::kUint8, "[[256,1]]", 2).status.ok());
  EXPECT_FALSE(read(OutputDtype::kUbinary, "[[1,2]]", 8).status.ok());
  EXPECT_FALSE(read(OutputDtype::kUbinary, "[[1]]", 16).status.ok());
}

}  // namespace
}  // namespace embedflow
