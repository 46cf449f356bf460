// Servers that enforce published limits to the letter, for tests on a manual clock.
#ifndef EMBEDFLOW_TESTS_STAGES_STRICT_SERVER_H_
#define EMBEDFLOW_TESTS_STAGES_STRICT_SERVER_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace embedflow {

// One published limit and how it is enforced. Times are seconds.
class StrictWindow {
 public:
  enum class Kind { kSliding, kFixed, kBucket };
  // `limit` within `seconds`; for kBucket the size, refilled evenly over `seconds`.
  StrictWindow(Kind kind, double limit, double seconds)
      : kind_(kind), limit_(limit), seconds_(seconds), level_(limit) {}

  // Times must not fall.
  bool Fits(double cost, double at) {
    // A server counts what it can count: rounding is ours.
    return Used(at) + cost <= limit_ * (1 + 1e-9);
  }
  void Take(double cost, double at) {
    Used(at);
    if (kind_ == Kind::kBucket) {
      level_ -= cost;
    } else {
      taken_.push_back({at, cost});
      sum_ += cost;
    }
  }
  double Remaining(double at) { return std::max(0.0, limit_ - Used(at)); }

 private:
  double Used(double at) {
    switch (kind_) {
      case Kind::kSliding:
        Forget(at - seconds_);
        return sum_;
      case Kind::kFixed:
        Forget(std::floor(at / seconds_) * seconds_ - 1e-12);
        return sum_;
      case Kind::kBucket:
        level_ = std::min(limit_, level_ + (at - updated_) * limit_ / seconds_);
        updated_ = at;
        return limit_ - level_;
    }
    return 0;
  }
  void Forget(double until) {
    while (!taken_.empty() && taken_.front().at <= until) {
      sum_ -= taken_.front().cost;
      taken_.pop_front();
    }
    if (taken_.empty()) sum_ = 0;
  }

  struct Entry {
    double at, cost;
  };
  Kind kind_;
  double limit_, seconds_, level_;
  double updated_ = 0, sum_ = 0;
  std::deque<Entry> taken_;
};

// All the windows that one kind of cost is held to.
class StrictLimit {
 public:
  void Add(StrictWindow window) { windows_.push_back(window); }
  bool Fits(double cost, double at) {
    return std::all_of(windows_.begin(), windows_.end(),
                       [&](StrictWindow& window) { return window.Fits(cost, at); });
  }
  void Take(double cost, double at) {
    for (StrictWindow& window : windows_) window.Take(cost, at);
  }
  // Of the window added first, which is the one that is published.
  double Remaining(double at) { return windows_.front().Remaining(at); }

 private:
  std::vector<StrictWindow> windows_;
};

struct StrictServer {
  StrictLimit requests, model_tokens;
  std::uint64_t accepted = 0, refused = 0;
  double requests_used = 0, tokens_used = 0;

  bool Receive(double request_cost, double token_cost, double at) {
    if (!requests.Fits(request_cost, at) || !model_tokens.Fits(token_cost, at)) {
      ++refused;
      return false;
    }
    requests.Take(request_cost, at);
    model_tokens.Take(token_cost, at);
    ++accepted;
    requests_used += request_cost;
    tokens_used += token_cost;
    return true;
  }
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_STAGES_STRICT_SERVER_H_
