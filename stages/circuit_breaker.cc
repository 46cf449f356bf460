#include "stages/circuit_breaker.h"

#include <algorithm>
#include <chrono>

namespace embedflow {
namespace {

// Half of the attempts of the last 30 s, of at least 10: reference/retry.md, sections 8 and 10.
constexpr std::chrono::seconds kSlice{3};
constexpr std::uint32_t kAttemptsMin = 10;

std::int64_t SliceNumber(TimePoint now) { return now.time_since_epoch() / kSlice; }

}  // namespace

CircuitBreaker::CircuitBreaker(const std::optional<CircuitBreakerConfig>& config,
                               std::uint64_t seed)
    : config_(config), rng_(seed), state_(config ? State::kClosed : State::kOff) {}

bool CircuitBreaker::MayStart(TimePoint now) {
  switch (state_) {
    case State::kOff:
    case State::kClosed:
      return true;
    case State::kOpen:
      if (now < reopens_at_) return false;
      state_ = State::kHalfOpen;
      probes_ = 0;
      probe_successes_ = 0;
      return true;
    case State::kHalfOpen:
      return probes_ < config_->half_open_max_attempts;
  }
  return true;
}

void CircuitBreaker::Start(TimePoint /*now*/) {
  ++in_flight_;
  if (state_ == State::kHalfOpen) ++probes_;
}

void CircuitBreaker::End(Result result, TimePoint now) {
  if (in_flight_ > 0) --in_flight_;
  stale_ = std::min(stale_, in_flight_ + 1);
  if (state_ == State::kOff) return;
  if (result == Result::kSuccess && !has_succeeded_) {
    has_succeeded_ = true;
    slices_.fill({});
  }
  if (result != Result::kNeutral) Record(result == Result::kFailure, now);
  switch (state_) {
    case State::kOff:
      return;
    case State::kOpen:
      // A late answer to what was sent before: it does not lengthen the break (Polly).
      if (stale_ > 0) --stale_;
      return;
    case State::kHalfOpen:
      EndProbe(result, now);
      return;
    case State::kClosed:
      if (stale_ > 0 && result == Result::kFailure) {
        --stale_;
        return;
      }
      break;
  }
  if (result == Result::kSuccess) failures_in_a_row_ = 0;
  if (result != Result::kFailure) return;
  ++failures_in_a_row_;
  if (!has_succeeded_) return;
  if (failures_in_a_row_ >= config_->failure_threshold || IsHalfFailing(now)) Open(now);
}

// An answer does not say whether it is a probe's or that of a request from before the break. A
// success counts either way, since the server has just worked. A failure is put down to the old
// requests while there are any: they were sent to a server known to be ill.
void CircuitBreaker::EndProbe(Result result, TimePoint now) {
  if (result == Result::kFailure && stale_ > 0) {
    --stale_;
    return;
  }
  if (probes_ > 0) {
    --probes_;
  } else if (stale_ > 0) {
    --stale_;
  }
  if (result == Result::kFailure) {
    Open(now);
  } else if (result == Result::kSuccess && ++probe_successes_ >= config_->success_threshold) {
    CloseAgain();
  }
}

void CircuitBreaker::Record(bool is_failure, TimePoint now) {
  const std::int64_t number = SliceNumber(now);
  Slice& slice = slices_[static_cast<std::size_t>(number) % slices_.size()];
  if (slice.number != number) slice = {number, 0, 0};
  ++slice.attempts;
  slice.failures += is_failure ? 1 : 0;
}

bool CircuitBreaker::IsHalfFailing(TimePoint now) const {
  const std::int64_t oldest = SliceNumber(now) - static_cast<std::int64_t>(slices_.size()) + 1;
  std::uint64_t attempts = 0, failures = 0;
  for (const Slice& slice : slices_) {
    if (slice.number < oldest) continue;
    attempts += slice.attempts;
    failures += slice.failures;
  }
  return attempts >= kAttemptsMin && failures * 2 >= attempts;
}

// The time is fixed, give or take a tenth so that several processes do not probe together. It does
// not double as Polly's or Envoy's may: a run ends with "provider unavailable" once a batch has
// used up its retries, some 7 s to 2 min, and a run that lives on past that has other endpoints to
// use; a doubled break would only delay the return to a server that is well again.
void CircuitBreaker::Open(TimePoint now) {
  state_ = State::kOpen;
  ++times_opened_;
  stale_ = in_flight_;
  const double seconds =
      static_cast<double>(config_->timeout_seconds) * (0.9 + 0.2 * rng_.Uniform());
  reopens_at_ = now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

void CircuitBreaker::CloseAgain() {
  state_ = State::kClosed;
  failures_in_a_row_ = 0;
  slices_.fill({});
}

std::optional<TimePoint> CircuitBreaker::reopens_at() const {
  if (state_ != State::kOpen) return std::nullopt;
  return reopens_at_;
}

CircuitBreaker::State CircuitBreaker::state() const { return state_; }

const char* BreakerStateName(CircuitBreaker::State state) {
  switch (state) {
    case CircuitBreaker::State::kOff:
      return "off";
    case CircuitBreaker::State::kClosed:
      return "closed";
    case CircuitBreaker::State::kOpen:
      return "open";
    case CircuitBreaker::State::kHalfOpen:
      return "half_open";
  }
  return "off";
}

}  // namespace embedflow
