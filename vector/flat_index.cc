#include "vector/flat_index.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <omp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "vector/distance.h"
#include "vector/top_hits.h"

namespace embedflow {
namespace {

constexpr ChunkId kRemoved = -1;  // In the id map, instead of the id of a removed row.
// Below a quarter of a million multiplications a thread costs more than it saves.
constexpr std::size_t kFloatsPerThread = std::size_t{1} << 18;
constexpr std::size_t kGrowthFactor = 4;
constexpr std::size_t kSliceBytes = std::size_t{16} << 20;

faiss::MetricType FaissMetric(Metric metric) {
  return metric == Metric::kL2 ? faiss::METRIC_L2 : faiss::METRIC_INNER_PRODUCT;
}

// Gives the whole pages in [data, data + bytes) back to the system; what they held is lost.
void ReleasePages(std::uint8_t* data, std::size_t bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(data) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(data) + bytes) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

// Makes room for `needed` bytes without ever holding the content twice: a growing std::vector has
// the old and the new copy resident at once, half of all memory for a large index. The new space
// is generous, since pages that were never touched cost nothing, and the old pages go back as they
// are copied. Throws std::bad_alloc and leaves `codes` as it was.
void Grow(std::vector<std::uint8_t>* codes, std::size_t needed) {
  if (needed <= codes->capacity()) return;
  std::vector<std::uint8_t> grown;
  try {
    grown.reserve(std::max(needed, codes->size() * kGrowthFactor));
  } catch (const std::bad_alloc&) {
    grown.reserve(needed);
  }
  for (std::size_t moved = 0; moved < codes->size();) {
    const std::size_t bytes = std::min(kSliceBytes, codes->size() - moved);
    const auto from = codes->begin() + static_cast<std::ptrdiff_t>(moved);
    grown.insert(grown.end(), from, from + static_cast<std::ptrdiff_t>(bytes));
    ReleasePages(codes->data() + moved, bytes);
    moved += bytes;
  }
  codes->swap(grown);
}

void Normalize(std::span<float> vector) {
  double squares = 0;
  for (const float value : vector) squares += double{value} * double{value};
  const double factor = 1.0 / std::sqrt(squares);
  for (float& value : vector) value = static_cast<float>(value * factor);
}

// FAISS's flat index does the storing and the files; the scan is ours. FAISS's own search runs one
// query on one thread at a third of our speed, breaks ties at the k-th place by chance, and cannot
// skip removed rows.
class FlatIndex final : public Index {
 public:
  // `map` is over a faiss::IndexFlat and owns it.
  FlatIndex(Metric metric, std::unique_ptr<faiss::IndexIDMap> map)
      : metric_(metric),
        dimensions_(static_cast<std::size_t>(map->d)),
        map_(std::move(map)),
        flat_(*static_cast<faiss::IndexFlat*>(map_->index)) {}

  // Fills the table of rows from the id map. False if an id is negative or stands there twice.
  bool BuildRows() {
    row_of_.reserve(map_->id_map.size());
    for (std::size_t row = 0; row < map_->id_map.size(); ++row) {
      if (map_->id_map[row] < 0 || !row_of_.emplace(map_->id_map[row], row).second) return false;
    }
    return true;
  }

  Status Add(std::span<const ChunkId> ids, std::span<const float> vectors) override {
    EF_RETURN_IF_ERROR(Check(ids, vectors));
    std::size_t noted = 0;
    try {
      Grow(&flat_.codes, (rows() + ids.size()) * flat_.code_size);
      for (; noted < ids.size(); ++noted) {
        if (row_of_.emplace(ids[noted], rows() + noted).second) continue;
        Forget(ids.first(noted));
        return {Code::kInvalidArgument,
                "id " + std::to_string(ids[noted]) + " is already in the index"};
      }
      map_->id_map.insert(map_->id_map.end(), ids.begin(), ids.end());
    } catch (const std::exception& exception) {
      Forget(ids.first(noted));
      return StatusOf(exception, "cannot add " + std::to_string(ids.size()) + " vectors");
    }
    // Room was made above, so that this cannot fail half-way.
    const std::size_t first = rows();
    flat_.add(static_cast<faiss::Index::idx_t>(ids.size()), vectors.data());
    map_->ntotal = flat_.ntotal;
    if (metric_ == Metric::kCosine) {
      for (std::size_t row = first; row < rows(); ++row) Normalize({Row(row), dimensions_});
    }
    return {};
  }

  void Remove(std::span<const ChunkId> ids) override {
    for (const ChunkId id : ids) {
      const auto found = row_of_.find(id);
      if (found == row_of_.end()) continue;
      map_->id_map[found->second] = kRemoved;
      row_of_.erase(found);
    }
    // Lazily: moving every row for each document that changes would be quadratic.
    if ((rows() - row_of_.size()) * 4 > rows()) Compact();
  }

  Result<std::vector<IndexHit>> Search(std::span<const float> query, std::size_t k,
                                       const std::vector<ChunkId>* allowed) override {
    if (query.size() != dimensions_) {
      return Status(Code::kInvalidArgument, "the query must have " + std::to_string(dimensions_) +
                                                " values, got " + std::to_string(query.size()));
    }
    if (!IsUsableVector(query)) {
      return Status(Code::kInvalidArgument, "the query must be finite, not zero and not too large");
    }
    try {
      std::vector<float> scaled(query.begin(), query.end());
      if (metric_ == Metric::kCosine) Normalize(scaled);
      if (allowed == nullptr) return SearchRows(scaled.data(), k, nullptr);
      const std::vector<std::size_t> found = RowsOf(*allowed);
      return SearchRows(scaled.data(), k, &found);
    } catch (const std::exception& exception) {
      return StatusOf(exception, "cannot search");
    }
  }

  std::vector<ChunkId> ids() override {
    std::vector<ChunkId> ids;
    ids.reserve(row_of_.size());
    for (const auto& [id, row] : row_of_) ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  std::uint64_t size() const override { return row_of_.size(); }

  bool Get(ChunkId id, std::span<float> vector) override {
    EF_CHECK(vector.size() == dimensions_);
    const auto found = row_of_.find(id);
    if (found == row_of_.end()) return false;
    std::copy_n(Row(found->second), dimensions_, vector.begin());
    return true;
  }

  Status Save(const std::string& path, const IndexStamp& stamp) override {
    Compact();
    IndexFileHeader header;
    header.stamp = stamp;
    header.metric = metric_;
    header.dimensions = static_cast<int>(dimensions_);
    header.vectors = size();
    return WriteIndexFile(path, std::move(header), *map_);
  }

 private:
  std::size_t rows() const { return static_cast<std::size_t>(flat_.ntotal); }
  float* Row(std::size_t row) { return flat_.get_xb() + row * dimensions_; }

  Status Check(std::span<const ChunkId> ids, std::span<const float> vectors) const {
    if (vectors.size() != ids.size() * dimensions_) {
      return {Code::kInvalidArgument, std::to_string(ids.size()) + " vectors must hold " +
                                          std::to_string(ids.size() * dimensions_) +
                                          " values, got " + std::to_string(vectors.size())};
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0) {
        return {Code::kInvalidArgument, "ids must not be negative, got " + std::to_string(ids[i])};
      }
      if (!IsUsableVector(vectors.subspan(i * dimensions_, dimensions_))) {
        return {Code::kInvalidArgument, "the vector of id " + std::to_string(ids[i]) +
                                            " must be finite, not zero and not too large"};
      }
    }
    return {};
  }

  void Forget(std::span<const ChunkId> ids) {
    for (const ChunkId id : ids) row_of_.erase(id);
  }

  // Closes the gaps that removed rows left; the order of the others stays.
  void Compact() {
    if (rows() == row_of_.size()) return;
    std::size_t kept = 0;
    for (std::size_t row = 0; row < rows(); ++row) {
      const ChunkId id = map_->id_map[row];
      if (id == kRemoved) continue;
      if (kept != row) {
        std::memcpy(Row(kept), Row(row), flat_.code_size);
        map_->id_map[kept] = id;
        row_of_.find(id)->second = kept;
      }
      ++kept;
    }
    EF_CHECK(kept == row_of_.size());
    map_->id_map.resize(kept);
    flat_.codes.resize(kept * flat_.code_size);
    map_->ntotal = flat_.ntotal = static_cast<faiss::Index::idx_t>(kept);
  }

  // The rows of those `ids` that are here, each once, in the order they lie in memory.
  std::vector<std::size_t> RowsOf(const std::vector<ChunkId>& ids) const {
    std::vector<std::size_t> found;
    found.reserve(std::min<std::size_t>(ids.size(), row_of_.size()));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (i > 0 && ids[i] == ids[i - 1]) continue;
      if (const auto at = row_of_.find(ids[i]); at != row_of_.end()) found.push_back(at->second);
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  // Offers the hits of positions [begin, end): rows, or places in `only` if it is not null.
  void Scan(const float* query, const std::vector<std::size_t>* only, std::size_t begin,
            std::size_t end, TopHits* top) {
    for (std::size_t position = begin; position < end; ++position) {
      const std::size_t row = only == nullptr ? position : (*only)[position];
      const ChunkId id = map_->id_map[row];
      if (id == kRemoved) continue;
      top->Offer({id, metric_ == Metric::kL2 ? -SquaredL2(query, Row(row), dimensions_)
                                             : InnerProduct(query, Row(row), dimensions_)});
    }
  }

  std::vector<IndexHit> SearchRows(const float* query, std::size_t k,
                                   const std::vector<std::size_t>* only) {
    const std::size_t positions = only == nullptr ? rows() : only->size();
    k = std::min(k, only == nullptr ? row_of_.size() : only->size());
    if (k == 0) return {};
    const auto threads = std::min(static_cast<std::size_t>(std::max(omp_get_max_threads(), 1)),
                                  positions * dimensions_ / kFloatsPerThread + 1);
    std::vector<TopHits> parts;
    parts.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) parts.emplace_back(k);
    const auto scan_part = [&](std::size_t i) {
      Scan(query, only, positions * i / threads, positions * (i + 1) / threads, &parts[i]);
    };
    {
      // Plain threads: a thread costs 20 microseconds against milliseconds of scan, and OpenMP's
      // are invisible to the thread sanitizer.
      std::vector<std::jthread> helpers;
      helpers.reserve(threads);
      for (std::size_t i = 1; i < threads; ++i) {
        try {
          helpers.emplace_back(scan_part, i);
        } catch (const std::system_error&) {  // No more threads: do it here.
          scan_part(i);
        }
      }
      scan_part(0);
    }
    for (std::size_t i = 1; i < threads; ++i) parts[0].OfferAll(parts[i]);
    std::vector<IndexHit> hits = parts[0].Take();
    if (metric_ == Metric::kCosine) {
      // Rounding may leave the range; ranked before, so that no tie arises from it.
      for (IndexHit& hit : hits) hit.score = std::clamp(hit.score, -1.0f, 1.0f);
    }
    return hits;
  }

  // Constant after construction.
  const Metric metric_;
  const std::size_t dimensions_;
  const std::unique_ptr<faiss::IndexIDMap> map_;
  faiss::IndexFlat& flat_;  // Inside map_.
  // Where each id lies.
  std::unordered_map<ChunkId, std::size_t> row_of_;
};

}  // namespace

Result<std::unique_ptr<Index>> MakeFlatIndex(Metric metric, int dimensions) {
  try {
    auto flat = std::make_unique<faiss::IndexFlat>(dimensions, FaissMetric(metric));
    auto map = std::make_unique<faiss::IndexIDMap>(flat.get());
    static_cast<void>(flat.release());
    map->own_fields = true;
    return std::unique_ptr<Index>(std::make_unique<FlatIndex>(metric, std::move(map)));
  } catch (const std::exception& exception) {
    return StatusOf(exception, "cannot make an index");
  }
}

Result<std::unique_ptr<Index>> AdoptFlatIndex(IndexFile file, const std::string& path) {
  const auto* map = dynamic_cast<const faiss::IndexIDMap*>(file.index.get());
  const auto* flat = map == nullptr ? nullptr : dynamic_cast<const faiss::IndexFlat*>(map->index);
  const auto dimensions = static_cast<std::size_t>(file.header.dimensions);
  const std::uint64_t vectors = file.header.vectors;
  if (flat == nullptr || map->d != flat->d || map->ntotal != flat->ntotal || !map->own_fields ||
      static_cast<std::size_t>(flat->d) != dimensions ||
      static_cast<std::uint64_t>(flat->ntotal) != vectors || map->id_map.size() != vectors ||
      flat->metric_type != FaissMetric(file.header.metric) ||
      flat->code_size != dimensions * sizeof(float) ||
      flat->codes.size() != vectors * flat->code_size) {
    return Status(Code::kCorruption, path + ": the index inside is not what the header says");
  }
  try {
    std::unique_ptr<faiss::IndexIDMap> owned(static_cast<faiss::IndexIDMap*>(file.index.release()));
    auto index = std::make_unique<FlatIndex>(file.header.metric, std::move(owned));
    if (!index->BuildRows()) {
      return Status(Code::kCorruption, path + ": an id is negative or stands there twice");
    }
    return std::unique_ptr<Index>(std::move(index));
  } catch (const std::exception& exception) {
    return StatusOf(exception, path);
  }
}

}  // namespace embedflow
