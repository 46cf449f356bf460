// The one thread that knows sockets and time. It decides nothing: it sends what is due, waits, and
// reports.
#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <limits>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/thread_role.h"
#include "providers/curl_start.h"
#include "providers/curl_transfer.h"
#include "providers/ready_jobs.h"
#include "providers/transport.h"

namespace embedflow {
namespace {

using Callback = std::function<void()>;

// Wakes are hints that a later libcurl may swallow; nothing is lost for longer than this.
constexpr std::chrono::milliseconds kWaitMax{1000};

// A job or a callback that waits for its time.
struct Timer {
  TimePoint when;
  std::uint64_t order;  // Of two with one time the earlier comes first.
  std::variant<TransportJob, Callback> what;
};

struct Later {
  bool operator()(const Timer& a, const Timer& b) const {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }
};

Status Cancelled() { return {Code::kCancelled, "the run was stopped"}; }

class Reactor final : public Transport {
 public:
  Reactor(const ReactorOptions& options, Clock& clock, TransportSink sink)
      : options_(options),
        clock_(clock),
        sink_(std::move(sink)),
        multi_(curl_multi_init()),
        ready_(options.host_connections_max.value_or(options.connections_max)) {}

  ~Reactor() override {
    if (thread_.joinable()) {
      {
        MutexLock lock(mu_);
        aborted_ = true;
        stopping_ = true;
      }
      Wake();
      thread_.join();
    }
    transfers_.clear();
    curl_multi_cleanup(multi_);
  }

  // Called once, before anything else.
  Status Start() {
    const auto connections = static_cast<long>(options_.connections_max);
    if (multi_ == nullptr ||
        curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, connections) != CURLM_OK ||
        curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections) != CURLM_OK ||
        curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING)) !=
            CURLM_OK) {
      return {Code::kInternal, "curl cannot be started"};
    }
    thread_ = std::thread([this] { Run(); });
    return {};
  }

  // Without memory for a list entry the process ends, as it would on the reactor's thread.
  void Submit(TransportJob job) noexcept override { Put({job.not_before, 0, std::move(job)}); }
  void CallAt(TimePoint when, std::function<void()> f) noexcept override {
    Put({when, 0, std::move(f)});
  }
  void Drain() override {
    {
      MutexLock lock(mu_);
      drained_ = true;
    }
    Wake();
  }
  void Abort() override {
    {
      MutexLock lock(mu_);
      aborted_ = true;
    }
    Wake();
  }
  std::uint64_t sends() const override { return sends_.load(std::memory_order_relaxed); }

 private:
  void Put(Timer timer) EF_EXCLUDES(mu_) {
    {
      MutexLock lock(mu_);
      timer.order = ++order_;
      inbox_.push_back(std::move(timer));
      // One wake is enough for all that comes before the reactor looks.
      if (std::exchange(is_woken_, true)) return;
    }
    Wake();
  }

  void Wake() {
    curl_multi_wakeup(multi_);
    // A broken multi handle hears nothing.
    changed_.SignalAll();
  }

  void Run();
  // False once the thread shall end.
  bool TakeInbox() EF_REQUIRES(reactor_thread_);
  void FireTimers() EF_REQUIRES(reactor_thread_);
  void StartReady() EF_REQUIRES(reactor_thread_);
  void Multiplex() EF_REQUIRES(reactor_thread_);
  void Perform() EF_REQUIRES(reactor_thread_);
  void DeliverWhenDue() EF_REQUIRES(reactor_thread_);
  void Deliver() EF_REQUIRES(reactor_thread_);
  void Wait() EF_REQUIRES(reactor_thread_);
  // Answers what was not sent yet, and with `sent_too` what is in flight as well.
  void Cancel(const Status& reason, bool sent_too) EF_REQUIRES(reactor_thread_);
  void Break(CURLMcode code) EF_REQUIRES(reactor_thread_);
  CurlTransfer* IdleTransfer() EF_REQUIRES(reactor_thread_);
  // What was popped from ready_ is answered.
  void End(CurlTransfer* transfer, TransportAnswer answer) EF_REQUIRES(reactor_thread_);
  void Done(TransportAnswer answer) EF_REQUIRES(reactor_thread_);
  void Refuse(TransportJob job, const Status& reason) EF_REQUIRES(reactor_thread_);

  // Constant after construction.
  const ReactorOptions options_;
  Clock& clock_;
  const TransportSink sink_;
  CURLM* const multi_;

  // Own synchronisation.
  std::atomic<std::uint64_t> sends_{0};

  // Guarded by mu_.
  Mutex mu_;
  CondVar changed_;  // Waited for only where the multi handle is broken.
  std::vector<Timer> inbox_ EF_GUARDED_BY(mu_);  // Bounded by the caller's requests in flight.
  std::uint64_t order_ EF_GUARDED_BY(mu_) = 0;
  bool is_woken_ EF_GUARDED_BY(mu_) = false;
  bool drained_ EF_GUARDED_BY(mu_) = false;
  bool aborted_ EF_GUARDED_BY(mu_) = false;
  bool stopping_ EF_GUARDED_BY(mu_) = false;

  // Reactor thread only.
  ThreadRole reactor_thread_;
  std::vector<Timer> timers_ EF_GUARDED_BY(reactor_thread_);  // A heap; the front is next.
  ReadyJobs ready_ EF_GUARDED_BY(reactor_thread_);            // Due; waits for a connection.
  std::vector<CurlTransfer*> idle_ EF_GUARDED_BY(reactor_thread_);
  std::size_t active_ EF_GUARDED_BY(reactor_thread_) = 0;
  std::vector<TransportAnswer> done_ EF_GUARDED_BY(reactor_thread_);
  TimePoint first_done_ EF_GUARDED_BY(reactor_thread_){};
  bool is_draining_ EF_GUARDED_BY(reactor_thread_) = false;
  bool is_broken_ EF_GUARDED_BY(reactor_thread_) = false;  // The multi handle; for good.
  bool is_multiplexing_ EF_GUARDED_BY(reactor_thread_) = false;
  std::optional<Status> ended_ EF_GUARDED_BY(reactor_thread_);  // Why nothing is answered any more.
  std::vector<std::unique_ptr<CurlTransfer>> transfers_;        // Outlives the thread.

  std::thread thread_;
};

void Reactor::Run() {
  PlayRole role(reactor_thread_);
  while (true) {
    const bool goes_on = TakeInbox();
    if (goes_on) FireTimers();
    StartReady();
    Perform();
    DeliverWhenDue();
    if (!goes_on) {
      // What the sink submits while it hears of the end is answered too.
      MutexLock lock(mu_);
      if (inbox_.empty()) return;
      continue;
    }
    Wait();
  }
}

bool Reactor::TakeInbox() {
  std::vector<Timer> inbox;
  bool aborted = false;
  bool stopping = false;
  {
    MutexLock lock(mu_);
    inbox.swap(inbox_);
    is_woken_ = false;
    is_draining_ = drained_;
    aborted = aborted_;
    stopping = stopping_;
  }
  const TimePoint now = clock_.Now();
  for (Timer& timer : inbox) {
    if (auto* job = std::get_if<TransportJob>(&timer.what); job != nullptr && timer.when <= now) {
      ready_.Push(std::move(*job));
      continue;
    }
    timers_.push_back(std::move(timer));
    std::push_heap(timers_.begin(), timers_.end(), Later{});
  }
  if (aborted && !ended_) ended_ = Cancelled();
  if (ended_) {
    Cancel(*ended_, true);
  } else if (is_draining_) {
    Cancel(Cancelled(), false);
  }
  return !stopping;
}

void Reactor::FireTimers() {
  const TimePoint now = clock_.Now();
  while (!timers_.empty() && timers_.front().when <= now) {
    std::pop_heap(timers_.begin(), timers_.end(), Later{});
    Timer timer = std::move(timers_.back());
    timers_.pop_back();
    if (auto* job = std::get_if<TransportJob>(&timer.what)) {
      ready_.Push(std::move(*job));
    } else {
      std::get<Callback>(timer.what)();
    }
  }
}

CurlTransfer* Reactor::IdleTransfer() {
  if (idle_.empty() && transfers_.size() < options_.connections_max) {
    std::unique_ptr<CurlTransfer> transfer = CurlTransfer::Create(options_, clock_, sends_);
    if (transfer == nullptr) return nullptr;
    idle_.push_back(transfer.get());
    transfers_.push_back(std::move(transfer));
  }
  if (idle_.empty()) return nullptr;
  CurlTransfer* transfer = idle_.back();
  idle_.pop_back();
  return transfer;
}

void Reactor::StartReady() {
  while (active_ < options_.connections_max) {
    std::optional<TransportJob> job = ready_.Pop();
    if (!job) return;
    CurlTransfer* transfer = IdleTransfer();
    if (transfer == nullptr) {
      ready_.Release(job->request.url);
      Refuse(*std::move(job), {Code::kInternal, "no memory for a connection"});
      continue;
    }
    Status status = transfer->Start(*std::move(job));
    if (status.ok()) {
      if (transfer->is_multiplexed()) Multiplex();
      const CURLMcode code = curl_multi_add_handle(multi_, transfer->handle());
      if (code == CURLM_OK) {
        ++active_;
        continue;
      }
      status = Status(Code::kInternal, std::string("curl: ") + curl_multi_strerror(code));
    }
    End(transfer, transfer->Cancel(std::move(status)));
  }
}

void Reactor::Multiplex() {
  if (std::exchange(is_multiplexing_, true)) return;
  // Without it every stream has a connection of its own, which is slower but right.
  if (curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX)) !=
      CURLM_OK)
    Log(LogLevel::kWarning, "HTTP/2 connections cannot be shared");
}

void Reactor::Perform() {
  if (active_ == 0) return;
  int running = 0;
  if (const CURLMcode code = curl_multi_perform(multi_, &running); code != CURLM_OK) {
    Break(code);
    return;
  }
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    // The message is gone once its handle is removed.
    CURL* const easy = message->easy_handle;
    const CURLcode result = message->data.result;
    CurlTransfer* transfer = CurlTransfer::Of(easy);
    curl_multi_remove_handle(multi_, easy);
    --active_;
    End(transfer, transfer->Finish(result));
  }
}

void Reactor::Break(CURLMcode code) {
  // After such an error the multi handle cannot be used again (curl's documentation). Callbacks and
  // refusals go on without it.
  is_broken_ = true;
  ended_ = Status(Code::kInternal, std::string("curl: ") + curl_multi_strerror(code));
  Log(LogLevel::kError, "the transport has ended: " + ended_->message());
  Cancel(*ended_, true);
}

void Reactor::End(CurlTransfer* transfer, TransportAnswer answer) {
  ready_.Release(answer.request.url);
  idle_.push_back(transfer);
  Done(std::move(answer));
}

void Reactor::Done(TransportAnswer answer) {
  if (done_.empty()) first_done_ = clock_.Now();
  done_.push_back(std::move(answer));
}

void Reactor::Refuse(TransportJob job, const Status& reason) {
  TransportAnswer answer;
  answer.id = job.id;
  answer.request = std::move(job.request);
  answer.reply.transport = reason;
  Done(std::move(answer));
}

void Reactor::Cancel(const Status& reason, bool sent_too) {
  for (const std::unique_ptr<CurlTransfer>& transfer : transfers_) {
    if (!transfer->is_active() || (transfer->is_sent() && !sent_too)) continue;
    curl_multi_remove_handle(multi_, transfer->handle());
    --active_;
    End(transfer.get(), transfer->Cancel(reason));
  }
  for (TransportJob& job : ready_.TakeAll()) Refuse(std::move(job), reason);
  const auto is_callback = [](const Timer& timer) {
    return std::holds_alternative<Callback>(timer.what);
  };
  const auto jobs = std::partition(timers_.begin(), timers_.end(), is_callback);
  for (auto timer = jobs; timer != timers_.end(); ++timer)
    Refuse(std::move(std::get<TransportJob>(timer->what)), reason);
  timers_.erase(jobs, timers_.end());
  std::make_heap(timers_.begin(), timers_.end(), Later{});
}

void Reactor::DeliverWhenDue() {
  if (done_.empty()) return;
  if (active_ == 0 || clock_.Now() >= first_done_ + options_.tick) Deliver();
}

void Reactor::Deliver() {
  // The sink may submit again at once; that goes to the inbox.
  std::vector<TransportAnswer> answers;
  answers.swap(done_);
  sink_(std::move(answers));
}

void Reactor::Wait() {
  // A transfer that has ended makes room for the next at once.
  if (ready_.has_next() && active_ < options_.connections_max) return;
  TimePoint until = clock_.Now() + kWaitMax;
  if (!timers_.empty()) until = std::min(until, timers_.front().when);
  if (!done_.empty()) until = std::min(until, first_done_ + options_.tick);
  const Duration left = std::max(until - clock_.Now(), Duration::zero());
  // Rounded up: rounded down, the last part of a millisecond would be spent spinning.
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(left);
  {
    // The inbox is the truth. What comes after this look is followed by a wake, which poll keeps.
    MutexLock lock(mu_);
    if (!inbox_.empty() || stopping_ || (aborted_ && !ended_) || drained_ != is_draining_) return;
    if (is_broken_) {
      changed_.WaitFor(mu_, timeout);
      return;
    }
  }
  const CURLMcode code =
      curl_multi_poll(multi_, nullptr, 0, static_cast<int>(timeout.count()), nullptr);
  if (code != CURLM_OK) Break(code);
}

}  // namespace

Result<std::unique_ptr<Transport>> MakeCurlReactor(const ReactorOptions& options, Clock& clock,
                                                   TransportSink sink) {
  EF_RETURN_IF_ERROR(CheckReactorOptions(options));
  EF_RETURN_IF_ERROR(StartCurl());
  ReactorOptions within = options;
  TakeTrustFromEnvironment(&within);
  within.connections_max = ConnectionsWithinFiles(options.connections_max);
  auto reactor = std::make_unique<Reactor>(within, clock, std::move(sink));
  EF_RETURN_IF_ERROR(reactor->Start());
  return std::unique_ptr<Transport>(std::move(reactor));
}

}  // namespace embedflow
