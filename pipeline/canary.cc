#include "pipeline/canary.h"

#include <algorithm>
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

// Servers that round differently, or normalise after rounding.
constexpr double kLengthRatioMax = 1.05;

struct Comparison {
  double cosine = 1;
  double length_ratio = 1;  // At least 1.
};

Comparison Compare(const float* a, const float* b, std::size_t dimensions) {
  double dot = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < dimensions; ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return {dot / std::sqrt(aa * bb), std::sqrt(std::max(aa / bb, bb / aa))};
}

}  // namespace

Result<std::vector<float>> CanaryVectors(const Provider& provider, const EmbedNowOptions& options,
                                         EmbedNowCost* spent) {
  return EmbedNow(provider, kTexts, options, spent);
}

Status CompareCanaries(const std::vector<float>& ours, const std::vector<float>& theirs,
                       const Provider& provider) {
  const std::size_t dimensions = ours.size() / kTexts.size();
  double least = 1;
  double length_ratio = 1;
  for (std::size_t i = 0; i < kTexts.size(); ++i) {
    const Comparison one = Compare(&ours[i * dimensions], &theirs[i * dimensions], dimensions);
    least = std::min(least, one.cosine);
    length_ratio = std::max(length_ratio, one.length_ratio);
  }
  if (least >= kCanaryCosineMin && length_ratio <= kLengthRatioMax) return {};
  std::array<char, 96> how;
  std::snprintf(how.data(), how.size(),
                "of one text, the cosine is %.3f and one is %.2f times as long", least,
                length_ratio);
  const Dialect* dialect = provider.dialect();
  return Status(Code::kInvalidArgument,
                "the endpoint " +
                    (dialect == nullptr ? provider.space().name() : dialect->place()) +
                    " with the model " + provider.space().model +
                    " makes other vectors than the provider: " + how.data())
      .WithWord("space_mismatch")
      .WithKept("nothing was bought but a few canary texts")
      .WithNext("use as fallback or replica only what serves the same model");
}

}  // namespace embedflow
