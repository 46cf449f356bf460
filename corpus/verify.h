// Reconciles documents, chunks, vectors and indexes.
#ifndef EMBEDFLOW_CORPUS_VERIFY_H_
#define EMBEDFLOW_CORPUS_VERIFY_H_

#include <string>

#include "embedflow/corpus.h"
#include "store/store.h"

namespace embedflow {

// Reads everything. `store` may be null; repairing needs it.
Result<VerifyReport> VerifyCorpus(const std::string& directory, Store* store, StoreReader& reader,
                                  const VerifyOptions& options);

}  // namespace embedflow

#endif  // EMBEDFLOW_CORPUS_VERIFY_H_
