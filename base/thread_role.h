// A role is a capability that one thread holds for life: functions marked EF_REQUIRES(role) can
// only be called from code that runs on that thread. Checked by clang, free at run time.
#ifndef EMBEDFLOW_BASE_THREAD_ROLE_H_
#define EMBEDFLOW_BASE_THREAD_ROLE_H_

#include "base/thread_annotations.h"

namespace embedflow {

class EF_CAPABILITY("role") ThreadRole {};

// Placed at the top of a thread's main function.
class EF_SCOPED_CAPABILITY PlayRole {
 public:
  explicit PlayRole(ThreadRole& role) EF_ACQUIRE(role) { (void)role; }
  ~PlayRole() EF_RELEASE() {}
};

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_THREAD_ROLE_H_
