// What packing learns while it runs; the caps themselves: policies_test.cc.
#include "stages/packer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "base/random.h"

namespace embedflow {
namespace {

RequestLimits Limits(std::size_t inputs, std::optional<std::size_t> tokens) {
  RequestLimits limits;
  limits.inputs_max = inputs;
  limits.model_tokens_max = tokens;
  return limits;
}

// Packs `texts` texts and returns the inputs of the fullest request.
std::size_t Fullest(Packer* packer, const PackCost& text, int texts) {
  std::size_t fullest = 0;
  for (int i = 0; i < texts; ++i) {
    if (packer->MustCloseBefore(text)) {
      fullest = std::max(fullest, packer->inputs());
      packer->Close();
    }
    if (packer->Add(text)) {
      fullest = std::max(fullest, packer->inputs());
      packer->Close();
    }
  }
  fullest = std::max(fullest, packer->inputs());
  packer->Close();
  return fullest;
}

TEST(PackerLearns, CapsAreLoweredAndStayLow) {
  Packer packer(Limits(2048, std::nullopt));
  EXPECT_EQ(Fullest(&packer, {10, 40}, 5000), 2048u);
  packer.Lower({512, std::nullopt});
  EXPECT_EQ(Fullest(&packer, {10, 40}, 5000), 512u);
  packer.Lower({1024, 1000});  // Inputs do not rise again; tokens had no cap so far.
  EXPECT_EQ(Fullest(&packer, {10, 40}, 5000), 100u);
  packer.Lower({std::nullopt, 5000});
  EXPECT_EQ(Fullest(&packer, {10, 40}, 5000), 100u);
  packer.Lower({0, 0});
  EXPECT_EQ(Fullest(&packer, {10, 40}, 50), 1u);
  EXPECT_EQ(packer.limits().inputs_max, 1u);
}

TEST(PackerLearns, ARequestThatIsOpenWhileCapsFallIsClosedNext) {
  Packer packer(Limits(100, 10000));
  for (int i = 0; i < 20; ++i) packer.Add({10, 40});
  EXPECT_FALSE(packer.MustCloseBefore({10, 40}));
  packer.Lower({8, std::nullopt});
  EXPECT_TRUE(packer.MustCloseBefore({10, 40}));
  packer.Close();
  EXPECT_FALSE(packer.MustCloseBefore({10, 40}));
}

TEST(PackerLearns, TokensGoByTheProvidersCount) {
  Packer packer(Limits(2048, 1000));
  EXPECT_EQ(Fullest(&packer, {10, 40}, 5000), 100u);
  packer.SetTokenRatio(2);
  EXPECT_EQ(Fullest(&packer, {10, 40}, 5000), 50u);
  packer.SetTokenRatio(0.5);
  EXPECT_EQ(Fullest(&packer, {10, 40}, 5000), 200u);
  for (const double nonsense : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(),
                                std::numeric_limits<double>::infinity()}) {
    packer.SetTokenRatio(nonsense);
    EXPECT_EQ(Fullest(&packer, {10, 40}, 5000), 200u);
  }
}

TEST(PackerLearns, ATextAboveTheCapsTravelsAlone) {
  Packer packer(Limits(100, 1000));
  packer.SetTokenRatio(16);
  packer.Lower({std::nullopt, 1});
  EXPECT_FALSE(packer.MustCloseBefore({1000000, 40}));
  packer.Add({1000000, 40});
  EXPECT_TRUE(packer.MustCloseBefore({1, 1}));
}

TEST(PackerLearns, NoTextIsLostAndNoCapBrokenWhateverIsLearnt) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  for (int round = 0; round < 50; ++round) {
    Packer packer(Limits(1 + rng.Below(200), 100 + rng.Below(20000)));
    std::size_t added = 0, closed = 0;
    double ratio = 1;
    for (int i = 0; i < 2000; ++i) {
      if (rng.Below(100) == 0) packer.Lower({1 + rng.Below(100), 50 + rng.Below(5000)});
      if (rng.Below(50) == 0) packer.SetTokenRatio(ratio = 0.5 + rng.Uniform());
      const PackCost text{rng.Below(300), rng.Below(1000)};
      if (packer.MustCloseBefore(text)) {
        closed += packer.inputs();
        packer.Close();
      }
      const bool is_full = packer.Add(text);
      ++added;
      ASSERT_LE(packer.inputs(), packer.limits().inputs_max);
      if (packer.inputs() > 1) {
        ASSERT_LE(static_cast<double>(packer.cost().model_tokens) * ratio,
                  static_cast<double>(*packer.limits().model_tokens_max));
      }
      if (is_full) {
        closed += packer.inputs();
        packer.Close();
      }
    }
    EXPECT_EQ(closed + packer.inputs(), added);
  }
}

}  // namespace
}  // namespace embedflow
