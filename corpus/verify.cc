#include "corpus/verify.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "corpus/access.h"
#include "corpus/index_keeper.h"
#include "store/directory.h"
#include "vector/index.h"

namespace embedflow {
namespace {

constexpr std::size_t kFaultsMax = 100;  // Lines kept; counters go on.

void AddFault(VerifyReport* report, std::string fault) {
  if (report->faults.size() < kFaultsMax) report->faults.push_back(std::move(fault));
}

// True if the index holds what the store's vector becomes on its way in.
bool SameVector(const std::vector<float>& indexed, const std::vector<float>& stored,
                Metric metric) {
  double norm = 0;
  for (const float x : stored) norm += static_cast<double>(x) * static_cast<double>(x);
  const double scale = metric == Metric::kCosine && norm > 0 ? 1.0 / std::sqrt(norm) : 1.0;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const double want = static_cast<double>(stored[i]) * scale;
    if (std::abs(static_cast<double>(indexed[i]) - want) > 1e-5 * std::max(1.0, std::abs(want)))
      return false;
  }
  return true;
}

Status CompareIndex(const std::string& path, StoreReader& reader, const SpaceRecord& space,
                    Index* index, VerifyReport* report) {
  const std::vector<ChunkId> present = index->ids();
  std::uint64_t matched = 0;
  const auto dimensions = static_cast<std::size_t>(space.space.dimensions);
  std::vector<float> indexed(dimensions), stored(dimensions);
  const Metric metric = IndexOptionsOf(space).metric.value_or(Metric::kCosine);
  EF_RETURN_IF_ERROR(reader.ScanChunks(
      false, [&](const ChunkScan& chunk, std::string_view, std::string_view) -> Status {
        if (!HasVectorIn(chunk, space.id)) return {};
        if (!std::binary_search(present.begin(), present.end(), chunk.id)) {
          ++report->index_missing;
          return {};
        }
        ++matched;
        const Result<bool> found = reader.ReadVector(space.id, chunk.text_hash, stored);
        // A damaged or missing vector was counted when the store was checked.
        if (!found.ok() || !*found) return {};
        if (index->Get(chunk.id, indexed) && SameVector(indexed, stored, metric)) return {};
        ++report->corrupt;
        AddFault(report,
                 path + ": the entry of chunk " + std::to_string(chunk.id) + " is not its vector");
        return {};
      }));
  report->index_extra += present.size() - matched;
  return {};
}

Status VerifyIndex(const std::string& directory, StoreReader& reader, const SpaceRecord& space,
                   VerifyReport* report) {
  if (space.index_kind == "none") return {};
  const std::string path = IndexPath(directory, space.id);
  const std::uint64_t faults_before = report->index_missing + report->index_extra;
  Result<LoadedIndex> loaded = LoadIndex(path, IndexOptionsOf(space), space.space.dimensions);
  if (!loaded.ok() && loaded.status().code() == Code::kCorruption) {
    ++report->corrupt;
    AddFault(report, loaded.status().message());
    return {};
  }
  std::unique_ptr<Index> index;
  if (loaded.ok() && loaded->stamp.space == StampOf(space).space) {
    index = std::move(loaded->index);
  } else {
    EF_ASSIGN_OR_RETURN(index, MakeIndex(IndexOptionsOf(space), space.space.dimensions));
  }
  EF_RETURN_IF_ERROR(CompareIndex(path, reader, space, index.get(), report));
  if (report->index_missing + report->index_extra > faults_before) {
    AddFault(
        report,
        path +
            ": does not agree with the store; search completes it in memory, --repair writes it");
  }
  return {};
}

}  // namespace

Result<VerifyReport> VerifyCorpus(const std::string& directory, StoreReader& reader) {
  EF_ASSIGN_OR_RETURN(StoreCheck check, reader.Check());
  VerifyReport report;
  report.documents = check.documents;
  report.chunks = check.chunks;
  report.vectors = check.vectors;
  report.missing_vectors = check.missing_vectors;
  report.orphan_vectors = check.orphan_vectors;
  report.corrupt = check.corrupt;
  report.faults = std::move(check.faults);
  report.to_buy_again = std::move(check.to_buy_again);
  report.next = RepairCommand(directory);
  Result<std::vector<SpaceRecord>> spaces = reader.Spaces();
  if (!spaces.ok()) {
    ++report.corrupt;
    AddFault(&report, spaces.status().message());
    return report;
  }
  for (const SpaceRecord& space : *spaces) {
    if (const Status status = VerifyIndex(directory, reader, space, &report); !status.ok()) {
      // The scan met damage that Check has counted; the index cannot be compared.
      if (status.code() != Code::kCorruption) return status;
      if (report.corrupt == 0) ++report.corrupt;
      AddFault(&report, status.message());
    }
  }
  report.ok = report.missing_vectors == 0 && report.index_missing == 0 && report.index_extra == 0 &&
              report.corrupt == 0;
  if (report.ok) {
    report.next = report.to_buy_again.documents > 0 ? "embedflow backfill " + ShellWord(directory)
                                                    : std::string();
  }
  return report;
}

Result<VerifyReport> Corpus::Verify(const VerifyOptions& options) {
  if (options.repair || options.drop_orphans) {
    return Status(Code::kInvalidArgument, "a corpus that is open cannot be repaired")
        .WithNext("close it, and call Corpus::Verify with its directory");
  }
  return VerifyCorpus(rep_->directory, *rep_->reader);
}

Result<VerifyReport> Corpus::Verify(const std::string& directory, const VerifyOptions& options) {
  if (options.repair) return RepairCorpus(directory, options);
  if (options.drop_orphans) {
    return Status(Code::kInvalidArgument, "drop_orphans needs repair");
  }
  const Result<std::unique_ptr<Corpus>> corpus = Open(directory, Mode::kRead);
  if (corpus.ok()) return (*corpus)->Verify(options);
  if (corpus.status().code() != Code::kCorruption) return corpus.status();
  VerifyReport report;
  report.corrupt = 1;
  report.faults.push_back(corpus.status().message());
  report.next = RepairCommand(directory);
  return report;
}

}  // namespace embedflow
