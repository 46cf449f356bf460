#include "stages/chunker.h"

#include <string>

#include "base/check.h"
#include "base/utf8.h"
#include "stages/chunker_cut.h"
#include "stages/chunker_markdown.h"
#include "stages/chunker_sentence.h"
#include "stages/model_tokens.h"

namespace embedflow {
namespace {

constexpr int kSizeTokensMax = 1'000'000;

// Any change that gives some text other spans takes the next number.
constexpr std::string_view kAlgorithmVersion = "1";

class RecursiveChunker : public Chunker {
 public:
  explicit RecursiveChunker(const CutLimits& limits) : limits_(limits) {}
  void Chunk(std::string_view text, std::vector<ChunkSpan>* spans) const override {
    CutRecursively(text, 0, limits_, spans);
  }

 private:
  const CutLimits limits_;
};

// A window of size_tokens that moves by size_tokens - overlap_tokens, whatever the text says there.
class FixedChunker : public Chunker {
 public:
  explicit FixedChunker(const CutLimits& limits) : limits_(limits) {}
  void Chunk(std::string_view text, std::vector<ChunkSpan>* spans) const override {
    text = text.substr(0, TrimWhiteSpace(text, text.size()));
    std::size_t covered = 0;
    for (std::size_t begin = SkipWhiteSpace(text, 0); begin < text.size();) {
      std::uint64_t units = 0;
      const std::uint64_t step_units = limits_.size_units - limits_.overlap_units;
      std::size_t next = AdvanceByUnits(text, begin, step_units, &units);
      // Rounded up to a code point, so that the overlap is not above its limit.
      if (units < step_units && limits_.overlap_units > 0 && next < text.size()) {
        units += kModelTokenUnits[static_cast<unsigned char>(text[next])];
        NextCodePoint(text, &next);
      }
      const std::size_t window_end = AdvanceByUnits(text, next, limits_.size_units, &units);
      const std::size_t end = TrimWhiteSpace(text, window_end);
      // Where the window grew by white space alone, its text is in the chunk before.
      if (end > covered) spans->push_back({begin, end, {}});
      covered = end;
      if (window_end == text.size()) return;
      begin = SkipWhiteSpace(text, next);
    }
  }

 private:
  const CutLimits limits_;
};

class WholeTextChunker : public Chunker {
 public:
  void Chunk(std::string_view text, std::vector<ChunkSpan>* spans) const override {
    const std::size_t begin = SkipWhiteSpace(text, 0);
    if (begin == text.size()) return;
    spans->push_back({begin, TrimWhiteSpace(text, text.size()), {}});
  }
};

}  // namespace

Status ChunkerOptions::Validate() const {
  switch (kind) {
    case Kind::kRecursive:
    case Kind::kMarkdown:
    case Kind::kFixed:
    case Kind::kNone:
      break;
    case Kind::kSentence:
      EF_RETURN_IF_ERROR(SentenceChunker::CheckAvailable());
      break;
    default:
      return {Code::kInvalidArgument,
              "kind must name a chunker, got " + std::to_string(static_cast<int>(kind))};
  }
  if (size_tokens < 1 || size_tokens > kSizeTokensMax) {
    return {Code::kInvalidArgument, "size_tokens must be in [1, " + std::to_string(kSizeTokensMax) +
                                        "], got " + std::to_string(size_tokens)};
  }
  if (overlap_tokens < 0 || overlap_tokens > size_tokens / 2) {
    return {Code::kInvalidArgument,
            "overlap_tokens must be in [0, " + std::to_string(size_tokens / 2) +
                "], half of size_tokens, got " + std::to_string(overlap_tokens)};
  }
  return {};
}

std::unique_ptr<Chunker> MakeChunker(const ChunkerOptions& options) {
  const CutLimits limits(options);
  switch (options.kind) {
    case ChunkerOptions::Kind::kRecursive:
      return std::make_unique<RecursiveChunker>(limits);
    case ChunkerOptions::Kind::kSentence:
      return std::make_unique<SentenceChunker>(limits);
    case ChunkerOptions::Kind::kMarkdown:
      return std::make_unique<MarkdownChunker>(limits);
    case ChunkerOptions::Kind::kFixed:
      return std::make_unique<FixedChunker>(limits);
    case ChunkerOptions::Kind::kNone:
      return std::make_unique<WholeTextChunker>();
  }
  EF_CHECK(false && "options must have passed Validate()");
  return nullptr;
}

ContentHash ChunkingFingerprint(const ChunkerOptions& options) {
  const std::string kind = std::to_string(static_cast<int>(options.kind));
  // An option without effect on the spans is left out: changing it chunks nothing again.
  const bool is_cut = options.kind != ChunkerOptions::Kind::kNone;
  const std::string size = is_cut ? std::to_string(options.size_tokens) : "";
  const std::string overlap = is_cut ? std::to_string(options.overlap_tokens) : "";
  const std::string rules = options.kind == ChunkerOptions::Kind::kSentence
                                ? SentenceChunker::RulesVersion()
                                : std::string();
  const std::string_view parts[] = {"chunker", kAlgorithmVersion, kind, size, overlap, rules};
  return HashContent(parts);
}

}  // namespace embedflow
