// How a run's progress looks: pure functions of snapshots and of a clock value that is handed in.
#ifndef EMBEDFLOW_CLI_PROGRESS_H_
#define EMBEDFLOW_CLI_PROGRESS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "embedflow/pipeline.h"

namespace embedflow::cli {

// What stays the same during a run.
struct ProgressContext {
  std::string corpus;      // DIR as the user gave it.
  std::string space;       // Its name.
  bool is_remote = false;  // Requests cost time, and money or a server's patience.
  std::optional<double> requests_per_minute;
  std::optional<double> model_tokens_per_minute;
};

// What a line of progress is made of.
struct ProgressView {
  std::optional<double> fraction;  // Of the input settled, in [0, 1]; unset for standard input.
  std::uint64_t bytes_read = 0;
  std::uint64_t documents = 0;  // Settled.
  std::uint64_t chunks = 0;     // Settled: bought, reused or dead.
  std::uint64_t model_tokens = 0;
  std::optional<double> usd;
  double chunks_per_second = 0;  // Over the last 10 s.
  double bytes_per_second = 0;   // Of input read, over the last 10 s.
  double model_tokens_per_minute = 0;
  std::uint64_t requests_out = 0;
  std::uint64_t requests_out_max = 0;
  std::uint64_t retries = 0;
  std::uint64_t throttled = 0;
  std::uint64_t dead = 0;
  std::optional<double> seconds_left;
  // What the run waits for: "provider", "limit", "retry", "breaker", "input", "index", "stop", or
  // empty where the snapshot does not tell.
  std::string_view waits_for;
};

// Turns snapshots into views. Percent never falls; the time left never rises faster than the
// clock, is told only of bought work (a resumed run races past what it has) and not before 5 s
// of it.
// Threads: not thread-safe.
class ProgressTracker {
 public:
  explicit ProgressTracker(const ProgressContext& context) : context_(context) {}
  // `now_seconds` is a monotonic clock's value and never falls.
  ProgressView Update(const Progress& snapshot, double now_seconds);

 private:
  struct Sample {
    double at = 0;
    double fraction = 0;
    std::uint64_t chunks = 0;
    std::uint64_t bytes = 0;
    std::uint64_t model_tokens = 0;
  };
  // The newest sample that is at least `seconds` old, else the oldest one.
  const Sample& Before(double now, double seconds) const;
  std::optional<double> TimeLeft(double fraction, std::uint64_t bought, double now);

  const ProgressContext context_;
  std::deque<Sample> samples_;  // At most kSamplesMax.
  double fraction_ = 0;
  std::optional<double> bought_since_;
  std::optional<double> finish_at_;
  double finish_updated_at_ = 0;
};

// Four lines at most, none wider than `columns` - 1 (a full line would wrap on some terminals).
std::vector<std::string> Render(const ProgressView& view, const ProgressContext& context,
                                std::size_t columns, bool utf8, bool colour);

// One line of logfmt without time stamp and line end. `event` is "progress", "started", ...
std::string RenderPlain(const ProgressView& view, std::string_view event);

// When a plain line is due: at the first 10 s, then every 60 s, and when something changes.
// Threads: not thread-safe.
class PlainSchedule {
 public:
  // The event to print now, or empty.
  std::string_view Due(const ProgressView& view, double now_seconds);

 private:
  std::optional<double> next_at_;
  bool has_throttled_ = false;
  bool has_stopped_ = false;
  bool has_indexed_ = false;
  std::string_view waits_for_;
  double waits_since_ = 0;
  std::string_view waits_told_;
};

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_PROGRESS_H_
