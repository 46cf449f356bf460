#include "stages/retry_budget.h"

#include <algorithm>

namespace embedflow {
namespace {

constexpr double kTokensMax = 500;
constexpr double kCostAfterFault = 14;
constexpr double kCostAfterThrottle = 5;
constexpr double kCleanSuccess = 1;
constexpr std::size_t kUnderWayFloor = 3;
constexpr std::size_t kShareOfInFlight = 5;  // One in so many.

double Cost(bool after_throttle) { return after_throttle ? kCostAfterThrottle : kCostAfterFault; }

}  // namespace

bool RetryBudget::MayRetry(std::size_t in_flight, bool after_throttle) const {
  if (tokens_ < Cost(after_throttle)) return under_way_ == 0;
  return under_way_ < std::max(kUnderWayFloor, in_flight / kShareOfInFlight);
}

void RetryBudget::StartRetry(bool after_throttle) {
  tokens_ = std::max(0.0, tokens_ - Cost(after_throttle));
  ++under_way_;
}

void RetryBudget::EndRetry() {
  if (under_way_ > 0) --under_way_;
}

void RetryBudget::CleanSuccess() { tokens_ = std::min(kTokensMax, tokens_ + kCleanSuccess); }

}  // namespace embedflow
