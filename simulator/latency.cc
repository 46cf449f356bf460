#include "simulator/latency.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/random.h"

namespace embedflow {
namespace {

// A lognormal tail must not hold a connection for ever.
constexpr double kMillisMax = 3'600'000;

Duration FromMillis(double milliseconds) {
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, std::milli>(std::clamp(milliseconds, 0.0, kMillisMax)));
}

}  // namespace

SimulatorTiming::SimulatorTiming(const SimulatorOptions& options)
    : latency_(options.latency),
      slow_downs_(options.slow_downs),
      seed_(options.seed),
      capacity_(options.limits.capacity),
      pending_max_(options.limits.pending_max) {}

Duration SimulatorTiming::Draw(std::uint64_t number, std::uint64_t tokens) const {
  Rng rng(seed_ * 0x9E3779B97F4A7C15ull + number);
  switch (latency_.kind) {
    case SimulatorLatency::Kind::kConstant:
      return FromMillis(latency_.first_ms);
    case SimulatorLatency::Kind::kUniform:
      return FromMillis(latency_.first_ms + (latency_.second - latency_.first_ms) * rng.Uniform());
    case SimulatorLatency::Kind::kLogNormal: {
      // Box and Muller's transform; 1 - u is never 0.
      const double radius = std::sqrt(-2 * std::log(1 - rng.Uniform()));
      const double normal = radius * std::cos(2 * std::numbers::pi * rng.Uniform());
      return FromMillis(latency_.first_ms * std::exp(latency_.second * normal));
    }
    case SimulatorLatency::Kind::kLinear:
      return FromMillis(latency_.first_ms + latency_.second * static_cast<double>(tokens));
  }
  return Duration(0);
}

double SimulatorTiming::FactorAt(Duration since_begin) const {
  const double seconds = std::chrono::duration<double>(since_begin).count();
  double factor = 1;
  for (const SimulatorSlowDown& slow : slow_downs_) {
    if (seconds >= slow.from_seconds && seconds < slow.until_seconds) factor *= slow.factor;
  }
  return factor;
}

std::optional<Duration> SimulatorTiming::Plan(std::uint64_t number, std::uint64_t tokens,
                                              TimePoint begin, TimePoint now) {
  TimePoint start = now;
  if (capacity_ > 0) {
    while (!starts_.empty() && starts_.front() <= now) starts_.pop_front();
    if (places_.size() >= capacity_) {
      start = std::max(now, places_.top());
      if (start > now && pending_max_ && starts_.size() >= *pending_max_) return std::nullopt;
      places_.pop();
    }
    if (start > now) starts_.push_back(start);
  }
  const Duration drawn = Draw(number, tokens);
  const auto service = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, Duration::period>(drawn) * FactorAt(start - begin));
  if (capacity_ > 0) places_.push(start + service);
  return start + service - now;
}

}  // namespace embedflow
