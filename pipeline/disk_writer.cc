#include "pipeline/disk_writer.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace embedflow {
namespace {

bool BringsVectors(const Batch& batch) {
  return batch.end == Batch::End::kBought || batch.end == Batch::End::kCached;
}

// What a batch brings; it must outlive `puts`.
void AppendPuts(const Batch& batch, const Space& space, std::vector<Store::VectorPut>* puts) {
  const auto dimensions = static_cast<std::size_t>(space.dimensions);
  EF_CHECK(batch.vectors.size() == batch.items.size() * dimensions);
  for (std::size_t i = 0; i < batch.items.size(); ++i) {
    puts->push_back({batch.items[i].text_hash(),
                     std::span<const float>(batch.vectors).subspan(i * dimensions, dimensions)});
  }
}

}  // namespace

DiskWriter::DiskWriter(RunState& run, Indexer* indexer, DiskWriterSinks sinks,
                       std::function<Progress()> sample)
    : run_(run),
      indexer_(indexer),
      sinks_(std::move(sinks)),
      sample_(std::move(sample)),
      thread_([this] { Main(); }) {}

DiskWriter::~DiskWriter() {
  {
    MutexLock lock(mu_);
    stop_ = true;
    changed_.SignalAll();
  }
  thread_.join();
}

void DiskWriter::Submit(BatchPtr batch) {
  MutexLock lock(mu_);
  if (queue_.empty()) first_queued_ = run_.clock.Now();
  queued_chunks_ += batch->items.size();
  for (const DocumentPtr& document : batch->finished) queued_chunks_ += document->chunks.size() + 1;
  queue_.push_back(std::move(batch));
  changed_.Signal();
}

void DiskWriter::Hurry() {
  MutexLock lock(mu_);
  hurry_ = true;
  changed_.Signal();
}

void DiskWriter::Main() {
  PlayRole play(role_);
  sampled_ = run_.clock.Now();
  while (true) {
    const std::vector<BatchPtr> group = NextGroup();
    if (group.empty()) return;
    Process(group);
    SampleIfDue();
  }
}

std::vector<BatchPtr> DiskWriter::NextGroup() {
  MutexLock lock(mu_);
  while (true) {
    if (queue_.empty()) {
      if (stop_) return {};
      changed_.Wait(mu_);
      continue;
    }
    const Duration waited = run_.clock.Now() - first_queued_;
    if (hurry_ || stop_ || queued_chunks_ >= kGroupChunks || waited >= kLinger) break;
    // A full budget means that nothing more can come before this is settled.
    if (run_.budget.starving() && waited >= kLinger / 10) break;
    changed_.WaitFor(mu_, std::min<Duration>(kLinger - waited, kLinger / 10));
  }
  std::vector<BatchPtr> group;
  std::size_t chunks = 0, bytes = 0;
  while (!queue_.empty() && chunks < kGroupChunks && bytes < kGroupBytes) {
    BatchPtr& batch = queue_.front();
    std::size_t size = batch->items.size();
    for (const DocumentPtr& document : batch->finished) size += document->chunks.size() + 1;
    chunks += size;
    queued_chunks_ -= size;
    bytes += batch->vectors.size() * sizeof(float);
    group.push_back(std::move(batch));
    queue_.pop_front();
  }
  if (!queue_.empty()) first_queued_ = run_.clock.Now();
  return group;
}

void DiskWriter::Process(const std::vector<BatchPtr>& group) {
  if (const Status put = PutVectors(group); !put.ok()) {
    run_.store_failed = true;
    run_.Fail(put);
    // Not one vector of the group is in.
    for (const BatchPtr& batch : group) {
      if (BringsVectors(*batch)) batch->end = Batch::End::kCancelled;
    }
  }
  for (const BatchPtr& batch : group) Resolve(*batch);
  if (const Status commit = Commit(); !commit.ok()) run_.Fail(commit);
  // After the acknowledgement, which it would hold up; before the vectors leave.
  if (run_.cache != nullptr) PutIntoCache(group);
  // The documents leave with the last batch of their group; which one does not matter.
  group.back()->finished = std::move(finished_);
  finished_.clear();
  for (const BatchPtr& batch : group) sinks_.settle(batch);
}

Status DiskWriter::PutVectors(const std::vector<BatchPtr>& group) {
  std::vector<Store::VectorPut> puts;
  std::uint64_t bought = 0;
  for (const BatchPtr& batch : group) {
    if (!BringsVectors(*batch)) continue;
    AppendPuts(*batch, run_.space.space, &puts);
    if (batch->end == Batch::End::kBought) bought += batch->items.size();
  }
  if (puts.empty() || run_.store_failed) return run_.store_failed ? run_.failure() : Status();
  EF_ASSIGN_OR_RETURN(const std::uint64_t already,
                      run_.corpus_store.PutVectors(run_.space.id, puts));
  const std::uint64_t bought_before = std::min(already, bought);
  run_.counters.embedded += bought - bought_before;
  std::uint64_t maybe_twice = 0;
  for (const BatchPtr& batch : group) {
    if (batch->end == Batch::End::kBought) maybe_twice += ClearInFlight(*batch);
  }
  if (run_.in_flight) maybe_twice += run_.in_flight->TakeOver(bought - maybe_twice);
  run_.counters.bought_twice += std::max(bought_before, maybe_twice);
  return {};
}

std::uint64_t DiskWriter::ClearInFlight(Batch& batch) {
  std::uint64_t maybe_twice = 0;
  for (BatchItem& item : batch.items) {
    if (run_.in_flight) run_.in_flight->Clear(&item.slot);
    const bool is_known = run_.maybe_paid.erase(item.text_hash()) > 0;
    if (is_known) bought_again_.push_back(item.text_hash());
    if (is_known || batch.maybe_paid_before) ++maybe_twice;
  }
  return maybe_twice;
}

void DiskWriter::PutIntoCache(const std::vector<BatchPtr>& group) {
  std::vector<Store::VectorPut> puts;
  for (const BatchPtr& batch : group) {
    if (batch->end == Batch::End::kBought) AppendPuts(*batch, run_.space.space, &puts);
  }
  run_.cache->Put(run_.cache_space, puts);
}

void DiskWriter::Resolve(Batch& batch) {
  for (const DocumentPtr& document : batch.finished) finished_.push_back(document);
  batch.finished.clear();
  for (const BatchItem& item : batch.items) {
    const std::vector<Claimed> waiters = run_.claims.Release(item.text_hash());
    ResolveChunk(item, batch, true);
    for (const Claimed& waiter : waiters) ResolveChunk(waiter, batch, false);
  }
}

void DiskWriter::ResolveChunk(const Claimed& chunk, const Batch& batch, bool owner) {
  AdmittedDocument& document = *chunk.document;
  ChunkRow& row = document.chunks[chunk.chunk];
  switch (batch.end) {
    case Batch::End::kBought:
      if (owner) ++document.bought;
      break;
    case Batch::End::kCached:
      break;
    case Batch::End::kDead: {
      row.dead = true;
      DeadLetter letter;
      letter.reason = batch.outcome.kind == Outcome::Kind::kBadReply
                          ? "the provider's reply to this text cannot be used"
                          : "the provider refuses this text";
      letter.provider_says = batch.outcome.status.message();
      letter.document_id = document.record.document.id;
      letter.file = document.record.origin.file;
      letter.line = document.record.origin.line;
      letter.begin = row.begin;
      letter.end = row.end;
      letter.attempts = batch.attempt;
      letter.wall_ms = run_.clock.WallMillis();
      document.letters.push_back(std::move(letter));
      break;
    }
    case Batch::End::kCancelled:
      document.cancelled = true;
      break;
    case Batch::End::kKnown:
    case Batch::End::kOpen:
      EF_CHECK(false);
  }
  if (document.waiting.fetch_sub(1, std::memory_order_acq_rel) == 1)
    finished_.push_back(chunk.document);
}

Status DiskWriter::Commit() {
  if (run_.store_failed) {
    for (const DocumentPtr& document : finished_) document->cancelled = true;
  }
  const std::string why = run_.failure().word();
  const bool form_refused = why == kRequestRefused || why == kRepliesUnusable;
  CommitGroup group;
  group.run = run_.run;
  group.space = run_.space.id;
  std::vector<DocumentPtr> documents, moved;
  std::vector<std::uint64_t> tokens;
  for (const DocumentPtr& document : finished_) {
    // A request whose form is refused says nothing about its texts.
    if (form_refused && !document->letters.empty()) document->cancelled = true;
    if (document->cancelled) continue;
    tokens.push_back(document->record.token);
    if (document->record.bad) {
      DeadLetter letter;
      letter.reason = document->record.bad->reason;
      letter.document_id = document->record.bad->id;
      letter.file = document->record.origin.file;
      letter.line = document->record.origin.line;
      letter.wall_ms = run_.clock.WallMillis();
      group.dead_letters.push_back(std::move(letter));
      continue;
    }
    if (document->moved) {
      moved.push_back(document);
      group.moved.push_back({document->moved->number, document->source, document->record.origin});
      continue;
    }
    documents.push_back(document);
    group.documents.push_back({&document->record.document, document->record.origin,
                               document->text_hash, document->metadata_hash, document->chunking,
                               document->source, document->sequence, &document->chunks});
    group.dead_letters.insert(group.dead_letters.end(), document->letters.begin(),
                              document->letters.end());
  }
  if (group.documents.empty() && group.dead_letters.empty() && group.moved.empty()) return {};
  group.bought_again = std::exchange(bought_again_, {});
  Result<CommitResult> result = run_.corpus_store.Commit(group);
  if (!result.ok()) {
    run_.store_failed = true;
    for (const DocumentPtr& document : finished_) document->cancelled = true;
    return result.status();
  }
  CountDocuments(*result, documents);
  for (const DocumentPtr& document : moved) run_.counters.CountUnchanged(*document->moved);
  Index(*result, documents);
  EF_RETURN_IF_ERROR(Acknowledge(*result, documents));
  if (sinks_.committed && !tokens.empty()) sinks_.committed(tokens);
  return {};
}

void DiskWriter::CountDocuments(const CommitResult& result,
                                const std::vector<DocumentPtr>& documents) {
  Counters& counters = run_.counters;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const AdmittedDocument& document = *documents[i];
    const CommitResult::Fate fate = result.fates[i];
    if (fate == CommitResult::Fate::kEmpty) {
      ++counters.empty;
      continue;
    }
    if (fate == CommitResult::Fate::kSuperseded) {
      ++counters.replaced;
      continue;
    }
    // Of two records with one id, one is ingested and one replaced: this one took the other's
    // place.
    const std::uint64_t dead = document.letters.size();
    const bool all_dead = dead == document.chunks.size();
    if (fate == CommitResult::Fate::kReplacedOther && !all_dead) ++counters.replaced;
    if (all_dead) ++counters.documents_dead;
    if (!all_dead && fate == CommitResult::Fate::kIngested) ++counters.ingested;
    counters.chunks += document.chunks.size();
    counters.chunks_dead += dead;
    counters.reused += document.chunks.size() - dead - document.bought;
  }
}

void DiskWriter::Index(const CommitResult& result, const std::vector<DocumentPtr>& documents) {
  if (indexer_ == nullptr) return;
  IndexJob job;
  job.removed = result.removed;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    for (std::size_t c = 0; c < result.chunk_ids[i].size(); ++c) {
      const ChunkRow& row = documents[i]->chunks[c];
      if (row.dead || !result.chunk_is_new[i][c]) continue;
      job.added.push_back(result.chunk_ids[i][c]);
      job.text_hashes.push_back(row.text_hash);
    }
  }
  indexer_->Submit(std::move(job));
}

Status DiskWriter::Acknowledge(const CommitResult& result,
                               const std::vector<DocumentPtr>& documents) {
  if (!run_.options.on_commit || unacknowledged_) return {};
  std::vector<ChunkId> ids;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    for (std::size_t c = 0; c < result.chunk_ids[i].size(); ++c) {
      if (!documents[i]->chunks[c].dead) ids.push_back(result.chunk_ids[i][c]);
    }
  }
  if (ids.empty()) return {};
  Status status;
  try {
    status = run_.options.on_commit(ids);
  } catch (const std::exception& error) {
    status = Status(Code::kInternal, std::string("on_commit failed: ") + error.what());
  }
  unacknowledged_ = !status.ok();
  return status;
}

void DiskWriter::SampleIfDue() {
  const TimePoint now = run_.clock.Now();
  if (now - sampled_ < kSampleInterval || !run_.failure().ok()) return;
  sampled_ = now;
  if (const Status status = run_.corpus_store.AddRunSample(run_.run, sample_()); !status.ok())
    run_.Fail(status);
}

}  // namespace embedflow
