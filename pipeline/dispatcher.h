// Where batches wait until one of the run's endpoints may take them. It holds no thread and no
// request slot while they wait: retries stand in order of their time, new work behind them, and
// whatever opens a gate (an answer, a timer) lets go what may go.
//
// Order of choice: the primary and its replicas, the least busy first; a fallback only while none
// of those can serve (their breakers are open, or they refuse). Bounded by the budget: every batch
// in here was admitted. Threads: any. Batches are let go on the thread that opened the gate,
// outside the lock.
#ifndef EMBEDFLOW_PIPELINE_DISPATCHER_H_
#define EMBEDFLOW_PIPELINE_DISPATCHER_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "pipeline/batch.h"
#include "pipeline/endpoint.h"
#include "pipeline/run.h"
#include "providers/transport.h"

namespace embedflow {

class Dispatcher {
 public:
  // Takes a batch that is let go: with a permit (batch->permit), or without one when the run is
  // halting or no endpoint can take it any more (batch->is_given_up).
  using LetGo = std::function<void(const BatchPtr&)>;

  // The run's provider must have a dialect. `run` outlives the dispatcher.
  Dispatcher(RunState& run, LetGo let_go);

  // Before the first Add.
  void SetTransport(Transport* transport) { transport_ = transport; }

  // Waits for batch->not_before and for a permit. Halves of a split batch go before new work.
  void Add(const BatchPtr& batch, bool before_others);
  std::uint64_t SuccessesOf(std::size_t i) EF_EXCLUDES(mu_);
  // Requests to the batch's endpoint succeeded since the batch was first sent there.
  bool OthersSucceed(const Batch& batch) EF_EXCLUDES(mu_);
  // Ends the attempt of a batch that holds a permit: gates learn from its outcome. `pause` is how
  // long the batch itself will wait, where its outcome is a throttle.
  void End(Batch& batch, Duration pause) EF_EXCLUDES(mu_);
  // The batch's endpoint refuses, or has used up the batch's retries. True if another endpoint may
  // take the batch, which then starts anew there.
  bool MoveOn(Batch& batch, const Status& why) EF_EXCLUDES(mu_);
  // Why no endpoint is usable any more.
  Status WhyNone() EF_EXCLUDES(mu_);
  // Nothing more leaves until Resume, unless the run is halting. False if that is so already.
  bool Pause() EF_EXCLUDES(mu_);
  // What waited meanwhile loses no time of its deadline. `has_accepted`: endpoint `i` was seen to
  // accept a text.
  void Resume(std::size_t i, bool has_accepted) EF_EXCLUDES(mu_);
  // Lets everything go that waits, if the run is halting; otherwise what may go.
  void Pump() EF_EXCLUDES(mu_);

  // Constant; thread-safe members only.
  Endpoint& endpoint(std::size_t i) { return *endpoints_[i]; }
  std::size_t endpoints() const { return endpoints_.size(); }
  // Before the first Add: the endpoint is not used in this run.
  void Exclude(std::size_t i, const Status& why) EF_EXCLUDES(mu_);

  // Another endpoint than the batch's last may take it.
  bool HasAnother(const Batch& batch) EF_EXCLUDES(mu_);
  // Caps learnt from errors, over all endpoints.
  LearntCaps learnt_caps() EF_EXCLUDES(mu_);
  double tokens_per_estimated() EF_EXCLUDES(mu_);
  // The most tokens of a request, by the provider's count, while it is tokens a minute that hold
  // the run back: large requests leave a strict minute with a rest that none of them fits into
  // (docs/flow_control.md). Unset: they do not.
  std::optional<std::size_t> tokens_a_request() EF_EXCLUDES(mu_);
  // Batches that wait and could go at once if a gate opened.
  std::size_t waiting() EF_EXCLUDES(mu_);
  std::size_t in_flight_limit() EF_EXCLUDES(mu_);
  // See Progress::waits_for.
  const char* waits_for() EF_EXCLUDES(mu_);
  std::vector<RunSummary::Endpoint> Summary() EF_EXCLUDES(mu_);

 private:
  using Gate = Endpoint::Gate;

  // Moves what may go from the queues to `out`; returns when to look again.
  std::optional<TimePoint> Collect(std::vector<BatchPtr>* out, TimePoint now) EF_REQUIRES(mu_);
  // What holds a batch back, and when to ask again if an answer may not be what opens a gate.
  struct Hold {
    Gate gate = Gate::kBreaker;
    std::optional<TimePoint> again{};
    bool has_tried = false;  // False: no endpoint can take the batch any more.
  };
  // Asks the endpoints for a permit.
  Hold TryGrant(Batch& batch, TimePoint now) EF_REQUIRES(mu_);
  Hold TryEach(const std::vector<std::size_t>& candidates, Batch& batch, TimePoint now)
      EF_REQUIRES(mu_);
  Endpoint::Answer TryEndpoint(std::size_t i, Batch& batch, TimePoint now) EF_REQUIRES(mu_);
  bool CanTake(std::size_t i, const Batch& batch) const EF_REQUIRES(mu_);
  bool IsPastDeadline(const Batch& batch, TimePoint now) const EF_REQUIRES(mu_);
  void NoteWait(Gate gate, TimePoint now) EF_REQUIRES(mu_);
  void WakeAt(TimePoint when);

  // Constant after construction.
  RunState& run_;
  const LetGo let_go_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;  // The first is the primary.
  Transport* transport_ = nullptr;

  Mutex mu_;
  std::deque<BatchPtr> fresh_ EF_GUARDED_BY(mu_);
  std::multimap<TimePoint, BatchPtr> retries_ EF_GUARDED_BY(mu_);  // By their earliest time.
  bool is_paused_ EF_GUARDED_BY(mu_) = false;
  // What held the foremost batch back when last asked, and since when only the limits did.
  Gate held_by_ EF_GUARDED_BY(mu_) = Gate::kOpen;
  std::optional<TimePoint> limited_since_ EF_GUARDED_BY(mu_);
  Duration limited_ EF_GUARDED_BY(mu_){};             // In all, before that.
  std::optional<TimePoint> wake_ EF_GUARDED_BY(mu_);  // A timer is set for then.
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_DISPATCHER_H_
