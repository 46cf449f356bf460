#include "corpus/query.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "base/random.h"
#include "providers/transport.h"
#include "stages/retry_policy.h"
#include "vector/index.h"

namespace embedflow {
namespace {

// Somebody waits for the answer: fewer and quicker tries than an ingest makes.
constexpr int kRetriesMax = 2;
constexpr std::chrono::milliseconds kRetryDelay{250};
constexpr std::chrono::milliseconds kLookForStop{100};

// Where the transport leaves its answer.
class Mailbox {
 public:
  void Put(std::vector<TransportAnswer> answers) EF_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    for (TransportAnswer& answer : answers) answers_.push_back(std::move(answer));
    arrived_.SignalAll();
  }
  // nullopt once `is_stopped`.
  std::optional<TransportAnswer> Take(const std::function<bool()>& is_stopped) EF_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    while (answers_.empty()) {
      if (is_stopped && is_stopped()) return std::nullopt;
      arrived_.WaitFor(mu_, kLookForStop);
    }
    TransportAnswer answer = std::move(answers_.back());
    answers_.pop_back();
    return answer;
  }

 private:
  Mutex mu_;
  CondVar arrived_;
  std::vector<TransportAnswer> answers_ EF_GUARDED_BY(mu_);
};

Status StatusOf(const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::kThrottled:
    case Outcome::Kind::kTransient:
    case Outcome::Kind::kBadReply:
      return Status(Code::kUnavailable, outcome.status.message())
          .WithWord(outcome.status.word())
          .WithNext("try again once the provider answers; --base-url names another address");
    case Outcome::Kind::kInvalid:
    case Outcome::Kind::kOversize:
      return Status(Code::kInvalidArgument, outcome.status.message())
          .WithWord(outcome.status.word())
          .WithNext("ask with another text");
    default:
      return outcome.status;
  }
}

Result<std::vector<float>> Send(const Dialect& dialect, std::span<const std::string_view> texts,
                                const EmbedNowOptions& now, EmbedNowCost* spent) {
  Mailbox mailbox;
  ReactorOptions options;
  options.send.timeout = now.timeout;
  options.send.connect_timeout = std::min(options.send.connect_timeout, now.timeout);
  options.connections_max = 1;
  EF_ASSIGN_OR_RETURN(
      const std::unique_ptr<Transport> transport,
      MakeCurlReactor(options, SystemClock(), [&mailbox](std::vector<TransportAnswer> answers) {
        mailbox.Put(std::move(answers));
      }));
  std::vector<float> vectors(texts.size() * static_cast<std::size_t>(dialect.space().dimensions));
  RetryOptions retry;
  retry.retries_max = kRetriesMax;
  retry.retry_delay = kRetryDelay;
  // Jitter keeps many searchers apart; it need not be repeatable.
  Rng rng(static_cast<std::uint64_t>(SystemClock().WallMillis()));
  TimePoint not_before{};
  for (int attempt = 1;; ++attempt) {
    TransportJob job;
    job.id = static_cast<std::uint64_t>(attempt);
    job.request = dialect.Write(texts);
    job.reply_bytes_max = dialect.reply_bytes_max(texts.size());
    job.not_before = not_before;
    transport->Submit(std::move(job));
    const std::optional<TransportAnswer> answer = mailbox.Take(now.is_stopped);
    if (!answer) return Status(Code::kCancelled, "stopped on request");
    const Outcome outcome = dialect.Read(answer->reply, texts.size(), vectors);
    if (spent != nullptr) {
      spent->requests += answer->sent ? 1 : 0;
      spent->model_tokens += outcome.model_tokens.value_or(0);
    }
    const Verdict verdict = Decide(retry, outcome, attempt, 1, rng);
    if (verdict.kind == Verdict::Kind::kKeep) return vectors;
    if (verdict.kind != Verdict::Kind::kAgain) return StatusOf(outcome);
    not_before = SystemClock().Now() + verdict.delay;
  }
}

}  // namespace

Result<std::vector<float>> EmbedNow(const Provider& provider,
                                    std::span<const std::string_view> texts,
                                    const EmbedNowOptions& options, EmbedNowCost* spent) {
  if (provider.dialect() != nullptr) return Send(*provider.dialect(), texts, options, spent);
  const auto dimensions = static_cast<std::size_t>(provider.space().dimensions);
  std::vector<float> vectors(texts.size() * dimensions);
  EF_RETURN_IF_ERROR(provider.embedder()->Embed(texts, vectors));
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!IsUsableVector(std::span<const float>(vectors).subspan(i * dimensions, dimensions)))
      return Status(Code::kInternal, "the vector of a text is zero or not finite");
  }
  return vectors;
}

Result<std::vector<float>> EmbedQuery(const Provider& provider, std::string_view text) {
  Result<std::vector<float>> vector = EmbedNow(provider, std::span(&text, 1));
  if (vector.ok()) return vector;
  return vector.status().WithContext("the query could not be embedded");
}

}  // namespace embedflow
