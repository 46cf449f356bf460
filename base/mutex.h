// A mutex, its lock and a condition variable that clang's -Wthread-safety understands.
#ifndef EMBEDFLOW_BASE_MUTEX_H_
#define EMBEDFLOW_BASE_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/thread_annotations.h"

namespace embedflow {

class EF_CAPABILITY("mutex") Mutex {
 public:
  void Lock() EF_ACQUIRE() { mu_.lock(); }
  void Unlock() EF_RELEASE() { mu_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mu_;
};

class EF_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mu) EF_ACQUIRE(mu) : mu_(mu) { mu_.Lock(); }
  ~MutexLock() EF_RELEASE() { mu_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mu_;
};

// Never waited on by a TBB thread.
class CondVar {
 public:
  void Wait(Mutex& mu) EF_REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // Returns false on time-out. Uses the steady clock.
  template <typename Rep, typename Period>
  bool WaitFor(Mutex& mu, std::chrono::duration<Rep, Period> timeout) EF_REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    const bool woken = condition_.wait_for(lock, timeout) == std::cv_status::no_timeout;
    lock.release();
    return woken;
  }
  void Signal() { condition_.notify_one(); }
  void SignalAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_MUTEX_H_
