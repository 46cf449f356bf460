#include "providers/embeddings_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "providers/floats.h"
#include "tests/fakes/flaky_reply.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {
namespace {

using testing::HasSubstr;

struct Read {
  Status status;
  std::vector<float> vectors;
  std::optional<std::uint64_t> model_tokens;
};

Read ReadBody(std::string_view body, std::size_t inputs, int dimensions) {
  Read read;
  read.vectors.resize(inputs * static_cast<std::size_t>(dimensions));
  VectorsReader reader(NewEmbeddingsHandler(inputs, dimensions, read.vectors));
  reader.Take(body);
  read.status = reader.Finish(&read.model_tokens);
  return read;
}

std::string BodyWith(FlakyFlaw flaw, bool is_base64, const std::vector<std::string>& texts,
                     int dimensions, std::uint64_t seed = 7) {
  FlakyRequest request;
  request.texts = texts;
  FlakyReply reply;
  reply.flaw = flaw;
  reply.is_base64 = is_base64;
  Rng rng(seed);
  return WriteFlakyBody(request, reply, dimensions, rng);
}

const std::vector<std::string> kTexts = {"one", "two", "three", "four", "five"};

std::vector<float> Expected(int dimensions) {
  std::vector<float> all;
  for (const std::string& text : kTexts) {
    const std::vector<float> vector = FlakyVector(text, dimensions);
    all.insert(all.end(), vector.begin(), vector.end());
  }
  return all;
}

TEST(ReadEmbeddings, TakesBothFormsInAnyOrder) {
  // Dimensions of every remainder that base64 knows.
  for (const int dimensions : {1, 2, 3, 8, 512}) {
    for (const bool is_base64 : {false, true}) {
      for (const FlakyFlaw flaw : {FlakyFlaw::kNone, FlakyFlaw::kShuffled, FlakyFlaw::kNoIndex}) {
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
          const Read read =
              ReadBody(BodyWith(flaw, is_base64, kTexts, dimensions, seed), 5, dimensions);
          ASSERT_TRUE(read.status.ok()) << read.status.ToString();
          EXPECT_EQ(read.vectors, Expected(dimensions)) << "seed " << seed;
          EXPECT_EQ(read.model_tokens, 5u);
        }
      }
    }
  }
}

TEST(ReadEmbeddings, NeedsNoUsage) {
  const Read read = ReadBody(BodyWith(FlakyFlaw::kNoUsage, true, kTexts, 4), 5, 4);
  EXPECT_TRUE(read.status.ok());
  EXPECT_EQ(read.model_tokens, std::nullopt);
}

TEST(ReadEmbeddings, UsageIsReadWithCare) {
  const auto tokens_of = [](const std::string& usage) {
    const Read read = ReadBody(R"({"data":[{"embedding":[1]}],"usage":)" + usage + "}", 1, 1);
    EXPECT_TRUE(read.status.ok()) << usage << ": " << read.status.ToString();
    return read.model_tokens;
  };
  EXPECT_EQ(tokens_of(R"({"prompt_tokens":3,"total_tokens":4})"), 4u);
  EXPECT_EQ(tokens_of(R"({"prompt_tokens":3})"), 3u);
  EXPECT_EQ(tokens_of(R"({"prompt_tokens":3,"details":{"total_tokens":9}})"), 3u);
  EXPECT_EQ(tokens_of(R"({"total_tokens":-4})"), std::nullopt);
  EXPECT_EQ(tokens_of(R"({"total_tokens":1e300})"), std::nullopt);
  EXPECT_EQ(tokens_of(R"({"total_tokens":18446744073709551615})"), std::nullopt);
  EXPECT_EQ(tokens_of(R"({"total_tokens":"4"})"), std::nullopt);
  EXPECT_EQ(tokens_of("null"), std::nullopt);
  EXPECT_EQ(tokens_of("[4]"), std::nullopt);
}

struct Flaw {
  FlakyFlaw flaw;
  const char* words;
};

class FlawedReply : public testing::TestWithParam<Flaw> {};

// D10 to D21: refused whole, with a reason, in either form.
TEST_P(FlawedReply, IsRefused) {
  for (const bool is_base64 : {false, true}) {
    const Read read = ReadBody(BodyWith(GetParam().flaw, is_base64, kTexts, 8), 5, 8);
    EXPECT_EQ(read.status.code(), Code::kUnavailable);
    EXPECT_EQ(read.status.word(), "bad_reply");
    // A bare NaN is no JSON; in base64 it is a number.
    if (GetParam().flaw == FlakyFlaw::kNan && !is_base64) continue;
    if (GetParam().flaw == FlakyFlaw::kInfinity && !is_base64) continue;
    if (is_base64 &&
        (GetParam().flaw == FlakyFlaw::kShortVector || GetParam().flaw == FlakyFlaw::kLongVector)) {
      EXPECT_THAT(read.status.message(), HasSubstr("base64 characters"));
      continue;
    }
    EXPECT_THAT(read.status.message(), HasSubstr(GetParam().words));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Flaws, FlawedReply,
    testing::Values(
        Flaw{FlakyFlaw::kSomeIndexes, "some vectors have an index and some have none"},
        Flaw{FlakyFlaw::kRepeatedIndex, "index 0 comes twice"},
        Flaw{FlakyFlaw::kNegativeIndex, "vector 0 has -1 as index"},
        Flaw{FlakyFlaw::kFractionalIndex, "vector 0 has 0.5 as index"},
        Flaw{FlakyFlaw::kTextIndex, "vector 0 has a string as index"},
        Flaw{FlakyFlaw::kLargeIndex, "index 5 is out of range"},
        Flaw{FlakyFlaw::kHugeIndex, "vector 4 has 18446744073709551616 as index"},
        Flaw{FlakyFlaw::kTooFew, "holds 4 vectors, 5 were asked for"},
        Flaw{FlakyFlaw::kTooMany, "more than the 5 vectors"},
        Flaw{FlakyFlaw::kShortVector, "vector 0 has 7 dimensions instead of 8"},
        Flaw{FlakyFlaw::kLongVector, "vector 0 has more than 8 dimensions"},
        Flaw{FlakyFlaw::kMissingVector, "vector 0 is missing"},
        Flaw{FlakyFlaw::kNan, "vector 0 is not finite"},
        Flaw{FlakyFlaw::kInfinity, "vector 0 is not finite"},
        Flaw{FlakyFlaw::kNull, "vector 0 holds null among its numbers"},
        Flaw{FlakyFlaw::kStrings, "vector 0 holds a string among its numbers"},
        Flaw{FlakyFlaw::kZero, "vector 0 is zero"}, Flaw{FlakyFlaw::kDenormal, "vector 0 is zero"},
        Flaw{FlakyFlaw::kHuge, "vector 0 is too large"},
        Flaw{FlakyFlaw::kBadBase64, "vector 0 is not base64"},
        Flaw{FlakyFlaw::kUrlBase64, "vector 0 is not base64"},
        Flaw{FlakyFlaw::kSpacedBase64, "base64 characters"},
        Flaw{FlakyFlaw::kErrorInside, "the reply holds an error: the model is on fire"},
        Flaw{FlakyFlaw::kEmptyData, "holds 0 vectors, 5 were asked for"},
        Flaw{FlakyFlaw::kNullData, "data is null"}, Flaw{FlakyFlaw::kNoData, "holds no data"},
        Flaw{FlakyFlaw::kEmptyBody, "it is empty"}, Flaw{FlakyFlaw::kHtml, "not JSON"},
        Flaw{FlakyFlaw::kTruncatedJson, "not JSON"}, Flaw{FlakyFlaw::kNested, "the reply is"},
        Flaw{FlakyFlaw::kBadUtf8, "not JSON"}));

TEST(ReadEmbeddings, OddShapesAreRefused) {
  for (const char* body : {"null",
                           "1",
                           "\"text\"",
                           "[]",
                           "[[0.5]]",
                           R"({"data":{}})",
                           R"({"data":[null]})",
                           R"({"data":[[0.5]]})",
                           R"({"data":["x"]})",
                           R"({"data":[{"embedding":null}]})",
                           R"({"data":[{"embedding":0.5}]})",
                           R"({"data":[{"embedding":{"0":1}}]})",
                           R"({"data":[{"embedding":[[0.5]]}]})",
                           R"({"data":[{"embedding":[{"a":1}]}]})",
                           R"({"data":[{"embedding":[true]}]})",
                           R"({"data":[{"embedding":[0.5],"embedding":[1]}]})",
                           R"({"data":[{"embedding":[0.5],"embedding":"AAAAPw=="}]})",
                           R"({"data":[{"embedding":[0.5],"index":0,"index":0}]})",
                           R"({"data":[{"embedding":[0.5],"index":[0]}]})",
                           R"({"data":[{"embedding":[0.5],"index":{}}]})",
                           R"({"data":[{"embedding":[0.5],"index":true}]})",
                           R"({"data":[{"embedding":[0.5]}],"data":[{"embedding":[1]}]})",
                           R"({"data":[{"embedding":[0.5]}]} x)",
                           R"({"data":[{"embedding":[0.5]}],"error":"no"})",
                           R"({"data":[{"embedding":[0.5]}],"error":{"message":"no"}})"}) {
    const Read read = ReadBody(body, 1, 1);
    EXPECT_EQ(read.status.word(), "bad_reply") << body;
  }
}

TEST(ReadEmbeddings, UnknownMembersAreSkipped) {
  const Read read = ReadBody(
      R"({"id":"x","error":null,"data":[{"meta":{"embedding":[9],"index":7,"a":[[{}]]},"index":0,
          "embedding":[0.5],"object":"embedding"}],"more":[{"data":[1,2]},null,true],"object":"list"})",
      1, 1);
  ASSERT_TRUE(read.status.ok()) << read.status.ToString();
  EXPECT_EQ(read.vectors[0], 0.5f);
}

// A null index is no index.
TEST(ReadEmbeddings, NullIndexesMeanPosition) {
  const Read read =
      ReadBody(R"({"data":[{"embedding":[1],"index":null},{"embedding":[2],"index":null}]})", 2, 1);
  ASSERT_TRUE(read.status.ok()) << read.status.ToString();
  EXPECT_EQ(read.vectors, (std::vector<float>{1, 2}));
}

TEST(ReadEmbeddings, NumbersAreReadAsFloats) {
  const auto read_number = [](const std::string& number) {
    return ReadBody(R"({"data":[{"embedding":[1,)" + number + "]}]}", 1, 2);
  };
  const auto value_of = [&](const std::string& number) {
    const Read read = read_number(number);
    EXPECT_TRUE(read.status.ok()) << number << ": " << read.status.ToString();
    return read.vectors[1];
  };
  EXPECT_EQ(value_of("-0.25"), -0.25f);
  EXPECT_EQ(value_of("1E-3"), 0.001f);
  EXPECT_EQ(value_of("0.10000000149011612"), 0.1f);
  // Too small for a float, then for a double: zero, as rounding says.
  EXPECT_EQ(value_of("1e-50"), 0.0f);
  EXPECT_EQ(value_of("-1e-999"), 0.0f);
  for (const char* bad : {"1e39", "3.5e38", "1e308", "1e999", "-1e999", "1e20", "+1", ".5", "0x1"})
    EXPECT_FALSE(read_number(bad).status.ok()) << bad;
  EXPECT_FALSE(read_number(std::string(500, '9') + "e-10").status.ok());
}

// The messages must not repeat what a reply holds besides numbers.
// A run's memory is reckoned with at most a mebibyte, or a vector's base64, beside the vectors.
TEST(ReadEmbeddings, NoStringIsHeldBeyondItsBound) {
  const std::string mebibyte(1u << 20, 'x');
  const auto body = [](const std::string& text) {
    return R"({"model":")" + text + R"(","data":[{"index":0,"embedding":[1,2]}]})";
  };
  EXPECT_TRUE(ReadBody(body(mebibyte), 1, 2).status.ok());
  const Read longer = ReadBody(body(mebibyte + "x"), 1, 2);
  EXPECT_EQ(longer.status.word(), "bad_reply");
  EXPECT_THAT(longer.status.message(), HasSubstr("a string longer than 1048576 bytes"));
  // A vector may be larger: 1.6 MB of base64.
  const int dimensions = 300'000;
  const Read large = ReadBody(BodyWith(FlakyFlaw::kNone, true, {"one"}, dimensions), 1, dimensions);
  EXPECT_TRUE(large.status.ok()) << large.status.ToString();
  EXPECT_EQ(large.vectors, FlakyVector("one", dimensions));
}

TEST(ReadEmbeddings, LongErrorsAreCutAndEscaped) {
  const std::string body =
      R"({"error":{"message":"\u001b[2J\u009b )" + std::string(100'000, 'x') + R"("}})";
  const Read read = ReadBody(body, 1, 1);
  EXPECT_LT(read.status.message().size(), 400u);
  EXPECT_THAT(read.status.message(), testing::Not(HasSubstr("\x1b")));
}

// Cuts and single flips of a good reply: never a crash, and never a vector that is not usable.
TEST(ReadEmbeddings, DamagedRepliesAreRefusedOrUsable) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  for (const bool is_base64 : {false, true}) {
    const std::string body = BodyWith(FlakyFlaw::kShuffled, is_base64, kTexts, 6);
    for (std::size_t cut = 0; cut < body.size(); ++cut)
      EXPECT_FALSE(ReadBody(std::string_view(body).substr(0, cut), 5, 6).status.ok()) << cut;
    for (int i = 0; i < 20'000; ++i) {
      std::string damaged = body;
      const std::uint64_t changes = 1 + rng.Below(3);
      for (std::uint64_t n = 0; n < changes; ++n)
        damaged[rng.Below(damaged.size())] = static_cast<char>(rng.Next());
      const Read read = ReadBody(damaged, 5, 6);
      if (!read.status.ok()) continue;
      for (std::size_t row = 0; row < 5; ++row) {
        EXPECT_EQ(WhyUnusable(std::span<const float>(read.vectors).subspan(row * 6, 6)), nullptr);
      }
    }
  }
}

}  // namespace
}  // namespace embedflow
