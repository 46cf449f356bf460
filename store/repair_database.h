// Mends the database file of a corpus.
//
// A row that is damaged cannot be told from its neighbours' damage, so nothing is mended in place:
// every document that is whole, with all that belongs to it, is copied into a new database, and the
// old one stays under another name. Documents that are not whole are dropped; their vectors stay,
// so reading their input again buys nothing.
#ifndef EMBEDFLOW_STORE_REPAIR_DATABASE_H_
#define EMBEDFLOW_STORE_REPAIR_DATABASE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "embedflow/status.h"

namespace embedflow {

struct DatabaseRepair {
  // Documents may be gone, or older than the input: reading it again brings them back.
  bool lost = false;
  std::uint64_t documents_dropped = 0;
  std::vector<std::string> dropped_ids;  // The first 100 that could be read, else their numbers.
  std::vector<std::string> notes;        // What was done, a line each.
};

// Leaves a database in `directory` that is whole and agrees with its seal. `forget_indexes` is
// called before anything that index files could disagree with unnoticed. Killed at any instant, it
// leaves what can be repaired again. The caller holds the directory's lock and has the database
// closed. Errors: kNotFound if there is no corpus and never was one; kUnsupported for a newer
// format; kIo.
Result<DatabaseRepair> RepairDatabase(const std::string& directory,
                                      const std::function<Status()>& forget_indexes);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_REPAIR_DATABASE_H_
