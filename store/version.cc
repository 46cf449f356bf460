#include <lmdb.h>
#include <sqlite3.h>

#include "store/store.h"

namespace embedflow {

std::string StoreVersion() {
  return std::string("SQLite ") + sqlite3_libversion() + "\n" +
         mdb_version(nullptr, nullptr, nullptr);
}

}  // namespace embedflow
