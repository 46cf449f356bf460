// Keeps retries from becoming a storm: AWS's token bucket (500; a retry costs 14, after a throttle
// 5; a clean success gives 1 back) together with Envoy's share (retries under way at most 20 % of
// all requests under way, and at least 3). reference/retry.md, sections 3, 5 and 10.
// An empty budget does not fail a batch: it lets one retry go at a time.
// Threads: not thread-safe.
#ifndef EMBEDFLOW_STAGES_RETRY_BUDGET_H_
#define EMBEDFLOW_STAGES_RETRY_BUDGET_H_

#include <cstddef>

namespace embedflow {

class RetryBudget {
 public:
  // `in_flight`: all requests under way now.
  bool MayRetry(std::size_t in_flight, bool after_throttle) const;
  // Every retry that starts is ended once.
  void StartRetry(bool after_throttle);
  void EndRetry();
  // A request that succeeded at its first attempt.
  void CleanSuccess();
  double tokens() const { return tokens_; }

 private:
  double tokens_ = 500;
  std::size_t under_way_ = 0;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_RETRY_BUDGET_H_
