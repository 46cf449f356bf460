// Copies what is whole from one database of a corpus into another.
#ifndef EMBEDFLOW_STORE_COPY_DATABASE_H_
#define EMBEDFLOW_STORE_COPY_DATABASE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "store/records.h"
#include "store/sqlite.h"

namespace embedflow {

struct DatabaseCopy {
  std::uint64_t documents = 0;
  std::uint64_t dropped = 0;  // Documents that were met and not copied.
  std::vector<std::string> dropped_ids;
  std::vector<std::string> notes;
};

// Copies every space, document (with text and chunks), dead letter, run and sample of `from` whose
// checksums and content are right, into `to`, which holds an empty schema, in one transaction; what
// is derived from them is made anew. `from` may be damaged in any way, or null: then there is
// nothing to copy. `known` is the newest totals that anybody vouches for. Errors: only of `to`, and
// kIo.
Result<DatabaseCopy> CopyWhatIsWhole(Database* from, Database* to, const Totals& known);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_COPY_DATABASE_H_
