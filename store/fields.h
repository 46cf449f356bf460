// Finds documents by their metadata.
//
// The table `fields` holds a number for each (key, value) of each document, so that a filter need
// not read every document; what it finds is compared with the metadata itself.
#ifndef EMBEDFLOW_STORE_FIELDS_H_
#define EMBEDFLOW_STORE_FIELDS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/records.h"
#include "store/sqlite.h"

namespace embedflow {

// The writing side. Threads: not thread-safe. The database must outlive it.
class Fields {
 public:
  static Result<std::unique_ptr<Fields>> Open(Database* database);
  Status Add(std::int64_t document, std::string_view metadata_json);
  Status Remove(std::int64_t document, std::string_view metadata_json);

 private:
  explicit Fields(Database* database) : database_(database) {}
  Status Change(Statement* statement, std::int64_t document, std::string_view metadata_json);
  Database* const database_;
  Statement insert_;
  Statement delete_;
};

// The documents that have all `pairs`, ascending. `pairs` must not be empty.
Result<std::vector<std::int64_t>> FindByFields(
    Database* database, const std::vector<std::pair<std::string, std::string>>& pairs);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_FIELDS_H_
