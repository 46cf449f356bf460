// How many chunks a second does the built-in provider embed on one core? Chunks of 100 words of
// English text made from a list of word lengths and a seeded generator, and short ones of 12.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "providers/builtin.h"

namespace embedflow {
namespace {

// Texts whose words repeat as they do in English: word n of 20,000 comes up in proportion to 1/n.
std::vector<std::string> MakeTexts(std::size_t count, std::size_t words) {
  Rng rng(1);
  std::vector<std::string> vocabulary(20000);
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    std::string& word = vocabulary[i];
    const std::uint64_t letters = (i < 100 ? 2 : 4) + rng.Below(i < 100 ? 3 : 7);
    for (std::uint64_t j = 0; j < letters; ++j) word += static_cast<char>('a' + rng.Below(26));
  }
  std::vector<double> until;
  double total = 0;
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    until.push_back(total += 1.0 / static_cast<double>(i + 1));
  }
  std::vector<std::string> texts(count);
  for (std::string& text : texts) {
    for (std::size_t i = 0; i < words; ++i) {
      const auto place = std::upper_bound(until.begin(), until.end(), rng.Uniform() * total);
      const auto word = static_cast<std::size_t>(place - until.begin());
      text += vocabulary[std::min(word, vocabulary.size() - 1)];
      text += i % 12 == 11 ? ". " : " ";
    }
  }
  return texts;
}

void Embed(benchmark::State& state) {
  const std::vector<std::string> texts = MakeTexts(512, static_cast<std::size_t>(state.range(0)));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::int64_t bytes = 0;
  for (const std::string_view view : views) bytes += static_cast<std::int64_t>(view.size());
  const auto provider = MakeBuiltin(static_cast<int>(state.range(1)));
  std::vector<float> vectors(texts.size() * static_cast<std::size_t>(state.range(1)));
  for (auto _ : state) {
    if (!provider->embedder()->Embed(views, vectors).ok()) state.SkipWithError("Embed failed");
    benchmark::DoNotOptimize(vectors.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(texts.size()));
  state.SetBytesProcessed(state.iterations() * bytes);
}
BENCHMARK(Embed)
    ->ArgNames({"words", "dimensions"})
    ->Args({100, 512})
    ->Args({12, 512})
    ->Args({100, 1536});

}  // namespace
}  // namespace embedflow

BENCHMARK_MAIN();
