// The inputs that documents came from, and the documents as they are read back.
#ifndef EMBEDFLOW_STORE_SOURCES_H_
#define EMBEDFLOW_STORE_SOURCES_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/sqlite.h"
#include "store/store.h"

namespace embedflow {

// See StoreReader's functions of the same names. Threads: those of the database.
Result<std::vector<std::int64_t>> ReadSources(Database* database,
                                              std::span<const std::string> names);
Result<std::vector<std::int64_t>> ReadDocumentsOfSources(
    Database* database, std::span<const std::int64_t> sources, std::int64_t run, std::int64_t after,
    std::size_t documents_max, const std::function<bool(std::int64_t number)>& keep);
Result<std::vector<StoredDocument>> ReadDocumentsWithout(Database* database, SpaceId space,
                                                         std::int64_t after,
                                                         std::size_t documents_max,
                                                         std::size_t bytes_max);
Result<std::vector<StoredDocument>> ReadDocumentsWithLetters(Database* database, SpaceId space,
                                                             std::string_view after,
                                                             std::size_t documents_max,
                                                             std::size_t bytes_max);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_SOURCES_H_
