// The door of the pipeline: bytes admitted and not yet settled never pass a maximum, so every queue
// behind it is bounded.
#ifndef EMBEDFLOW_PIPELINE_BUDGET_H_
#define EMBEDFLOW_PIPELINE_BUDGET_H_

#include <cstddef>

#include "base/mutex.h"

namespace embedflow {

// Threads: Take by the source thread; Give, Stop and the getters by any.
class Budget {
 public:
  explicit Budget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // Waits until `bytes` (cut to the maximum: one document larger than everything travels alone)
  // fit, and takes them. Returns what was taken, which Give must return; 0 if stopped, and nothing
  // is then taken.
  std::size_t Take(std::size_t bytes) EF_EXCLUDES(mu_);
  void Give(std::size_t bytes) EF_EXCLUDES(mu_);
  // Ends the waiting, now and from now on.
  void Stop() EF_EXCLUDES(mu_);

  std::size_t used() EF_EXCLUDES(mu_);
  std::size_t bytes_max() const { return bytes_max_; }
  // True while a Take waits: what lingers inside should move on.
  bool starving() EF_EXCLUDES(mu_);

 private:
  const std::size_t bytes_max_;
  Mutex mu_;
  CondVar given_;
  std::size_t used_ EF_GUARDED_BY(mu_) = 0;
  bool waiting_ EF_GUARDED_BY(mu_) = false;
  bool stopped_ EF_GUARDED_BY(mu_) = false;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_BUDGET_H_
