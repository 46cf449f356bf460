// Documents that are gone from their source leave the corpus.
#ifndef EMBEDFLOW_PIPELINE_SYNC_H_
#define EMBEDFLOW_PIPELINE_SYNC_H_

#include "corpus/change.h"
#include "pipeline/indexer.h"
#include "pipeline/run.h"

namespace embedflow {

// Deletes the documents of the run's sources, and of no others, that the run has not met. To be
// called once all that was read is committed and the writer is gone; blocks. `indexer` may be null.
// Nothing is deleted, and a warning says why, if a record was bad or the scan not complete: what
// was not seen may still be there. Threads: the one that ends the run; `reader` and `seen` are no
// longer used by others. Errors: those of the store, and of PipelineOptions::before_deleting.
Status DeleteGone(RunState& run, const Source& source, StoreReader& reader,
                  const SeenDocuments& seen, Indexer* indexer);

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_SYNC_H_
