// The documents inside the pipeline, by id: a second record of an id that is under way must not be
// compared with a store that the first has yet to change.
#ifndef EMBEDFLOW_PIPELINE_ACTIVE_IDS_H_
#define EMBEDFLOW_PIPELINE_ACTIVE_IDS_H_

#include <cstddef>
#include <unordered_map>

#include "base/check.h"
#include "base/hash.h"
#include "base/mutex.h"

namespace embedflow {

// Bounded by the budget. Threads: any.
class ActiveIds {
 public:
  // Counts a document in; true if another of that id is inside.
  bool Enter(const ContentHash& id_hash) EF_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    return count_[id_hash]++ > 0;
  }
  void Leave(const ContentHash& id_hash) EF_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    const auto entry = count_.find(id_hash);
    EF_CHECK(entry != count_.end());
    if (--entry->second == 0) count_.erase(entry);
  }

 private:
  Mutex mu_;
  std::unordered_map<ContentHash, std::size_t> count_ EF_GUARDED_BY(mu_);
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_ACTIVE_IDS_H_
