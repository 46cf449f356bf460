// The exact index: every vector is compared with the query.
#ifndef EMBEDFLOW_VECTOR_FLAT_INDEX_H_
#define EMBEDFLOW_VECTOR_FLAT_INDEX_H_

#include <memory>
#include <string>

#include "embedflow/options.h"
#include "embedflow/status.h"
#include "vector/index.h"
#include "vector/index_file.h"

namespace embedflow {

// An empty flat index. `dimensions` in [1, 65536]. Errors: kIo "out_of_memory".
Result<std::unique_ptr<Index>> MakeFlatIndex(Metric metric, int dimensions);

// The flat index that was read from `path`. Errors: kCorruption if what FAISS read is not what the
// header says.
Result<std::unique_ptr<Index>> AdoptFlatIndex(IndexFile file, const std::string& path);

}  // namespace embedflow

#endif  // EMBEDFLOW_VECTOR_FLAT_INDEX_H_
