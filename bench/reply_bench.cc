// How many vectors a second one thread decodes from replies that arrive in pieces of 16 KiB, the
// size of libcurl's buffer: base64 and JSON floats, 128 vectors of 1,536 dimensions.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "providers/embeddings_reply.h"

namespace embedflow {
namespace {

constexpr std::size_t kInputs = 128;
constexpr int kDimensions = 1536;
constexpr std::size_t kPieceBytes = 16u << 10;

std::string Base64(const std::vector<float>& row) {
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<unsigned char> bytes(row.size() * sizeof(float));
  std::memcpy(bytes.data(), row.data(), bytes.size());
  std::string text;
  // 1,536 floats are a multiple of three bytes.
  for (std::size_t i = 0; i + 2 < bytes.size(); i += 3) {
    const unsigned group = unsigned{bytes[i]} << 16 | unsigned{bytes[i + 1]} << 8 | bytes[i + 2];
    for (const unsigned shift : {18u, 12u, 6u, 0u}) text += kAlphabet[group >> shift & 63];
  }
  return text;
}

std::string ReplyBody(bool is_base64) {
  Rng rng(1);
  std::string body = "{\"object\":\"list\",\"data\":[";
  for (std::size_t i = 0; i < kInputs; ++i) {
    std::vector<float> row(kDimensions);
    for (float& x : row) x = static_cast<float>(rng.Uniform() - 0.5) * 0.1f;
    body += (i == 0 ? "" : ",") + std::string("{\"object\":\"embedding\",\"index\":") +
            std::to_string(i) + ",\"embedding\":";
    if (is_base64) {
      body += '"' + Base64(row) + '"';
    } else {
      char before = '[';
      for (const float x : row) {
        std::array<char, 32> text;
        std::snprintf(text.data(), text.size(), "%c%.9g", before, static_cast<double>(x));
        body += text.data();
        before = ',';
      }
      body += ']';
    }
    body += '}';
  }
  return body + "],\"usage\":{\"prompt_tokens\":1000,\"total_tokens\":1000}}";
}

void DecodeReply(benchmark::State& state, bool is_base64) {
  const std::string body = ReplyBody(is_base64);
  std::vector<float> vectors(kInputs * kDimensions);
  for (auto _ : state) {
    VectorsReader reader(NewEmbeddingsHandler(kInputs, kDimensions, vectors));
    for (std::string_view rest = body; !rest.empty();) {
      const std::string_view piece = rest.substr(0, kPieceBytes);
      reader.Take(piece);
      rest.remove_prefix(piece.size());
    }
    std::optional<std::uint64_t> model_tokens;
    if (!reader.Finish(&model_tokens).ok()) state.SkipWithError("the reply was refused");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kInputs));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
}

BENCHMARK_CAPTURE(DecodeReply, base64, true);
BENCHMARK_CAPTURE(DecodeReply, floats, false);

}  // namespace
}  // namespace embedflow

BENCHMARK_MAIN();
