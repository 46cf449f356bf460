#include "providers/retry_after.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

namespace embedflow {
namespace {

constexpr double kWaitMaxMs = 365.0 * 24 * 3600 * 1000;

std::optional<double> ReadNumber(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  // More digits than a double takes is a long time, not no time.
  if (result.ec == std::errc::result_out_of_range && result.ptr == end) return kWaitMaxMs;
  if (result.ec != std::errc{} || result.ptr != end || !std::isfinite(value)) return {};
  return value;
}

std::optional<double> ReadDateMs(std::string_view text) {
  // curl_getdate takes nearly anything for a date; one begins with the day's name.
  if (text.empty() || text.front() < 'A') return {};
  const std::time_t seconds = curl_getdate(std::string(text).c_str(), nullptr);
  if (seconds == -1) return {};
  return static_cast<double>(seconds) * 1000;
}

std::optional<std::chrono::milliseconds> Wait(std::optional<double> ms) {
  if (!ms || *ms < 0) return {};
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(std::min(*ms, kWaitMaxMs))));
}

}  // namespace

std::string_view HeaderOf(const HttpReply& reply, std::string_view name) {
  for (const auto& [key, value] : reply.headers) {
    if (key == name) return value;
  }
  return {};
}

std::optional<std::chrono::milliseconds> ReadRetryAfter(const HttpReply& reply,
                                                        std::int64_t wall_now_ms) {
  if (const auto wait = Wait(ReadNumber(HeaderOf(reply, "retry-after-ms")))) return wait;
  const std::string_view text = HeaderOf(reply, "retry-after");
  if (const auto seconds = ReadNumber(text)) return Wait(*seconds * 1000);
  const std::optional<double> date = ReadDateMs(text);
  if (!date) return {};
  const double now = ReadDateMs(HeaderOf(reply, "date")).value_or(static_cast<double>(wall_now_ms));
  // A date that has passed asks for no wait.
  return Wait(std::max(0.0, *date - now));
}

}  // namespace embedflow
