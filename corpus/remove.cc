// Documents that leave the corpus, and their entries in the indexes with them.
#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "corpus/access.h"
#include "corpus/index_keeper.h"

namespace embedflow {
namespace {

// Takes the chunks out of the index file of a space as it was before. A file that was stale then is
// left alone: search completes it.
Status RemoveFromIndex(const std::string& directory, const SpaceRecord& before,
                       const SpaceRecord& after, const std::vector<ChunkId>& chunks) {
  const std::string path = IndexPath(directory, before.id);
  Result<LoadedIndex> loaded = LoadIndex(path, IndexOptionsOf(before), before.space.dimensions);
  if (!loaded.ok() || !(loaded->stamp == StampOf(before))) return {};
  loaded->index->Remove(chunks);
  return loaded->index->Save(path, StampOf(after));
}

}  // namespace

Result<RemoveReport> Corpus::Remove(std::span<const std::string> ids) {
  if (rep_->store == nullptr) {
    return Status(Code::kInvalidArgument, "the corpus is open for reading only");
  }
  RemoveReport report;
  std::vector<std::int64_t> numbers;
  for (const std::string& id : ids) {
    EF_ASSIGN_OR_RETURN(const std::optional<DocumentState> state, rep_->reader->FindDocument(id));
    if (state) {
      numbers.push_back(state->number);
    } else {
      report.missing.push_back(id);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  if (numbers.empty()) return report;
  EF_ASSIGN_OR_RETURN(const std::vector<SpaceRecord> before, rep_->reader->Spaces());
  std::vector<ChunkId> chunks;
  for (std::size_t i = 0; i < numbers.size(); i += Store::kRemoveMax) {
    const std::size_t count = std::min(Store::kRemoveMax, numbers.size() - i);
    EF_ASSIGN_OR_RETURN(const Store::Removed removed,
                        rep_->store->RemoveDocuments(std::span(numbers).subspan(i, count)));
    report.documents += removed.documents;
    chunks.insert(chunks.end(), removed.chunks.begin(), removed.chunks.end());
  }
  report.chunks = chunks.size();
  EF_ASSIGN_OR_RETURN(const std::vector<SpaceRecord> after, rep_->reader->Spaces());
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].index_kind == "none") continue;
    EF_RETURN_IF_ERROR(RemoveFromIndex(rep_->directory, before[i], after[i], chunks));
  }
  return report;
}

}  // namespace embedflow
