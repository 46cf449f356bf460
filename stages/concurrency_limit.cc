#include "stages/concurrency_limit.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace embedflow {
namespace {

// Up to this they are the base itself.
constexpr double kSame = 1.02;
// Reply times this much above the base are no sign yet: the limit may grow.
constexpr double kCalm = 1.05;
// Below this the server has become faster.
constexpr double kFaster = 0.9;
// Above this they are a sign of queueing.
constexpr double kCongested = 1.08;
constexpr double kCongestedQuick = 1.25;
// Standard errors of an interval's mean that chance is allowed.
constexpr double kErrors = 2.5;
// An interval has enough replies to know its mean to about a twenty-fifth.
constexpr double kMeanError = 0.04;
constexpr double kRepliesMax = 200;
constexpr double kRoundsMax = 4;  // Replies by the limit: else a low limit would stay low for long.
constexpr double kBaseReplies = 400;  // Behind the base; older ones are forgotten.
constexpr std::size_t kGrowthPart = 16;
constexpr int kFewGrowths = 4;  // In a row; after them the knee is not near.
constexpr std::size_t kFastGrowthPart = 4;
constexpr double kCutMost = 0.7;
constexpr double kProbeShare = 0.8;
constexpr int kIntervalsBetweenProbes = 20;
constexpr int kIntervalsToNextProbe = 4;  // Where the last one showed that there was queueing.
constexpr double kSlowerMeanwhile = 0.2;
constexpr int kHoldIntervals = 6;
constexpr double kFailingCut = 0.7;
// A fifth of some forty results: four standard errors away from the 5 % that chance may bring.
constexpr double kFailingShare = 0.2;
constexpr double kResultsMin = 8;
constexpr double kResultKept = 0.95;
constexpr double kDeviationKept = 0.97;
constexpr double kPriorVariation = 0.2;
constexpr double kPriorReplies = 4;
constexpr double kVariationMin = 0.02;

std::size_t Scaled(std::size_t limit, double factor) {
  return std::max<std::size_t>(
      1, static_cast<std::size_t>(std::floor(static_cast<double>(limit) * factor)));
}

}  // namespace

double ConcurrencyLimit::Sample::PerReply(double tokens_share) const {
  return seconds / (count + tokens_share * tokens);
}

ConcurrencyLimit::ConcurrencyLimit(const ConcurrencyOptions& options)
    : options_(options), limit_(options.is_adaptive ? 1 : std::max<std::size_t>(1, options.max)) {}

void ConcurrencyLimit::Start(TimePoint now) {
  ++in_flight_;
  if (in_flight_ >= limit_) reached_limit_ = true;
  if (!has_begun_) {
    has_begun_ = true;
    since_ = now;
  }
}

void ConcurrencyLimit::End(Result result, Duration round_trip, double model_tokens, TimePoint now) {
  if (in_flight_ > 0) --in_flight_;
  if (!options_.is_adaptive || result == Result::kNeutral) return;
  results_ = results_ * kResultKept + 1;
  failures_ = failures_ * kResultKept + (result == Result::kCongested ? 1 : 0);
  // Sent before the limit changed: it tells of the limit before.
  if (now - round_trip < since_) return;
  if (result == Result::kOk) {
    Observe(std::max(std::chrono::duration<double>(round_trip).count(), 1e-6),
            std::isfinite(model_tokens) ? std::clamp(model_tokens, 0.0, 1e9) : 0.0);
  }
  if (IsFailing()) {
    if (limit_ > 1) Cut(current_, kFailingCut);
    results_ = failures_ = 0;
    phase_ = Phase::kSteady;
    CloseInterval(now);
  } else if (IsIntervalOver()) {
    CloseInterval(now);
  }
}

void ConcurrencyLimit::Observe(double seconds, double tokens) {
  current_.count += 1;
  current_.seconds += seconds;
  current_.tokens += tokens;
  sum_tokens_squared_ += tokens * tokens;
  sum_seconds_tokens_ += seconds * tokens;
  sum_seconds_squared_ += seconds * seconds;
}

bool ConcurrencyLimit::IsFailing() const {
  return results_ >= kResultsMin * (1 - 1e-9) * 0.8 && failures_ >= results_ * kFailingShare &&
         failures_ >= 2;
}

bool ConcurrencyLimit::IsIntervalOver() const {
  const auto limit = static_cast<double>(limit_);
  if (phase_ == Phase::kQuick) return current_.count >= limit;
  const double enough = (variation_ / kMeanError) * (variation_ / kMeanError);
  const double most = std::min(kRepliesMax, kRoundsMax * limit);
  return current_.count >= std::clamp(enough, std::min(std::max(4.0, limit), most), most);
}

double ConcurrencyLimit::Noise() const {
  const double replies = std::max(current_.count, 1.0);
  const double base_replies = std::max(base_ ? base_->count : 1.0, 1.0);
  return kErrors * variation_ * std::sqrt(1 / replies + 1 / base_replies);
}

double ConcurrencyLimit::Ratio(const Sample& current) const {
  return current.PerReply(tokens_share_) / base_->PerReply(tokens_share_);
}

void ConcurrencyLimit::CloseInterval(TimePoint now) {
  if (current_.count > 0) {
    LearnTokensShare();
    if (!base_) base_ = current_;
    switch (phase_) {
      case Phase::kQuick:
        JudgeQuick(current_);
        break;
      case Phase::kSteady:
        JudgeSteady(current_);
        break;
      case Phase::kCut:
        JudgeCut(current_);
        break;
      case Phase::kProbe:
        JudgeProbe(current_);
        break;
    }
  }
  since_ = now;
  current_ = {};
  sum_tokens_squared_ = sum_seconds_tokens_ = sum_seconds_squared_ = 0;
  reached_limit_ = in_flight_ >= limit_;
}

// Queueing adds the same to all replies of a while, so what a token costs shows in the differences
// within an interval, whatever the congestion.
void ConcurrencyLimit::LearnTokensShare() {
  if (current_.count < 2) return;
  const double n = current_.count;
  deviation_tokens_ = deviation_tokens_ * kDeviationKept + sum_tokens_squared_ -
                      current_.tokens * current_.tokens / n;
  deviation_both_ = deviation_both_ * kDeviationKept + sum_seconds_tokens_ -
                    current_.seconds * current_.tokens / n;
  deviation_seconds_ = deviation_seconds_ * kDeviationKept + sum_seconds_squared_ -
                       current_.seconds * current_.seconds / n;
  deviation_count_ = deviation_count_ * kDeviationKept + n - 1;
  const double mean = current_.seconds / n;
  double explained = 0;
  if (deviation_tokens_ > 0 && deviation_both_ > 0) {
    explained = std::min(deviation_both_ * deviation_both_ / deviation_tokens_, deviation_seconds_);
    const Sample& base = base_ ? *base_ : current_;
    const double per_token = deviation_both_ / deviation_tokens_;
    const double base_seconds = base.seconds / base.count;
    const double fixed =
        std::max(base_seconds - per_token * base.tokens / base.count, base_seconds / 20);
    if (explained > deviation_seconds_ / 10) tokens_share_ = per_token / fixed;
  }
  // Two replies that happen to be alike prove nothing yet: a prior counts as some replies more.
  const double prior = kPriorVariation * kPriorVariation * mean * mean * kPriorReplies;
  const double left =
      (std::max(deviation_seconds_ - explained, 0.0) + prior) / (deviation_count_ + kPriorReplies);
  variation_ = std::clamp(std::sqrt(left) / mean, kVariationMin, 1.0);
}

void ConcurrencyLimit::JudgeQuick(const Sample& current) {
  const double ratio = Ratio(current);
  if (ratio > kCongestedQuick + Noise()) {
    Cut(current, 1 / ratio);
    phase_ = Phase::kCut;
    was_quick_ = true;
    return;
  }
  if (ratio < kCalm + Noise()) AddToBase(current);
  if (reached_limit_) Grow(limit_);
}

// Without queueing the base follows, so that it is a mean and not the luckiest interval.
void ConcurrencyLimit::AddToBase(const Sample& current) {
  const double kept = std::min(1.0, kBaseReplies / (base_->count + current.count));
  base_ = Sample{(base_->count + current.count) * kept, (base_->seconds + current.seconds) * kept,
                 (base_->tokens + current.tokens) * kept};
}

void ConcurrencyLimit::JudgeSteady(const Sample& current) {
  ++since_probe_;
  if (hold_ > 0) --hold_;
  const double ratio = Ratio(current);
  // Alone, a request waits for none of ours.
  if (ratio < kSame || limit_ == 1) {
    if (ratio < kFaster - Noise()) {
      base_ = current;
    } else {
      AddToBase(current);
    }
  }
  if (ratio > kCongested + Noise() && limit_ > 1) {
    Cut(current, std::max(kCutMost, 1.02 / ratio));
    phase_ = Phase::kCut;
    return;
  }
  if (since_probe_ >= kIntervalsBetweenProbes && limit_ > 1 && ratio >= kCalm) {
    before_ = current;
    limit_before_ = limit_;
    limit_ = Scaled(limit_, kProbeShare);
    phase_ = Phase::kProbe;
    return;
  }
  if (ratio < kCalm + Noise() / 2 && reached_limit_) {
    const std::size_t part = grown_in_a_row_ < kFewGrowths ? kGrowthPart : kFastGrowthPart;
    const std::size_t by = std::max<std::size_t>(1, limit_ / part);
    if (hold_ == 0 || congested_at_ == 0 || limit_ + by < congested_at_) {
      Grow(by);
      ++grown_in_a_row_;
    }
  } else {
    grown_in_a_row_ = 0;
  }
}

// If replies are as slow with fewer requests, they do not wait for each other: the server or its
// texts have become slower, and that is the new base.
void ConcurrencyLimit::JudgeCut(const Sample& current) {
  const double faster = 1 - current.PerReply(tokens_share_) / before_.PerReply(tokens_share_);
  const double lower = 1 - static_cast<double>(limit_) / static_cast<double>(limit_before_);
  if (faster < -kSlowerMeanwhile && limit_ > 1) {
    // The server changed in between, which answers nothing: asked once more.
    Cut(current, kCutMost);
    return;
  }
  phase_ = Phase::kSteady;
  const bool was_quick = std::exchange(was_quick_, false);
  if (faster < lower / 2) {
    if (was_quick) phase_ = Phase::kQuick;
    base_ = current;
    limit_ = limit_before_;
    congested_at_ = 0;
    hold_ = 0;
    return;
  }
  JudgeSteady(current);
}

void ConcurrencyLimit::JudgeProbe(const Sample& current) {
  const bool was_queueing = Ratio(current) < kFaster;
  base_ = current;
  limit_ = limit_before_;
  since_probe_ = was_queueing ? kIntervalsBetweenProbes - kIntervalsToNextProbe : 0;
  phase_ = Phase::kSteady;
}

void ConcurrencyLimit::Cut(const Sample& current, double factor) {
  before_ = current;
  limit_before_ = limit_;
  congested_at_ = limit_;
  grown_in_a_row_ = 0;
  hold_ = kHoldIntervals;
  limit_ = std::min(Scaled(limit_, factor), std::max<std::size_t>(1, limit_ - 1));
}

void ConcurrencyLimit::Grow(std::size_t by) { limit_ = std::min(options_.max, limit_ + by); }

}  // namespace embedflow
