#include "stages/token_correction.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "base/random.h"

namespace embedflow {
namespace {

TEST(TokenCorrection, OneBeforeAnythingIsLearnt) {
  const TokenCorrection correction;
  EXPECT_EQ(correction.ratio(), 1);
  EXPECT_EQ(correction.Corrected(123), 123);
}

TEST(TokenCorrection, IsAnAverageWeightedByTokens) {
  TokenCorrection correction;
  correction.Learn(1000, 1500);
  EXPECT_DOUBLE_EQ(correction.ratio(), 1.5);
  EXPECT_DOUBLE_EQ(correction.Corrected(200), 300);
  correction.Learn(1, 10);  // One token does not weigh.
  EXPECT_NEAR(correction.ratio(), 1.5, 0.02);
}

TEST(TokenCorrection, ForgetsWhatIsLongAgo) {
  TokenCorrection correction;
  for (int i = 0; i < 500; ++i) correction.Learn(1000, 700);
  EXPECT_NEAR(correction.ratio(), 0.7, 1e-9);
  for (int i = 0; i < 100; ++i) correction.Learn(1000, 1500);
  EXPECT_NEAR(correction.ratio(), 1.5 - 0.8 * 0.366, 0.01);  // 0.99 to the hundredth is 0.366.
  for (int i = 0; i < 400; ++i) correction.Learn(1000, 1500);
  EXPECT_NEAR(correction.ratio(), 1.5, 0.01);
}

TEST(TokenCorrection, DoesNotBelieveNonsense) {
  TokenCorrection correction;
  correction.Learn(0, 100);
  correction.Learn(100, 0);
  correction.Learn(100, 1601);
  correction.Learn(1601, 100);
  correction.Learn(1, std::numeric_limits<std::uint64_t>::max());
  correction.Learn(std::numeric_limits<std::size_t>::max(), 1);
  EXPECT_EQ(correction.ratio(), 1);
  correction.Learn(100, 1600);
  EXPECT_DOUBLE_EQ(correction.ratio(), 16);
}

TEST(TokenCorrection, ConvergesUnderNoise) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  TokenCorrection correction;
  for (int i = 0; i < 1000; ++i) {
    const std::size_t estimated = 100 + rng.Below(5000);
    const double ratio = 0.9 + 0.6 * rng.Uniform();
    correction.Learn(estimated, static_cast<std::uint64_t>(static_cast<double>(estimated) * ratio));
    if (i > 200) {
      ASSERT_NEAR(correction.ratio(), 1.2, 0.08) << i;
    }
  }
}

}  // namespace
}  // namespace embedflow
