#include "pipeline/stage_bodies.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "vector/index.h"

namespace embedflow {
namespace {

RetryOptions RetryOptionsOf(const FlowOptions& flow) {
  RetryOptions options;
  options.retries_max = flow.retries_max;
  options.retry_delay = flow.retry_delay;
  return options;
}

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

StageBodies::StageBodies(RunState& run, const Chunker& chunker)
    : run_(run),
      chunker_(chunker),
      retry_(RetryOptionsOf(run.options.flow)),
      dimensions_(static_cast<std::size_t>(run.space.space.dimensions)),
      packer_(BatchLimits(*run.provider)),
      rate_limiter_(run.options.flow.requests_per_minute, run.options.flow.model_tokens_per_minute),
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

void StageBodies::ReserveTime(Batch& batch) {
  if (run_.halting() || run_.provider->dialect() == nullptr) return;
  // A retry pays now for what it sends later: reserving at its own time would hold back all that
  // come after it.
  batch.not_before =
      std::max(batch.not_before, rate_limiter_.Reserve(batch.model_tokens, run_.clock.Now()));
}

std::optional<TransportJob> StageBodies::Write(Batch& batch) {
  ++batch.attempt;
  batch.outcome = {};
  if (run_.halting()) {
    batch.outcome = Cancelled();
    return std::nullopt;
  }
  const Dialect* dialect = run_.provider->dialect();
  if (dialect == nullptr) return std::nullopt;
  TransportJob job;
  job.id = batch.id;
  // A retry sends what the first attempt wrote.
  job.request =
      batch.request.url.empty() ? dialect->Write(TextsOf(batch)) : std::move(batch.request);
  job.reply_bytes_max = dialect->reply_bytes_max(batch.items.size());
  job.not_before = batch.not_before;
  return job;
}

void StageBodies::TakeAnswer(Batch& batch, TransportAnswer answer) {
  batch.reply = std::move(answer.reply);
  batch.request = std::move(answer.request);
  batch.sent = answer.sent;
}

void StageBodies::Decode(Batch& batch) {
  if (batch.outcome.kind == Outcome::Kind::kCancelled) return;
  batch.vectors.resize(batch.items.size() * dimensions_);
  if (const Dialect* dialect = run_.provider->dialect(); dialect != nullptr) {
    if (batch.reply.transport.code() == Code::kCancelled) {
      batch.outcome = Cancelled();
    } else {
      batch.outcome = dialect->Read(batch.reply, batch.items.size(), batch.vectors);
    }
    // A reply is larger than its vectors; it is not needed any more.
    batch.reply.body = {};
  } else {
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
  if (batch.outcome.kind == Outcome::Kind::kOk)
    accepted_any_.store(true, std::memory_order_relaxed);
  // A reply of status 200 is billed, whether it can be used or not.
  const bool billed = batch.outcome.kind == Outcome::Kind::kOk || batch.reply.status == 200;
  if (billed && run_.provider->dialect() != nullptr) {
    counters.model_tokens += batch.outcome.model_tokens.value_or(batch.model_tokens);
  }
}

StageBodies::Judgement StageBodies::Judge(Batch& batch) {
  Judgement judgement;
  {
    MutexLock lock(mu_);
    judgement.verdict = Decide(retry_, batch.outcome, batch.attempt, batch.items.size(), rng_);
  }
  Verdict& verdict = judgement.verdict;
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
  switch (verdict.kind) {
    case Verdict::Kind::kKeep:
      batch.end = Batch::End::kBought;
      break;
    case Verdict::Kind::kDead:
      batch.end = Batch::End::kDead;
      break;
    case Verdict::Kind::kAgain:
      batch.not_before = run_.clock.Now() + verdict.delay;
      Log(LogLevel::kDebug, "retry " + std::to_string(batch.attempt) + "/" +
                                std::to_string(retry_.retries_max) + ", waiting " +
                                std::to_string(verdict.delay.count()) +
                                " ms: " + batch.outcome.status.message());
      break;
    case Verdict::Kind::kSplit:
      judgement.halves = Split(batch);
      break;
    case Verdict::Kind::kStop:
      run_.Fail(batch.outcome.kind == Outcome::Kind::kRefused
                    ? batch.outcome.status
                    : Status(Code::kUnavailable, batch.outcome.status.message() + " (" +
                                                     std::to_string(batch.attempt) + " attempts)")
                          .WithNext("run the same command again once the provider answers"));
      [[fallthrough]];
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

void StageBodies::NoteRefusal(const Batch& batch, Verdict* verdict) {
  if (verdict->kind != Verdict::Kind::kSplit && verdict->kind != Verdict::Kind::kDead) return;
  // Once one request was accepted, a refusal is about the texts in it.
  if (accepted_any_.load(std::memory_order_relaxed)) return;
  const std::uint64_t refusals = ++refusals_;
  const bool single = verdict->kind == Verdict::Kind::kDead;
  if (batch.outcome.kind == Outcome::Kind::kBadReply) {
    if (!single && refusals < kBadRepliesMax) return;
    run_.Fail(Status(Code::kUnavailable,
                     "the provider's replies cannot be used: " + batch.outcome.status.message())
                  .WithWord(kRepliesUnusable)
                  .WithNext("check --base-url, --model and --dimensions; then the same command"));
  } else {
    const std::uint64_t texts = single ? ++refused_texts_ : refused_texts_.load();
    if (refusals < kRefusalsMax && texts < kRefusedTextsMax) return;
    run_.Fail(Status(Code::kRefused,
                     "the provider refuses every request: " + batch.outcome.status.message())
                  .WithWord(kRequestRefused)
                  .WithNext("check --model, --dimensions and --base-url; then the same command"));
  }
  verdict->kind = Verdict::Kind::kCancel;
}

std::vector<BatchPtr> StageBodies::Split(Batch& batch) {
  const std::size_t half = batch.items.size() / 2;
  std::vector<BatchPtr> halves = {NewBatch(), NewBatch()};
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    Batch& to = *halves[i < half ? 0 : 1];
    to.model_tokens += EstimateModelTokens(batch.items[i].text());
    to.maybe_paid_before = batch.maybe_paid_before;
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
