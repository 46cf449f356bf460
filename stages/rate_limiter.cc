#include "stages/rate_limiter.h"

#include <algorithm>

namespace embedflow {
namespace {

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

TokenBucket::TokenBucket(std::optional<double> per_minute)
    : per_second_(per_minute ? *per_minute / 60.0 : 0.0),
      capacity_(std::max(1.0, per_second_)),
      level_(capacity_) {}

double TokenBucket::LevelAt(TimePoint when) const {
  if (!updated_ || when <= *updated_) return level_;
  return std::min(capacity_, level_ + per_second_ * Seconds(when - *updated_));
}

TimePoint TokenBucket::Earliest(double cost, TimePoint now) const {
  if (per_second_ == 0.0) return now;
  const double needed = std::min(cost, capacity_);
  const TimePoint from = updated_ ? std::max(now, *updated_) : now;
  const double missing = needed - LevelAt(from);
  if (missing <= 0) return from;
  // Rounded up, so that the level has really been reached then.
  return from +
         std::chrono::duration_cast<Duration>(
             std::chrono::duration<double>(missing / per_second_)) +
         Duration(1);
}

void TokenBucket::Take(double cost, TimePoint when) {
  if (per_second_ == 0.0) return;
  level_ = LevelAt(when) - cost;
  updated_ = updated_ ? std::max(*updated_, when) : when;
}

TimePoint RateLimiter::Reserve(std::size_t model_tokens, TimePoint now) {
  const auto tokens = static_cast<double>(model_tokens);
  const TimePoint from = last_ ? std::max(now, *last_) : now;
  const TimePoint when =
      std::max(requests_.Earliest(1.0, from), model_tokens_.Earliest(tokens, from));
  requests_.Take(1.0, when);
  model_tokens_.Take(tokens, when);
  last_ = when;
  return when;
}

}  // namespace embedflow
