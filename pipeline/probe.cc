#include "pipeline/probe.h"

#include <exception>
#include <string>
#include <utility>

namespace embedflow {
namespace {

Probe::Answer AnswerOf(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return Probe::Answer::kAccepted;
    case Code::kInvalidArgument:
    case Code::kRefused:
      return Probe::Answer::kRefused;
    default:
      return Probe::Answer::kUnanswered;
  }
}

}  // namespace

Probe::Probe(ProbeSender send, std::function<bool()> is_stopped)
    : send_(std::move(send)), is_stopped_(std::move(is_stopped)) {}

Probe::~Probe() { End(); }

Probe::Reply Probe::Send(const Provider& provider, std::chrono::milliseconds timeout) const {
  Reply reply;
  const EmbedNowOptions options{
      timeout, [this] { return is_ending_.load(std::memory_order_acquire) || is_stopped_(); }};
  try {
    reply.status = send_(provider, std::span(&kText, 1), options, &reply.cost).status();
  } catch (const std::exception& error) {
    reply.status = Status(Code::kInternal, std::string("sending failed: ") + error.what());
  }
  reply.answer = AnswerOf(reply.status);
  return reply;
}

void Probe::Ask(const Provider& provider, std::chrono::milliseconds timeout,
                const std::function<void(const Reply&)>& take) {
  Reply failed;
  {
    MutexLock lock(mu_);
    // The last question's, which has nothing left to do.
    if (thread_.joinable()) thread_.join();
    try {
      thread_ = std::thread([this, &provider, timeout, take] { take(Send(provider, timeout)); });
      return;
    } catch (const std::exception& error) {
      failed.status = Status(Code::kInternal, std::string("no thread: ") + error.what());
    }
  }
  take(failed);
}

Probe::Reply Probe::AskHere(const Provider& provider) const {
  Reply reply = Send(provider, EmbedNowOptions().timeout);
  if (!reply.status.ok()) reply.answer = Answer::kRefused;
  return reply;
}

void Probe::End() {
  is_ending_.store(true, std::memory_order_release);
  MutexLock lock(mu_);
  if (thread_.joinable()) thread_.join();
}

}  // namespace embedflow
