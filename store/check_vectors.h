// The vectors' part of a check.
#ifndef EMBEDFLOW_STORE_CHECK_VECTORS_H_
#define EMBEDFLOW_STORE_CHECK_VECTORS_H_

#include <memory>
#include <string>

#include "store/sqlite.h"
#include "store/store.h"
#include "store/vectors.h"

namespace embedflow {

// Adds a line to what was found, if there is room, and counts a fault or not.
void AddLine(StoreCheck* check, const std::string& what);
void AddFault(StoreCheck* check, const std::string& what);

// Examines the file of vectors, opened if `*vectors` is null, and compares it with its tallies and
// with the chunks of `database`. What is wrong goes into `check`; an error ends it.
Status CheckVectors(const std::string& directory, Database* database,
                    std::shared_ptr<VectorStore>* vectors, StoreCheck* check);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_CHECK_VECTORS_H_
