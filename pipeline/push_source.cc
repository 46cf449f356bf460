#include "pipeline/push_source.h"

#include <utility>

namespace embedflow {

bool PushSource::Push(Document document) {
  MutexLock lock(mu_);
  while (queue_.size() >= kQueueMax && !stopped_) changed_.Wait(mu_);
  if (stopped_) return false;
  queue_.push_back(std::move(document));
  changed_.SignalAll();
  return true;
}

void PushSource::End() {
  MutexLock lock(mu_);
  ended_ = true;
  changed_.SignalAll();
}

Result<bool> PushSource::Next(Record* record) {
  MutexLock lock(mu_);
  while (queue_.empty() && !ended_ && !stopped_) changed_.Wait(mu_);
  if (stopped_ || queue_.empty()) return false;
  *record = {};
  record->document = std::move(queue_.front());
  record->bytes = record->document.text.size();
  queue_.pop_front();
  changed_.SignalAll();
  return true;
}

void PushSource::Stop() {
  MutexLock lock(mu_);
  stopped_ = true;
  changed_.SignalAll();
}

}  // namespace embedflow
