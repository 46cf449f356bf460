#include "corpus/index_keeper.h"

#include <algorithm>
#include <vector>

#include "base/log.h"

namespace embedflow {
namespace {

// Vectors copied from the store at a time.
constexpr std::size_t kGroup = 1024;

// Adds what is missing and removes what is extra. Returns how many entries changed.
Result<std::uint64_t> Complete(StoreReader& reader, const SpaceRecord& space, Index* index) {
  const auto dimensions = static_cast<std::size_t>(space.space.dimensions);
  const std::vector<ChunkId> present = index->ids();
  std::vector<bool> wanted(present.size(), false);
  std::vector<ChunkId> ids;
  std::vector<float> vectors;
  std::uint64_t changed = 0;
  const auto add = [&]() -> Status {
    changed += ids.size();
    EF_RETURN_IF_ERROR(index->Add(ids, vectors));
    ids.clear();
    vectors.clear();
    return {};
  };
  EF_RETURN_IF_ERROR(reader.ScanChunks(
      false, [&](const ChunkScan& chunk, std::string_view, std::string_view) -> Status {
        if (!HasVectorIn(chunk, space.id)) return {};
        const auto at = std::lower_bound(present.begin(), present.end(), chunk.id);
        if (at != present.end() && *at == chunk.id) {
          wanted[static_cast<std::size_t>(at - present.begin())] = true;
          return {};
        }
        vectors.resize((ids.size() + 1) * dimensions);
        const Result<bool> found =
            reader.ReadVector(space.id, chunk.text_hash, std::span(vectors).last(dimensions));
        if (!found.ok() && found.status().code() != Code::kCorruption) return found.status();
        if (!found.ok() || !*found) {
          // Never served, and named by verify.
          vectors.resize(ids.size() * dimensions);
          Log(LogLevel::kWarning, "chunk " + std::to_string(chunk.id) +
                                      " has no good vector; embedflow verify tells more");
          return {};
        }
        ids.push_back(chunk.id);
        return ids.size() < kGroup ? Status() : add();
      }));
  if (!ids.empty()) EF_RETURN_IF_ERROR(add());
  std::vector<ChunkId> extra;
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (!wanted[i]) extra.push_back(present[i]);
  }
  index->Remove(extra);
  return changed + extra.size();
}

}  // namespace

std::string IndexPath(const std::string& directory, SpaceId space) {
  return directory + "/index." + std::to_string(space) + ".faiss";
}

IndexStamp StampOf(const SpaceRecord& space) {
  return {space.space.name() + " " + space.metric, space.generation};
}

IndexOptions IndexOptionsOf(const SpaceRecord& space) {
  IndexOptions options;
  // A space that keeps no index file is still searched, by a flat index in memory.
  options.kind = "flat";
  options.metric = Metric::kCosine;
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    if (space.metric == MetricName(metric)) options.metric = metric;
  }
  return options;
}

Result<std::unique_ptr<Index>> BuildIndex(StoreReader& reader, const SpaceRecord& space) {
  EF_ASSIGN_OR_RETURN(std::unique_ptr<Index> index,
                      MakeIndex(IndexOptionsOf(space), space.space.dimensions));
  EF_ASSIGN_OR_RETURN(const std::uint64_t added, Complete(reader, space, index.get()));
  (void)added;
  return index;
}

Result<std::unique_ptr<Index>> OpenIndex(StoreReader& reader, const std::string& directory,
                                         const SpaceRecord& space, bool* completed) {
  const std::string path = IndexPath(directory, space.id);
  const IndexOptions options = IndexOptionsOf(space);
  if (completed != nullptr) *completed = false;
  Result<LoadedIndex> loaded = LoadIndex(path, options, space.space.dimensions);
  std::unique_ptr<Index> index;
  if (loaded.ok() && loaded->stamp.space == StampOf(space).space) {
    if (loaded->stamp == StampOf(space)) return std::move(loaded->index);
    index = std::move(loaded->index);
  } else {
    if (!loaded.ok() && loaded.status().code() != Code::kNotFound) {
      Log(LogLevel::kWarning,
          "the index is made anew from the store: " + loaded.status().message());
    }
    EF_ASSIGN_OR_RETURN(index, MakeIndex(options, space.space.dimensions));
  }
  EF_ASSIGN_OR_RETURN(const std::uint64_t changed, Complete(reader, space, index.get()));
  Log(LogLevel::kInfo,
      "index " + path + ": " + std::to_string(changed) + " entries completed from the store");
  if (completed != nullptr) *completed = true;
  return index;
}

Status RefreshIndex(StoreReader& reader, const std::string& directory, const SpaceRecord& space) {
  if (space.index_kind == "none") return {};
  bool is_completed = false;
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Index> index,
                      OpenIndex(reader, directory, space, &is_completed));
  return is_completed ? index->Save(IndexPath(directory, space.id), StampOf(space)) : Status();
}

}  // namespace embedflow
