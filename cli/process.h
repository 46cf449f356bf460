// The process as such: its descriptors, signals and limits.
#ifndef EMBEDFLOW_CLI_PROCESS_H_
#define EMBEDFLOW_CLI_PROCESS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

namespace embedflow::cli {

// First thing in main: descriptors 0 to 2 are open (so that no store file gets their numbers, where
// a stray message would overwrite it), files are made for their owner only, and a closed pipe or a
// file size limit is an error to report, not death by signal.
void PrepareProcess();

// From now on a crash leaves no core file, which would hold keys.
void ForbidCoreFiles();

// Bytes of memory this process has had at most.
std::uint64_t PeakRssBytes();

// Takes SIGINT and SIGTERM from the time it is made until it is destroyed, on a thread of its own.
// Must be made before any other thread, which would not inherit the blocked signals.
// Threads: `handler` runs on that thread; count() and first() may be called by any.
class StopSignals {
 public:
  // `handler` gets the signal and how many have come, this one included. It must return quickly.
  // The third signal ends the process at once.
  explicit StopSignals(std::function<void(int signal, int count)> handler);
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  int count() const { return count_; }
  // The first signal that came; 0 if none.
  int first() const { return first_; }

 private:
  void Run();

  const std::function<void(int, int)> handler_;
  int signals_ = -1;  // A signalfd.
  int quit_ = -1;     // An eventfd.
  std::atomic<int> count_{0};
  std::atomic<int> first_{0};
  std::thread thread_;
};

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_PROCESS_H_
