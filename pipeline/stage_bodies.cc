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

// A batch is stored whole, and the store takes 65,536 vectors at a time. A request of more than a
// minute's tokens is never let through by a server that counts; half leaves room for our estimate.
RequestLimits BatchLimits(const Provider& provider, const FlowOptions& flow) {
  constexpr std::size_t kBatchInputsMax = 32768;
  RequestLimits limits = provider.limits();
  limits.inputs_max = std::min(limits.inputs_max, kBatchInputsMax);
  if (flow.model_tokens_per_minute) {
    const auto half = static_cast<std::size_t>(std::max(1.0, *flow.model_tokens_per_minute / 2));
    limits.model_tokens_max = std::min(limits.model_tokens_max.value_or(half), half);
  }
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
      packer_(BatchLimits(*run.provider, run.options.flow)),
      rng_(run.options.seed),
      probe_(run.send_probe, [&run] { return run.halting(); }) {}

void StageBodies::Chunk(Admission& admission) {
  std::vector<ChunkSpan> spans;
  for (const DocumentPtr& document : admission.documents) {
    if (document->record.bad || document->is_cut || document->moved) {
      document->waiting.store(static_cast<std::uint32_t>(document->chunks.size()) + 1,
                              std::memory_order_release);
      continue;
    }
    document->chunking = run_.chunking;
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

void StageBodies::Lookup(Admission& admission, std::vector<DocumentPtr>* finished,
                         std::vector<BatchPtr>* cached) {
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
  if (run_.cache != nullptr) TakeCached(&admission.to_buy, cached);
  for (const DocumentPtr& document : admission.documents) arrived(document);
}

void StageBodies::TakeCached(std::vector<BatchItem>* to_buy, std::vector<BatchPtr>* cached) {
  // A batch is stored whole, so a document of many chunks makes several.
  constexpr std::size_t kTextsMax = 1024;
  std::vector<BatchItem> missing;
  std::vector<ContentHash> hashes;
  std::vector<char> found;
  for (std::size_t begin = 0; begin < to_buy->size() && !run_.cache->is_off(); begin += kTextsMax) {
    const auto part =
        std::span(*to_buy).subspan(begin, std::min(kTextsMax, to_buy->size() - begin));
    hashes.clear();
    for (const BatchItem& item : part) hashes.push_back(item.text_hash());
    found.resize(part.size());
    std::vector<float> rows;
    const std::size_t hits = run_.cache->Find(run_.cache_space, hashes, found, &rows);
    run_.counters.cache_hits += hits;
    run_.counters.cache_misses += part.size() - hits;
    if (hits == 0) continue;
    const BatchPtr batch = NewBatch();
    batch->end = Batch::End::kCached;
    batch->vectors = std::move(rows);
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (found[i]) batch->items.push_back(std::move(part[i]));
    }
    cached->push_back(batch);
  }
  if (cached->empty()) return;
  for (BatchItem& item : *to_buy) {
    if (item.document != nullptr) missing.push_back(std::move(item));
  }
  *to_buy = std::move(missing);
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
  if (batch.judgements > 0 && dispatcher_ != nullptr && dispatcher_->OthersSucceed(batch) &&
      IsOneRefusalAlone()) {
    batch.is_proven = true;
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
  NameInFlight(batch);
  return job;
}

void StageBodies::TakeAnswer(Batch& batch, TransportAnswer answer) {
  batch.reply = std::move(answer.reply);
  batch.request = std::move(answer.request);
  batch.sent = answer.sent;
  batch.round_trip = answer.round_trip;
}

void StageBodies::Decode(Batch& batch) {
  if (batch.is_given_up || batch.is_proven || batch.outcome.kind == Outcome::Kind::kCancelled)
    return;
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
