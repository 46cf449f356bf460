// Where a text may be cut: the parts that the chunkers share.
#ifndef EMBEDFLOW_STAGES_CHUNKER_CUT_H_
#define EMBEDFLOW_STAGES_CHUNKER_CUT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "embedflow/options.h"
#include "embedflow/types.h"

namespace embedflow {

// Sizes of ChunkerOptions in units of the model token estimate (stages/model_tokens.h).
struct CutLimits {
  // `options` must have passed Validate().
  explicit CutLimits(const ChunkerOptions& options);
  std::uint64_t size_units;     // At least one model token.
  std::uint64_t overlap_units;  // At most half of size_units.
};

// The first position at or after `at` that holds no white space, or text.size().
std::size_t SkipWhiteSpace(std::string_view text, std::size_t at);
// The end of the last code point before `at` that is not white space, or 0.
std::size_t TrimWhiteSpace(std::string_view text, std::size_t at);

// Cuts `text` into chunks as long as the limits allow and appends them, moved by `offset`, to
// `*spans`. A cut is made at the last paragraph break, else line break, else sentence end, else
// word end that leaves at least half of the room for new text used; a word is cut only where it
// alone is longer than a chunk. Nothing around `text` is looked at. Time is linear, memory constant
// but for the spans.
void CutRecursively(std::string_view text, std::uint64_t offset, const CutLimits& limits,
                    std::vector<ChunkSpan>* spans);

// Where the chunk after [previous.begin, previous.end) begins if its new text begins at `fresh`
// (the first position after previous.end without white space): as far before `fresh` as
// limits.overlap_units allows, after previous.begin, at the begin of a word if there is one in
// reach. `fresh` itself where nothing of the previous chunk is in reach.
std::size_t OverlapBegin(std::string_view text, std::size_t previous_begin,
                         std::size_t previous_end, std::size_t fresh, const CutLimits& limits);

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_CHUNKER_CUT_H_
