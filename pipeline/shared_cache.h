// The cache of vectors that a run shares with other corpora and processes.
#ifndef EMBEDFLOW_PIPELINE_SHARED_CACHE_H_
#define EMBEDFLOW_PIPELINE_SHARED_CACHE_H_

#include "pipeline/run.h"

namespace embedflow {

// Opens the cache that the run's options name and sets run.cache, before any thread starts. A cache
// that cannot be used is a warning, and the run goes on without it. So does one with the built-in
// provider: it makes a vector in less time than the cache takes to find one. May wait for other
// processes, for VectorCacheOptions::turn_wait.
void OpenSharedCache(RunState& run);

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_SHARED_CACHE_H_
