// What was done when: runs and samples of their counters, for reports.
#ifndef EMBEDFLOW_STORE_RUNS_H_
#define EMBEDFLOW_STORE_RUNS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "store/database.h"
#include "store/store.h"

namespace embedflow {

// Samples kept of one run. At the limit every second one goes, and from then on only every second
// one comes in: a long run keeps an even picture of all of it.
inline constexpr std::int64_t kRunSamplesMax = 2000;

std::uint64_t RunSum(std::int64_t run, SpaceId space, std::uint64_t in_flight_max,
                     std::int64_t began_ms, std::int64_t ended_ms, std::string_view summary);
std::uint64_t SampleSum(std::int64_t run, std::int64_t sample, std::int64_t wall_ms,
                        std::string_view progress);

// Every function is to be called inside a transaction of the writer.
// Threads: not thread-safe. Writer and clock must outlive it.
class Runs {
 public:
  static Result<std::unique_ptr<Runs>> Open(Writer* writer, const Clock& clock);
  Result<Store::RunBegin> Begin(SpaceId space, std::uint64_t in_flight_max);
  // Whether the next AddSample would write anything, so that no transaction is spent on nothing.
  bool wants_sample(std::int64_t run) const;
  void SkipSample() { ++offered_; }
  Status AddSample(std::int64_t run, const Progress& progress);
  Status End(std::int64_t run, const RunSummary& summary);
  // Texts that may have been paid for and have no vector; they may be known already, or not.
  Status RememberMaybePaid(SpaceId space, std::span<const ContentHash> texts);
  Status ForgetMaybePaid(SpaceId space, std::span<const ContentHash> texts);

 private:
  Runs(Writer* writer, const Clock& clock) : writer_(writer), clock_(clock) {}
  Status Close(std::int64_t run, std::string_view summary);
  Status HalveSamples(std::int64_t run);
  Result<std::vector<ContentHash>> MaybePaid(SpaceId space);

  Writer* const writer_;
  const Clock& clock_;
  // Of the run in hand.
  std::int64_t run_ = 0;
  std::int64_t offered_ = 0;  // Samples offered.
  std::int64_t kept_ = 0;
  std::int64_t stride_ = 1;  // Every how many of them are kept.
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_RUNS_H_
