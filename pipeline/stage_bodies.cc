#include "pipeline/stage_bodies.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "providers/gzip.h"
#include "providers/http_outcome.h"
#include "vector/index.h"

namespace embedflow {
namespace {

// A bill that is far from any count of these texts' tokens would stop the run's limits, or lift
// them. Estimates are within a few times of the truth in any script.
void KeepCredibleBill(Outcome* outcome, std::size_t estimated) {
  constexpr double kTimesMax = 16;
  // Of a handful of tokens what a provider adds by itself is many times as much.
  constexpr double kTokensAdded = 1000;
  if (!outcome->model_tokens) return;
  const auto billed = static_cast<double>(*outcome->model_tokens);
  const auto expected = static_cast<double>(estimated);
  if (billed <= expected * kTimesMax + kTokensAdded &&
      billed * kTimesMax + kTokensAdded >= expected)
    return;
  Log(LogLevel::kDebug, "a bill of " + std::to_string(*outcome->model_tokens) +
                            " tokens is not believed; " + std::to_string(estimated) +
                            " were estimated");
  outcome->model_tokens.reset();
}

const char* NextAfter(const Outcome& outcome) {
  return outcome.kind == Outcome::Kind::kThrottled
             ? "lower --rate-limit-rpm or --rate-limit-tpm to what the provider allows, or run the "
               "same command again later"
             : "run the same command again once the provider answers; --max-retries and "
               "--retry-delay-ms say how long a run waits for it";
}

// When a text that was refused before any was accepted is sent once more.
constexpr std::chrono::milliseconds kSecondJudgement{250};

// A batch is stored whole, and the store takes 65,536 vectors at a time.
RequestLimits BatchLimits(const Provider& provider) {
  constexpr std::size_t kBatchInputsMax = 32768;
  RequestLimits limits = provider.limits();
  limits.inputs_max = std::min(limits.inputs_max, kBatchInputsMax);
  return limits;
}

Outcome Cancelled() {
  Outcome outcome;
  outcome.kind = Outcome::Kind::kCancelled;
  outcome.status = Status(Code::kCancelled, "cancelled");
  return outcome;
}

std::vector<std::string_view> TextsOf(const Batch& batch) {
  std::vector<std::string_view> texts;
  texts.reserve(batch.items.size());
  for (const BatchItem& item : batch.items) texts.push_back(item.text());
  return texts;
}

}  // namespace

StageBodies::StageBodies(RunState& run, const Chunker& chunker, Dispatcher* dispatcher)
    : run_(run),
      chunker_(chunker),
      dispatcher_(dispatcher),
      dimensions_(static_cast<std::size_t>(run.space.space.dimensions)),
      packer_(BatchLimits(*run.provider)),
      rng_(run.options.seed) {}

void StageBodies::Chunk(Admission& admission) {
  std::vector<ChunkSpan> spans;
  for (const DocumentPtr& document : admission.documents) {
    if (document->record.bad) continue;
    const Document& source = document->record.document;
    spans.clear();
    chunker_.Chunk(source.text, &spans);
    document->chunks.resize(spans.size());
    for (std::size_t i = 0; i < spans.size(); ++i) {
      ChunkRow& row = document->chunks[i];
      row.begin = spans[i].begin;
      row.end = spans[i].end;
      row.heading = std::move(spans[i].heading);
      row.text_hash = HashContent(document->TextOf(i));
      row.key = ChunkKey(source.id, static_cast<std::uint32_t>(i), row.text_hash);
    }
    document->waiting.store(static_cast<std::uint32_t>(spans.size()) + 1,
                            std::memory_order_release);
  }
}

void StageBodies::Lookup(Admission& admission, std::vector<DocumentPtr>* finished) {
  const auto arrived = [&](const DocumentPtr& document) {
    if (document->waiting.fetch_sub(1, std::memory_order_acq_rel) == 1)
      finished->push_back(document);
  };
  std::vector<BatchItem> claimed;
  std::vector<ContentHash> hashes;
  for (const DocumentPtr& document : admission.documents) {
    for (std::uint32_t i = 0; i < document->chunks.size(); ++i) {
      const ContentHash& hash = document->chunks[i].text_hash;
      if (!run_.claims.Claim(hash, {document, i})) continue;
      claimed.push_back({document, i});
      hashes.push_back(hash);
    }
  }
  std::vector<char> found(hashes.size(), 0);
  if (!hashes.empty()) {
    const Status status = run_.corpus_store.HasVectors(run_.space.id, hashes, found);
    if (!status.ok()) run_.Fail(status);
  }
  for (std::size_t i = 0; i < claimed.size(); ++i) {
    if (!found[i]) {
      admission.to_buy.push_back(std::move(claimed[i]));
      continue;
    }
    for (const Claimed& waiter : run_.claims.Release(hashes[i])) arrived(waiter.document);
    arrived(claimed[i].document);
  }
  for (const DocumentPtr& document : admission.documents) arrived(document);
}

BatchPtr StageBodies::NewBatch() {
  auto batch = std::make_shared<Batch>();
  batch->id = ++batch_id_;
  ++run_.counters.batches;
  return batch;
}

void StageBodies::CloseOpen(std::vector<BatchPtr>* closed) {
  if (!open_) return;
  closed->push_back(std::move(open_));
  open_ = nullptr;
  packer_.Close();
  open_mark_.store(0, std::memory_order_release);
}

void StageBodies::Pack(const Admission& admission, std::vector<BatchPtr>* closed) {
  if (admission.flush) {
    CloseOpen(closed);
    return;
  }
  if (dispatcher_ != nullptr) {
    packer_.Lower(dispatcher_->learnt_caps());
    packer_.Lower({.inputs_max = {}, .model_tokens_max = dispatcher_->tokens_a_request()});
    packer_.SetTokenRatio(dispatcher_->tokens_per_estimated());
  }
  for (const BatchItem& item : admission.to_buy) {
    const std::string_view text = item.text();
    const PackCost cost{EstimateModelTokens(text), text.size()};
    if (packer_.MustCloseBefore(cost)) CloseOpen(closed);
    if (!open_) open_ = NewBatch();
    open_->items.push_back(item);
    open_->model_tokens += cost.model_tokens;
    if (packer_.Add(cost)) {
      CloseOpen(closed);
    } else {
      open_mark_.store(++texts_packed_, std::memory_order_release);
    }
  }
}

bool StageBodies::IsOverCaps(const Batch& batch) {
  const std::size_t inputs = batch.items.size();
  if (inputs < 2) return false;
  const LearntCaps told = dispatcher_->learnt_caps();
  const RequestLimits own = dispatcher_->endpoint(batch.endpoint).dialect().limits();
  const auto is_over = [](double size, const std::optional<std::size_t>& cap) {
    return cap && size > static_cast<double>(*cap);
  };
  if (inputs > own.inputs_max || (told.inputs_max && inputs > *told.inputs_max)) return true;
  // What the packer made for the first endpoint may be too much for another; its own estimate was
  // good enough when it was packed.
  if (batch.endpoint != 0 &&
      is_over(static_cast<double>(batch.model_tokens), own.model_tokens_max)) {
    return true;
  }
  return is_over(batch.permit->cost.model_tokens, told.model_tokens_max);
}

std::optional<TransportJob> StageBodies::Write(Batch& batch) {
  batch.sent = false;
  batch.round_trip = {};
  if (batch.is_given_up) return std::nullopt;
  if (run_.halting()) {
    batch.outcome = Cancelled();
    return std::nullopt;
  }
  if (dispatcher_ != nullptr && IsOverCaps(batch)) {
    batch.is_over_caps = true;
    batch.outcome = Cancelled();
    return std::nullopt;
  }
  ++batch.attempt;
  ++batch.attempts_here;
  batch.outcome = {};
  batch.reply = {};
  if (dispatcher_ == nullptr) return std::nullopt;
  Endpoint& endpoint = dispatcher_->endpoint(batch.endpoint);
  // A retry to the same endpoint sends what the first attempt wrote.
  const bool is_written = !batch.request.url.empty() && batch.attempts_here > 1 &&
                          batch.request.is_compressed <= endpoint.compresses_requests();
  if (!is_written) {
    batch.request = endpoint.dialect().Write(TextsOf(batch));
    if (endpoint.compresses_requests() &&
        batch.request.body.size() >= endpoint.flow().request_gzip_bytes_min) {
      // What cannot be compressed goes plain.
      (void)GzipRequest(&batch.request);
    }
  }
  TransportJob job;
  job.id = batch.id;
  job.request = std::move(batch.request);
  job.reply_bytes_max = endpoint.dialect().reply_bytes_max(batch.items.size());
  job.options = endpoint.send_options();
  batch.vectors.resize(batch.items.size() * dimensions_);
  batch.reader = endpoint.dialect().NewReader(batch.items.size(), batch.vectors);
  job.reader = batch.reader;
  return job;
}

void StageBodies::TakeAnswer(Batch& batch, TransportAnswer answer) {
  batch.reply = std::move(answer.reply);
  batch.request = std::move(answer.request);
  batch.sent = answer.sent;
  batch.round_trip = answer.round_trip;
}

void StageBodies::Decode(Batch& batch) {
  if (batch.is_given_up || batch.outcome.kind == Outcome::Kind::kCancelled) return;
  if (dispatcher_ != nullptr) {
    Endpoint& endpoint = dispatcher_->endpoint(batch.endpoint);
    if (batch.reply.transport.code() == Code::kCancelled) {
      batch.outcome = Cancelled();
    } else if (batch.request.is_compressed && RefusesCompression(batch.reply)) {
      endpoint.StopCompressing();
      batch.is_compression_refused = true;
      batch.outcome.status = Status(Code::kUnavailable, "the server refuses compressed requests");
    } else {
      batch.outcome = batch.reader != nullptr
                          ? batch.reader->Finish(batch.reply)
                          : endpoint.dialect().Read(batch.reply, batch.items.size(), batch.vectors);
    }
    batch.reader.reset();
    batch.reply.body = {};
    KeepCredibleBill(&batch.outcome, batch.model_tokens);
  } else {
    batch.vectors.resize(batch.items.size() * dimensions_);
    Embed(*run_.provider->embedder(), batch);
  }
  CountAttempt(batch);
}

void StageBodies::Embed(const Embedder& embedder, Batch& batch) {
  batch.sent = true;
  const Status status = embedder.Embed(TextsOf(batch), batch.vectors);
  batch.outcome.kind = status.ok() ? Outcome::Kind::kOk : Outcome::Kind::kInvalid;
  batch.outcome.status = status;
  for (std::size_t i = 0; status.ok() && i < batch.items.size(); ++i) {
    if (IsUsableVector(std::span<const float>(batch.vectors).subspan(i * dimensions_, dimensions_)))
      continue;
    batch.outcome.kind = Outcome::Kind::kInvalid;
    batch.outcome.status =
        Status(Code::kInternal, "the vector of text " + std::to_string(i) +
                                    " of the batch is zero, not finite or too large");
    return;
  }
}

void StageBodies::CountAttempt(const Batch& batch) {
  Counters& counters = run_.counters;
  if (batch.sent) {
    ++counters.requests;
    if (batch.attempt > 1) ++counters.retries;
  }
  if (batch.outcome.kind == Outcome::Kind::kThrottled) ++counters.throttled;
  if (batch.outcome.kind == Outcome::Kind::kOk) {
    accepted_any_.store(true, std::memory_order_relaxed);
    refused_texts_ = 0;
  }
  // A reply of status 200 is billed, whether it can be used or not.
  const bool billed = batch.outcome.kind == Outcome::Kind::kOk || batch.reply.status == 200;
  if (billed && run_.provider->dialect() != nullptr) {
    counters.model_tokens += batch.outcome.model_tokens.value_or(batch.model_tokens);
  }
}

Verdict StageBodies::DecideFor(Batch& batch) {
  if (batch.is_given_up) return {Verdict::Kind::kStop, {}};
  if (batch.is_over_caps) return {Verdict::Kind::kSplit, {}};
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
  // A request that left and brought no usable reply may have been billed.
  if (batch.sent &&
      (batch.outcome.kind == Outcome::Kind::kBadReply ||
       (batch.outcome.kind == Outcome::Kind::kTransient && batch.reply.status == 0))) {
    batch.maybe_paid_before = true;
  }
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

void StageBodies::NoteRefusal(Batch& batch, Verdict* verdict) {
  if (verdict->kind != Verdict::Kind::kSplit && verdict->kind != Verdict::Kind::kDead) return;
  // An oversize batch is a matter of packing, not of the texts.
  if (batch.is_over_caps ||
      (batch.outcome.kind == Outcome::Kind::kOversize && batch.items.size() > 1))
    return;
  // While others are accepted, a refusal is about the texts in it.
  const bool accepted_any = accepted_any_.load(std::memory_order_relaxed);
  if (accepted_any && dispatcher_ != nullptr && dispatcher_->OthersSucceed(batch)) return;
  const bool is_single = verdict->kind == Verdict::Kind::kDead;
  if (accepted_any && !is_single) return;
  const bool is_unusable = batch.outcome.kind == Outcome::Kind::kBadReply;
  const std::uint64_t refusals = ++refusals_;
  const bool is_new = is_single && !batch.is_condemned;
  const std::uint64_t texts = is_new ? ++refused_texts_ : refused_texts_.load();
  const bool goes_on = accepted_any  ? texts < kRefusedTextsInARowMax
                       : is_unusable ? !is_single && refusals < kBadRepliesMax
                                     : refusals < kRefusalsMax && texts < kRefusedTextsMax;
  if (goes_on) {
    // Judged again once others have been: it must not be dead of a server that refuses all.
    if (is_new) {
      batch.is_condemned = true;
      *verdict = {Verdict::Kind::kAgain, kSecondJudgement};
    }
    return;
  }
  run_.Fail(is_unusable ? Status(Code::kUnavailable, "the provider's replies cannot be used: " +
                                                         batch.outcome.status.message())
                              .WithWord(kRepliesUnusable)
                              .WithNext("check --base-url, --model and --dimensions; then the same "
                                        "command")
                        : Status(Code::kRefused, "the provider refuses every request: " +
                                                     batch.outcome.status.message())
                              .WithWord(kRequestRefused)
                              .WithNext("check --model, --dimensions and --base-url; then the same "
                                        "command"));
  verdict->kind = Verdict::Kind::kCancel;
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

void StageBodies::Settle(Batch& batch) {
  Counters& counters = run_.counters;
  for (const DocumentPtr& document : batch.finished) {
    if (document->cancelled) {
      ++counters.documents_cancelled;
    } else if (document->record.bad) {
      ++counters.documents_dead;
    }
    run_.budget.Give(document->charge_bytes);
    run_.active_ids.Leave(document->id_hash);
    ++counters.settled;
  }
  batch.finished.clear();
  ++counters.batches_settled;
}

}  // namespace embedflow
