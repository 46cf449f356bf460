// How long do adding, searching, saving and loading 100,000 vectors of 512 dimensions take, and
// what do our distances gain over FAISS's?
#include <benchmark/benchmark.h>
#include <faiss/utils/distances.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "vector/distance.h"
#include "vector/index.h"

namespace embedflow {
namespace {

constexpr std::size_t kVectors = 100000;
constexpr std::size_t kDimensions = 512;
constexpr std::size_t kBatch = 512;
const IndexStamp kStamp;

const std::vector<float>& Vectors() {
  static const std::vector<float> vectors = [] {
    Rng rng(1);
    std::vector<float> made(kVectors * kDimensions);
    for (float& value : made) value = static_cast<float>(rng.Uniform() - 0.5);
    return made;
  }();
  return vectors;
}

std::unique_ptr<Index> Filled() {
  std::unique_ptr<Index> index =
      MakeIndex({"flat", Metric::kCosine}, static_cast<int>(kDimensions)).value();
  for (std::size_t begin = 0; begin < kVectors; begin += kBatch) {
    std::vector<ChunkId> ids;
    for (std::size_t i = begin; i < std::min(begin + kBatch, kVectors); ++i) {
      ids.push_back(static_cast<ChunkId>(i));
    }
    const auto rows = std::span(Vectors()).subspan(begin * kDimensions, ids.size() * kDimensions);
    if (!index->Add(ids, rows).ok()) std::abort();
  }
  return index;
}

void Count(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kVectors));
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(kVectors * kDimensions * sizeof(float)));
}

void Add(benchmark::State& state) {
  Vectors();
  for (auto _ : state) benchmark::DoNotOptimize(Filled());
  Count(state);
}
BENCHMARK(Add)->Unit(benchmark::kMillisecond)->UseRealTime();

void Search(benchmark::State& state) {
  const std::unique_ptr<Index> index = Filled();
  SetIndexThreads(static_cast<int>(state.range(0)));
  const std::span<const float> query = std::span(Vectors()).first(kDimensions);
  for (auto _ : state) benchmark::DoNotOptimize(index->Search(query, 10, nullptr));
  Count(state);
}
BENCHMARK(Search)->ArgName("threads")->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

// A filter that leaves a tenth.
void SearchAllowed(benchmark::State& state) {
  const std::unique_ptr<Index> index = Filled();
  SetIndexThreads(1);
  std::vector<ChunkId> allowed;
  for (std::size_t i = 0; i < kVectors; i += 10) allowed.push_back(static_cast<ChunkId>(i));
  const std::span<const float> query = std::span(Vectors()).first(kDimensions);
  for (auto _ : state) benchmark::DoNotOptimize(index->Search(query, 10, &allowed));
}
BENCHMARK(SearchAllowed)->Unit(benchmark::kMillisecond)->UseRealTime();

std::string FileName() {
  return (std::filesystem::temp_directory_path() / ("index_bench." + std::to_string(::getpid())))
      .string();
}

void Save(benchmark::State& state) {
  const std::unique_ptr<Index> index = Filled();
  for (auto _ : state) {
    if (!index->Save(FileName(), kStamp).ok()) state.SkipWithError("Save failed");
  }
  std::filesystem::remove(FileName());
  Count(state);
}
BENCHMARK(Save)->Unit(benchmark::kMillisecond)->UseRealTime();

void Load(benchmark::State& state) {
  if (!Filled()->Save(FileName(), kStamp).ok()) state.SkipWithError("Save failed");
  for (auto _ : state) {
    const Result<LoadedIndex> loaded =
        LoadIndex(FileName(), {"flat", Metric::kCosine}, kDimensions);
    if (!loaded.ok()) state.SkipWithError("Load failed");
  }
  std::filesystem::remove(FileName());
  Count(state);
}
BENCHMARK(Load)->Unit(benchmark::kMillisecond)->UseRealTime();

void OurInnerProduct(benchmark::State& state) {
  const float* rows = Vectors().data();
  for (auto _ : state) {
    for (std::size_t i = 0; i < kVectors; ++i) {
      benchmark::DoNotOptimize(InnerProduct(rows, rows + i * kDimensions, kDimensions));
    }
  }
  Count(state);
}
BENCHMARK(OurInnerProduct)->Unit(benchmark::kMillisecond);

void FaissInnerProduct(benchmark::State& state) {
  const float* rows = Vectors().data();
  for (auto _ : state) {
    for (std::size_t i = 0; i < kVectors; ++i) {
      benchmark::DoNotOptimize(
          faiss::fvec_inner_product(rows, rows + i * kDimensions, kDimensions));
    }
  }
  Count(state);
}
BENCHMARK(FaissInnerProduct)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace embedflow

BENCHMARK_MAIN();
