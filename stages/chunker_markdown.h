// Cuts Markdown at its headings.
#ifndef EMBEDFLOW_STAGES_CHUNKER_MARKDOWN_H_
#define EMBEDFLOW_STAGES_CHUNKER_MARKDOWN_H_

#include <string_view>
#include <vector>

#include "stages/chunker.h"
#include "stages/chunker_cut.h"

namespace embedflow {

// A section is a heading and its text up to the next heading of any level; a heading without text
// of its own opens the section of the deeper heading below it. No chunk holds text of two sections;
// inside a section text is cut as CutRecursively does. ChunkSpan::heading is the path of the
// section's deepest heading, "A > B", each heading cut to 200 bytes.
//
// Headings are ATX and setext headings as CommonMark 0.31 has them, outside fenced code blocks and
// YAML front matter. Simplified: block quotes and lists are not parsed (a heading inside one does
// not count unless it stands at the begin of the line), HTML blocks are not known, inline marks
// stay in the path as they are, and a lone CR is no line end.
class MarkdownChunker : public Chunker {
 public:
  explicit MarkdownChunker(const CutLimits& limits) : limits_(limits) {}
  void Chunk(std::string_view text, std::vector<ChunkSpan>* spans) const override;

 private:
  const CutLimits limits_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_CHUNKER_MARKDOWN_H_
