// The source's thread: reads records, passes over what has not changed, and admits the rest within
// the budget.
#ifndef EMBEDFLOW_PIPELINE_INTAKE_H_
#define EMBEDFLOW_PIPELINE_INTAKE_H_

#include <memory>

#include "base/mutex.h"
#include "corpus/change.h"
#include "embedflow/source.h"
#include "pipeline/graph.h"
#include "pipeline/run.h"
#include "pipeline/stored_documents.h"

namespace embedflow {

// Threads: Read by the source's thread; FlushOpen by the transport's.
class Intake {
 public:
  // `reader` belongs to the source's thread. All references outlive the intake.
  Intake(RunState& run, StoreReader& reader, Graph& graph);

  // What a chunk takes from the budget at least, by what its document is charged.
  static std::size_t ChargeMin(std::size_t vector_bytes);

  // Reads to the end, or until the run halts. Failures go to the run.
  void Read(Source& source);
  void Read(StoredDocuments& stored);

  // The documents of the corpus that were met; kept only if the run is to sync. Once Read has
  // returned.
  const SeenDocuments& seen() const { return seen_; }

  // Puts the open admission into the graph if nothing was added since the last call: a slow source
  // must not hold back what it has given.
  void FlushOpen();

 private:
  void Take(Source& source, Record record);
  // Fills the hashes, and `bad` of a record that is no document.
  void Examine(AdmittedDocument* document);
  // True if the record is done with: counted, and nothing of it is to be written.
  bool PassOver(AdmittedDocument* document);
  // `departures`: of ActiveIds, when it was seen that no document of this id is inside.
  Result<std::optional<DocumentState>> Find(std::string_view id, std::uint64_t departures);
  void ReleaseView();
  void Admit(DocumentPtr document);
  void PutOpen() EF_REQUIRES(mu_);
  std::size_t Charge(const AdmittedDocument& document) const;

  // Constant after construction.
  RunState& run_;
  StoreReader& reader_;
  Graph& graph_;
  const std::size_t vector_bytes_;

  // Source thread only.
  std::uint64_t sequence_ = 0;
  SeenDocuments seen_;
  // While records are passed over one after the other, they are looked up in one view of the store.
  bool passed_last_ = false;
  std::size_t view_lookups_ = 0;       // In the view held; 0 when none is.
  std::uint64_t view_departures_ = 0;  // Of ActiveIds, when it was taken.

  Mutex mu_;
  AdmissionPtr open_ EF_GUARDED_BY(mu_);
  std::size_t open_bytes_ EF_GUARDED_BY(mu_) = 0;
  std::size_t flushed_size_ EF_GUARDED_BY(mu_) = 0;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_INTAKE_H_
