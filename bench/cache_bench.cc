// What does the cache of vectors cost a run? Putting a group of vectors, into an empty cache and
// into a full one that must evict; finding texts that are there and texts that are not; opening a
// full cache, whose pages are examined. On the disk of the current directory.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "store/vector_cache.h"

namespace embedflow {
namespace {

constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;

CacheSpace SpaceOf(int dimensions) {
  Space space;
  space.provider = "bench";
  space.model = "model";
  space.dimensions = dimensions;
  return CacheSpace::Of(space, "https://provider.example/v1");
}

class Rig {
 public:
  explicit Rig(int dimensions) : space(SpaceOf(dimensions)) {
    std::string name = "cache-bench-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    directory_ = name;
    Open();
    Rng rng(1);
    floats_.resize(1u << 20);
    for (float& value : floats_) value = static_cast<float>(rng.Uniform());
  }
  ~Rig() {
    cache.reset();
    std::filesystem::remove_all(directory_);
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  void Open() {
    cache.reset();
    VectorCacheOptions options;
    options.bytes_max = kBytes;
    auto opened = VectorCache::Open(directory_, options);
    if (!opened.ok()) {
      std::fprintf(stderr, "%s\n", opened.status().ToString().c_str());
      std::abort();
    }
    cache = *opened;
  }
  static ContentHash HashOf(std::uint64_t i) { return HashContent(std::to_string(i)); }
  // The next `count` texts.
  void Put(std::size_t count) {
    std::vector<Store::VectorPut> puts;
    for (std::size_t i = 0; i < count; ++i, ++put_count) {
      const std::size_t at = put_count * 31 % (floats_.size() - space.dimensions);
      puts.push_back(
          {HashOf(put_count), std::span<const float>(floats_).subspan(at, space.dimensions)});
    }
    cache->Put(space, puts);
  }
  void Fill() {
    while (cache->counts().evicted == 0) Put(4096);
  }

  const CacheSpace space;
  std::shared_ptr<VectorCache> cache;
  std::uint64_t put_count = 0;

 private:
  std::string directory_;
  std::vector<float> floats_;
};

void Put(benchmark::State& state, bool full) {
  Rig rig(static_cast<int>(state.range(0)));
  const auto group = static_cast<std::size_t>(state.range(1));
  if (full) rig.Fill();
  for (auto _ : state) rig.Put(group);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(group));
  state.counters["evicted"] = static_cast<double>(rig.cache->counts().evicted);
  if (rig.cache->counts().dropped > 0) state.SkipWithError("vectors were dropped");
}
void PutIntoEmpty(benchmark::State& state) { Put(state, false); }
void PutIntoFull(benchmark::State& state) { Put(state, true); }

void Find(benchmark::State& state, bool there) {
  constexpr std::size_t kTexts = 128;  // Of one admission.
  Rig rig(static_cast<int>(state.range(0)));
  rig.Fill();
  Rng rng(2);
  const std::uint64_t there_count = rig.cache->counts().kept - rig.cache->counts().evicted;
  std::vector<ContentHash> hashes(kTexts);
  std::vector<char> found(kTexts);
  std::vector<float> rows;
  std::size_t hits = 0;
  for (auto _ : state) {
    state.PauseTiming();
    for (ContentHash& hash : hashes) {
      const std::uint64_t back = 1 + rng.Below(there_count);
      hash = Rig::HashOf(there ? rig.put_count - back : rig.put_count + back);
    }
    rows.clear();
    state.ResumeTiming();
    hits += rig.cache->Find(rig.space, hashes, found, &rows);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kTexts));
  state.counters["hit_rate"] =
      static_cast<double>(hits) / static_cast<double>(state.iterations() * kTexts);
}
void FindThere(benchmark::State& state) { Find(state, true); }
void FindMissing(benchmark::State& state) { Find(state, false); }

void OpenFull(benchmark::State& state) {
  Rig rig(static_cast<int>(state.range(0)));
  rig.Fill();
  for (auto _ : state) rig.Open();
}

const std::vector<std::vector<std::int64_t>> kShapes = {{512, 1536}, {1024, 4096}};
BENCHMARK(PutIntoEmpty)
    ->ArgsProduct(kShapes)
    ->UseRealTime()
    ->Iterations(24)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(PutIntoFull)
    ->ArgsProduct(kShapes)
    ->UseRealTime()
    ->Iterations(24)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(FindThere)->Arg(512)->Arg(1536)->UseRealTime();
BENCHMARK(FindMissing)->Arg(512)->Arg(1536)->UseRealTime();
BENCHMARK(OpenFull)->Arg(64)->Arg(512)->Arg(1536)->UseRealTime()->Iterations(5)->Unit(
    benchmark::kMillisecond);

}  // namespace
}  // namespace embedflow

BENCHMARK_MAIN();
