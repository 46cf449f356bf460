// Reconciles documents, chunks, vectors and indexes.
#ifndef EMBEDFLOW_CORPUS_VERIFY_H_
#define EMBEDFLOW_CORPUS_VERIFY_H_

#include <string>

#include "embedflow/corpus.h"
#include "store/store.h"

namespace embedflow {

// Reads everything and changes nothing.
Result<VerifyReport> VerifyCorpus(const std::string& directory, StoreReader& reader);

// Mends the store, makes all indexes anew from it, and reads everything then. Takes the writer's
// lock; nothing in this process may have the corpus open. See Corpus::Verify for errors.
Result<VerifyReport> RepairCorpus(const std::string& directory, const VerifyOptions& options);

}  // namespace embedflow

#endif  // EMBEDFLOW_CORPUS_VERIFY_H_
