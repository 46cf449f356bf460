#include "cli/progress.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include "cli/format.h"
#include "cli/terminal.h"

namespace embedflow::cli {
namespace {

constexpr double kRateSeconds = 10;
constexpr double kLeftSeconds = 60;       // The time left goes by the rate of the last minute.
constexpr double kSampleSeconds = 0.5;    // Between samples.
constexpr std::size_t kSamplesMax = 130;  // kLeftSeconds of them and a few more.
constexpr double kBoughtSecondsMin = 5;   // Before a time left is told.
constexpr double kSmoothingSeconds = 3;   // Time constant of the time of completion.
constexpr double kLeftSecondsMax = 99 * 3600;
constexpr double kPlainFirstSeconds = 10;
constexpr double kPlainEverySeconds = 60;
constexpr double kWaitsSecondsMin = 10;  // A shorter wait is no news.
constexpr std::size_t kColumnsMax = 80;  // Wider terminals get no wider bar.
constexpr std::size_t kColumnsMin = 20;

double Gained(std::uint64_t then, std::uint64_t now) {
  return now > then ? static_cast<double>(now - then) : 0.0;
}

std::uint64_t Settled(const RunSummary::Documents& documents) {
  return documents.unchanged + documents.ingested + documents.replaced + documents.empty +
         documents.dead + documents.cancelled;
}

// What the source has read is ahead of what is settled by what is in flight; documents stand for
// bytes in that gap.
double SettledFraction(const Progress& snapshot, std::uint64_t total) {
  const RunSummary::Documents& documents = snapshot.so_far.documents;
  if (total == 0) return snapshot.indexing ? 1 : 0;
  const double settled = documents.read == 0 ? 0.0
                                             : static_cast<double>(Settled(documents)) /
                                                   static_cast<double>(documents.read);
  const double read = static_cast<double>(snapshot.source.bytes_read) / static_cast<double>(total);
  return std::clamp(read * std::min(settled, 1.0), 0.0, 1.0);
}

std::string_view WaitsFor(const Progress& snapshot, const ProgressContext& context) {
  if (snapshot.indexing) return "index";
  if (snapshot.stopping) return "stop";
  if (!context.is_remote) return {};
  const std::string_view told = snapshot.waits_for;
  if (!told.empty()) return told;
  if (snapshot.requests_in_flight >= snapshot.requests_in_flight_max) return "provider";
  if (snapshot.requests_in_flight == 0 && snapshot.admitted_bytes == 0) return "input";
  return {};
}

std::string Percent(double fraction) {
  // Rounded down: 100 is for a run that has nothing left.
  return std::to_string(static_cast<int>(std::floor(fraction * 100 + 1e-9)));
}

std::string Bar(double fraction, std::size_t width, bool utf8) {
  if (!utf8) {
    const auto full = static_cast<std::size_t>(fraction * static_cast<double>(width));
    return std::string(full, '#') + std::string(width - full, '-');
  }
  constexpr std::array<const char*, 8> kParts = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = static_cast<std::size_t>(fraction * static_cast<double>(width) * 8);
  std::string bar;
  for (std::size_t i = 0; i < eighths / 8; ++i) bar += "█";
  bar += kParts[eighths % 8];
  return PadRight(std::move(bar), width);
}

std::string JoinWide(const std::vector<std::string>& parts) {
  std::string line;
  for (const std::string& part : parts) line += (line.empty() ? "" : "   ") + part;
  return line;
}

std::string MoneyText(const ProgressView& view, const ProgressContext& context) {
  if (!context.is_remote || view.model_tokens == 0) return {};
  return view.usd ? Usd(*view.usd) : "price unknown";
}

std::string WaitsText(const ProgressView& view, const ProgressContext& context) {
  if (view.waits_for == "index") return "all is committed; writing the index";
  if (view.waits_for == "stop") {
    return "stopping: waits for " + Count(view.requests_out, "request") + ", then commits";
  }
  if (view.waits_for == "provider") {
    return "waits for the provider; all " + std::to_string(view.requests_out_max) +
           " that may be out are (--max-concurrency)";
  }
  if (view.waits_for == "limit") {
    std::string limits;
    if (context.requests_per_minute) limits = Short(*context.requests_per_minute) + " requests";
    if (context.model_tokens_per_minute) {
      limits += (limits.empty() ? "" : ", ") + Short(*context.model_tokens_per_minute) + " tokens";
    }
    // Without limits of our own the provider's headers have told one.
    if (limits.empty()) return "waits for the rate limit that the provider has told";
    return "waits for the rate limit, " + limits + " a minute";
  }
  if (view.waits_for == "retry") {
    return "waits a while after an error, then sends again what failed";
  }
  if (view.waits_for == "breaker") {
    return "the provider keeps failing; left alone for a while, then asked again";
  }
  if (view.waits_for == "input") {
    return "waits for the input: " + Bytes(static_cast<std::uint64_t>(view.bytes_per_second)) +
           "/s";
  }
  return {};
}

std::string BarLine(const ProgressView& view, std::size_t columns, bool utf8, bool colour) {
  std::vector<std::string> facts = {Count(view.chunks, "chunk")};
  if (view.seconds_left) facts.push_back(Duration(*view.seconds_left) + " left");
  const std::string right = JoinWide(facts);
  if (!view.fraction) {
    return "      " + Bytes(view.bytes_read) + " read   " + right;
  }
  const std::string left = PadLeft(Percent(*view.fraction), 3) + " % ";
  std::string line = Bold(left, colour);
  const std::size_t used = Columns(left) + Columns(right) + 2;
  if (columns > used + 4) {
    line += Bar(*view.fraction, std::min<std::size_t>(columns - used, 36), utf8) + "  ";
  }
  return line + right;
}

}  // namespace

const ProgressTracker::Sample& ProgressTracker::Before(double now, double seconds) const {
  const Sample* found = &samples_.front();
  for (const Sample& sample : samples_) {
    if (now - sample.at < seconds) break;
    found = &sample;
  }
  return *found;
}

std::optional<double> ProgressTracker::TimeLeft(double fraction, std::uint64_t bought, double now) {
  if (bought > 0 && !bought_since_) bought_since_ = now;
  if (!bought_since_ || now - *bought_since_ < kBoughtSecondsMin || fraction >= 1) {
    return std::nullopt;
  }
  const Sample& then = Before(now, std::min(kLeftSeconds, now - *bought_since_));
  const double gained = fraction - then.fraction;
  std::optional<double> raw_finish;
  if (gained > 0 && now > then.at) {
    raw_finish = now + (1 - fraction) * (now - then.at) / gained;
  }
  if (!finish_at_) {
    finish_at_ = raw_finish;
  } else {
    const double passed = now - finish_updated_at_;
    const double weight = 1 - std::exp(-passed / kSmoothingSeconds);
    // Without any gain the run would never end; the bound below makes a wait of that.
    const double wanted =
        raw_finish ? *finish_at_ + weight * (*raw_finish - *finish_at_) : *finish_at_ + 2 * passed;
    finish_at_ = std::min(wanted, *finish_at_ + 2 * passed);
  }
  finish_updated_at_ = now;
  if (!finish_at_) return std::nullopt;
  const double left = std::max(*finish_at_ - now, 0.0);
  return left <= kLeftSecondsMax ? std::optional<double>(left) : std::nullopt;
}

ProgressView ProgressTracker::Update(const Progress& snapshot, double now_seconds) {
  const RunSummary& run = snapshot.so_far;
  ProgressView view;
  view.bytes_read = snapshot.source.bytes_read;
  view.documents = Settled(run.documents);
  view.chunks = run.chunks.embedded + run.chunks.reused + run.chunks.dead;
  view.model_tokens = run.provider.model_tokens;
  view.usd = run.cost_usd;
  view.requests_out = snapshot.requests_in_flight;
  view.requests_out_max = snapshot.requests_in_flight_max;
  view.retries = run.provider.retries;
  view.throttled = run.provider.throttled;
  view.dead = run.documents.dead + run.chunks.dead;
  view.waits_for = WaitsFor(snapshot, context_);
  if (snapshot.source.bytes_total) {
    fraction_ = std::max(fraction_, SettledFraction(snapshot, *snapshot.source.bytes_total));
    view.fraction = fraction_;
  }
  if (samples_.empty() || now_seconds - samples_.back().at >= kSampleSeconds) {
    samples_.push_back({now_seconds, fraction_, view.chunks, view.bytes_read, view.model_tokens});
    if (samples_.size() > kSamplesMax) samples_.pop_front();
  }
  const Sample& then = Before(now_seconds, kRateSeconds);
  const double passed = now_seconds - then.at;
  if (passed > 0) {
    view.chunks_per_second = Gained(then.chunks, view.chunks) / passed;
    view.bytes_per_second = Gained(then.bytes, view.bytes_read) / passed;
    view.model_tokens_per_minute = Gained(then.model_tokens, view.model_tokens) / passed * 60;
  }
  if (view.fraction) view.seconds_left = TimeLeft(fraction_, run.chunks.embedded, now_seconds);
  return view;
}

std::vector<std::string> Render(const ProgressView& view, const ProgressContext& context,
                                std::size_t columns, bool utf8, bool colour) {
  if (columns == 0) columns = kDefaultColumns;
  columns = std::clamp(columns, kColumnsMin, kColumnsMax) - 1;
  std::vector<std::string> lines;
  lines.push_back(
      CutToColumns(OneLine(context.corpus) + "  " + OneLine(context.space), columns, utf8));
  // Colour takes bytes and no columns, so the line is cut before it is coloured.
  std::string bar = BarLine(view, columns, utf8, false);
  lines.push_back(Columns(bar) <= columns ? BarLine(view, columns, utf8, colour)
                                          : CutToColumns(bar, columns, utf8));
  std::vector<std::string> rates = {Short(view.chunks_per_second) + " chunks/s"};
  if (context.is_remote && view.model_tokens > 0) {
    rates.push_back(Short(view.model_tokens_per_minute) + " tokens/min");
    rates.push_back(Short(static_cast<double>(view.model_tokens)) + " tokens");
    rates.push_back(MoneyText(view, context));
  }
  if (!context.is_remote && view.dead > 0) rates.push_back(Count(view.dead, "dead letter"));
  lines.push_back(CutToColumns("      " + JoinWide(rates), columns, utf8));
  if (context.is_remote) {
    std::vector<std::string> wire = {std::to_string(view.requests_out) + " of " +
                                     Count(view.requests_out_max, "request") + " out"};
    if (view.retries > 0) wire.push_back(WithCommas(view.retries) + " sent again");
    if (view.throttled > 0) wire.push_back(WithCommas(view.throttled) + " throttled");
    if (view.dead > 0) wire.push_back(Count(view.dead, "dead letter"));
    lines.push_back(CutToColumns("      " + JoinWide(wire), columns, utf8));
  }
  const std::string waits = WaitsText(view, context);
  if (!waits.empty()) lines.push_back(CutToColumns("      " + waits, columns, utf8));
  return lines;
}

std::string RenderPlain(const ProgressView& view, std::string_view event) {
  std::string line(event);
  const auto add = [&line](std::string_view key, const std::string& value) {
    line += " " + std::string(key) + "=" + value;
  };
  const auto fixed = [](const char* format, double value) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), format, value);
    return std::string(text.data());
  };
  // Rounded down as the bar's, so that 100.0 is the end.
  if (view.fraction) add("percent", fixed("%.1f", std::floor(*view.fraction * 1000) / 10));
  add("bytes", std::to_string(view.bytes_read));
  add("documents", std::to_string(view.documents));
  add("chunks", std::to_string(view.chunks));
  add("rate", fixed("%.0f", view.chunks_per_second));
  if (view.model_tokens > 0) add("tokens", std::to_string(view.model_tokens));
  if (view.usd && *view.usd > 0) add("usd", fixed("%.4f", *view.usd));
  if (view.seconds_left) add("left_s", fixed("%.0f", *view.seconds_left));
  add("out", std::to_string(view.requests_out) + "/" + std::to_string(view.requests_out_max));
  if (view.retries > 0) add("again", std::to_string(view.retries));
  if (view.throttled > 0) add("throttled", std::to_string(view.throttled));
  if (view.dead > 0) add("dead", std::to_string(view.dead));
  if (!view.waits_for.empty()) add("waits", std::string(view.waits_for));
  return line;
}

std::string_view PlainSchedule::Due(const ProgressView& view, double now_seconds) {
  if (!next_at_) {
    next_at_ = now_seconds + kPlainFirstSeconds;
    return "started";
  }
  const auto once = [](bool* told, bool holds) { return holds && !std::exchange(*told, true); };
  if (once(&has_stopped_, view.waits_for == "stop")) return "stopping";
  if (once(&has_indexed_, view.waits_for == "index")) return "indexing";
  if (once(&has_throttled_, view.throttled > 0)) return "throttled";
  if (view.waits_for != waits_for_) {
    waits_for_ = view.waits_for;
    waits_since_ = now_seconds;
  }
  const bool is_news = !waits_for_.empty() && waits_for_ != "index" && waits_for_ != "stop" &&
                       waits_for_ != waits_told_ && now_seconds - waits_since_ > kWaitsSecondsMin;
  if (is_news) {
    waits_told_ = waits_for_;
    return "waits";
  }
  if (now_seconds < *next_at_) return {};
  *next_at_ = now_seconds + kPlainEverySeconds;
  return "progress";
}

}  // namespace embedflow::cli
