#include "pipeline/dispatcher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace embedflow {
namespace {

// How long an endpoint that used up a batch's retries is left alone while another serves.
constexpr std::chrono::seconds kRest{30};
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
    if (batch->attempts_here > 0) {
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
  const bool is_retry = batch.attempts_here > 0;
  const Endpoint::Permit permit =
      endpoint.PermitFor(batch.items.size(), batch.model_tokens, is_retry,
                         is_retry && batch.outcome.kind == Outcome::Kind::kThrottled);
  const Endpoint::Answer answer = endpoint.TryStart(permit, now);
  if (answer.gate != Gate::kOpen) return answer;
  if (batch.endpoint != i) {
    // Another address, another key, another count of attempts.
    batch.endpoint = i;
    batch.request = {};
    batch.attempts_here = 0;
    batch.first_attempt = {};
  }
  // A part of a batch has the time of the whole.
  if (batch.first_attempt == TimePoint{}) {
    batch.first_attempt = now;
    batch.successes_before = endpoint.successes();
  }
  batch.permit = permit;
  return answer;
}

Endpoint::Answer Dispatcher::TryGrant(Batch& batch, TimePoint now) {
  // The least busy of those that serve side by side comes first.
  std::vector<std::size_t> serving;
  std::vector<std::size_t> fallbacks;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    if (!CanTake(i, batch)) continue;
    (endpoints_[i]->role() == EndpointRole::kFallback ? fallbacks : serving).push_back(i);
  }
  const auto load = [&](std::size_t i) {
    return static_cast<double>(endpoints_[i]->in_flight()) /
           static_cast<double>(endpoints_[i]->limit());
  };
  std::stable_sort(serving.begin(), serving.end(),
                   [&](std::size_t a, std::size_t b) { return load(a) < load(b); });
  std::optional<Endpoint::Answer> held;
  const auto note = [&](const Endpoint::Answer& answer) {
    // A gate that opens by itself is waited for; of several, the first to open.
    const bool is_timed = answer.gate == Gate::kBreaker || answer.gate == Gate::kAllowance;
    const bool held_is_timed =
        held && (held->gate == Gate::kBreaker || held->gate == Gate::kAllowance);
    if (!held || !is_timed || (held_is_timed && answer.ask_again < held->ask_again)) held = answer;
  };
  bool is_busy_only = false;
  for (const std::size_t i : serving) {
    const Endpoint::Answer answer = TryEndpoint(i, batch, now);
    if (answer.gate == Gate::kOpen) return answer;
    is_busy_only = is_busy_only || answer.gate != Gate::kBreaker;
    note(answer);
  }
  if (is_busy_only) return *held;
  for (const std::size_t i : fallbacks) {
    const Endpoint::Answer answer = TryEndpoint(i, batch, now);
    if (answer.gate == Gate::kOpen) return answer;
    note(answer);
    if (answer.gate != Gate::kBreaker) break;
  }
  return held.value_or(Endpoint::Answer{Gate::kBreaker, TimePoint::max()});
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
  std::optional<TimePoint> again;
  const auto look_at = [&](TimePoint when) {
    if (when != TimePoint::max()) again = again ? std::min(*again, when) : when;
  };
  Gate held_by = Gate::kOpen;
  // True if the batch has left the queue.
  const auto leaves = [&](const BatchPtr& batch) {
    const Endpoint::Answer answer = TryGrant(*batch, now);
    if (answer.gate == Gate::kOpen) {
      out->push_back(batch);
      return true;
    }
    const bool is_retry = batch->attempts_here > 0;
    const bool is_hopeless =
        answer.ask_again == TimePoint::max() ||
        (is_retry && answer.gate == Gate::kBreaker && IsPastDeadline(*batch, answer.ask_again));
    if (is_hopeless || (is_retry && IsPastDeadline(*batch, now))) {
      batch->is_given_up = true;
      out->push_back(batch);
      return true;
    }
    held_by = answer.gate;
    if (answer.gate == Gate::kBreaker || answer.gate == Gate::kAllowance) look_at(answer.ask_again);
    return false;
  };
  bool may_go_on = true;
  while (may_go_on && !retries_.empty() && retries_.begin()->first <= now) {
    if (leaves(retries_.begin()->second)) {
      retries_.erase(retries_.begin());
    } else {
      // Only a retry needs the retry budget; new work may pass.
      may_go_on = held_by == Gate::kRetryBudget;
      break;
    }
  }
  while (may_go_on && !fresh_.empty() && leaves(fresh_.front())) fresh_.pop_front();
  if (!retries_.empty() && retries_.begin()->first > now) look_at(retries_.begin()->first);
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

std::uint64_t Dispatcher::SuccessesOf(std::size_t i) {
  MutexLock lock(mu_);
  return endpoints_[i]->successes();
}

bool Dispatcher::OthersSucceed(const Batch& batch) {
  MutexLock lock(mu_);
  return endpoints_[batch.endpoint]->successes() > batch.successes_before;
}

void Dispatcher::End(Batch& batch, Duration pause) {
  EF_CHECK(batch.permit);
  {
    MutexLock lock(mu_);
    Endpoint& endpoint = *endpoints_[batch.endpoint];
    Endpoint::Ended ended;
    ended.outcome = &batch.outcome;
    ended.http_status = batch.reply.status;
    ended.was_sent = batch.sent;
    ended.round_trip = batch.round_trip;
    ended.pause = pause;
    endpoint.End(*batch.permit, ended, run_.clock.Now());
    const LearntCaps& told = batch.outcome.caps;
    endpoint.NoteCaps(told);
    const auto lower = [](std::optional<std::size_t>* cap, const std::optional<std::size_t>& now) {
      if (now && *now > 0 && (!*cap || *now < **cap)) *cap = now;
    };
    lower(&caps_.inputs_max, told.inputs_max);
    lower(&caps_.model_tokens_max, told.model_tokens_max);
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
  } else if (is_there_another) {
    endpoint.RestUntil(run_.clock.Now() + kRest);
  }
  if (!is_there_another) return false;
  batch.attempts_here = 0;
  batch.first_attempt = {};
  batch.is_split_off = false;
  return true;
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
  MutexLock lock(mu_);
  return caps_;
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
