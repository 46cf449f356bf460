#include "pipeline/counters.h"

#include <sys/resource.h>

namespace embedflow {

void Counters::CopyTo(RunSummary* summary) const {
  summary->documents.read = read;
  summary->documents.unchanged = unchanged;
  summary->documents.ingested = ingested;
  summary->documents.replaced = replaced;
  summary->documents.empty = empty;
  summary->documents.dead = documents_dead;
  summary->documents.cancelled = documents_cancelled;
  summary->documents.deleted = deleted;
  summary->chunks.total = chunks;
  summary->chunks.embedded = embedded;
  summary->chunks.reused = reused;
  summary->chunks.dead = chunks_dead;
  summary->cache.hits = cache_hits;
  summary->cache.misses = cache_misses;
  summary->provider.requests = requests;
  summary->provider.retries = retries;
  summary->provider.throttled = throttled;
  summary->provider.model_tokens = model_tokens;
  summary->provider.vectors_bought_twice = bought_twice;
}

std::uint64_t PeakRssBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace embedflow
