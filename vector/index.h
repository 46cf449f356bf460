// What is searched: an index of vectors by chunk id, derived from the store and rebuilt from it at
// any time.
#ifndef EMBEDFLOW_VECTOR_INDEX_H_
#define EMBEDFLOW_VECTOR_INDEX_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "embedflow/options.h"
#include "embedflow/status.h"
#include "embedflow/types.h"

namespace embedflow {

struct IndexHit {
  ChunkId id = 0;
  float score =
      0;  // Cosine or inner product; for l2 the negative squared distance. Larger is nearer.
};

// Threads: one thread at a time. Calls may use several cores inside (FAISS's OpenMP threads, set by
// the caller's SetIndexThreads).
class Index {
 public:
  virtual ~Index() = default;

  // Adds vectors, row i under ids[i]. Ids must not be in the index. With cosine, vectors are
  // normalised on the way in. Errors: kInvalidArgument for a vector that is not finite or is zero;
  // nothing is then added.
  virtual Status Add(std::span<const ChunkId> ids, std::span<const float> vectors) = 0;
  // Ids that are not in the index are ignored.
  virtual void Remove(std::span<const ChunkId> ids) = 0;
  // The `k` nearest, best first; fewer if there are fewer. Ties by smaller id. If `allowed` is not
  // null only ids in it (sorted ascending) are considered, all of them: a filter that leaves five
  // finds those five. Errors: kInvalidArgument for a query of the wrong size, or that is not finite
  // or is zero.
  virtual Result<std::vector<IndexHit>> Search(std::span<const float> query, std::size_t k,
                                               const std::vector<ChunkId>* allowed) = 0;
  // All ids, ascending.
  virtual std::vector<ChunkId> ids() = 0;
  virtual std::uint64_t size() const = 0;
  // Copies the vector stored under `id` (normalised, with cosine). False if it is not there.
  virtual bool Get(ChunkId id, std::span<float> vector) = 0;

  // Writes the index to `path` under a temporary name beside it, syncs, renames, syncs the
  // directory; mode 0600. The old file stays until the rename. Streams: needs no second copy in
  // memory. Errors: kIo with the path.
  virtual Status Save(const std::string& path, const struct IndexStamp& stamp) = 0;
};

// What a file must say to be used.
struct IndexStamp {
  std::string space;             // Space::name().
  std::uint64_t generation = 0;  // SpaceRecord::generation when it was saved.
  bool operator==(const IndexStamp&) const = default;
};

// An empty index. `options.kind` "auto" or "flat"; dimensions in [1, 65536].
Result<std::unique_ptr<Index>> MakeIndex(const IndexOptions& options, int dimensions);

struct LoadedIndex {
  std::unique_ptr<Index> index;
  IndexStamp stamp;
};
// Reads a file that Save wrote. Our own header and a checksum over every byte are checked before
// FAISS sees any of it, because it crashes on or believes damaged files. Errors: kNotFound;
// kCorruption naming the file and what is wrong; kInvalidArgument if metric or dimensions differ
// from `options` and `dimensions`.
Result<LoadedIndex> LoadIndex(const std::string& path, const IndexOptions& options, int dimensions);

// What the file's header says, without reading the rest: for status, and to see whether it is
// stale. Errors: kNotFound; kCorruption if the header's own checksum or the file's length is wrong.
struct IndexFileInfo {
  IndexStamp stamp;
  std::string kind;  // "flat".
  std::uint64_t vectors = 0;
  std::uint64_t bytes = 0;  // Of the file.
};
Result<IndexFileInfo> PeekIndex(const std::string& path);

// How many threads FAISS uses for calls from the calling thread; at least 1.
void SetIndexThreads(int threads);

// --- Distances and checks on raw vectors ---

// True if every value is finite, the norm is not zero, and its square cannot overflow a float.
bool IsUsableVector(std::span<const float> vector);

// Name and version of the library that searches, one line.
std::string IndexVersion();

}  // namespace embedflow

#endif  // EMBEDFLOW_VECTOR_INDEX_H_
