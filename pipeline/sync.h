// Documents that are gone from their source leave the corpus.
#ifndef EMBEDFLOW_PIPELINE_SYNC_H_
#define EMBEDFLOW_PIPELINE_SYNC_H_

#include "corpus/change.h"
#include "pipeline/indexer.h"
#include "pipeline/run.h"

namespace embedflow {

// Deletes the documents of the run's sources that the run has not met. To be called once all that
// was read is committed. `indexer` may be null. Nothing is deleted, and a warning says why, if a
// record was bad: what it stood for may still be there. Errors: those of the store, and of
// PipelineOptions::before_deleting.
Status DeleteGone(RunState& run, StoreReader& reader, const SeenDocuments& seen, Indexer* indexer);

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_SYNC_H_
