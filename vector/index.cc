#include "vector/index.h"

#include <faiss/Index.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "vector/flat_index.h"
#include "vector/index_file.h"

namespace embedflow {
namespace {

constexpr int kDimensionsMax = 65536;

}  // namespace

Status IndexOptions::Validate() const {
  if (kind != "auto" && kind != "flat" && kind != "none") {
    return {Code::kInvalidArgument, "kind must be auto, flat or none, got \"" + kind + "\""};
  }
  if (metric && *metric != Metric::kCosine && *metric != Metric::kInnerProduct &&
      *metric != Metric::kL2) {
    return {Code::kInvalidArgument, "metric must be cosine, ip or l2, got number " +
                                        std::to_string(static_cast<int>(*metric))};
  }
  return {};
}

Result<std::unique_ptr<Index>> MakeIndex(const IndexOptions& options, int dimensions) {
  EF_RETURN_IF_ERROR(options.Validate());
  if (options.kind == "none") {
    return Status(Code::kInvalidArgument, "kind must be auto or flat to make an index, got none");
  }
  if (dimensions < 1 || dimensions > kDimensionsMax) {
    return Status(Code::kInvalidArgument, "dimensions must be in [1, " +
                                              std::to_string(kDimensionsMax) + "], got " +
                                              std::to_string(dimensions));
  }
  return MakeFlatIndex(options.metric.value_or(Metric::kCosine), dimensions);
}

Result<LoadedIndex> LoadIndex(const std::string& path, const IndexOptions& options,
                              int dimensions) {
  EF_RETURN_IF_ERROR(options.Validate());
  EF_ASSIGN_OR_RETURN(IndexFile file, ReadIndexFile(path));
  if (options.metric && file.header.metric != *options.metric) {
    return Status(Code::kInvalidArgument, path + " has metric " + MetricName(file.header.metric) +
                                              ", asked for " + MetricName(*options.metric));
  }
  if (file.header.dimensions != dimensions) {
    return Status(Code::kInvalidArgument, path + " has " + std::to_string(file.header.dimensions) +
                                              " dimensions, asked for " +
                                              std::to_string(dimensions));
  }
  LoadedIndex loaded;
  loaded.stamp = file.header.stamp;
  EF_ASSIGN_OR_RETURN(loaded.index, AdoptFlatIndex(std::move(file), path));
  return loaded;
}

void SetIndexThreads(int threads) { omp_set_num_threads(std::max(threads, 1)); }

bool IsUsableVector(std::span<const float> vector) {
  // Several sums, because additions to one wait for each other. In double no square of a float
  // overflows; a NaN or an infinity reaches the total and fails the comparison.
  std::array<double, 8> sums{};
  std::size_t i = 0;
  for (; i + sums.size() <= vector.size(); i += sums.size()) {
    for (std::size_t j = 0; j < sums.size(); ++j) {
      const double value = vector[i + j];
      sums[j] += value * value;
    }
  }
  double total = 0;
  for (; i < vector.size(); ++i) total += double{vector[i]} * double{vector[i]};
  for (const double sum : sums) total += sum;
  // An eighth of the range: the squared distance of two usable vectors is at most four times the
  // larger square, and sums of floats round.
  return total > 0 && total < double{std::numeric_limits<float>::max()} / 8;
}

}  // namespace embedflow
