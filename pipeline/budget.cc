#include "pipeline/budget.h"

#include <algorithm>

#include "base/check.h"

namespace embedflow {

std::size_t Budget::Take(std::size_t bytes) {
  const std::size_t wanted = std::clamp<std::size_t>(bytes, 1, bytes_max_);
  MutexLock lock(mu_);
  waiting_ = true;
  while (!stopped_ && used_ + wanted > bytes_max_) given_.Wait(mu_);
  waiting_ = false;
  if (stopped_) return 0;
  used_ += wanted;
  return wanted;
}

void Budget::Give(std::size_t bytes) {
  MutexLock lock(mu_);
  EF_CHECK(bytes <= used_);
  used_ -= bytes;
  given_.Signal();
}

void Budget::Stop() {
  MutexLock lock(mu_);
  stopped_ = true;
  given_.SignalAll();
}

std::size_t Budget::used() {
  MutexLock lock(mu_);
  return used_;
}

bool Budget::starving() {
  MutexLock lock(mu_);
  return waiting_;
}

}  // namespace embedflow
