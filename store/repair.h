// Mends a corpus's store: database, seal and vectors.
//
// What is damaged is dropped, what can be read is kept, and what is missing then is marked so that
// the next ingest or backfill buys exactly that. Nothing is bought here, and no file is deleted: a
// damaged one gets another name. docs/formats.md says what becomes of which damage.
#ifndef EMBEDFLOW_STORE_REPAIR_H_
#define EMBEDFLOW_STORE_REPAIR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "embedflow/corpus.h"
#include "embedflow/status.h"
#include "store/directory.h"

namespace embedflow {

struct StoreRepairOptions {
  bool drop_orphans = false;  // Not heeded where documents were lost: they may need the vectors.
  // Removes all index files. Called before anything that they could disagree with unnoticed.
  std::function<Status()> forget_indexes;
};

struct StoreRepair {
  std::unique_ptr<DirectoryLock> lock;  // Held on, for what is made from the store.
  std::vector<std::string> notes;       // What was done, a line each.
  bool lost = false;                    // Documents are gone or older than the input.
  std::uint64_t documents_dropped = 0;
  std::vector<std::string> dropped_ids;  // The first 100.
  ToBuyAgain to_buy_again;               // What lost its vector.
  std::uint64_t orphans_dropped = 0;
  std::uint64_t vectors = 0;  // That are kept, of all spaces.
};

// Mends the store in `directory`; nothing in this process may have it open. Killed at any instant,
// it leaves a store that can be mended again. Errors: kNotFound if there is no corpus, kInUse,
// kUnsupported for a newer format, kIo.
Result<StoreRepair> RepairStore(const std::string& directory, const StoreRepairOptions& options);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_REPAIR_H_
