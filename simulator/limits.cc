#include "simulator/limits.h"

#include <algorithm>
#include <cmath>

namespace embedflow {
namespace {

constexpr Duration kMinute = std::chrono::seconds(60);
// Sums of amounts are exact to less than this.
constexpr double kSlack = 1e-6;

Duration SecondsUp(double seconds) {
  return Duration(
      static_cast<Duration::rep>(std::ceil(seconds * static_cast<double>(Duration::period::den) /
                                           static_cast<double>(Duration::period::num))));
}

double InSeconds(Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void SimulatorMeter::Advance(TimePoint now) {
  if (kind_ == Kind::kSliding) {
    while (!uses_.empty() && uses_.front().at + window_ <= now) {
      used_ -= uses_.front().amount;
      uses_.pop_front();
    }
    if (uses_.empty()) used_ = 0;
    return;
  }
  if (!has_begun_) {
    has_begun_ = true;
    begin_ = now;
  }
  if (kind_ == Kind::kFixed) {
    const auto windows = (now - begin_) / window_;
    if (windows > 0) used_ = 0;
    begin_ += windows * window_;
    return;
  }
  level_ = std::min(allowance_, level_ + allowance_ * InSeconds(now - begin_) / InSeconds(window_));
  begin_ = now;
}

Duration SimulatorMeter::WaitFor(double amount, TimePoint now) {
  Advance(now);
  if (kind_ == Kind::kBucket) {
    const double missing = amount - level_;
    return missing <= kSlack ? Duration(0) : SecondsUp(missing / allowance_ * InSeconds(window_));
  }
  double missing = used_ + amount - allowance_;
  if (missing <= kSlack) return Duration(0);
  if (kind_ == Kind::kFixed) return begin_ + window_ - now;
  for (const Use& use : uses_) {
    missing -= use.amount;
    if (missing <= kSlack) return use.at + window_ - now;
  }
  return window_;
}

void SimulatorMeter::Take(double amount, TimePoint now) {
  Advance(now);
  if (kind_ == Kind::kBucket) {
    level_ -= amount;
    return;
  }
  used_ += amount;
  if (kind_ == Kind::kSliding) uses_.push_back({now, amount});
}

double SimulatorMeter::Remaining(TimePoint now) {
  Advance(now);
  return std::max(0.0, kind_ == Kind::kBucket ? level_ : allowance_ - used_);
}

Duration SimulatorMeter::TimeToFull(TimePoint now) {
  Advance(now);
  if (kind_ == Kind::kBucket) {
    return SecondsUp((allowance_ - level_) / allowance_ * InSeconds(window_));
  }
  if (kind_ == Kind::kFixed) return used_ > 0 ? begin_ + window_ - now : Duration(0);
  return uses_.empty() ? Duration(0) : uses_.back().at + window_ - now;
}

SimulatorRateLimiter::SimulatorRateLimiter(const SimulatorLimits& limits)
    : refused_count_(limits.refused_count) {
  using Kind = SimulatorMeter::Kind;
  Kind kind = Kind::kSliding;
  if (limits.window == SimulatorWindow::kFixed60) kind = Kind::kFixed;
  if (limits.window == SimulatorWindow::kBucket) kind = Kind::kBucket;
  if (limits.rpm) {
    requests_.emplace_back(kind, *limits.rpm, kMinute);
    // Rounded up: who spaces requests evenly over the minute stays below it in every window.
    if (limits.window == SimulatorWindow::kSliding10) {
      requests_.emplace_back(kind, std::ceil(*limits.rpm / 6), std::chrono::seconds(10));
    }
    if (limits.window == SimulatorWindow::kSliding1) {
      requests_.emplace_back(kind, std::ceil(*limits.rpm / 60), std::chrono::seconds(1));
    }
  }
  // Azure holds requests over shorter times, never tokens.
  if (limits.tpm) tokens_.emplace_back(kind, *limits.tpm, kMinute);
}

SimulatorRateLimiter::Verdict SimulatorRateLimiter::Admit(std::uint64_t tokens, TimePoint now) {
  Verdict verdict;
  const auto amount = static_cast<double>(tokens);
  for (SimulatorMeter& meter : requests_) {
    verdict.retry_after = std::max(verdict.retry_after, meter.WaitFor(1, now));
  }
  for (SimulatorMeter& meter : tokens_) {
    verdict.can_never_pass |= amount > meter.allowance();
    const Duration wait = meter.WaitFor(amount, now);
    verdict.is_for_tokens |= wait > verdict.retry_after;
    verdict.retry_after = std::max(verdict.retry_after, wait);
  }
  verdict.is_admitted = verdict.retry_after == Duration(0);
  if (verdict.is_admitted || refused_count_) {
    for (SimulatorMeter& meter : requests_) meter.Take(1, now);
    // What is refused has embedded nothing.
    if (verdict.is_admitted) {
      for (SimulatorMeter& meter : tokens_) meter.Take(amount, now);
    }
  }
  return verdict;
}

std::optional<SimulatorRateLimiter::State> SimulatorRateLimiter::RequestState(TimePoint now) {
  if (requests_.empty()) return std::nullopt;
  SimulatorMeter& meter = requests_.front();
  return State{meter.allowance(), std::floor(meter.Remaining(now)), meter.TimeToFull(now)};
}

std::optional<SimulatorRateLimiter::State> SimulatorRateLimiter::TokenState(TimePoint now) {
  if (tokens_.empty()) return std::nullopt;
  SimulatorMeter& meter = tokens_.front();
  return State{meter.allowance(), std::floor(meter.Remaining(now)), meter.TimeToFull(now)};
}

}  // namespace embedflow
