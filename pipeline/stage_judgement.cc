// What follows an attempt: the part of the stage bodies that decides over batches.
#include <algorithm>
#include <chrono>
#include <string>

#include "base/log.h"
#include "pipeline/stage_bodies.h"
#include "stages/model_tokens.h"

namespace embedflow {
namespace {

// A text that was refused while no other was accepted is judged again, after a time that doubles: a
// server that refuses everything for a while must not condemn it.
constexpr std::chrono::milliseconds kNextJudgement{250};
constexpr int kJudgementsMax = 4;
// Two refusals within this time may be of one spell.
constexpr std::chrono::seconds kSpell{10};

// A request that left and brought no usable reply may have been billed all the same: its reply is
// of status 200, or never came, or was not waited for.
bool MayBePaidInVain(const Batch& batch) {
  if (!batch.sent) return false;
  switch (batch.outcome.kind) {
    case Outcome::Kind::kBadReply:
    case Outcome::Kind::kCancelled:
      return true;
    case Outcome::Kind::kTransient:
      return batch.reply.status == 0;
    default:
      return false;
  }
}

const char* NextAfter(const Outcome& outcome) {
  return outcome.kind == Outcome::Kind::kThrottled
             ? "lower --rate-limit-rpm or --rate-limit-tpm to what the provider allows, or run the "
               "same command again later"
             : "run the same command again once the provider answers; --max-retries and "
               "--retry-delay-ms say how long a run waits for it";
}

}  // namespace

// The name is put at the last moment before the request may leave. A retry finds it there, and the
// halves of a batch keep theirs.
void StageBodies::NameInFlight(Batch& batch) {
  if (!run_.in_flight) return;
  for (BatchItem& item : batch.items) {
    if (item.slot == InFlight::kNoSlot) item.slot = run_.in_flight->Put(item.text_hash());
  }
}

void StageBodies::ClearInFlight(Batch& batch) {
  if (!run_.in_flight) return;
  for (BatchItem& item : batch.items) run_.in_flight->Clear(&item.slot);
}

Verdict StageBodies::DecideFor(Batch& batch) {
  if (batch.is_given_up) return {Verdict::Kind::kStop, {}};
  if (batch.is_over_caps) return {Verdict::Kind::kSplit, {}};
  if (batch.is_proven) return {Verdict::Kind::kDead, {}};
  RetryFacts facts;
  RetryOptions retry;
  if (dispatcher_ != nullptr) {
    retry = dispatcher_->endpoint(batch.endpoint).retry();
    facts.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(run_.clock.Now() -
                                                                          batch.first_attempt);
    facts.http_status = batch.reply.status;
    facts.has_timed_out = batch.outcome.status.word() == "timeout";
    facts.others_succeed = dispatcher_->OthersSucceed(batch);
    facts.is_split_off = batch.is_split_off;
  }
  Verdict verdict;
  {
    MutexLock lock(mu_);
    verdict = Decide(retry, batch.outcome, batch.attempts_here, batch.items.size(), rng_, facts);
  }
  if (verdict.is_server_wait_cut) {
    Log(LogLevel::kWarning, "the provider asks for a wait of " +
                                std::to_string(batch.outcome.retry_after->count()) + " ms; " +
                                std::to_string(verdict.delay.count()) + " ms are waited");
    // Who else serves need not wait.
    if (dispatcher_->HasAnother(batch)) verdict = {Verdict::Kind::kStop, {}};
  }
  return verdict;
}

void StageBodies::Stop(Batch& batch, Verdict* verdict) {
  Status why = batch.outcome.status;
  if (batch.attempt == 0) {
    why = dispatcher_->WhyNone();
  } else if (batch.outcome.kind != Outcome::Kind::kRefused) {
    why = Status(Code::kUnavailable, batch.outcome.status.message() + " (" +
                                         std::to_string(batch.attempt) +
                                         (batch.attempt == 1 ? " attempt)" : " attempts)"))
              .WithWord(batch.outcome.status.word())
              .WithNext(NextAfter(batch.outcome));
  }
  if (dispatcher_ != nullptr && !run_.halting() && dispatcher_->MoveOn(batch, why)) {
    Log(LogLevel::kInfo, "another endpoint takes over: " + why.message());
    batch.is_given_up = false;
    *verdict = {Verdict::Kind::kAgain, {}};
    return;
  }
  run_.Fail(why);
  batch.end = Batch::End::kCancelled;
}

StageBodies::Judgement StageBodies::Judge(Batch& batch) {
  Judgement judgement;
  Verdict& verdict = judgement.verdict;
  verdict = DecideFor(batch);
  if (batch.permit) dispatcher_->End(batch, verdict.delay);
  if (batch.is_compression_refused) {
    // The one send was not about the texts, and the next is of another kind.
    batch.is_compression_refused = false;
    --batch.attempts_here;
    verdict = {Verdict::Kind::kAgain, {}};
  }
  NoteRefusal(batch, &verdict);
  const bool goes_on =
      verdict.kind == Verdict::Kind::kAgain || verdict.kind == Verdict::Kind::kSplit;
  if (goes_on && run_.halting()) verdict.kind = Verdict::Kind::kCancel;
  if (MayBePaidInVain(batch)) batch.maybe_paid_before = true;
  if (batch.outcome.kind != Outcome::Kind::kOk && !batch.maybe_paid_before) ClearInFlight(batch);
  if (verdict.kind == Verdict::Kind::kStop) Stop(batch, &verdict);
  switch (verdict.kind) {
    case Verdict::Kind::kKeep:
      batch.end = Batch::End::kBought;
      break;
    case Verdict::Kind::kDead:
      batch.end = Batch::End::kDead;
      break;
    case Verdict::Kind::kAgain:
      batch.not_before = run_.clock.Now() + verdict.delay;
      // What the server asks for takes no time of the deadline.
      if (batch.outcome.kind == Outcome::Kind::kThrottled && batch.outcome.retry_after)
        batch.first_attempt += verdict.delay;
      batch.goes_first = true;
      Log(LogLevel::kDebug, "Retry attempt " + std::to_string(batch.attempts_here) + ", waiting " +
                                std::to_string(verdict.delay.count()) +
                                "ms: " + batch.outcome.status.message());
      break;
    case Verdict::Kind::kSplit:
      judgement.halves = Split(batch);
      break;
    case Verdict::Kind::kStop:
    case Verdict::Kind::kCancel:
      batch.end = Batch::End::kCancelled;
      break;
  }
  if (batch.end != Batch::End::kBought) {
    batch.vectors = {};
  }
  if (verdict.kind != Verdict::Kind::kAgain) batch.request = {};
  return judgement;
}

bool StageBodies::IsOneRefusalAlone() {
  MutexLock lock(mu_);
  return refused_at_[1] == TimePoint{} || run_.clock.Now() - refused_at_[1] > kSpell;
}

void StageBodies::NoteRefusal(Batch& batch, Verdict* verdict) {
  if (verdict->kind != Verdict::Kind::kSplit && verdict->kind != Verdict::Kind::kDead) return;
  if (!batch.is_part && batch.judgements == 0 && !batch.is_over_caps) {
    MutexLock lock(mu_);
    refused_at_ = {run_.clock.Now(), refused_at_[0]};
  }
  // An oversize batch is a matter of packing, not of the texts.
  if (batch.is_over_caps ||
      (batch.outcome.kind == Outcome::Kind::kOversize && batch.items.size() > 1))
    return;
  // While others are accepted, a refusal is about the texts in it.
  const bool accepted_any = accepted_any_.load(std::memory_order_relaxed);
  const bool is_single = verdict->kind == Verdict::Kind::kDead;
  if (accepted_any && dispatcher_ != nullptr && dispatcher_->OthersSucceed(batch)) {
    // Unless it was refused in a spell that has just ended: once more shows which it was.
    if (is_single && batch.judgements == 0 && !IsOneRefusalAlone()) {
      *verdict = {Verdict::Kind::kAgain, kNextJudgement};
      ++batch.judgements;
    }
    return;
  }
  if (accepted_any && !is_single) return;
  const bool is_unusable = batch.outcome.kind == Outcome::Kind::kBadReply;
  const std::uint64_t refusals = ++refusals_;
  const bool is_new = is_single && batch.judgements == 0;
  const std::uint64_t texts = is_new ? ++refused_texts_ : refused_texts_.load();
  const bool goes_on = accepted_any  ? texts < kRefusedTextsInARowMax
                       : is_unusable ? !is_single && refusals < kBadRepliesMax
                                     : refusals < kRefusalsMax && texts < kRefusedTextsMax;
  if (goes_on) {
    // Judged again once others have been: it must not be dead of a server that refuses all.
    if (is_single && batch.judgements < kJudgementsMax) {
      *verdict = {Verdict::Kind::kAgain, kNextJudgement * (1 << batch.judgements)};
      ++batch.judgements;
    }
    return;
  }
  if (!is_unusable) {
    AskProvider(batch, verdict);
    return;
  }
  run_.Fail(Status(Code::kUnavailable,
                   "the provider's replies cannot be used: " + batch.outcome.status.message())
                .WithWord(kRepliesUnusable)
                .WithNext("check --base-url, --model and --dimensions; then the same command"));
  verdict->kind = Verdict::Kind::kCancel;
}

void StageBodies::AskProvider(Batch& batch, Verdict* verdict) {
  const Status why = batch.outcome.status;
  if (dispatcher_ == nullptr) {
    // To compute is what this thread is for.
    TakeProbe(probe_.AskHere(*run_.provider), why);
    if (run_.halting()) verdict->kind = Verdict::Kind::kCancel;
    return;
  }
  // What the answer shows must not condemn a text that was refused before it.
  if (verdict->kind == Verdict::Kind::kDead) batch.judgements = std::max(batch.judgements, 1);
  *verdict = {Verdict::Kind::kAgain, {}};
  // Asked after the pause: who was refused while the last answer came sees what it led to.
  if (!dispatcher_->Pause() || run_.halting()) return;
  Endpoint& endpoint = dispatcher_->endpoint(batch.endpoint);
  probe_.Ask(endpoint.provider(), endpoint.flow().timeout,
             [this, why, i = batch.endpoint](const Probe::Reply& reply) {
               TakeProbe(reply, why);
               dispatcher_->Resume(i, reply.answer == Probe::Answer::kAccepted);
             });
}

void StageBodies::TakeProbe(const Probe::Reply& reply, const Status& why) {
  run_.counters.requests += reply.cost.requests;
  run_.counters.model_tokens += reply.cost.model_tokens;
  if (run_.halting()) return;
  switch (reply.answer) {
    case Probe::Answer::kAccepted:
      Log(LogLevel::kInfo,
          "the provider accepts a text of our own: its refusals are about the texts");
      accepted_any_.store(true, std::memory_order_relaxed);
      refusals_ = 0;
      refused_texts_ = 0;
      probes_unanswered_ = 0;
      return;
    case Probe::Answer::kRefused:
      // The key may be at fault by now, which says more.
      run_.Fail(reply.status.code() == Code::kRefused
                    ? reply.status
                    : Status(Code::kRefused, "the provider refuses every request: " + why.message())
                          .WithWord(kRequestRefused)
                          .WithNext("check --model, --dimensions and --base-url; then the same "
                                    "command"));
      return;
    case Probe::Answer::kUnanswered:
      if (++probes_unanswered_ < kProbesUnansweredMax) return;
      run_.Fail(Status(Code::kUnavailable,
                       "the provider refuses texts, and does not answer whether it refuses all: " +
                           reply.status.message())
                    .WithWord(reply.status.word())
                    .WithNext("run the same command again once the provider answers"));
  }
}

std::vector<BatchPtr> StageBodies::Split(Batch& batch) {
  const std::size_t half = batch.items.size() / 2;
  // That a server lives must show anew: one that dies meanwhile must not cost texts.
  const std::uint64_t successes =
      dispatcher_ == nullptr ? 0 : dispatcher_->SuccessesOf(batch.endpoint);
  std::vector<BatchPtr> halves = {NewBatch(), NewBatch()};
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    Batch& to = *halves[i < half ? 0 : 1];
    to.model_tokens += EstimateModelTokens(batch.items[i].text());
    to.maybe_paid_before = batch.maybe_paid_before;
    to.goes_first = true;
    to.endpoint = batch.endpoint;
    to.is_part = true;
    to.used_up = batch.used_up;
    to.successes_before = successes;
    to.is_split_off = batch.is_split_off || batch.outcome.kind == Outcome::Kind::kTransient;
    // A part of what the server failed at has the time of the whole.
    if (to.is_split_off) to.first_attempt = batch.first_attempt;
    to.items.push_back(std::move(batch.items[i]));
  }
  // The halves carry everything on; the whole is settled here.
  batch.items.clear();
  ++run_.counters.batches_settled;
  return halves;
}

}  // namespace embedflow
