// The index file: our own header and a checksum over every byte around a plain FAISS serialisation.
// docs/formats.md draws it.
//
// FAISS believes or crashes on damaged files and does not notice a full disk, so nothing it reads
// or writes passes by here unchecked.
#ifndef EMBEDFLOW_VECTOR_INDEX_FILE_H_
#define EMBEDFLOW_VECTOR_INDEX_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "embedflow/options.h"
#include "embedflow/status.h"
#include "vector/index.h"

namespace faiss {
struct Index;
}

namespace embedflow {

// What the header says. The kind is always "flat" in version 1.
struct IndexFileHeader {
  IndexStamp stamp;
  Metric metric = Metric::kCosine;
  int dimensions = 0;
  std::uint64_t vectors = 0;
  std::uint64_t payload_bytes = 0;  // Of the FAISS part. WriteIndexFile fills it in.
};

// "cosine", "ip" or "l2".
const char* MetricName(Metric metric);

// A foreign exception as a Status: what() with `context` before it; std::bad_alloc is kIo
// "out_of_memory".
Status StatusOf(const std::exception& exception, const std::string& context);

// Writes `index` behind `header` to "<path>.tmp", syncs it, renames it to `path`, syncs the
// directory. A left-over of that name, from a process that was killed, is removed first: the
// corpus has one writer. On an error `path` is what it was and the temporary file is gone; only a
// failed sync of the directory leaves the new file in place. Errors: kIo with the path, with the
// word "disk_full" where that is so.
Status WriteIndexFile(const std::string& path, IndexFileHeader header, const faiss::Index& index);

struct IndexFile {
  IndexFileHeader header;
  std::unique_ptr<faiss::Index> index;
};
// Reads the file twice: the first time for the checksum, the second time by FAISS, so that the
// index is in memory once. What FAISS made is not compared with the header yet. Errors: kNotFound,
// kIo, kCorruption.
Result<IndexFile> ReadIndexFile(const std::string& path);

}  // namespace embedflow

#endif  // EMBEDFLOW_VECTOR_INDEX_FILE_H_
