// The process as such: its descriptors, signals and limits.
#ifndef EMBEDFLOW_CLI_PROCESS_H_
#define EMBEDFLOW_CLI_PROCESS_H_

#include <cstdint>
#include <functional>
#include <thread>

namespace embedflow::cli {

// First thing in main: descriptors 0 to 2 are open (so that no store file gets their numbers, where
// a stray message would overwrite it), files are made for their owner only, and a closed pipe or a
// file size limit is an error to report, not death by signal.
void PrepareProcess();

// From now on a crash leaves no core file, which would hold keys, and no other process of the same
// user can read this one's memory or, in /proc, its environment. Called before a key is read. With
// sanitizers, which look into the process themselves, only the core file is forbidden.
void ForbidCoreFiles();

// Bytes of memory this process has had at most.
std::uint64_t PeakRssBytes();

// Takes SIGINT, SIGTERM and, unless the process was started to ignore it, SIGHUP from the time it
// is made until it is destroyed. One a process. Threads: `handler` runs on a thread of its own;
// count() and first() may be called by any.
class StopSignals {
 public:
  // `handler` gets the signal and how many have come, this one included. The third signal ends the
  // process at once, whatever its threads are doing.
  explicit StopSignals(std::function<void(int signal, int count)> handler);
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  int count() const;
  // The first signal that came; 0 if none.
  int first() const;

 private:
  void Run();

  const std::function<void(int, int)> handler_;
  int pipe_[2] = {-1, -1};
  std::thread thread_;
};

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_PROCESS_H_
