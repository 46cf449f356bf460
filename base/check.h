// EF_CHECK: always on. For broken invariants only, where going on could write wrong rows; never
// reachable from input, network or disk.
#ifndef EMBEDFLOW_BASE_CHECK_H_
#define EMBEDFLOW_BASE_CHECK_H_

namespace embedflow {
// Writes one line to stderr and aborts.
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
}  // namespace embedflow

#define EF_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::embedflow::CheckFailed(#condition, __FILE__, __LINE__))

#endif  // EMBEDFLOW_BASE_CHECK_H_
