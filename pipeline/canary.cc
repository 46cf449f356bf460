#include "pipeline/canary.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>

#include "corpus/query.h"

namespace embedflow {
namespace {

// Unlike each other in length, script and subject, so that no two models agree on all by chance.
constexpr std::array<std::string_view, 4> kTexts = {
    "The river froze before the last barge had left the harbour.",
    "int main() { return 0; }",
    "Die Rechnung ist innerhalb von dreißig Tagen zu begleichen.",
    "protein folding",
};

double Cosine(const float* a, const float* b, std::size_t dimensions) {
  double dot = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < dimensions; ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return dot / std::sqrt(aa * bb);
}

}  // namespace

Result<std::vector<float>> CanaryVectors(const Provider& provider) {
  return EmbedNow(provider, kTexts);
}

Status CompareCanaries(const std::vector<float>& ours, const std::vector<float>& theirs,
                       const Provider& provider) {
  const std::size_t dimensions = ours.size() / kTexts.size();
  double least = 1;
  for (std::size_t i = 0; i < kTexts.size(); ++i) {
    least = std::min(least, Cosine(&ours[i * dimensions], &theirs[i * dimensions], dimensions));
  }
  if (least >= kCanaryCosineMin) return {};
  std::array<char, 32> cosine;
  std::snprintf(cosine.data(), cosine.size(), "%.3f", least);
  const Dialect* dialect = provider.dialect();
  return Status(Code::kInvalidArgument,
                "the endpoint " +
                    (dialect == nullptr ? provider.space().name() : dialect->place()) +
                    " with the model " + provider.space().model +
                    " makes other vectors than the provider: the cosine of one text's two vectors "
                    "is " +
                    cosine.data())
      .WithWord("space_mismatch")
      .WithKept("nothing was bought but a few canary texts")
      .WithNext("use as fallback or replica only what serves the same model");
}

}  // namespace embedflow
