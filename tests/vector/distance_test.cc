#include "vector/distance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <vector>

#include "base/random.h"

namespace embedflow {
namespace {

// Every length up to some registers and beyond agrees with sums in double, from any address.
TEST(Distance, AgreesWithPlainSums) {
  const std::uint64_t seed = 31;
  std::cout << "seed " << seed << "\n";
  Rng rng(seed);
  for (std::size_t dimensions = 1; dimensions < 600; dimensions += dimensions < 140 ? 1 : 37) {
    std::vector<float> a(dimensions + 1), b(dimensions + 1);
    for (float& value : a) value = static_cast<float>(rng.Uniform() - 0.5);
    for (float& value : b) value = static_cast<float>(rng.Uniform() - 0.5);
    double product = 0, distance = 0;
    for (std::size_t i = 0; i < dimensions; ++i) {
      product += double{a[i]} * double{b[i]};
      distance += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
    }
    const float found = InnerProduct(a.data(), b.data(), dimensions);
    EXPECT_NEAR(found, product, 1e-5) << dimensions;
    EXPECT_NEAR(SquaredL2(a.data(), b.data(), dimensions), distance, 3e-5) << dimensions;
    std::vector<float> moved(a);
    moved.insert(moved.begin(), 7.0f);
    EXPECT_EQ(InnerProduct(moved.data() + 1, b.data(), dimensions), found);
  }
  const float one = 3, other = -1;
  EXPECT_EQ(InnerProduct(&one, &other, 1), -3.0f);
  EXPECT_EQ(SquaredL2(&one, &other, 1), 16.0f);
}

}  // namespace
}  // namespace embedflow
