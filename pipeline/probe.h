// Asks a provider that refuses text after text whether it takes one of our own: whether the
// refusals are about the texts, or it has begun to refuse everything. It decides nothing; what
// follows from the reply is the asker's.
//
// Ask sends from a thread of the probe's own, so that no worker waits for a socket; the owner keeps
// to one question at a time. Owns that thread; the destructor ends it.
#ifndef EMBEDFLOW_PIPELINE_PROBE_H_
#define EMBEDFLOW_PIPELINE_PROBE_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "corpus/query.h"
#include "embedflow/provider.h"
#include "embedflow/status.h"

namespace embedflow {

// How the probe's text is sent: EmbedNow, or what a test puts in its place. Blocks.
using ProbeSender = std::function<Result<std::vector<float>>(
    const Provider&, std::span<const std::string_view>, const EmbedNowOptions&, EmbedNowCost*)>;

// Threads: any; Ask not before the last question's `take` was called.
class Probe {
 public:
  // Short, plain, of no subject that a filter of contents could mind.
  static constexpr std::string_view kText = "The train arrives at noon.";

  enum class Answer { kAccepted, kRefused, kUnanswered };
  struct Reply {
    Answer answer = Answer::kUnanswered;
    Status status;      // Why not kAccepted.
    EmbedNowCost cost;  // What was sent and billed.
  };

  // `is_stopped` gives up a question; asked by the sender, on its thread.
  Probe(ProbeSender send, std::function<bool()> is_stopped);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  // Returns at once; `take` is called once, on the probe's thread. `timeout` is of each attempt.
  // `provider` must have a dialect and live until then.
  void Ask(const Provider& provider, std::chrono::milliseconds timeout,
           const std::function<void(const Reply&)>& take) EF_EXCLUDES(mu_);
  // The same on this thread, for a provider in this process: whatever it fails of is a refusal.
  // By any number of threads at once.
  Reply AskHere(const Provider& provider) const;
  // Gives up a question that is under way and waits until its `take` has returned.
  void End() EF_EXCLUDES(mu_);

 private:
  Reply Send(const Provider& provider, std::chrono::milliseconds timeout) const;

  // Constant after construction.
  const ProbeSender send_;
  const std::function<bool()> is_stopped_;
  // Own synchronisation.
  std::atomic<bool> is_ending_{false};
  Mutex mu_;
  std::thread thread_ EF_GUARDED_BY(mu_);
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_PROBE_H_
