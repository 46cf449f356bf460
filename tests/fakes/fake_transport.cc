#include "tests/fakes/fake_transport.h"

#include <algorithm>
#include <utility>

namespace embedflow {

TimePoint FakeTransport::LeapClock::Now() const {
  MutexLock lock(owner_.mu_);
  return owner_.now_;
}

std::int64_t FakeTransport::LeapClock::WallMillis() const { return SystemClock().WallMillis(); }

FakeTransport::FakeTransport(Server server, std::uint64_t seed, TransportSink sink)
    : server_(std::move(server)),
      sink_(std::move(sink)),
      now_(SystemClock().Now()),
      rng_(seed),
      thread_([this] { Run(); }) {}

FakeTransport::~FakeTransport() {
  {
    MutexLock lock(mu_);
    is_cancelling_ = true;
    is_stopping_ = true;
  }
  changed_.SignalAll();
  thread_.join();
}

void FakeTransport::Submit(TransportJob job) {
  {
    MutexLock lock(mu_);
    jobs_.push_back(std::move(job));
    waiting_max_ = std::max(waiting_max_, jobs_.size());
  }
  changed_.SignalAll();
}

void FakeTransport::CallAt(TimePoint when, std::function<void()> f) {
  {
    MutexLock lock(mu_);
    calls_.emplace(when, std::move(f));
  }
  changed_.SignalAll();
}

// Nothing is ever in flight between two turns, so both come to the same.
void FakeTransport::Drain() { Abort(); }

void FakeTransport::Abort() {
  {
    MutexLock lock(mu_);
    is_cancelling_ = true;
  }
  changed_.SignalAll();
}

std::uint64_t FakeTransport::sends() const {
  MutexLock lock(mu_);
  return sends_;
}

std::size_t FakeTransport::waiting_max() const {
  MutexLock lock(mu_);
  return waiting_max_;
}

std::vector<TransportAnswer> FakeTransport::CancelWaiting() {
  std::vector<TransportAnswer> answers;
  for (TransportJob& job : jobs_) {
    TransportAnswer answer;
    answer.id = job.id;
    answer.request = std::move(job.request);
    answer.reply.transport = Status(Code::kCancelled, "the run was stopped");
    answers.push_back(std::move(answer));
  }
  jobs_.clear();
  return answers;
}

bool FakeTransport::Turn(std::vector<TransportJob>* due,
                         std::vector<std::function<void()>>* calls) {
  if (jobs_.empty() && calls_.empty()) return false;
  const auto is_due = [this](const TransportJob& job)
                          EF_REQUIRES(mu_) { return job.not_before <= now_; };
  auto late = std::partition(jobs_.begin(), jobs_.end(), is_due);
  if (late == jobs_.begin() && (calls_.empty() || calls_.begin()->first > now_)) {
    // Nothing is due: time leaps to what is next.
    TimePoint next = TimePoint::max();
    for (const TransportJob& job : jobs_) next = std::min(next, job.not_before);
    if (!calls_.empty()) next = std::min(next, calls_.begin()->first);
    now_ = std::max(now_, next);
    late = std::partition(jobs_.begin(), jobs_.end(), is_due);
  }
  while (!calls_.empty() && calls_.begin()->first <= now_) {
    calls->push_back(std::move(calls_.begin()->second));
    calls_.erase(calls_.begin());
  }
  const auto count = static_cast<std::size_t>(late - jobs_.begin());
  if (count == 0) return true;
  for (std::size_t i = count; i > 1; --i) std::swap(jobs_[i - 1], jobs_[rng_.Below(i)]);
  const std::size_t taken = 1 + rng_.Below(count);
  for (std::size_t i = 0; i < taken; ++i) due->push_back(std::move(jobs_[i]));
  jobs_.erase(jobs_.begin(), jobs_.begin() + static_cast<std::ptrdiff_t>(taken));
  return true;
}

TransportAnswer FakeTransport::Serve(TransportJob job) {
  std::uint64_t attempt = 0;
  {
    MutexLock lock(mu_);
    attempt = ++attempts_[job.request.body];
  }
  TransportAnswer answer;
  answer.id = job.id;
  answer.reply = server_(job.request, attempt);
  answer.sent = answer.reply.status != 0 || !answer.reply.transport.ok();
  answer.round_trip = std::chrono::milliseconds(1);
  answer.request = std::move(job.request);
  if (!answer.sent) answer.reply.transport = Status(Code::kUnavailable, "cannot connect");
  const bool has_content =
      answer.reply.transport.ok() && answer.reply.status >= 200 && answer.reply.status < 300;
  MutexLock lock(mu_);
  if (answer.sent) ++sends_;
  if (job.reader == nullptr || !has_content) return answer;
  // As a socket does: in pieces of any length.
  for (std::string_view rest = answer.reply.body; !rest.empty();) {
    const std::size_t size = std::min<std::size_t>(rest.size(), 1 + rng_.Below(2000));
    job.reader->Take(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  answer.reply.body.clear();
  return answer;
}

void FakeTransport::Run() {
  while (true) {
    std::vector<TransportJob> due;
    std::vector<std::function<void()>> calls;
    std::vector<TransportAnswer> answers;
    {
      MutexLock lock(mu_);
      if (is_cancelling_) answers = CancelWaiting();
      if (is_stopping_ && answers.empty()) return;
      if (answers.empty() && !Turn(&due, &calls)) {
        changed_.Wait(mu_);
        continue;
      }
    }
    for (const auto& call : calls) call();
    for (TransportJob& job : due) answers.push_back(Serve(std::move(job)));
    if (!answers.empty()) sink_(std::move(answers));
  }
}

}  // namespace embedflow
