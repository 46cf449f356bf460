#include "pipeline/dispatcher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace embedflow {
namespace {

// How long an endpoint that used up a batch's retries is left alone while another serves.
constexpr std::chrono::seconds kRest{30};
// Of the retries that are due, how many are asked about at a time.
constexpr std::size_t kRetriesLookedAt = 64;
// How long the limits must have held a run back before its requests are made smaller for it, and to
// what part of a minute's tokens: 98.4 % of a strict minute can be used then, 87 % with requests of
// 30 %.
constexpr std::chrono::seconds kLimitedLong{2};
constexpr double kShareOfMinute = 0.02;

EndpointRole RoleOf(EndpointOptions::Role role) {
  return role == EndpointOptions::Role::kReplica ? EndpointRole::kReplica : EndpointRole::kFallback;
}

}  // namespace

Dispatcher::Dispatcher(RunState& run, LetGo let_go) : run_(run), let_go_(std::move(let_go)) {
  const TimePoint now = run.clock.Now();
  const auto add = [&](std::shared_ptr<const Provider> provider, const FlowOptions& flow,
                       EndpointRole role) {
    endpoints_.push_back(std::make_unique<Endpoint>(std::move(provider), flow, role,
                                                    run.options.seed + endpoints_.size(), now));
  };
  add(run.provider, run.options.flow, EndpointRole::kPrimary);
  for (const EndpointOptions& more : run.options.endpoints) {
    add(more.provider, more.flow, RoleOf(more.role));
  }
}

void Dispatcher::Add(const BatchPtr& batch, bool before_others) {
  {
    MutexLock lock(mu_);
    if (batch->attempt > 0) {
      retries_.emplace(batch->not_before, batch);
    } else if (before_others) {
      fresh_.push_front(batch);
    } else {
      fresh_.push_back(batch);
    }
  }
  Pump();
}

bool Dispatcher::CanTake(std::size_t i, const Batch& batch) const {
  return endpoints_[i]->is_usable() && (batch.used_up >> i & 1) == 0;
}

Endpoint::Answer Dispatcher::TryEndpoint(std::size_t i, Batch& batch, TimePoint now) {
  Endpoint& endpoint = *endpoints_[i];
  const bool is_retry = batch.attempt > 0;
  const Endpoint::Permit permit =
      endpoint.PermitFor(batch.items.size(), batch.model_tokens, is_retry,
                         is_retry && batch.outcome.kind == Outcome::Kind::kThrottled);
  const Endpoint::Answer answer = endpoint.TryStart(permit, now);
  if (answer.gate != Gate::kOpen) return answer;
  if (batch.endpoint != i) {
    // Another address and another key.
    batch.request = {};
    batch.attempts_at[batch.endpoint] = static_cast<std::uint8_t>(batch.attempts_here);
    batch.attempts_here = batch.attempts_at[i];
    batch.endpoint = i;
    batch.successes_before.reset();
  }
  if (!batch.successes_before) batch.successes_before = endpoint.successes();
  if (batch.first_attempt == TimePoint{}) {
    batch.first_attempt = now;
  } else if (is_retry && batch.is_held_by_us && now > batch.not_before) {
    // The deadline is for a provider's faults; our own gates take no time of it.
    batch.first_attempt += now - batch.not_before;
  }
  batch.is_held_by_us = false;
  batch.permit = permit;
  return answer;
}

Dispatcher::Hold Dispatcher::TryEach(const std::vector<std::size_t>& candidates, Batch& batch,
                                     TimePoint now) {
  Hold hold;
  for (const std::size_t i : candidates) {
    const Endpoint::Answer answer = TryEndpoint(i, batch, now);
    if (answer.gate == Gate::kOpen) return {Gate::kOpen, {}, true};
    if (answer.ask_again)
      hold.again = hold.again ? std::min(*hold.again, *answer.ask_again) : answer.ask_again;
    // A breaker is the reason only where nothing else is.
    if (!hold.has_tried || hold.gate == Gate::kBreaker) hold.gate = answer.gate;
    hold.has_tried = true;
  }
  return hold;
}

Dispatcher::Hold Dispatcher::TryGrant(Batch& batch, TimePoint now) {
  // Those that serve side by side, the least busy first; then the fallbacks; then, if there is
  // nothing else, those that rest.
  std::vector<std::size_t> serving, fallbacks, resting;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    if (!CanTake(i, batch)) continue;
    const bool is_fallback = endpoints_[i]->role() == EndpointRole::kFallback;
    (endpoints_[i]->is_resting(now) ? resting : is_fallback ? fallbacks : serving).push_back(i);
  }
  const auto load = [&](std::size_t i) {
    return static_cast<double>(endpoints_[i]->in_flight()) /
           static_cast<double>(endpoints_[i]->limit());
  };
  std::stable_sort(serving.begin(), serving.end(),
                   [&](std::size_t a, std::size_t b) { return load(a) < load(b); });
  Hold hold;
  for (const std::vector<std::size_t>* candidates : {&serving, &fallbacks, &resting}) {
    const Hold held = TryEach(*candidates, batch, now);
    if (!held.has_tried) continue;
    // Whoever is only busy is waited for.
    if (held.gate != Gate::kBreaker) return held;
    if (held.again) hold.again = hold.again ? std::min(*hold.again, *held.again) : held.again;
    hold.has_tried = true;
  }
  return hold;
}

bool Dispatcher::IsPastDeadline(const Batch& batch, TimePoint now) const {
  return now >= batch.first_attempt + endpoints_[batch.endpoint]->deadline();
}

void Dispatcher::NoteWait(Gate gate, TimePoint now) {
  held_by_ = gate;
  if (gate == Gate::kAllowance) {
    if (!limited_since_) limited_since_ = now;
  } else if (limited_since_) {
    endpoints_[0]->AddAllowanceWait(now - *limited_since_);
    limited_ += now - *limited_since_;
    limited_since_.reset();
  }
}

std::optional<TimePoint> Dispatcher::Collect(std::vector<BatchPtr>* out, TimePoint now) {
  if (run_.halting()) {
    for (auto& [when, batch] : retries_) out->push_back(std::move(batch));
    for (BatchPtr& batch : fresh_) out->push_back(std::move(batch));
    retries_.clear();
    fresh_.clear();
    NoteWait(Gate::kOpen, now);
    return std::nullopt;
  }
  if (is_paused_) {
    NoteWait(Gate::kOpen, now);
    return std::nullopt;
  }
  std::optional<TimePoint> again;
  const auto look_at = [&](TimePoint when) { again = again ? std::min(*again, when) : when; };
  Gate held_by = Gate::kOpen;
  // True if the batch has left the queue.
  const auto leaves = [&](const BatchPtr& batch) {
    const Hold hold = TryGrant(*batch, now);
    const bool is_retry = batch->attempt > 0;
    const bool is_late =
        is_retry && hold.gate == Gate::kBreaker && IsPastDeadline(*batch, hold.again.value_or(now));
    batch->is_given_up = hold.gate != Gate::kOpen && (!hold.has_tried || is_late);
    if (hold.gate == Gate::kOpen || batch->is_given_up) {
      out->push_back(batch);
      return true;
    }
    held_by = hold.gate;
    batch->is_held_by_us = hold.gate != Gate::kBreaker;
    if (hold.again) look_at(*hold.again);
    return false;
  };
  // What one endpoint's breaker or the retry budget holds back must not hold up the rest.
  bool may_go_on = true;
  std::size_t looked_at = 0;
  for (auto entry = retries_.begin();
       may_go_on && entry != retries_.end() && entry->first <= now && looked_at < kRetriesLookedAt;
       ++looked_at) {
    if (leaves(entry->second)) {
      entry = retries_.erase(entry);
    } else {
      may_go_on = held_by == Gate::kRetryBudget || held_by == Gate::kBreaker;
      ++entry;
    }
  }
  while (may_go_on && !fresh_.empty() && leaves(fresh_.front())) fresh_.pop_front();
  const auto later = retries_.upper_bound(now);
  if (later != retries_.end()) look_at(later->first);
  NoteWait(held_by, now);
  return again;
}

void Dispatcher::Pump() {
  std::vector<BatchPtr> out;
  std::optional<TimePoint> again;
  bool sets_timer = false;
  {
    MutexLock lock(mu_);
    const TimePoint now = run_.clock.Now();
    again = Collect(&out, now);
    if (wake_ && *wake_ <= now) wake_.reset();
    if (again && (!wake_ || *again < *wake_)) {
      wake_ = again;
      sets_timer = true;
    }
  }
  for (const BatchPtr& batch : out) let_go_(batch);
  if (sets_timer) transport_->CallAt(*again, [this] { Pump(); });
}

bool Dispatcher::Pause() {
  MutexLock lock(mu_);
  return !std::exchange(is_paused_, true);
}

void Dispatcher::Resume(std::size_t i, bool has_accepted) {
  {
    MutexLock lock(mu_);
    is_paused_ = false;
    if (has_accepted) endpoints_[i]->NoteSuccess();
    const auto due = retries_.upper_bound(run_.clock.Now());
    for (auto entry = retries_.begin(); entry != due; ++entry) entry->second->is_held_by_us = true;
  }
  Pump();
}

std::uint64_t Dispatcher::SuccessesOf(std::size_t i) {
  MutexLock lock(mu_);
  return endpoints_[i]->successes();
}

bool Dispatcher::OthersSucceed(const Batch& batch) {
  MutexLock lock(mu_);
  return endpoints_[batch.endpoint]->successes() > batch.successes_before.value_or(0);
}

void Dispatcher::End(Batch& batch, Duration pause) {
  EF_CHECK(batch.permit);
  {
    MutexLock lock(mu_);
    Endpoint& endpoint = *endpoints_[batch.endpoint];
    Endpoint::Ended ended;
    ended.outcome = &batch.outcome;
    ended.was_sent = batch.sent;
    ended.round_trip = batch.round_trip;
    ended.pause = pause;
    endpoint.End(*batch.permit, ended, run_.clock.Now());
    endpoint.NoteCaps(batch.outcome.caps);
    batch.permit.reset();
  }
  Pump();
}

bool Dispatcher::MoveOn(Batch& batch, const Status& why) {
  MutexLock lock(mu_);
  Endpoint& endpoint = *endpoints_[batch.endpoint];
  batch.used_up |= std::uint32_t{1} << batch.endpoint;
  bool is_there_another = false;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    is_there_another = is_there_another || CanTake(i, batch);
  }
  if (why.code() == Code::kRefused) {
    if (endpoints_.size() > 1) endpoint.Disable(why);
  } else if (is_there_another && endpoint.successes() <= batch.successes_before.value_or(0)) {
    endpoint.RestUntil(run_.clock.Now() + kRest);
  }
  batch.is_split_off = false;
  return is_there_another;
}

bool Dispatcher::HasAnother(const Batch& batch) {
  MutexLock lock(mu_);
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    if (i != batch.endpoint && CanTake(i, batch)) return true;
  }
  return false;
}

Status Dispatcher::WhyNone() {
  MutexLock lock(mu_);
  for (const std::unique_ptr<Endpoint>& endpoint : endpoints_) {
    if (!endpoint->is_usable()) return endpoint->disabled();
  }
  return {Code::kUnavailable, "no endpoint answers"};
}

void Dispatcher::Exclude(std::size_t i, const Status& why) {
  MutexLock lock(mu_);
  endpoints_[i]->Disable(why);
}

LearntCaps Dispatcher::learnt_caps() {
  LearntCaps caps;
  MutexLock lock(mu_);
  for (const std::unique_ptr<Endpoint>& endpoint : endpoints_) LowerCaps(&caps, endpoint->caps());
  return caps;
}

double Dispatcher::tokens_per_estimated() {
  MutexLock lock(mu_);
  return endpoints_[0]->tokens_per_estimated();
}

std::optional<std::size_t> Dispatcher::tokens_a_request() {
  const FlowOptions& flow = endpoints_[0]->flow();
  if (!flow.model_tokens_per_minute) return std::nullopt;
  MutexLock lock(mu_);
  const Duration now = limited_since_ ? run_.clock.Now() - *limited_since_ : Duration{};
  if (limited_ + now < kLimitedLong) return std::nullopt;
  const double tokens = *flow.model_tokens_per_minute;
  // Smaller still, and requests a minute would hold it back.
  const double a_request = flow.requests_per_minute ? tokens / *flow.requests_per_minute : 0;
  return static_cast<std::size_t>(std::max({1.0, tokens * kShareOfMinute, a_request}));
}

std::size_t Dispatcher::waiting() {
  MutexLock lock(mu_);
  return fresh_.size();
}

std::size_t Dispatcher::in_flight_limit() {
  MutexLock lock(mu_);
  std::size_t sum = 0;
  for (const std::unique_ptr<Endpoint>& endpoint : endpoints_) {
    if (endpoint->is_usable()) sum += endpoint->limit();
  }
  return sum;
}

const char* Dispatcher::waits_for() {
  MutexLock lock(mu_);
  if (is_paused_) return "retry";
  switch (held_by_) {
    case Gate::kBreaker:
      return "breaker";
    case Gate::kAllowance:
      return "limit";
    case Gate::kRetryBudget:
      return "retry";
    default:
      return fresh_.empty() && !retries_.empty() ? "retry" : "";
  }
}

std::vector<RunSummary::Endpoint> Dispatcher::Summary() {
  MutexLock lock(mu_);
  std::vector<RunSummary::Endpoint> all;
  for (const std::unique_ptr<Endpoint>& endpoint : endpoints_) all.push_back(endpoint->Summary());
  return all;
}

}  // namespace embedflow
