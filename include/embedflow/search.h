// Asking a corpus.
#ifndef EMBEDFLOW_SEARCH_H_
#define EMBEDFLOW_SEARCH_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "embedflow/corpus.h"
#include "embedflow/provider.h"
#include "embedflow/status.h"
#include "embedflow/types.h"

namespace embedflow {

struct SearchFilter {
  std::string key;
  std::string value;  // Compared as text; booleans are "true" and "false".
};

struct SearchOptions {
  std::size_t hits_max = 10;          // In [1, 10,000].
  std::vector<SearchFilter> filters;  // All must hold.
};

struct SearchHit {
  int rank = 0;  // From 1.
  double score =
      0;  // Cosine or inner product, larger is nearer; for l2 the negative squared distance.
  std::string document_id;
  ChunkId chunk_id = 0;
  std::uint32_t ordinal = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string text;
  std::string heading;
  std::string metadata_json;
};

// Threads: not thread-safe; one a thread.
class Searcher {
 public:
  // Loads the index of the space that `provider` makes. A null provider is made from what the space
  // of that name recorded (empty: the default space, see CorpusStatus). `corpus` must outlive the
  // searcher. A stale or missing index is completed from the store in memory.
  static Result<std::unique_ptr<Searcher>> Open(Corpus& corpus,
                                                std::shared_ptr<const Provider> provider,
                                                const std::string& space = {});
  ~Searcher();

  // Embeds the query (a request, for a remote provider) and returns the nearest chunks, best first.
  Result<std::vector<SearchHit>> Search(std::string_view query, const SearchOptions& options);
  const Space& space() const;
  // Index entries searched.
  std::uint64_t size() const;

 private:
  struct Rep;
  explicit Searcher(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_SEARCH_H_
