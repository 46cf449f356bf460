#include "providers/rate_headers.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "providers/retry_after.h"

namespace embedflow {
namespace {

// Larger numbers of seconds are a point in time: 2001-09-09 and later.
constexpr double kUnixSecondsMin = 1e9;
// No limit a minute is larger.
constexpr double kLimitMax = 1e15;

struct Names {
  RateHint RateHints::*hint;
  std::string_view limit;
  std::string_view remaining;
  std::string_view reset;
  // The limit is of a minute. Otherwise it may be of a second or a day, and counts only with its
  // window: five a second taken for five a minute would throttle to nothing.
  bool is_per_minute = true;
};

// Of several the first that says something counts, field by field.
constexpr std::array<Names, 8> kNames = {{
    {&RateHints::requests, "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
     "x-ratelimit-reset-requests"},
    {&RateHints::model_tokens, "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens",
     "x-ratelimit-reset-tokens"},
    {&RateHints::requests, "x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", ""},
    {&RateHints::model_tokens, "x-ratelimit-limit-tokens-minute",
     "x-ratelimit-remaining-tokens-minute", ""},
    {&RateHints::model_tokens, "ratelimitbysize-limit", "ratelimitbysize-remaining",
     "ratelimitbysize-reset"},
    {&RateHints::model_tokens, "x-ratelimitbysize-limit-minute",
     "x-ratelimitbysize-remaining-minute", ""},
    {&RateHints::requests, "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", false},
    {&RateHints::requests, "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset",
     false},
}};

// The number `text` begins with; what follows it goes to `rest`.
std::optional<double> LeadingNumber(std::string_view text, std::string_view* rest) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (result.ec != std::errc{} || !std::isfinite(value) || std::abs(value) > kLimitMax) return {};
  *rest = {result.ptr, static_cast<std::size_t>(end - result.ptr)};
  if (!rest->empty() && rest->front() != ';' && rest->front() != ',' && rest->front() != ' ') {
    return {};
  }
  return value;
}

std::optional<double> ReadLimit(std::string_view text, bool is_per_minute) {
  std::string_view rest;
  const std::optional<double> value = LeadingNumber(text, &rest);
  if (!value || *value <= 0) return {};
  const std::size_t window_at = rest.find("w=");
  if (window_at == std::string_view::npos) return is_per_minute ? value : std::nullopt;
  const std::optional<double> seconds = LeadingNumber(rest.substr(window_at + 2), &rest);
  if (seconds && *seconds > 0) return *value * 60 / *seconds;
  return is_per_minute ? value : std::nullopt;
}

std::optional<double> ReadRemaining(std::string_view text) {
  std::string_view rest;
  const std::optional<double> value = LeadingNumber(text, &rest);
  return value && *value >= 0 ? value : std::nullopt;
}

std::optional<std::chrono::milliseconds> ReadReset(std::string_view text, const HttpReply& reply,
                                                   std::int64_t wall_now_ms) {
  std::string_view rest;
  const std::optional<double> seconds = LeadingNumber(text, &rest);
  if (seconds && *seconds >= kUnixSecondsMin) {
    const std::int64_t until = static_cast<std::int64_t>(*seconds * 1000);
    return std::chrono::milliseconds(
        std::max<std::int64_t>(0, until - ServerNowMs(reply, wall_now_ms)));
  }
  return ReadWait(text);
}

}  // namespace

RateHints ReadRateHints(const HttpReply& reply, std::int64_t wall_now_ms) {
  RateHints hints;
  for (const Names& names : kNames) {
    RateHint& hint = hints.*names.hint;
    if (!hint.limit) hint.limit = ReadLimit(HeaderOf(reply, names.limit), names.is_per_minute);
    if (!hint.remaining) hint.remaining = ReadRemaining(HeaderOf(reply, names.remaining));
    if (!hint.reset && !names.reset.empty()) {
      hint.reset = ReadReset(HeaderOf(reply, names.reset), reply, wall_now_ms);
    }
  }
  return hints;
}

}  // namespace embedflow
