// Push mode as a Source: a program's loop on one side, the source's thread on the other.
#ifndef EMBEDFLOW_PIPELINE_PUSH_SOURCE_H_
#define EMBEDFLOW_PIPELINE_PUSH_SOURCE_H_

#include <deque>

#include "base/mutex.h"
#include "embedflow/source.h"

namespace embedflow {

// Threads: Push and End by the program; the rest as Source says.
class PushSource : public Source {
 public:
  // Documents waiting to be admitted; the budget behind them bounds the rest.
  static constexpr std::size_t kQueueMax = 64;

  // Waits for room. False once the run reads no more.
  bool Push(Document document) EF_EXCLUDES(mu_);
  // No more will come.
  void End() EF_EXCLUDES(mu_);

  Result<bool> Next(Record* record) override EF_EXCLUDES(mu_);
  void Stop() override EF_EXCLUDES(mu_);

 private:
  Mutex mu_;
  CondVar changed_;
  std::deque<Document> queue_ EF_GUARDED_BY(mu_);
  bool ended_ EF_GUARDED_BY(mu_) = false;
  bool stopped_ EF_GUARDED_BY(mu_) = false;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_PUSH_SOURCE_H_
