#include "providers/floats.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/fakes/flaky_reply.h"

namespace embedflow {
namespace {

TEST(DecodeBase64, IsExactAndStrict) {
  const std::uint64_t seed = 42;
  SCOPED_TRACE("seed 42");
  Rng rng(seed);
  for (std::size_t size = 1; size < 40; ++size) {
    std::vector<float> vector(size);
    for (float& x : vector) x = static_cast<float>(rng.Uniform());
    const std::string text = ToBase64({reinterpret_cast<const char*>(vector.data()), size * 4});
    std::vector<float> decoded(size);
    ASSERT_TRUE(DecodeBase64Floats(text, decoded));
    EXPECT_EQ(decoded, vector);
    // Every byte that is not of the alphabet is seen, wherever it stands.
    for (std::size_t at = 0; at < text.size(); ++at) {
      for (const char bad : {'-', '_', ' ', '\n', '\0', '=', '\x80', '\xff', '!'}) {
        if (text[at] == bad) continue;
        std::string damaged = text;
        damaged[at] = bad;
        EXPECT_FALSE(DecodeBase64Floats(damaged, decoded)) << size << " at " << at;
      }
    }
    EXPECT_FALSE(DecodeBase64Floats(text.substr(0, text.size() - 1), decoded));
    EXPECT_FALSE(DecodeBase64Floats(text + "=", decoded));
    EXPECT_FALSE(DecodeBase64Floats("", decoded));
  }
  // One float is four bytes: "AAAAPw==". Left-over bits would be a fifth.
  std::vector<float> one(1);
  EXPECT_TRUE(DecodeBase64Floats("AAAAPw==", one));
  EXPECT_EQ(one[0], 0.5f);
  EXPECT_FALSE(DecodeBase64Floats("AAAAPx==", one));
}

TEST(WhyUnusable, KnowsTheBounds) {
  EXPECT_EQ(WhyUnusable(std::vector<float>{1, 0}), nullptr);
  EXPECT_NE(WhyUnusable(std::vector<float>{0, 0}), nullptr);
  EXPECT_NE(WhyUnusable(std::vector<float>{0, -0.0f}), nullptr);
  for (const std::size_t size : {1u, 7u, 8u, 9u, 1536u}) {
    for (std::size_t at = 0; at < size; at += (size > 20 ? 511 : 1)) {
      for (const float bad :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
            -std::numeric_limits<float>::infinity(), FLT_MAX, -1e20f}) {
        std::vector<float> vector(size, 0.5f);
        vector[at] = bad;
        EXPECT_NE(WhyUnusable(vector), nullptr) << size << " at " << at << ": " << bad;
      }
    }
    // Just inside: all as large as may be, and the length is still finite.
    const float most = std::sqrt(FLT_MAX / static_cast<float>(size)) * 0.999f;
    EXPECT_EQ(WhyUnusable(std::vector<float>(size, most)), nullptr) << size;
    const float least = std::sqrt(FLT_MIN / static_cast<float>(size)) * 1.01f;
    EXPECT_EQ(WhyUnusable(std::vector<float>(size, least)), nullptr) << size;
    EXPECT_NE(WhyUnusable(std::vector<float>(size, least * 0.9f)), nullptr) << size;
  }
}

}  // namespace
}  // namespace embedflow
