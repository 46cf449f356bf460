// The disk thread: makes vectors and documents durable in groups, in the order of the crash
// protocol.
#ifndef EMBEDFLOW_PIPELINE_DISK_WRITER_H_
#define EMBEDFLOW_PIPELINE_DISK_WRITER_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/thread_role.h"
#include "pipeline/indexer.h"
#include "pipeline/run.h"

namespace embedflow {

// What the writer tells others. Both are called on the writer's thread.
struct DiskWriterSinks {
  // Every batch that was submitted comes back once, settled, with the documents that were completed
  // in its group.
  std::function<void(BatchPtr)> settle;
  // Tokens of documents that are durable.
  std::function<void(std::span<const std::uint64_t>)> committed;
};

// A group is what has gathered: kGroupChunks, or kGroupBytes of vectors, or whatever is there
// kLinger after the first. Its queue is bounded by the budget: everything in it was admitted.
// Threads: Submit, Hurry from any; the rest from the thread that made it.
class DiskWriter {
 public:
  static constexpr std::size_t kGroupChunks = 4096;
  static constexpr std::size_t kGroupBytes = 24u << 20;
  static constexpr std::chrono::milliseconds kLinger{250};
  // How often the run's counters are sampled into the store.
  static constexpr std::chrono::seconds kSampleInterval{10};

  // `indexer` may be null (no index file); it and `run` outlive the writer. `sample` gives the
  // counters of now.
  DiskWriter(RunState& run, Indexer* indexer, DiskWriterSinks sinks,
             std::function<Progress()> sample);
  // Everything submitted must have been settled.
  ~DiskWriter();

  void Submit(BatchPtr batch) EF_EXCLUDES(mu_);
  // Commits what there is without lingering, now and from now on: nothing more will come soon.
  void Hurry() EF_EXCLUDES(mu_);

 private:
  void Main();
  std::vector<BatchPtr> NextGroup() EF_EXCLUDES(mu_);
  void Process(const std::vector<BatchPtr>& group) EF_REQUIRES(role_);
  Status PutVectors(const std::vector<BatchPtr>& group) EF_REQUIRES(role_);
  // The batch's vectors are durable: none of its texts is in flight any more. Returns how many of
  // them may have been paid for before.
  std::uint64_t ClearInFlight(Batch& batch) EF_REQUIRES(role_);
  // What was bought, for other corpora.
  void PutIntoCache(const std::vector<BatchPtr>& group) EF_REQUIRES(role_);
  void Resolve(Batch& batch) EF_REQUIRES(role_);
  void ResolveChunk(const Claimed& chunk, const Batch& batch, bool owner) EF_REQUIRES(role_);
  Status Commit() EF_REQUIRES(role_);
  Status Acknowledge(const CommitResult& result, const std::vector<DocumentPtr>& documents)
      EF_REQUIRES(role_);
  void CountDocuments(const CommitResult& result, const std::vector<DocumentPtr>& documents)
      EF_REQUIRES(role_);
  void Index(const CommitResult& result, const std::vector<DocumentPtr>& documents)
      EF_REQUIRES(role_);
  void SampleIfDue() EF_REQUIRES(role_);

  // Constant after construction.
  RunState& run_;
  Indexer* const indexer_;
  const DiskWriterSinks sinks_;
  const std::function<Progress()> sample_;

  Mutex mu_;
  CondVar changed_;
  std::deque<BatchPtr> queue_ EF_GUARDED_BY(mu_);
  std::size_t queued_chunks_ EF_GUARDED_BY(mu_) = 0;
  TimePoint first_queued_ EF_GUARDED_BY(mu_){};
  bool hurry_ EF_GUARDED_BY(mu_) = false;
  bool stop_ EF_GUARDED_BY(mu_) = false;

  // DiskWriter thread only.
  ThreadRole role_;
  std::vector<DocumentPtr> finished_ EF_GUARDED_BY(role_);  // Complete, not yet committed.
  // Of maybe_paid, bought and not yet forgotten by a commit.
  std::vector<ContentHash> bought_again_ EF_GUARDED_BY(role_);
  bool unacknowledged_ EF_GUARDED_BY(role_) = false;  // on_commit failed: it is not called again.
  TimePoint sampled_ EF_GUARDED_BY(role_){};

  std::thread thread_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_DISK_WRITER_H_
