// Reads everything a corpus keeps and says what is not as it was written.
#ifndef EMBEDFLOW_STORE_CHECK_H_
#define EMBEDFLOW_STORE_CHECK_H_

#include <memory>
#include <string>

#include "store/records.h"
#include "store/sqlite.h"
#include "store/store.h"
#include "store/vectors.h"

namespace embedflow {

// See StoreReader::Check. `database` is inside a read transaction. `*vectors` is opened if it is
// null; if that fails, that is a fault. Memory: one document, and what SQLite's sorter needs.
Result<StoreCheck> CheckStore(const std::string& directory, Database* database,
                              std::shared_ptr<VectorStore>* vectors);

// The same for the database file alone: its format, pages and rows, but neither seal nor vectors.
StoreCheck CheckDatabase(const std::string& directory, Database* database);

// What is wrong with a chunk whose row is as it was written; empty if nothing. `text` is its
// document's.
std::string_view FaultOfChunk(const StoredChunkRow& chunk, std::string_view document_id,
                              std::string_view text, std::uint64_t ordinal);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_CHECK_H_
