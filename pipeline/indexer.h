// The index's own thread: adds what was committed, and writes the file at the end of the run.
#ifndef EMBEDFLOW_PIPELINE_INDEXER_H_
#define EMBEDFLOW_PIPELINE_INDEXER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "base/mutex.h"
#include "embedflow/types.h"
#include "pipeline/run.h"
#include "store/store.h"

namespace embedflow {

// Chunks of one commit that the index must take in or give up.
struct IndexJob {
  std::vector<ChunkId> added;
  std::vector<ContentHash>
      text_hashes;  // Of `added`, row by row; the vectors are read from the store.
  std::vector<ChunkId> removed;
};

// The index is derived: a failure here fails the run, and loses nothing.
// Threads: Submit by the writer's thread, Finish by the thread that made it.
class Indexer {
 public:
  // Chunks waiting to be indexed; Submit waits beyond it. 24 bytes each.
  static constexpr std::size_t kQueuedChunksMax = 1u << 18;

  // Starts the thread. `reader` is its own. Loads nothing before there is something to do.
  Indexer(RunState& run, std::string directory, std::unique_ptr<StoreReader> reader);
  // Stops without saving if Finish was not called.
  ~Indexer();

  // Waits while the queue is full.
  void Submit(IndexJob job) EF_EXCLUDES(mu_);
  // Takes in what is queued, writes the file if it is not that of `generation`, and ends the
  // thread.
  Status Finish(std::uint64_t generation) EF_EXCLUDES(mu_);

 private:
  void Main();
  Status Save(std::uint64_t generation);

  // Constant after construction.
  RunState& run_;
  const std::string directory_;
  const std::unique_ptr<StoreReader> reader_;

  Mutex mu_;
  CondVar changed_;
  std::deque<IndexJob> queue_ EF_GUARDED_BY(mu_);
  std::size_t queued_chunks_ EF_GUARDED_BY(mu_) = 0;
  enum class Stop { kNo, kSave, kDrop };
  Stop stop_ EF_GUARDED_BY(mu_) = Stop::kNo;
  std::uint64_t generation_ EF_GUARDED_BY(mu_) = 0;

  // Indexer thread only until it has ended.
  std::unique_ptr<class Index> index_;
  Status status_;
  Status Take(const IndexJob& job);

  std::thread thread_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_INDEXER_H_
