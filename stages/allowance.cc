#include "stages/allowance.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>

#include "base/log.h"

namespace embedflow {
namespace {

using Bucket = AllowanceState::Bucket;

constexpr double kNsPerMinute = 60e9;
constexpr std::int64_t kSlotNs = 60'000'000'000 / 512;

// Pacing uses 99 % of a rate. Time lost by waking up late is made up for, up to kSavedSeconds, but
// never faster than 99.4 %, and at most kGroup* at once: so no window of one second or more holds
// more than the rate, with some milliseconds left for what the network does to the spacing.
constexpr double kPace = 0.99;
constexpr double kSpacingPace = 0.994;
constexpr double kSavedSeconds = 1.0;
constexpr double kGroupSeconds = 0.004;
// Tokens are not spaced further: one request holds more than a moment's share anyway, nobody counts
// them over one second, and beside a limit of requests a run of small ones must be made up for.
constexpr double kTokenGroupSeconds = kSavedSeconds;
constexpr double kUnitKept = 0.9;
// Of a minute's tokens, for what bills of requests under way may bring above their estimates.
constexpr double kTokenWindowShare = 0.997;
// A remainder this far below what our own use explains is somebody else's doing.
constexpr double kForeignShare = 0.02;
constexpr double kForeignMin = 1;  // A request that left the window while the reply was on its way.

// Bounds of what is believed.
constexpr double kCostMax = 1e12;
constexpr double kRateMax = 1e12;
constexpr double kRateMin = 1;      // Of what headers say; less is no limit to work with.
constexpr double kLimitMin = 1e-9;  // Of what is set.
constexpr double kDebtMinutesMax = 60;
constexpr std::int64_t kPauseMaxNs = 900'000'000'000;    // 15 min.
constexpr std::int64_t kAskAgainMaxNs = 60'000'000'000;  // 1 min.
constexpr std::int64_t kReadyNs = 1000;                  // Nobody can time a request better.

// Above a million tokens a minute grow by at most half every 15 minutes (OpenAI).
constexpr double kRampFreeTokens = 1e6;
constexpr double kRampNs = 900e9;
constexpr double kRampFactor = 1.5;
constexpr double kRampCutMin = 1.0 / 64;  // Of the goal.
constexpr std::int64_t kRampCutOnceNs = 10'000'000'000;

std::int64_t Nanoseconds(TimePoint when) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
}

TimePoint PointOf(std::int64_t ns) {
  return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(ns)));
}

double Sane(double cost) {
  return std::isfinite(cost) ? std::clamp(cost, 0.0, kCostMax) : (cost > 0 ? kCostMax : 0.0);
}

double SumTaken(const Bucket& bucket) {
  double sum = 0;
  for (const float taken : bucket.taken) sum += static_cast<double>(taken);
  return sum;
}

// Rounded down below zero as well: a clock's zero may lie within the last minute.
std::int64_t SlotNumber(std::int64_t ns) {
  return ns >= 0 ? ns / kSlotNs : -((-ns + kSlotNs - 1) / kSlotNs);
}

std::size_t IndexOf(std::int64_t slot) {
  constexpr std::int64_t kCount{AllowanceState::kSlots};
  return static_cast<std::size_t>(((slot % kCount) + kCount) % kCount);
}

// One bucket together with what is fixed about its kind.
struct Kind {
  Bucket AllowanceState::*bucket;
  double AllowanceCost::*cost;
  std::optional<double> AllowanceLimits::*limit;
  bool is_spaced;
  double group_seconds;
  double window_share;
  double ramp_free;
};
constexpr double kNoRamp = kRateMax;
constexpr std::array<Kind, 3> kKinds{{
    {&AllowanceState::requests, &AllowanceCost::requests, &AllowanceLimits::requests, true,
     kGroupSeconds, 1.0, kNoRamp},
    {&AllowanceState::inputs, &AllowanceCost::inputs, &AllowanceLimits::inputs, true, kGroupSeconds,
     1.0, kNoRamp},
    {&AllowanceState::model_tokens, &AllowanceCost::model_tokens, &AllowanceLimits::model_tokens,
     false, kTokenGroupSeconds, kTokenWindowShare, kRampFreeTokens},
}};

void SetRate(Bucket* bucket) {
  bucket->per_minute = bucket->goal == 0 ? 0 : std::min(bucket->goal, bucket->ramp);
}

void Clip(Bucket* bucket, const Kind& kind) {
  const double per_second = bucket->per_minute / 60;
  const double debt = -kDebtMinutesMax * bucket->per_minute;
  // Where single requests are larger than that, they are what is saved up for while the window
  // keeps one back.
  const double unit = kind.is_spaced ? 0 : bucket->unit;
  bucket->level =
      std::clamp(bucket->level, debt, std::max(unit, per_second * kPace * kSavedSeconds));
  bucket->spacing = std::clamp(bucket->spacing, debt,
                               std::max(unit, per_second * kSpacingPace * kind.group_seconds));
}

// Brings the state to `now`; a clock that went back stands still. Returns the time in force.
std::int64_t Advance(AllowanceState* state, TimePoint now) {
  const std::int64_t to = std::max(Nanoseconds(now), state->updated_ns);
  const std::int64_t from = state->updated_ns;
  const auto passed = static_cast<double>(to - from);
  const std::int64_t slots = std::min<std::int64_t>(SlotNumber(to) - SlotNumber(from),
                                                    std::int64_t{AllowanceState::kSlots});
  for (const Kind& kind : kKinds) {
    Bucket* bucket = &(state->*kind.bucket);
    for (std::int64_t i = 0; i < slots; ++i) bucket->taken[IndexOf(SlotNumber(to) - i)] = 0;
    // Also while rules with a smaller limit, or with none, keep the state.
    if (bucket->ramp < std::max(bucket->goal, bucket->ramp_end)) {
      bucket->ramp = std::min(kRateMax, bucket->ramp * std::pow(kRampFactor, passed / kRampNs));
    }
    if (bucket->goal == 0) continue;
    SetRate(bucket);
    bucket->level += bucket->per_minute * kPace * passed / kNsPerMinute;
    bucket->spacing += bucket->per_minute * kSpacingPace * passed / kNsPerMinute;
    Clip(bucket, kind);
  }
  state->updated_ns = to;
  return to;
}

double WaitNs(double level, double per_minute) {
  return level >= 0 ? 0 : -level / per_minute * kNsPerMinute;
}

// How long until so much of the last minute has gone by that `cost` fits below the limit.
double WindowWaitNs(const Bucket& bucket, const Kind& kind, double cost, std::int64_t now) {
  // A cost above a whole limit goes when nothing else is in the window; rounding does not count.
  const double room = std::max(bucket.per_minute * kind.window_share, cost) * (1 + 1e-6) - cost;
  double sum = SumTaken(bucket);
  if (sum <= room) return 0;
  // Slots by age: the oldest one goes when the next slot begins.
  const std::int64_t next = SlotNumber(now) + 1;
  for (std::int64_t i = 0; i < std::int64_t{AllowanceState::kSlots}; ++i) {
    sum -= static_cast<double>(bucket.taken[IndexOf(next + i)]);
    if (sum <= room) return static_cast<double>((next + i) * kSlotNs - now);
  }
  return kNsPerMinute;
}

void Charge(Bucket* bucket, const Kind& kind, double cost, std::int64_t now) {
  if (bucket->goal != 0) {
    bucket->level -= cost;
    bucket->spacing -= cost;
    Clip(bucket, kind);
  }
  // A refund comes off the newest slots: it was taken shortly before.
  double left = cost;
  for (std::int64_t i = 0; i < std::int64_t{AllowanceState::kSlots} && left != 0; ++i) {
    float& taken = bucket->taken[IndexOf(SlotNumber(now) - i)];
    const double sum = static_cast<double>(taken) + left;
    left = std::min(sum, 0.0);
    taken = static_cast<float>(std::max(sum, 0.0));
  }
}

double SetLimit(const std::optional<double>& limit) {
  return limit ? std::clamp(Sane(*limit), kLimitMin, kRateMax) : 0;
}

void SetGoal(Bucket* bucket, const Kind& kind, double set, bool set_is_the_users) {
  const bool is_set_kept = set != 0 && set_is_the_users && bucket->told >= set;
  bucket->goal = bucket->told == 0 || is_set_kept ? set : bucket->told;
  SetRate(bucket);
  Clip(bucket, kind);
}

void FeedRemaining(Bucket* bucket, const Kind& kind, const RateHint& hint, double under_way) {
  if (bucket->goal == 0 || !hint.remaining) return;
  const double remaining = *hint.remaining;
  if (!std::isfinite(remaining) || remaining < 0) return;
  // Used up to the last by ourselves is no news: pacing and window know it already.
  const double ours = bucket->per_minute - SumTaken(*bucket);
  if (remaining >= ours - std::max(kForeignMin, kForeignShare * bucket->per_minute)) return;
  double ceiling = std::max(remaining - under_way, -bucket->per_minute);
  if (remaining < 1 && hint.reset) {
    const double reset_ns = std::clamp(static_cast<double>(hint.reset->count()) * 1e6, 0.0,
                                       static_cast<double>(kPauseMaxNs));
    ceiling = std::min(ceiling, -reset_ns / kNsPerMinute * bucket->per_minute * kPace);
  }
  bucket->level = std::min(bucket->level, ceiling);
  Clip(bucket, kind);
}

}  // namespace

AllowanceLimits AllowanceLimits::Of(const FlowOptions& flow) {
  return {flow.requests_per_minute, flow.inputs_per_minute, flow.model_tokens_per_minute};
}

AllowanceRules::AllowanceRules(const AllowanceLimits& limits, bool limits_are_the_users)
    : limits_(limits), limits_are_the_users_(limits_are_the_users) {}

AllowanceState AllowanceRules::Fresh(TimePoint now) const {
  AllowanceState state;
  state.updated_ns = Nanoseconds(now);
  Adopt(&state, now);
  return state;
}

void AllowanceRules::Adopt(AllowanceState* state, TimePoint now) const {
  Advance(state, now);
  for (const Kind& kind : kKinds) {
    Bucket* bucket = &(state->*kind.bucket);
    const double set = SetLimit(limits_.*kind.limit);
    // What is set may be used at once, unless the server has said that something was too fast.
    if (state->ramp_cut_ns == 0) {
      bucket->ramp = std::max(bucket->ramp, set == 0 ? kNoRamp : std::max(set, kind.ramp_free));
    }
    SetGoal(bucket, kind, set, limits_are_the_users_);
  }
}

std::optional<TimePoint> AllowanceRules::Take(AllowanceState* state, const AllowanceCost& cost,
                                              TimePoint now) const {
  const std::int64_t from = Advance(state, now);
  double wait = static_cast<double>(std::max<std::int64_t>(state->paused_until_ns - from, 0));
  for (const Kind& kind : kKinds) {
    const Bucket& bucket = state->*kind.bucket;
    const double taken = Sane(cost.*kind.cost);
    // Free of charge: it does not wait for a debt either.
    if (bucket.goal == 0 || taken == 0) continue;
    wait = std::max({wait, WaitNs(bucket.level, bucket.per_minute * kPace),
                     WaitNs(bucket.spacing, bucket.per_minute * kSpacingPace),
                     WindowWaitNs(bucket, kind, taken, from)});
  }
  if (wait < static_cast<double>(kReadyNs)) {
    for (const Kind& kind : kKinds) {
      Bucket* bucket = &(state->*kind.bucket);
      const double taken = Sane(cost.*kind.cost);
      bucket->unit = std::max(taken, bucket->unit * kUnitKept);
      Charge(bucket, kind, taken, from);
    }
    return std::nullopt;
  }
  const auto ns =
      static_cast<std::int64_t>(std::min(std::ceil(wait), static_cast<double>(kAskAgainMaxNs)));
  return PointOf(from + ns);
}

void AllowanceRules::Settle(AllowanceState* state, const AllowanceCost& taken,
                            const AllowanceCost& real, TimePoint now) const {
  const std::int64_t at = Advance(state, now);
  for (const Kind& kind : kKinds) {
    Charge(&(state->*kind.bucket), kind, Sane(real.*kind.cost) - Sane(taken.*kind.cost), at);
  }
}

bool AllowanceRules::Feed(AllowanceState* state, const RateHints& hints,
                          const AllowanceCost& under_way, TimePoint now) const {
  if (hints == RateHints{}) return false;
  Advance(state, now);
  bool is_lower = false;
  const auto feed = [&](const Kind& kind, const RateHint& hint) {
    Bucket* bucket = &(state->*kind.bucket);
    const double limit = hint.limit.value_or(0);
    if (std::isfinite(limit) && limit > 0) {
      const double before = bucket->goal == 0 ? kRateMax : bucket->goal;
      bucket->told = std::clamp(limit, kRateMin, kRateMax);
      SetGoal(bucket, kind, SetLimit(limits_.*kind.limit), limits_are_the_users_);
      is_lower = is_lower || bucket->goal < before;
    }
    FeedRemaining(bucket, kind, hint, Sane(under_way.*kind.cost));
  };
  feed(kKinds[0], hints.requests);
  feed(kKinds[2], hints.model_tokens);
  return is_lower;
}

void AllowanceRules::Pause(AllowanceState* state, TimePoint until, bool ramp_was_too_fast,
                           TimePoint now) const {
  const std::int64_t at = Advance(state, now);
  const std::int64_t end = std::min(Nanoseconds(until), at + kPauseMaxNs);
  state->paused_until_ns = std::max(state->paused_until_ns, end);
  if (!ramp_was_too_fast) return;
  if (state->ramp_cut_ns != 0 && at - state->ramp_cut_ns < kRampCutOnceNs) return;
  state->ramp_cut_ns = at;
  for (const Kind& kind : kKinds) {
    Bucket* bucket = &(state->*kind.bucket);
    if (bucket->goal == 0) continue;
    bucket->ramp_end = std::max(bucket->ramp_end, bucket->goal);
    bucket->ramp = std::max(bucket->per_minute / 2, bucket->goal * kRampCutMin);
    SetRate(bucket);
    Clip(bucket, kind);
  }
}

void LogLoweredRate(const AllowanceState& state, bool* is_told) {
  if (std::exchange(*is_told, true)) return;
  const auto rate = [](const Bucket& bucket, const char* unit) {
    return (bucket.goal == 0 ? "any number of"
                             : std::to_string(static_cast<std::int64_t>(bucket.goal))) +
           unit;
  };
  Log(LogLevel::kInfo, "the provider's headers lowered the rate: now " +
                           rate(state.requests, " requests") + " and " +
                           rate(state.model_tokens, " tokens") + " a minute");
}

LocalAllowance::LocalAllowance(const AllowanceLimits& limits, bool limits_are_the_users,
                               TimePoint now)
    : rules_(limits, limits_are_the_users), state_(rules_.Fresh(now)) {}

std::optional<TimePoint> LocalAllowance::Take(const AllowanceCost& cost, TimePoint now) {
  return rules_.Take(&state_, cost, now);
}

void LocalAllowance::Settle(const AllowanceCost& taken, const AllowanceCost& real, TimePoint now) {
  rules_.Settle(&state_, taken, real, now);
}

void LocalAllowance::Feed(const RateHints& hints, const AllowanceCost& under_way, TimePoint now) {
  if (rules_.Feed(&state_, hints, under_way, now)) LogLoweredRate(state_, &is_lowered_rate_told_);
}

void LocalAllowance::Pause(TimePoint until, bool ramp_was_too_fast, TimePoint now) {
  rules_.Pause(&state_, until, ramp_was_too_fast, now);
}

}  // namespace embedflow
