// Time, injectable. Policies take a TimePoint; whoever needs to read the time holds a Clock&.
#ifndef EMBEDFLOW_BASE_CLOCK_H_
#define EMBEDFLOW_BASE_CLOCK_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace embedflow {

using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

// Threads: Now() and WallMillis() may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic; not comparable between processes.
  virtual TimePoint Now() const = 0;
  // Milliseconds since 1970, for records and HTTP dates only: it may jump.
  virtual std::int64_t WallMillis() const = 0;
};

// The machine's clocks; lives forever.
Clock& SystemClock();

// "2026-11-22T17:40:10Z".
std::string FormatUtc(std::int64_t wall_ms);

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_CLOCK_H_
