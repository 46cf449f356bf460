// Whether endpoints give the same vectors: a few fixed texts are embedded by each and compared, so
// that a fallback with another model never writes into the space.
#ifndef EMBEDFLOW_PIPELINE_CANARY_H_
#define EMBEDFLOW_PIPELINE_CANARY_H_

#include <vector>

#include "corpus/query.h"
#include "embedflow/provider.h"
#include "embedflow/status.h"

namespace embedflow {

// The least cosine between two endpoints' vectors of one text. Servers of one model differ by
// rounding and quantisation, in the third digit at most; different models are near 0.
inline constexpr double kCanaryCosineMin = 0.98;

// What the provider makes of the canary texts, one after the other. Blocks; one request, and up to
// two retries.
// `spent` counts what was sent and billed.
Result<std::vector<float>> CanaryVectors(const Provider& provider, const EmbedNowOptions& options,
                                         EmbedNowCost* spent);

// OK if each of `theirs` points where the one of `ours` does and is as long, give or take a
// twentieth. Otherwise kInvalidArgument with the
// word space_mismatch, naming `provider`'s place.
Status CompareCanaries(const std::vector<float>& ours, const std::vector<float>& theirs,
                       const Provider& provider);

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_CANARY_H_
