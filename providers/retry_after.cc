#include "providers/retry_after.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
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

struct Unit {
  std::string_view name;
  double ms;
};
// Longer names stand before those they begin with.
constexpr std::array<Unit, 7> kGoUnits = {{{"ms", 1},
                                           {"us", 1e-3},
                                           {"\xC2\xB5s", 1e-3},
                                           {"ns", 1e-6},
                                           {"h", 3.6e6},
                                           {"m", 6e4},
                                           {"s", 1e3}}};
constexpr std::array<Unit, 5> kWordUnits = {
    {{" millisecond", 1}, {" second", 1e3}, {" minute", 6e4}, {" hour", 3.6e6}, {" day", 8.64e7}}};

template <std::size_t N>
const Unit* UnitAt(std::string_view text, const std::array<Unit, N>& units) {
  for (const Unit& unit : units) {
    if (text.starts_with(unit.name)) return &unit;
  }
  return nullptr;
}

// Reads "1h2m3.5s" from the beginning of `text`; `rest` is what follows.
std::optional<double> ReadGoMs(std::string_view text, std::string_view* rest) {
  double sum = 0;
  bool any = false;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    double value = 0;
    const char* const end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    if (result.ec != std::errc{}) return {};
    const std::string_view behind(result.ptr, static_cast<std::size_t>(end - result.ptr));
    const Unit* const unit = UnitAt(behind, kGoUnits);
    if (unit == nullptr) break;
    sum += value * unit->ms;
    any = true;
    text = behind.substr(unit->name.size());
  }
  *rest = text;
  if (!any || !std::isfinite(sum)) return {};
  return sum;
}

}  // namespace

std::string_view HeaderOf(const HttpReply& reply, std::string_view name) {
  for (const auto& [key, value] : reply.headers) {
    if (key == name) return value;
  }
  return {};
}

std::int64_t ServerNowMs(const HttpReply& reply, std::int64_t wall_now_ms) {
  const std::optional<double> date = ReadDateMs(HeaderOf(reply, "date"));
  return date ? static_cast<std::int64_t>(*date) : wall_now_ms;
}

std::optional<std::chrono::milliseconds> ReadWait(std::string_view text) {
  if (const auto seconds = ReadNumber(text)) return Wait(*seconds * 1000);
  std::string_view rest;
  const std::optional<double> ms = ReadGoMs(text, &rest);
  return rest.empty() ? Wait(ms) : std::nullopt;
}

std::optional<std::chrono::milliseconds> ReadRetryAfter(const HttpReply& reply,
                                                        std::int64_t wall_now_ms) {
  if (const auto wait = Wait(ReadNumber(HeaderOf(reply, "retry-after-ms")))) return wait;
  const std::string_view text = HeaderOf(reply, "retry-after");
  if (const auto wait = ReadWait(text)) return wait;
  const std::optional<double> date = ReadDateMs(text);
  if (!date) return {};
  // A date that has passed asks for no wait.
  return Wait(std::max(0.0, *date - static_cast<double>(ServerNowMs(reply, wall_now_ms))));
}

std::optional<std::chrono::milliseconds> ReadRetryWords(std::string_view words) {
  for (const std::string_view phrase : {"retry after ", "try again in ", "retry in "}) {
    const std::size_t at = words.find(phrase);
    if (at == std::string_view::npos) continue;
    const std::string_view text = words.substr(at + phrase.size());
    std::string_view rest;
    if (const auto ms = ReadGoMs(text, &rest)) return Wait(ms);
    double value = 0;
    const char* const end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    if (result.ec != std::errc{} || !std::isfinite(value)) continue;
    const Unit* const unit =
        UnitAt({result.ptr, static_cast<std::size_t>(end - result.ptr)}, kWordUnits);
    if (unit != nullptr) return Wait(value * unit->ms);
  }
  return {};
}

}  // namespace embedflow
