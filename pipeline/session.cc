#include "pipeline/session.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "corpus/access.h"
#include "corpus/index_keeper.h"
#include "corpus/provider_record.h"
#include "pipeline/canary.h"
#include "pipeline/shared_cache.h"
#include "pipeline/sync.h"

namespace embedflow {
namespace {

// How long a text may linger in an open batch or admission before it moves on.
constexpr std::chrono::milliseconds kLinger{25};

std::optional<double> PriceOf(const Space& space) {
  const Profile* profile = FindProfile(space.provider);
  if (profile == nullptr) return std::nullopt;
  for (const ModelProfile& model : profile->models) {
    if (model.model == space.model) return model.usd_per_million_tokens;
  }
  return std::nullopt;
}

// One transport carries the requests of all endpoints.
ReactorOptions ReactorOptionsOf(const PipelineOptions& run) {
  ReactorOptions options;
  const auto connections = [](const FlowOptions& flow) {
    return std::max(flow.connections_max, Endpoint::InFlightMax(flow));
  };
  options.connections_max = connections(run.flow);
  for (const EndpointOptions& more : run.endpoints) {
    options.connections_max += connections(more.flow);
  }
  options.connections_max = std::min<std::size_t>(options.connections_max, 1024);
  return options;
}

std::size_t InFlightMax(const PipelineOptions& run) {
  std::size_t sum = Endpoint::InFlightMax(run.flow);
  for (const EndpointOptions& more : run.endpoints) sum += Endpoint::InFlightMax(more.flow);
  return sum;
}

bool DecodesWhileItArrives(const Dialect& dialect) {
  std::vector<float> row(static_cast<std::size_t>(dialect.space().dimensions));
  return dialect.NewReader(1, row) != nullptr;
}

// What a run may hold besides the index. Admitted documents with room for their vectors, which are
// decoded while they arrive; for a dialect that needs whole replies those as well, of which a float
// in JSON takes up to 32 bytes where a vector takes 4; a group on its way to disk, in the writer
// and as dirty pages; and the rest, which does not grow: code, caches, read buffers, what malloc
// keeps (measured: 2 GB of JSON Lines, 2.3 million chunks of 512 dimensions, peaked at 239 MB where
// this says 256 MiB).
std::size_t MemoryBoundBytes(const Provider& provider, const FlowOptions& flow, bool has_cache) {
  constexpr std::size_t kFixedBytes = 176u << 20;
  constexpr std::size_t kReplyFactor = 8;
  const Dialect* dialect = provider.dialect();
  const std::size_t replies = dialect == nullptr || DecodesWhileItArrives(*dialect)
                                  ? 0
                                  : kReplyFactor * flow.admitted_bytes_max;
  return kFixedBytes + flow.admitted_bytes_max + replies + 2 * DiskWriter::kGroupBytes +
         (has_cache ? kCacheMemoryBytes : 0);
}

RunOutcome OutcomeOf(const Status& status, const RunSummary& summary) {
  switch (status.code()) {
    case Code::kOk:
      return summary.documents.dead > 0 || summary.chunks.dead > 0 ? RunOutcome::kPartial
                                                                   : RunOutcome::kComplete;
    case Code::kBudget:
      return RunOutcome::kBudget;
    case Code::kRefused:
      return RunOutcome::kRefused;
    case Code::kCancelled:
      return RunOutcome::kInterrupted;
    default:
      return RunOutcome::kFailed;
  }
}

}  // namespace

Session::Session(Corpus& corpus, std::shared_ptr<const Provider> provider, PipelineOptions options,
                 TransportFactory make_transport)
    : corpus_(corpus),
      run_(*CorpusAccess::store(corpus), std::move(provider), std::move(options), SystemClock()),
      chunker_(MakeChunker(run_.options.chunker)),
      make_transport_(std::move(make_transport)) {
  run_.on_halt = [this] {
    Source* source = nullptr;
    Graph* graph = nullptr;
    {
      MutexLock lock(mu_);
      if (stoppable_ != nullptr) {
        stoppable_->Drain();
        graph = graph_.get();
      }
      source = std::exchange(unstopped_, nullptr);
    }
    if (graph != nullptr) graph->Halt();
    // Not under the lock: a source is somebody else's code.
    if (source != nullptr) source->Stop();
  };
}

Status Session::BeginRun(const Source* source) {
  Store& store = run_.corpus_store;
  EF_ASSIGN_OR_RETURN(spaces_before_, CorpusAccess::reader(corpus_).Spaces());
  SpaceRecord wanted;
  wanted.space = run_.provider->space();
  RecordProvider(run_.options.recorded, &wanted);
  const IndexOptions& index = run_.options.index;
  if (index.kind != "auto") wanted.index_kind = index.kind;
  if (index.metric) wanted.metric = MetricName(*index.metric);
  EF_ASSIGN_OR_RETURN(run_.space, store.AddSpace(wanted));
  WarnOfNewSpace(source != nullptr);
  run_.chunking = ChunkingFingerprint(run_.options.chunker);
  const bool buys = run_.provider->dialect() != nullptr;
  // What can be bought and not yet be stored: what is admitted, by its vectors alone.
  const std::size_t vector_bytes =
      static_cast<std::size_t>(run_.space.space.dimensions) * sizeof(float);
  const std::size_t inside_max = buys ? run_.options.flow.admitted_bytes_max / vector_bytes + 1 : 0;
  EF_ASSIGN_OR_RETURN(const Store::RunBegin begin, store.BeginRun(run_.space.id, inside_max));
  if (source != nullptr) {
    const std::vector<std::string> inputs = source->inputs();
    if (!inputs.empty()) {
      EF_ASSIGN_OR_RETURN(run_.sources, store.AddSources(inputs));
    }
  }
  run_.run = begin.run;
  return buys ? run_.OpenInFlight(corpus_.directory(), begin, Intake::ChargeMin(vector_bytes))
              : Status();
}

Status Session::CheckEndpoints() {
  const std::vector<EndpointOptions>& more = run_.options.endpoints;
  if (more.empty()) return {};
  const auto now = [this](const FlowOptions& flow) {
    return EmbedNowOptions{flow.timeout, [this] { return run_.halting(); }};
  };
  EmbedNowCost spent;
  const auto count = [&] {
    run_.counters.requests += spent.requests;
    run_.counters.model_tokens += spent.model_tokens;
    spent = {};
  };
  const Result<std::vector<float>> ours =
      CanaryVectors(*run_.provider, now(run_.options.flow), &spent);
  count();
  if (!ours.ok() && ours.status().code() == Code::kCancelled) return ours.status();
  if (!ours.ok()) {
    const Status& why = ours.status();
    return Status(why.code(),
                  "the provider, with whose vectors those of its replicas and fallbacks "
                  "are compared first, gives none: " +
                      why.message())
        .WithWord(why.word())
        .WithNext(why.code() == Code::kUnavailable
                      ? "start again once it answers, or name another as --provider"
                      : why.next());
  }
  for (std::size_t i = 0; i < more.size(); ++i) {
    const Result<std::vector<float>> theirs =
        CanaryVectors(*more[i].provider, now(more[i].flow), &spent);
    count();
    if (theirs.ok()) {
      EF_RETURN_IF_ERROR(CompareCanaries(*ours, *theirs, *more[i].provider));
      continue;
    }
    if (theirs.status().code() == Code::kCancelled) return theirs.status();
    // Vectors of another length, or none that can be used.
    if (theirs.status().word() == "bad_reply") {
      return Status(Code::kInvalidArgument,
                    "an endpoint cannot serve this space: " + theirs.status().message())
          .WithWord("space_mismatch")
          .WithNext("use as fallback or replica only what serves the same model");
    }
    // It cannot be compared, so it does not serve; the run can do without.
    excluded_.emplace_back(i + 1, theirs.status().WithContext("its canary texts"));
  }
  return {};
}

Status Session::Begin(Source* the_source, std::optional<StoredDocuments::Which> which) {
  run_.started = run_.clock.Now();
  if (run_.options.sync && (the_source == nullptr || the_source->inputs().empty())) {
    return {Code::kInvalidArgument, "sync needs a source that names its inputs"};
  }
  EF_RETURN_IF_ERROR(CheckEndpoints());
  EF_RETURN_IF_ERROR(BeginRun(the_source));
  OpenSharedCache(run_);
  EF_ASSIGN_OR_RETURN(source_reader_, run_.corpus_store.NewReader());
  if (run_.space.index_kind != "none") {
    EF_ASSIGN_OR_RETURN(std::unique_ptr<StoreReader> reader, run_.corpus_store.NewReader());
    indexer_ = std::make_unique<Indexer>(run_, corpus_.directory(), std::move(reader));
  }
  graph_ = std::make_unique<Graph>(run_, *chunker_,
                                   [this](BatchPtr batch) { writer_->Submit(std::move(batch)); });
  for (const auto& [endpoint, why] : excluded_) graph_->dispatcher()->Exclude(endpoint, why);
  DiskWriterSinks sinks;
  sinks.settle = [this](const BatchPtr& batch) { graph_->Settle(batch); };
  if (the_source != nullptr) {
    sinks.committed = [the_source](std::span<const std::uint64_t> tokens) {
      the_source->Committed(tokens);
    };
  }
  intake_ = std::make_unique<Intake>(run_, *source_reader_, *graph_);
  EF_ASSIGN_OR_RETURN(transport_, make_transport_(ReactorOptionsOf(run_.options), run_.clock,
                                                  [this](std::vector<TransportAnswer> answers) {
                                                    graph_->Deliver(std::move(answers));
                                                  }));
  graph_->SetTransport(transport_.get());
  writer_ = std::make_unique<DiskWriter>(run_, indexer_.get(), std::move(sinks),
                                         [this] { return Snapshot(); });
  bool abort = false;
  {
    MutexLock lock(mu_);
    source_ = unstopped_ = the_source;
    stoppable_ = transport_.get();
    abort = abort_requested_;
  }
  // A stop that came before there was anything to stop.
  if (run_.halting()) run_.on_halt();
  if (abort) transport_->Abort();
  Log(LogLevel::kInfo,
      "memory besides the index stays below " +
          std::to_string(
              MemoryBoundBytes(*run_.provider, run_.options.flow, run_.cache != nullptr) >> 20) +
          " MiB: " + std::to_string(run_.options.flow.admitted_bytes_max >> 20) + " MiB admitted" +
          (graph_->dispatcher() == nullptr
               ? ""
               : ", " + std::to_string(InFlightMax(run_.options)) + " requests in flight"));
  ticking_ = true;
  ticker_ = transport_.get();
  ticker_->CallAt(run_.clock.Now() + kLinger, [this] { Tick(); });
  StartReading(the_source, which);
  return {};
}

void Session::StartReading(Source* source, std::optional<StoredDocuments::Which> which) {
  if (which) stored_ = std::make_unique<StoredDocuments>(*source_reader_, run_.space.id, *which);
  graph_->Hold();
  source_thread_ = std::thread([this, source] {
    if (source != nullptr) {
      intake_->Read(*source);
    } else {
      intake_->Read(*stored_);
    }
    writer_->Hurry();
    graph_->Release();
  });
}

void Session::Tick() {
  if (!ticking_.load(std::memory_order_acquire)) return;
  const TimePoint now = run_.clock.Now();
  intake_->FlushOpen();
  graph_->Flush(run_.budget.starving());
  if (run_.options.on_progress && now >= next_progress_) {
    next_progress_ = now + run_.options.progress_interval;
    run_.options.on_progress(Snapshot());
  }
  ticker_->CallAt(now + kLinger, [this] { Tick(); });
}

RunSummary Session::Count() {
  RunSummary counted;
  run_.counters.CopyTo(&counted);
  counted.seconds = std::chrono::duration<double>(run_.clock.Now() - run_.started).count();
  if (counted.seconds > 0) {
    counted.chunks_per_second = static_cast<double>(counted.chunks.total) / counted.seconds;
  }
  counted.peak_rss_bytes = PeakRssBytes();
  if (run_.provider->dialect() == nullptr) {
    counted.cost_usd = 0;
  } else if (const std::optional<double> price = PriceOf(run_.space.space)) {
    counted.cost_usd = static_cast<double>(counted.provider.model_tokens) / 1e6 * *price;
  }
  if (graph_ && graph_->dispatcher() != nullptr)
    counted.endpoints = graph_->dispatcher()->Summary();
  return counted;
}

Progress Session::Snapshot() {
  Progress progress;
  progress.so_far = Count();
  Source* source = nullptr;
  {
    MutexLock lock(mu_);
    source = source_;
  }
  // The source lives until End has returned, and so until the transport's and the writer's threads
  // are gone.
  if (source != nullptr) progress.source = source->progress();
  progress.requests_in_flight =
      static_cast<std::size_t>(std::max<std::int64_t>(0, run_.counters.in_flight));
  if (Dispatcher* dispatcher = graph_->dispatcher(); dispatcher != nullptr) {
    progress.requests_in_flight_max = dispatcher->in_flight_limit();
    progress.waits_for = dispatcher->waits_for();
  }
  progress.admitted_bytes = run_.budget.used();
  progress.admitted_bytes_max = run_.budget.bytes_max();
  progress.stopping = run_.halting();
  progress.indexing = indexing_;
  return progress;
}

Status Session::End() {
  graph_->WaitIdle();
  source_thread_.join();
  // A foreign exception may have left a message half done; anything else must add up.
  EF_CHECK(run_.threw || (run_.counters.admitted == run_.counters.settled &&
                          run_.counters.batches == run_.counters.batches_settled &&
                          run_.claims.size() == 0 && run_.budget.used() == 0));
  writer_.reset();
  Status status = run_.failure();
  bool stopped = false;
  Source* read = nullptr;
  {
    MutexLock lock(mu_);
    stopped = stop_requested_;
    read = source_;
  }
  indexing_ = true;
  if (run_.options.sync && status.ok() && !stopped) {
    status = DeleteGone(run_, *read, *source_reader_, intake_->seen(), indexer_.get());
  }
  status = FinishIndexes(status);
  ticking_ = false;
  {
    MutexLock lock(mu_);
    stoppable_ = nullptr;
    source_ = unstopped_ = nullptr;
  }
  transport_.reset();
  // The last tick may have put a flush.
  graph_->WaitIdle();
  run_.cache.reset();
  if (status.ok() && stopped) {
    status = Status(Code::kCancelled, "stopped on request")
                 .WithNext("the same command goes on from here");
  }
  if (status.ok() && read != nullptr) {
    status = run_.corpus_store.ForgetDeadRecords(run_.run, read->completed_inputs());
  }
  return EndRun(status);
}

void Session::WarnOfNewSpace(bool has_source) const {
  const bool is_known =
      std::any_of(spaces_before_.begin(), spaces_before_.end(),
                  [&](const SpaceRecord& space) { return space.id == run_.space.id; });
  // A backfill is meant to make one.
  if (is_known || spaces_before_.empty() || !has_source) return;
  Log(LogLevel::kWarning, "the corpus has vectors of " + spaces_before_.back().space.name() +
                              "; this run puts those of " + run_.space.space.name() +
                              " beside them, which embedflow backfill completes");
}

// A run that ends early leaves its indexes behind as well, unless it was told to stop at once or
// the disk is at fault.
Status Session::FinishIndexes(Status status) {
  bool aborted = false;
  {
    MutexLock lock(mu_);
    aborted = abort_requested_;
  }
  if (aborted || run_.store_failed) {
    indexer_.reset();
    return status;
  }
  const Result<std::vector<SpaceRecord>> spaces = source_reader_->Spaces();
  if (!spaces.ok()) return status.ok() ? spaces.status() : status;
  for (const SpaceRecord& space : *spaces) {
    Status finished;
    if (space.id == run_.space.id) {
      if (indexer_) finished = indexer_->Finish(space.generation);
    } else if (const auto before =
                   std::find_if(spaces_before_.begin(), spaces_before_.end(),
                                [&](const SpaceRecord& other) { return other.id == space.id; });
               before != spaces_before_.end() && before->generation != space.generation) {
      // Documents that have changed have left it.
      finished = RefreshIndex(*source_reader_, corpus_.directory(), space);
    }
    if (status.ok()) status = finished;
  }
  indexer_.reset();
  return status;
}

Status Session::EndRun(Status status) {
  summary_ = Count();
  if (const Result<StoreCounts> counts = source_reader_->Counts(); counts.ok()) {
    summary_.dead_letters = counts->dead_letters;
  }
  summary_.outcome = OutcomeOf(status, summary_);
  if (run_.store_failed) return status;  // It takes no more.
  // A run that has no end, or whose names are not durable, is taken for one that was killed.
  if (const Status synced = run_.CloseInFlight(status.ok()); !synced.ok()) {
    summary_.outcome = OutcomeOf(synced, summary_);
    return status.ok() ? synced : status;
  }
  const Status ended = run_.corpus_store.EndRun(run_.run, summary_);
  if (!status.ok() || ended.ok()) return status;
  summary_.outcome = OutcomeOf(ended, summary_);
  return ended;
}

void Session::Stop(bool abort) {
  {
    MutexLock lock(mu_);
    stop_requested_ = true;
    abort_requested_ = abort_requested_ || abort;
  }
  run_.Halt();
  MutexLock lock(mu_);
  if (abort && stoppable_ != nullptr) stoppable_->Abort();
}

}  // namespace embedflow
