#include "pipeline/endpoint.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "pipeline/shared_allowance.h"

namespace embedflow {
namespace {

// A throttle says that the whole endpoint has had enough only when throttles are common: one in
// twenty at random must not hold up the other nineteen.
constexpr double kThrottleMemory = 0.2;
constexpr double kThrottledShareToPause = 0.3;

// The time that all attempts and all backoffs take at most.
std::chrono::milliseconds DeadlineOf(const FlowOptions& flow) {
  if (flow.item_deadline) return *flow.item_deadline;
  RetryOptions schedule;
  schedule.retries_max = flow.retries_max;
  schedule.retry_delay = flow.retry_delay;
  return flow.timeout * (flow.retries_max + 1) + BackoffTotal(schedule);
}

RetryOptions RetryOptionsOf(const FlowOptions& flow) {
  RetryOptions options;
  options.retries_max = flow.retries_max;
  options.retry_delay = flow.retry_delay;
  options.jitter = flow.jitter;
  options.item_deadline = DeadlineOf(flow);
  return options;
}

std::shared_ptr<const SendOptions> SendOptionsOf(const FlowOptions& flow) {
  auto send = std::make_shared<SendOptions>();
  send->timeout = flow.timeout;
  send->connect_timeout = std::min(flow.connect_timeout, flow.timeout);
  send->stall_timeout = flow.stall_timeout;
  send->compression_enabled = flow.compression_enabled;
  send->http2_enabled = flow.http2_enabled;
  return send;
}

// The numbers of a profile are a guess at the user's account; others the user has given.
bool LimitsAreTheUsers(const Provider& provider, const FlowOptions& flow) {
  const Profile* profile = FindProfile(provider.space().provider);
  return profile == nullptr ||
         !(AllowanceLimits::Of(FlowOptionsFor(*profile)) == AllowanceLimits::Of(flow));
}

const char* RoleName(EndpointRole role) {
  switch (role) {
    case EndpointRole::kPrimary:
      return "primary";
    case EndpointRole::kReplica:
      return "replica";
    case EndpointRole::kFallback:
      return "fallback";
  }
  return "";
}

void Add(AllowanceCost* sum, const AllowanceCost& cost, double sign) {
  sum->requests += sign * cost.requests;
  sum->inputs += sign * cost.inputs;
  sum->model_tokens += sign * cost.model_tokens;
}

}  // namespace

Endpoint::Endpoint(std::shared_ptr<const Provider> provider, const FlowOptions& flow,
                   EndpointRole role, std::uint64_t seed, TimePoint now)
    : provider_(std::move(provider)),
      flow_(flow),
      role_(role),
      retry_(RetryOptionsOf(flow)),
      has_limits_(flow.requests_per_minute || flow.inputs_per_minute ||
                  flow.model_tokens_per_minute),
      send_(SendOptionsOf(flow)),
      compresses_(flow.request_gzip_enabled),
      breaker_(flow.circuit_breaker, seed),
      told_state_(breaker_.state()),
      concurrency_({.is_adaptive = flow.adaptive_concurrency_enabled, .max = InFlightMax(flow)}),
      allowance_(OpenAllowance(flow, provider_->dialect()->allowance_id(),
                               LimitsAreTheUsers(*provider_, flow), now)) {}

Endpoint::Permit Endpoint::PermitFor(std::size_t inputs, std::size_t tokens, bool is_retry,
                                     bool after_throttle) const {
  Permit permit;
  permit.cost.inputs = static_cast<double>(inputs);
  permit.cost.requests = flow_.inputs_count_as_requests ? permit.cost.inputs : 1.0;
  permit.cost.model_tokens = correction_.Corrected(tokens);
  permit.estimated_tokens = tokens;
  permit.is_retry = is_retry;
  permit.after_throttle = after_throttle;
  return permit;
}

void Endpoint::NoteBreaker(TimePoint now) {
  const CircuitBreaker::State state = breaker_.state();
  if (state == told_state_) return;
  told_state_ = state;
  std::string line = "the circuit breaker of " + dialect().place() + " is ";
  line += BreakerStateName(state);
  if (const std::optional<TimePoint> until = breaker_.reopens_at()) {
    const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(*until - now);
    line += " for " + std::to_string(wait.count()) + " ms: it failed " + std::to_string(failures_) +
            " of " + std::to_string(requests_) + " requests";
  }
  Log(state == CircuitBreaker::State::kOpen ? LogLevel::kWarning : LogLevel::kInfo, line);
}

Endpoint::Answer Endpoint::TryStart(const Permit& permit, TimePoint now) {
  const bool may_start = breaker_.MayStart(now);
  NoteBreaker(now);
  if (!may_start) {
    return {Gate::kBreaker, breaker_.reopens_at().value_or(now + std::chrono::seconds(1))};
  }
  if (!concurrency_.MayStart()) return {Gate::kConcurrency, {}};
  if (permit.is_retry && !budget_.MayRetry(in_flight(), permit.after_throttle))
    return {Gate::kRetryBudget, {}};
  if (const std::optional<TimePoint> later = allowance_->Take(permit.cost, now))
    return {Gate::kAllowance, *later};
  breaker_.Start(now);
  concurrency_.Start(now);
  if (permit.is_retry) budget_.StartRetry(permit.after_throttle);
  Add(&under_way_, permit.cost, 1);
  return {};
}

CircuitBreaker::Result Endpoint::BreakerResult(const Ended& ended) const {
  switch (ended.outcome->kind) {
    case Outcome::Kind::kOk:
      return CircuitBreaker::Result::kSuccess;
    case Outcome::Kind::kTransient:
    case Outcome::Kind::kBadReply:
      return CircuitBreaker::Result::kFailure;
    default:
      return CircuitBreaker::Result::kNeutral;
  }
}

ConcurrencyLimit::Result Endpoint::LoadResult(const Ended& ended) const {
  switch (ended.outcome->kind) {
    case Outcome::Kind::kOk:
      return ConcurrencyLimit::Result::kOk;
    case Outcome::Kind::kTransient:
      return ConcurrencyLimit::Result::kCongested;
    case Outcome::Kind::kThrottled:
      // Where we keep limits, a throttle is about those, not about load.
      return has_limits_ ? ConcurrencyLimit::Result::kNeutral
                         : ConcurrencyLimit::Result::kCongested;
    default:
      return ConcurrencyLimit::Result::kNeutral;
  }
}

void Endpoint::TakeThrottle(const Ended& ended, TimePoint now) {
  const Outcome& outcome = *ended.outcome;
  const bool is_throttled = outcome.kind == Outcome::Kind::kThrottled;
  if (is_throttled || outcome.kind == Outcome::Kind::kOk) {
    throttled_share_ += kThrottleMemory * ((is_throttled ? 1.0 : 0.0) - throttled_share_);
  }
  if (!is_throttled) return;
  ++throttled_;
  if (!outcome.is_ramp_too_fast && throttled_share_ < kThrottledShareToPause) return;
  allowance_->Pause(now + ended.pause, outcome.is_ramp_too_fast, now);
}

void Endpoint::End(const Permit& permit, const Ended& ended, TimePoint now) {
  const Outcome& outcome = *ended.outcome;
  breaker_.End(BreakerResult(ended), now);
  const double tokens =
      outcome.model_tokens ? static_cast<double>(*outcome.model_tokens) : permit.cost.model_tokens;
  concurrency_.End(LoadResult(ended), ended.round_trip, tokens, now);
  if (permit.is_retry) budget_.EndRetry();
  Add(&under_way_, permit.cost, -1);

  AllowanceCost real{0, 0, 0};
  if (ended.was_sent) {
    real = permit.cost;
    real.model_tokens = tokens;
    ++requests_;
  }
  allowance_->Settle(permit.cost, real, now);
  if (outcome.hints != RateHints{}) allowance_->Feed(outcome.hints, under_way_, now);
  TakeThrottle(ended, now);
  if (outcome.kind == Outcome::Kind::kTransient) ++failures_;
  NoteBreaker(now);
  if (outcome.kind != Outcome::Kind::kOk) return;
  ++successes_;
  if (!permit.is_retry) budget_.CleanSuccess();
  if (outcome.model_tokens) correction_.Learn(permit.estimated_tokens, *outcome.model_tokens);
  if (flow_.metrics_enabled) latency_.Add(ended.round_trip);
}

void Endpoint::Disable(const Status& why) {
  if (!disabled_.ok()) return;
  Log(LogLevel::kWarning, std::string("the ") + RoleName(role_) + " endpoint " + dialect().place() +
                              " is not used any more: " + why.message());
  disabled_ = why;
}

void LowerCaps(LearntCaps* caps, const LearntCaps& told) {
  const auto lower = [](std::optional<std::size_t>* cap, const std::optional<std::size_t>& now) {
    if (now && *now > 0 && (!*cap || *now < **cap)) *cap = now;
  };
  lower(&caps->inputs_max, told.inputs_max);
  lower(&caps->model_tokens_max, told.model_tokens_max);
}

RunSummary::Endpoint Endpoint::Summary() const {
  RunSummary::Endpoint summary;
  summary.place = dialect().place();
  summary.role = RoleName(role_);
  summary.admitted = disabled_.ok();
  summary.requests = requests_;
  summary.failures = failures_;
  summary.throttled = throttled_;
  summary.breaker = BreakerStateName(breaker_.state());
  summary.breaker_opened = breaker_.times_opened();
  summary.concurrency = concurrency_.limit();
  summary.learnt_inputs_max = caps_.inputs_max;
  summary.learnt_model_tokens_max = caps_.model_tokens_max;
  if (!flow_.metrics_enabled) return summary;
  RunSummary::Endpoint::Metrics metrics;
  metrics.latency_p50_ms = latency_.QuantileMillis(0.50);
  metrics.latency_p95_ms = latency_.QuantileMillis(0.95);
  metrics.latency_p99_ms = latency_.QuantileMillis(0.99);
  metrics.allowance_wait_seconds = std::chrono::duration<double>(allowance_wait_).count();
  metrics.tokens_per_estimated = correction_.ratio();
  summary.metrics = metrics;
  return summary;
}

}  // namespace embedflow
