// One allowance for all processes of this machine that use the same key at the same place: its
// state lives in a small file that each locks for some microseconds at a time. No server is needed,
// and a process that dies leaves nothing behind but the file.
//
// Each process paces by its own limits, in view of what all have used and of what headers and
// pauses have told any of them.
//
// The file is an optimisation, never a truth: one that is damaged, of another boot or another
// version is begun anew, and where it cannot be had at all each process keeps to itself.
#ifndef EMBEDFLOW_PIPELINE_SHARED_ALLOWANCE_H_
#define EMBEDFLOW_PIPELINE_SHARED_ALLOWANCE_H_

#include <memory>
#include <string>

#include "base/clock.h"
#include "embedflow/options.h"
#include "stages/allowance.h"

namespace embedflow {

// The allowance of a provider with that allowance_id(): shared if the options ask for it, the id
// is not empty and any limit may come to hold; else of this process. Never null. When a shared one
// cannot be had, a warning says why.
//
// Threads: the object is not thread-safe; processes are kept apart by the file's lock. A call may
// touch a file in memory or on a local disk; it never waits for another process: under contention
// Take answers "ask again in a millisecond", and the other calls keep their news for their next
// turn, at the latest for one try when the object goes. A file that another process does not let go
// of for a second (it was stopped) is given up with a warning: this process keeps to itself from
// then on.
std::unique_ptr<Allowance> OpenAllowance(const FlowOptions& flow, const std::string& allowance_id,
                                         bool limits_are_the_users, TimePoint now);

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_SHARED_ALLOWANCE_H_
