// What does it cost to compress the body of a request, and what does it save?
#include <benchmark/benchmark.h>

#include <string>

#include "base/random.h"
#include "providers/gzip.h"

namespace embedflow {
namespace {

constexpr const char* kWords[] = {"the", "of",      "and",     "house",   "river",  "computing",
                                  "a",   "in",      "result",  "measure", "signal", "to",
                                  "is",  "network", "vector",  "between", "light",  "was",
                                  "for", "paper",   "surface", "with",    "model",  "energy"};

// A request of `texts` texts of 100 words, drawn with the frequencies that words have.
std::string Texts(int texts) {
  Rng rng(1);
  std::string body = R"({"model":"text-embedding-3-small","encoding_format":"base64","input":[)";
  for (int i = 0; i < texts; ++i) {
    body += i == 0 ? "\"" : ",\"";
    for (int j = 0; j < 100; ++j) {
      if (rng.Below(3) == 0) {
        // A rare word.
        for (std::uint64_t left = 4 + rng.Below(6); left > 0; --left)
          body += static_cast<char>('a' + rng.Below(26));
      } else {
        body += kWords[rng.Below(std::size(kWords))];
      }
      body += ' ';
    }
    body += '"';
  }
  return body + "]}";
}

void Compress(benchmark::State& state) {
  const std::string body = Texts(static_cast<int>(state.range(0)));
  std::size_t compressed = 0;
  for (auto _ : state) {
    HttpRequest request{"http://127.0.0.1/", {}, body};
    const Result<bool> made = GzipRequest(&request);
    if (!made.ok() || !*made) state.SkipWithError("not compressed");
    compressed = request.body.size();
    benchmark::DoNotOptimize(request);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
  state.counters["body_bytes"] = static_cast<double>(body.size());
  state.counters["share"] = static_cast<double>(compressed) / static_cast<double>(body.size());
}
BENCHMARK(Compress)->Arg(32)->Arg(256)->Arg(2048);

}  // namespace
}  // namespace embedflow

BENCHMARK_MAIN();
