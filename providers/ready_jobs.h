// Which of the jobs that are due goes next when a connection is free.
#ifndef EMBEDFLOW_PROVIDERS_READY_JOBS_H_
#define EMBEDFLOW_PROVIDERS_READY_JOBS_H_

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "providers/transport.h"

namespace embedflow {

// Hosts take turns and each has at most so many jobs under way, so that one that does not answer
// leaves room for the others; the jobs of one host keep their order. Push() what is due, Pop()
// while there is room, Release() what has ended. Threads: not thread-safe.
class ReadyJobs {
 public:
  // `host_active_max` must be at least 1.
  explicit ReadyJobs(std::size_t host_active_max) : host_active_max_(host_active_max) {}

  void Push(TransportJob job);
  // The next job, which counts as under way from now on; nothing where every host that has jobs has
  // no room.
  std::optional<TransportJob> Pop();
  // A job for `url` is not under way any more.
  void Release(std::string_view url);
  // All that was pushed and not popped.
  std::vector<TransportJob> TakeAll();
  // True if Pop() would return a job.
  bool has_next() const;

 private:
  struct Host {
    std::deque<TransportJob> jobs;
    std::size_t active = 0;
  };

  // Constant after construction.
  const std::size_t host_active_max_;
  // Hosts with jobs waiting or under way, by "host:port" as the URL says it.
  std::map<std::string, Host, std::less<>> hosts_;
  std::string last_;  // Whose turn it was.
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_READY_JOBS_H_
