// Cuts a document's text into chunks.
#ifndef EMBEDFLOW_STAGES_CHUNKER_H_
#define EMBEDFLOW_STAGES_CHUNKER_H_

#include <memory>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "embedflow/options.h"
#include "embedflow/types.h"

namespace embedflow {

// Model tokens in `text` (valid UTF-8), estimated without a tokenizer; at least 1 for text that is
// not empty. The estimate never falls when text is appended, and estimate(a + b) <= estimate(a) +
// estimate(b). docs/chunking.md names the rule and what is known of its error.
std::size_t EstimateModelTokens(std::string_view text);

// What every chunker keeps, for valid UTF-8:
//  - spans are ordered by begin and by end; none is empty, begins or ends in white space, or cuts a
//    code point;
//  - between the end of one span and the begin of the next there is only white space, or they
//    overlap by at most overlap_tokens; before the first and after the last likewise;
//  - no span is estimated above size_tokens (except kNone: one span of the whole trimmed text);
//  - the same text and options give the same spans on every machine (kSentence: with the same
//    version of ICU); time is linear in the text.
// A text of only white space gives no span.
// Threads: Chunk() may be called from several threads at once.
class Chunker {
 public:
  virtual ~Chunker() = default;
  // Appends the spans of `text` to `*spans`, which need not be empty.
  virtual void Chunk(std::string_view text, std::vector<ChunkSpan>* spans) const = 0;
};

// `options` must have passed Validate().
std::unique_ptr<Chunker> MakeChunker(const ChunkerOptions& options);

// Stands for the options and the version of the algorithm: documents chunked under another
// fingerprint are chunked again when they are read again.
ContentHash ChunkingFingerprint(const ChunkerOptions& options);

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_CHUNKER_H_
