#include "pipeline/indexer.h"

#include <algorithm>

#include "base/log.h"
#include "corpus/index_keeper.h"
#include "store/directory.h"
#include "vector/index.h"

namespace embedflow {

Indexer::Indexer(RunState& run, std::string directory, std::unique_ptr<StoreReader> reader)
    : run_(run),
      directory_(std::move(directory)),
      reader_(std::move(reader)),
      thread_([this] { Main(); }) {}

Indexer::~Indexer() {
  {
    MutexLock lock(mu_);
    if (stop_ == Stop::kNo) stop_ = Stop::kDrop;
    changed_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Indexer::Submit(IndexJob job) {
  const std::size_t chunks = job.added.size() + job.removed.size();
  if (chunks == 0) return;
  MutexLock lock(mu_);
  while (queued_chunks_ > 0 && queued_chunks_ + chunks > kQueuedChunksMax) changed_.Wait(mu_);
  queued_chunks_ += chunks;
  queue_.push_back(std::move(job));
  changed_.SignalAll();
}

Status Indexer::Finish(std::uint64_t generation) {
  {
    MutexLock lock(mu_);
    generation_ = generation;
    stop_ = Stop::kSave;
    changed_.SignalAll();
  }
  thread_.join();
  return status_;
}

void Indexer::Main() {
  // One thread: the other cores belong to the workers while a run goes on.
  SetIndexThreads(1);
  while (true) {
    IndexJob job;
    {
      MutexLock lock(mu_);
      while (queue_.empty() && stop_ == Stop::kNo) changed_.Wait(mu_);
      if (stop_ == Stop::kDrop) return;
      if (queue_.empty()) break;
      job = std::move(queue_.front());
      queue_.pop_front();
      queued_chunks_ -= job.added.size() + job.removed.size();
      changed_.SignalAll();
    }
    if (!status_.ok()) continue;  // Keep the queue moving; the file is rebuilt later.
    status_ = Take(job);
    if (!status_.ok()) run_.Fail(status_);
  }
  std::uint64_t generation = 0;
  {
    MutexLock lock(mu_);
    generation = generation_;
  }
  if (status_.ok()) status_ = Save(generation);
}

Status Indexer::Take(const IndexJob& job) {
  if (!index_) {
    // What the file lacked when the run began comes from the store, and with it perhaps this job's
    // chunks.
    EF_ASSIGN_OR_RETURN(index_, OpenIndex(*reader_, directory_, run_.space));
  }
  index_->Remove(job.removed);
  const auto dimensions = static_cast<std::size_t>(run_.space.space.dimensions);
  constexpr std::size_t kGroup = 1024;  // Vectors copied at a time.
  std::vector<ChunkId> ids;
  std::vector<float> vectors;
  std::vector<float> vector(dimensions);
  for (std::size_t i = 0; i < job.added.size(); ++i) {
    // The index was completed from the store after this job's commit: then the chunk is in.
    if (index_->Get(job.added[i], vector)) continue;
    EF_ASSIGN_OR_RETURN(const bool found,
                        reader_->ReadVector(run_.space.id, job.text_hashes[i], vector));
    if (!found) {
      return Status(Code::kCorruption,
                    "a committed chunk has no vector: " + std::to_string(job.added[i]))
          .WithNext(RepairCommand(directory_));
    }
    ids.push_back(job.added[i]);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
    if (ids.size() < kGroup) continue;
    EF_RETURN_IF_ERROR(index_->Add(ids, vectors));
    ids.clear();
    vectors.clear();
  }
  if (!ids.empty()) EF_RETURN_IF_ERROR(index_->Add(ids, vectors));
  return {};
}

Status Indexer::Save(std::uint64_t generation) {
  IndexStamp stamp = StampOf(run_.space);
  stamp.generation = generation;
  if (!index_) {
    const Result<IndexFileInfo> info = PeekIndex(IndexPath(directory_, run_.space.id));
    if (info.ok() && info->stamp == stamp) return {};
    EF_ASSIGN_OR_RETURN(index_, OpenIndex(*reader_, directory_, run_.space));
  }
  return index_->Save(IndexPath(directory_, run_.space.id), stamp);
}

}  // namespace embedflow
