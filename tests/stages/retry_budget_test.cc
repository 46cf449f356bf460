#include "stages/retry_budget.h"

#include <gtest/gtest.h>

#include <utility>

namespace embedflow {
namespace {

// One retry after the other until only the last resort is left.
int RetriesUntilEmpty(RetryBudget* budget, bool after_throttle) {
  int retries = 0;
  const double cost = after_throttle ? 5 : 14;
  while (budget->tokens() >= cost) {
    EXPECT_TRUE(budget->MayRetry(1000, after_throttle));
    budget->StartRetry(after_throttle);
    budget->EndRetry();
    ++retries;
  }
  return retries;
}

TEST(RetryBudget, FiveHundredTokensAtFourteenOrFive) {
  RetryBudget faults, throttles;
  EXPECT_EQ(RetriesUntilEmpty(&faults, false), 35);
  EXPECT_EQ(RetriesUntilEmpty(&throttles, true), 100);
}

TEST(RetryBudget, AnEmptyBudgetLetsOneGoAtATime) {
  RetryBudget budget;
  RetriesUntilEmpty(&budget, false);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(budget.MayRetry(1000, false));
    budget.StartRetry(false);
    ASSERT_FALSE(budget.MayRetry(1000, false));
    budget.EndRetry();
    ASSERT_GE(budget.tokens(), 0);
  }
}

TEST(RetryBudget, AFifthOfAllRequestsAndAtLeastThree) {
  for (const auto& [in_flight, most] :
       {std::pair<std::size_t, int>{0, 3}, {10, 3}, {19, 3}, {20, 4}, {100, 20}}) {
    RetryBudget budget;
    int under_way = 0;
    while (under_way < 100 && budget.MayRetry(in_flight, true)) {
      budget.StartRetry(true);
      ++under_way;
    }
    EXPECT_EQ(under_way, most) << in_flight;
    budget.EndRetry();
    EXPECT_TRUE(budget.MayRetry(in_flight, true));
  }
}

TEST(RetryBudget, CleanSuccessesFillItUpToItsSize) {
  RetryBudget budget;
  RetriesUntilEmpty(&budget, false);
  EXPECT_EQ(budget.tokens(), 10);
  for (int i = 0; i < 4; ++i) budget.CleanSuccess();
  EXPECT_EQ(budget.tokens(), 14);
  for (int i = 0; i < 1000; ++i) budget.CleanSuccess();
  EXPECT_EQ(budget.tokens(), 500);
}

TEST(RetryBudget, FivePercentOfFaultsNeverEmptyIt) {
  RetryBudget budget;
  for (int i = 0; i < 10000; ++i) {
    if (i % 20 == 0) {
      ASSERT_TRUE(budget.MayRetry(10, false)) << i;
      budget.StartRetry(false);
      budget.EndRetry();
    } else {
      budget.CleanSuccess();
    }
  }
  EXPECT_GT(budget.tokens(), 400);
}

}  // namespace
}  // namespace embedflow
