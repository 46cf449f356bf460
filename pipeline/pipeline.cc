#include "embedflow/pipeline.h"

#include <string>
#include <utility>

#include "corpus/access.h"
#include "pipeline/push_source.h"
#include "pipeline/session.h"

namespace embedflow {

const char* RunOutcomeName(RunOutcome outcome) {
  switch (outcome) {
    case RunOutcome::kComplete:
      return "complete";
    case RunOutcome::kPartial:
      return "partial";
    case RunOutcome::kBudget:
      return "budget";
    case RunOutcome::kRefused:
      return "refused";
    case RunOutcome::kInterrupted:
      return "interrupted";
    case RunOutcome::kFailed:
      return "failed";
  }
  return "failed";
}

Status PipelineOptions::Validate() const {
  EF_RETURN_IF_ERROR(chunker.Validate());
  EF_RETURN_IF_ERROR(index.Validate());
  EF_RETURN_IF_ERROR(flow.Validate());
  if (endpoints.size() >= kEndpointsMax) {
    return {Code::kInvalidArgument,
            "at most 31 replicas and fallbacks, got " + std::to_string(endpoints.size())};
  }
  if (cache_bytes_max < (std::uint64_t{16} << 20) || cache_bytes_max > (std::uint64_t{1} << 40)) {
    return {Code::kInvalidArgument,
            "cache_bytes_max must be in [16 MiB, 1 TiB], got " + std::to_string(cache_bytes_max)};
  }
  for (const EndpointOptions& endpoint : endpoints) EF_RETURN_IF_ERROR(endpoint.flow.Validate());
  if (progress_interval < std::chrono::milliseconds(1) ||
      progress_interval > std::chrono::hours(1)) {
    return {Code::kInvalidArgument, "progress_interval must be in [1 ms, 1 h], got " +
                                        std::to_string(progress_interval.count()) + " ms"};
  }
  return {};
}

struct Pipeline::Rep {
  enum class Stage { kNew, kRunning, kEnded };

  // Ends the run of Start or Run.
  Status End() {
    const Status status = session.End();
    stage = Stage::kEnded;
    return status;
  }
  // `what`: a source, or which documents of the corpus.
  template <typename What>
  Status Begin(What&& what) {
    if (stage != Stage::kNew) return {Code::kInvalidArgument, "a pipeline serves one run"};
    EF_RETURN_IF_ERROR(session.Begin(what));
    stage = Stage::kRunning;
    return {};
  }

  PushSource pushed;
  Session session;  // Destroyed before the source it reads.
  Stage stage = Stage::kNew;
};

Pipeline::Pipeline(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}

Pipeline::~Pipeline() {
  if (rep_->stage != Rep::Stage::kRunning) return;
  rep_->session.Stop(true);
  (void)rep_->End();
}

Result<std::unique_ptr<Pipeline>> Pipeline::Open(Corpus& corpus,
                                                 std::shared_ptr<const Provider> provider,
                                                 PipelineOptions options) {
  EF_RETURN_IF_ERROR(options.Validate());
  if (!provider) return Status(Code::kInvalidArgument, "a pipeline needs a provider");
  const int dimensions = provider->space().dimensions;
  if (dimensions < 1 || dimensions > 65536) {
    return Status(Code::kInvalidArgument,
                  "dimensions must be in [1, 65536], got " + std::to_string(dimensions));
  }
  if (provider->limits().inputs_max < 1) {
    return Status(Code::kInvalidArgument, "the provider's limits must allow one input a request");
  }
  for (const EndpointOptions& more : options.endpoints) {
    if (provider->dialect() == nullptr || !more.provider || more.provider->dialect() == nullptr) {
      return Status(Code::kInvalidArgument,
                    "replicas and fallbacks must be servers, of a provider that is one");
    }
    if (more.provider->space().revision != provider->space().revision) {
      return Status(Code::kInvalidArgument,
                    "an endpoint must have the output type and the parameters of the provider")
          .WithWord("space_mismatch");
    }
    if (more.provider->space().dimensions != dimensions) {
      return Status(Code::kInvalidArgument,
                    "an endpoint of " + std::to_string(more.provider->space().dimensions) +
                        " dimensions cannot serve a space of " + std::to_string(dimensions))
          .WithWord("space_mismatch");
    }
  }
  if (CorpusAccess::store(corpus) == nullptr) {
    return Status(Code::kInvalidArgument, "the corpus is open for reading only");
  }
  return std::unique_ptr<Pipeline>(new Pipeline(std::unique_ptr<Rep>(new Rep{
      {}, {corpus, std::move(provider), std::move(options), MakeCurlReactor}, Rep::Stage::kNew})));
}

Status Pipeline::Run(Source& source) {
  EF_RETURN_IF_ERROR(rep_->Begin(source));
  return rep_->End();
}

Status Pipeline::Backfill() {
  EF_RETURN_IF_ERROR(rep_->Begin(StoredDocuments::Which::kWithoutVectors));
  return rep_->End();
}

Status Pipeline::RetryDead() {
  EF_RETURN_IF_ERROR(rep_->Begin(StoredDocuments::Which::kDead));
  return rep_->End();
}

Status Pipeline::Start() { return rep_->Begin(rep_->pushed); }

Status Pipeline::Push(Document document) {
  if (rep_->stage != Rep::Stage::kRunning) return {Code::kInvalidArgument, "Push before Start"};
  if (rep_->pushed.Push(std::move(document))) return {};
  const Status failure = rep_->session.failure();
  return failure.ok() ? Status(Code::kCancelled, "the run was stopped") : failure;
}

Status Pipeline::Finish() {
  if (rep_->stage != Rep::Stage::kRunning) return {Code::kInvalidArgument, "Finish before Start"};
  rep_->pushed.End();
  return rep_->End();
}

const RunSummary& Pipeline::summary() const { return rep_->session.summary(); }
void Pipeline::RequestStop() { rep_->session.Stop(false); }
void Pipeline::Abort() { rep_->session.Stop(true); }

}  // namespace embedflow
