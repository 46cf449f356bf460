// How many bytes a second does each chunker cut on one core, with 256 model tokens a chunk and 32
// of overlap? On English text: the licences under /usr/share/common-licenses (lines broken at about
// 70 columns, paragraphs) and WordNet's noun glosses, either a gloss a line or all in one line; on
// text without a place to cut; and, for scale, the estimate of model tokens alone.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "stages/chunker.h"

namespace embedflow {
namespace {

constexpr std::size_t kTextBytes = 8 << 20;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string Licences() {
  std::string text;
  for (const char* name : {"GPL-3", "LGPL-2.1", "MPL-1.1", "MPL-2.0", "GFDL-1.3", "Apache-2.0"}) {
    text += ReadFile(std::string("/usr/share/common-licenses/") + name);
  }
  const std::string once = text;
  while (!once.empty() && text.size() < kTextBytes) text += once;
  return text;
}

std::string Glosses(char separator) {
  std::ifstream file("/usr/share/wordnet/data.noun");
  std::string text;
  for (std::string line; std::getline(file, line) && text.size() < kTextBytes;) {
    const std::size_t bar = line.find("| ");
    if (line.starts_with(' ') || bar == std::string::npos) continue;
    text += std::string_view(line).substr(bar + 2);
    text += separator;
  }
  return text;
}

std::string TextNamed(int number) {
  switch (number) {
    case 0:
      return Licences();
    case 1:
      return Glosses('\n');
    case 2:
      return Glosses(' ');
    default:
      return std::string(kTextBytes, 'a');
  }
}
const char* const kTextNames[] = {"licences", "gloss_lines", "glosses_in_one_line", "one_word"};

void Chunk(benchmark::State& state, ChunkerOptions::Kind kind) {
  const std::string text = TextNamed(static_cast<int>(state.range(0)));
  state.SetLabel(kTextNames[state.range(0)]);
  if (text.empty()) {
    state.SkipWithError("this machine does not have the text");
    return;
  }
  ChunkerOptions options;
  options.kind = kind;
  const auto chunker = MakeChunker(options);
  std::vector<ChunkSpan> spans;
  for ([[maybe_unused]] auto _ : state) {
    spans.clear();
    chunker->Chunk(text, &spans);
    benchmark::DoNotOptimize(spans.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
  state.counters["chunks"] = static_cast<double>(spans.size());
}
BENCHMARK_CAPTURE(Chunk, recursive, ChunkerOptions::Kind::kRecursive)->DenseRange(0, 3);
BENCHMARK_CAPTURE(Chunk, fixed, ChunkerOptions::Kind::kFixed)->DenseRange(0, 3);
BENCHMARK_CAPTURE(Chunk, markdown, ChunkerOptions::Kind::kMarkdown)->DenseRange(0, 3);
BENCHMARK_CAPTURE(Chunk, sentence, ChunkerOptions::Kind::kSentence)->DenseRange(0, 3);

// One document of a gloss at a time: what a call costs.
void ChunkShortDocuments(benchmark::State& state, ChunkerOptions::Kind kind) {
  const std::string text = Glosses('\n');
  if (text.empty()) {
    state.SkipWithError("this machine does not have the text");
    return;
  }
  ChunkerOptions options;
  options.kind = kind;
  const auto chunker = MakeChunker(options);
  std::vector<ChunkSpan> spans;
  std::size_t at = 0;
  std::int64_t bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    const std::size_t end = text.find('\n', at);
    spans.clear();
    chunker->Chunk(std::string_view(text).substr(at, end - at), &spans);
    benchmark::DoNotOptimize(spans.data());
    bytes += static_cast<std::int64_t>(end - at);
    at = end + 1 == text.size() ? 0 : end + 1;
  }
  state.SetBytesProcessed(bytes);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(ChunkShortDocuments, recursive, ChunkerOptions::Kind::kRecursive);
BENCHMARK_CAPTURE(ChunkShortDocuments, sentence, ChunkerOptions::Kind::kSentence);

void Estimate(benchmark::State& state) {
  const std::string text = TextNamed(static_cast<int>(state.range(0)));
  state.SetLabel(kTextNames[state.range(0)]);
  std::size_t model_tokens = 0;
  for ([[maybe_unused]] auto _ : state)
    benchmark::DoNotOptimize(model_tokens = EstimateModelTokens(text));
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
  state.counters["bytes_per_model_token"] =
      static_cast<double>(text.size()) / static_cast<double>(model_tokens == 0 ? 1 : model_tokens);
}
BENCHMARK(Estimate)->DenseRange(0, 1);

}  // namespace
}  // namespace embedflow

BENCHMARK_MAIN();
