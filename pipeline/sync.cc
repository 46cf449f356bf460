#include "pipeline/sync.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"

namespace embedflow {
namespace {

// Calls `visit` with the numbers of documents that are gone, in slices. What `visit` deletes does
// not disturb the scan.
Status VisitGone(RunState& run, StoreReader& reader, const SeenDocuments& seen,
                 const std::function<Status(const std::vector<std::int64_t>&)>& visit) {
  for (std::int64_t after = 0;;) {
    EF_ASSIGN_OR_RETURN(
        const std::vector<std::int64_t> numbers,
        reader.DocumentsOfSources(run.sources, run.run, after, Store::kRemoveMax,
                                  [&](std::int64_t number) { return seen.Has(number); }));
    if (numbers.empty()) return {};
    after = numbers.back();
    EF_RETURN_IF_ERROR(visit(numbers));
  }
}

}  // namespace

Status DeleteGone(RunState& run, const Source& source, StoreReader& reader,
                  const SeenDocuments& seen, Indexer* indexer) {
  if (!source.is_complete()) {
    Log(LogLevel::kWarning,
        "nothing is deleted, because the inputs changed while they were read; sync again");
    return {};
  }
  if (run.counters.bad_records > 0) {
    Log(LogLevel::kWarning, "nothing is deleted, because " +
                                std::to_string(run.counters.bad_records) +
                                " records could not be read; mend them and sync again");
    return {};
  }
  std::uint64_t gone = 0;
  EF_RETURN_IF_ERROR(
      VisitGone(run, reader, seen, [&](const std::vector<std::int64_t>& numbers) -> Status {
        gone += numbers.size();
        return {};
      }));
  if (gone == 0) return {};
  if (run.options.before_deleting) EF_RETURN_IF_ERROR(run.options.before_deleting(gone));
  return VisitGone(run, reader, seen, [&](const std::vector<std::int64_t>& numbers) -> Status {
    if (run.halting()) return Status(Code::kCancelled, "stopped on request");
    Result<Store::Removed> removed = run.corpus_store.RemoveDocuments(numbers);
    if (!removed.ok()) {
      run.store_failed = true;
      return removed.status();
    }
    run.counters.deleted += removed->documents;
    if (indexer != nullptr) {
      IndexJob job;
      job.removed = std::move(removed->chunks);
      indexer->Submit(std::move(job));
    }
    return {};
  });
}

}  // namespace embedflow
