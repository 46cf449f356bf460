#include "pipeline/run.h"

#include "base/log.h"

namespace embedflow {

void RunState::Fail(Status status) {
  {
    MutexLock lock(mu_);
    if (failure_.ok()) {
      Log(LogLevel::kInfo, "the run ends early: " + status.message());
      failure_ = std::move(status);
    }
  }
  Halt();
}

void RunState::Halt() {
  if (halting_.exchange(true)) return;
  budget.Stop();
  if (on_halt) on_halt();
}

Status RunState::failure() {
  MutexLock lock(mu_);
  return failure_;
}

}  // namespace embedflow
