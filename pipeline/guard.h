// The wall round every node body. Nothing is thrown out of it: an exception in a flow graph cancels
// the graph and loses every message inside. A foreign exception fails the run and the message
// travels on, cancelled.
//
// It also tells ThreadSanitizer about the hand-over of a message through TBB, whose own
// synchronisation it cannot see.
#ifndef EMBEDFLOW_PIPELINE_GUARD_H_
#define EMBEDFLOW_PIPELINE_GUARD_H_

#include <exception>
#include <string>

#include "pipeline/run.h"

#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#define EF_OBSERVE_(pointer) __tsan_acquire(const_cast<void*>(static_cast<const void*>(pointer)))
#define EF_PUBLISH_(pointer) __tsan_release(const_cast<void*>(static_cast<const void*>(pointer)))
#else
#define EF_OBSERVE_(pointer) static_cast<void>(pointer)
#define EF_PUBLISH_(pointer) static_cast<void>(pointer)
#endif

namespace embedflow {

// To be called on a message before it is put into a node, and inside Guard on entry.
template <typename Pointer>
void Publish(const Pointer& message) {
  EF_PUBLISH_(message.get());
}
template <typename Pointer>
void Observe(const Pointer& message) {
  EF_OBSERVE_(message.get());
}

// Runs `body`, which works on `message`. True if it came to its end; false if something was thrown,
// which has then failed the run: the caller sends the message on as cancelled.
template <typename Pointer, typename Body>
bool Guard(RunState& run, const char* stage, const Pointer& message, Body&& body) noexcept {
  Observe(message);
  try {
    body();
    return true;
  } catch (const std::exception& error) {
    run.threw = true;
    run.Fail(
        Status(Code::kInternal, std::string("the ") + stage + " stage failed: " + error.what()));
  } catch (...) {
    run.threw = true;
    run.Fail(Status(Code::kInternal, std::string("the ") + stage + " stage failed"));
  }
  return false;
}

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_GUARD_H_
