// Counts durations in buckets that grow by an eighth, so that any quantile is known to about 6 %.
// Fixed size, whatever is counted. Threads: not thread-safe.
#ifndef EMBEDFLOW_BASE_HISTOGRAM_H_
#define EMBEDFLOW_BASE_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace embedflow {

class LatencyHistogram {
 public:
  void Add(Duration duration) {
    ++counts_[BucketOf(duration)];
    ++total_;
  }
  std::uint64_t total() const { return total_; }

  // The middle of the bucket that holds the quantile `q` in [0, 1], in milliseconds; 0 if nothing
  // was counted.
  double QuantileMillis(double q) const {
    if (total_ == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(total_ - 1));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen > rank) return MiddleMicros(i) / 1000.0;
    }
    return 0;
  }

 private:
  // Eight buckets an octave of microseconds; the last holds everything above about 12 days.
  static constexpr std::size_t kSteps = 8;
  static constexpr std::size_t kBuckets = 40 * kSteps;

  static std::size_t BucketOf(Duration duration) {
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(micros, 0));
    if (value < kSteps) return static_cast<std::size_t>(value);
    const auto octave =
        static_cast<int>(std::bit_width(value)) - 4;  // At least 0, as value is at least 8.
    const auto step = static_cast<std::size_t>((value >> octave) & (kSteps - 1));
    return std::min(kBuckets - 1, (static_cast<std::size_t>(octave) + 1) * kSteps + step);
  }
  static double MiddleMicros(std::size_t bucket) {
    if (bucket < kSteps) return static_cast<double>(bucket);
    const std::size_t octave = bucket / kSteps - 1;
    const auto width = static_cast<double>(std::uint64_t{1} << octave);
    return (static_cast<double>(kSteps + bucket % kSteps) + 0.5) * width;
  }

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_HISTOGRAM_H_
