// A Transport without sockets for tests of the graph: a function answers, at once and in a random
// order.
//
// Time leaps: clock() stands still until nothing is due, then jumps to the next timer. A run with
// seconds of backoff takes no time. Give clock() to whatever computes times for CallAt and
// not_before; with another clock everything still happens, but a callback may come early.
//
// Each turn takes a random number of the due jobs, in random order, asks `server` for each, and
// hands the answers to `sink` as one group. The order depends on the seed and on what was there, so
// a run with one thread submitting is repeated exactly by its seed.
#ifndef EMBEDFLOW_TESTS_FAKES_FAKE_TRANSPORT_H_
#define EMBEDFLOW_TESTS_FAKES_FAKE_TRANSPORT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/random.h"
#include "providers/transport.h"

namespace embedflow {

// Threads: as Transport. `server` and `sink` run on the transport's own thread.
class FakeTransport : public Transport {
 public:
  // `attempt` counts from 1 how often a request with this very body has been sent.
  using Server = std::function<HttpReply(const HttpRequest& request, std::uint64_t attempt)>;

  // A reply with status 0 and an OK transport is answered as not sent; all others count as sent.
  FakeTransport(Server server, std::uint64_t seed, TransportSink sink);
  // Answers everything with kCancelled.
  ~FakeTransport() override;

  void Submit(TransportJob job) override;
  void CallAt(TimePoint when, std::function<void()> f) override;
  void Drain() override;
  void Abort() override;
  std::uint64_t sends() const override;

  // Starts at the machine's time and leaps.
  Clock& clock() { return clock_; }
  // The most jobs that waited at once for an answer or their time.
  std::size_t waiting_max() const;

 private:
  class LeapClock : public Clock {
   public:
    explicit LeapClock(const FakeTransport& owner) : owner_(owner) {}
    TimePoint Now() const override;
    std::int64_t WallMillis() const override;

   private:
    const FakeTransport& owner_;
  };

  void Run();
  // One turn; false when there was nothing to do at all.
  bool Turn(std::vector<TransportJob>* due, std::vector<std::function<void()>>* calls)
      EF_REQUIRES(mu_);
  std::vector<TransportAnswer> CancelWaiting() EF_REQUIRES(mu_);
  TransportAnswer Serve(TransportJob job);

  // Constant after construction.
  const Server server_;
  const TransportSink sink_;
  LeapClock clock_{*this};
  // Guarded by mu_.
  mutable Mutex mu_;
  CondVar changed_;
  TimePoint now_ EF_GUARDED_BY(mu_);
  Rng rng_ EF_GUARDED_BY(mu_);
  std::vector<TransportJob> jobs_ EF_GUARDED_BY(mu_);
  std::multimap<TimePoint, std::function<void()>> calls_ EF_GUARDED_BY(mu_);
  std::map<std::string, std::uint64_t> attempts_ EF_GUARDED_BY(mu_);  // By body.
  std::uint64_t sends_ EF_GUARDED_BY(mu_) = 0;
  std::size_t waiting_max_ EF_GUARDED_BY(mu_) = 0;
  bool is_cancelling_ EF_GUARDED_BY(mu_) = false;
  bool is_stopping_ EF_GUARDED_BY(mu_) = false;

  std::thread thread_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_FAKE_TRANSPORT_H_
