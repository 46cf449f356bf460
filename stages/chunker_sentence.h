// Packs whole sentences into chunks.
#ifndef EMBEDFLOW_STAGES_CHUNKER_SENTENCE_H_
#define EMBEDFLOW_STAGES_CHUNKER_SENTENCE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "embedflow/status.h"
#include "stages/chunker.h"
#include "stages/chunker_cut.h"

namespace embedflow {

class SentenceIteratorPool;

// A chunk is as many sentences as fit. Sentences are those of ICU's rules for the root locale
// (Unicode Standard Annex 29), where a line end ends a sentence too. A sentence longer than a chunk
// is cut as CutRecursively does. An overlap begins at a sentence where one fits, else at a word.
class SentenceChunker : public Chunker {
 public:
  // CheckAvailable() must have returned OK.
  explicit SentenceChunker(const CutLimits& limits);
  ~SentenceChunker() override;
  void Chunk(std::string_view text, std::vector<ChunkSpan>* spans) const override;

  // Whether this machine's ICU has the rules. Errors: kUnsupported.
  static Status CheckAvailable();
  // The version of the rules, which decide where sentences end.
  static std::string RulesVersion();

 private:
  const CutLimits limits_;
  const std::unique_ptr<SentenceIteratorPool> iterators_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_CHUNKER_SENTENCE_H_
