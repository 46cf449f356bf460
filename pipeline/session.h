// One run from beginning to end: who lives how long, who is told what, and what the summary says.
#ifndef EMBEDFLOW_PIPELINE_SESSION_H_
#define EMBEDFLOW_PIPELINE_SESSION_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "embedflow/pipeline.h"
#include "pipeline/disk_writer.h"
#include "pipeline/graph.h"
#include "pipeline/indexer.h"
#include "pipeline/intake.h"
#include "pipeline/run.h"
#include "pipeline/stored_documents.h"
#include "providers/transport.h"
#include "stages/chunker.h"

namespace embedflow {

// Makes the transport of a run; tests put a fake here.
using TransportFactory =
    std::function<Result<std::unique_ptr<Transport>>(const ReactorOptions&, Clock&, TransportSink)>;

// Threads: Begin and End by one thread; Stop by any, at any time. The source must live until End
// has returned.
class Session {
 public:
  Session(Corpus& corpus, std::shared_ptr<const Provider> provider, PipelineOptions options,
          TransportFactory make_transport);
  // Before Begin, for tests: how a probe (pipeline/probe.h) is sent.
  void SetProbeSender(ProbeSender send) { run_.send_probe = std::move(send); }

  // Starts all threads and returns. Called once. On an error nothing runs.
  Status Begin(Source& source) { return Begin(&source, std::nullopt); }
  // The same for documents of the corpus.
  Status Begin(StoredDocuments::Which which) { return Begin(nullptr, which); }
  // Waits until everything admitted is settled, writes the index, and says why the run ended.
  // Called once after a Begin that succeeded, also after Stop.
  Status End();
  // Nothing new is read or sent; with `abort` what is in flight is given up as well.
  void Stop(bool abort);

  // After End.
  const RunSummary& summary() const { return summary_; }
  Status failure() { return run_.failure(); }

 private:
  Status Begin(Source* source, std::optional<StoredDocuments::Which> which);
  Status BeginRun(const Source* source);
  void WarnOfNewSpace(bool has_source) const;
  // Starts the thread that reads `source`, or the documents of the corpus.
  void StartReading(Source* source, std::optional<StoredDocuments::Which> which);
  // What is to be done once all is committed: deletions, and the index files.
  Status FinishIndexes(Status status);
  // Compares the vectors of the further endpoints with the provider's.
  Status CheckEndpoints();
  Status EndRun(Status status);
  void Tick();
  Progress Snapshot();
  RunSummary Count();

  // Constant once begun.
  Corpus& corpus_;
  RunState run_;
  const std::unique_ptr<Chunker> chunker_;
  const TransportFactory make_transport_;
  std::vector<SpaceRecord> spaces_before_;
  // Further endpoints that could not be compared, by number, and why.
  std::vector<std::pair<std::size_t, Status>> excluded_;

  RunSummary summary_;

  Mutex mu_;
  // Set between Begin and End.
  Source* source_ EF_GUARDED_BY(mu_) = nullptr;
  Source* unstopped_ EF_GUARDED_BY(mu_) = nullptr;  // Stop() is called once.
  Transport* stoppable_ EF_GUARDED_BY(mu_) = nullptr;
  bool stop_requested_ EF_GUARDED_BY(mu_) = false;
  bool abort_requested_ EF_GUARDED_BY(mu_) = false;
  std::atomic<bool> indexing_{false};
  std::atomic<bool> ticking_{false};
  TimePoint next_progress_{};  // Transport's thread only.
  // The transport, for its own thread: a tick may be under way while transport_ is being reset, and
  // the transport lives until that thread has ended. Constant while the thread runs.
  Transport* ticker_ = nullptr;

  // Destroyed from the last to the first: threads before what they use.
  std::unique_ptr<StoreReader> source_reader_;
  std::unique_ptr<Indexer> indexer_;
  std::unique_ptr<Graph> graph_;
  std::unique_ptr<DiskWriter> writer_;
  std::unique_ptr<Intake> intake_;
  std::unique_ptr<StoredDocuments> stored_;
  std::unique_ptr<Transport> transport_;
  std::thread source_thread_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_SESSION_H_
