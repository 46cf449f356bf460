// The documents inside the pipeline, by id: a second record of an id that is under way must not be
// compared with a store that the first has yet to change.
#ifndef EMBEDFLOW_PIPELINE_ACTIVE_IDS_H_
#define EMBEDFLOW_PIPELINE_ACTIVE_IDS_H_

#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "base/check.h"
#include "base/hash.h"
#include "base/mutex.h"

namespace embedflow {

// Bounded by the budget. Threads: Look and Enter by the source's, which alone lets documents in;
// Leave by any.
class ActiveIds {
 public:
  struct Glance {
    bool is_inside = false;  // A document of that id.
    // How many documents have left. What became of one that is not inside was committed before this
    // count was reached, so a view of the store that was taken at this count or later shows it.
    std::uint64_t departures = 0;
  };
  Glance Look(const ContentHash& id_hash) const EF_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    return {count_.contains(id_hash), departures_};
  }
  void Enter(const ContentHash& id_hash) EF_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    ++count_[id_hash];
  }
  // Called once what was to be committed of the document is committed.
  void Leave(const ContentHash& id_hash) EF_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    const auto entry = count_.find(id_hash);
    EF_CHECK(entry != count_.end());
    if (--entry->second == 0) count_.erase(entry);
    ++departures_;
  }

 private:
  mutable Mutex mu_;
  std::unordered_map<ContentHash, std::size_t> count_ EF_GUARDED_BY(mu_);
  std::uint64_t departures_ EF_GUARDED_BY(mu_) = 0;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_ACTIVE_IDS_H_
