#include "stages/chunker_markdown.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/utf8.h"

namespace embedflow {
namespace {

constexpr std::size_t kLevels = 6;
// Of one heading in a path: a path is copied into each of its chunks.
constexpr std::size_t kHeadingBytesMax = 200;
constexpr std::size_t kIndentMax = 3;  // Four spaces make code.

bool IsBlankByte(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view TrimLine(std::string_view line) {
  while (!line.empty() && IsBlankByte(line.back())) line.remove_suffix(1);
  return line;
}

std::size_t RunLength(std::string_view line, char c) {
  const std::size_t other = line.find_first_not_of(c);
  return other == std::string_view::npos ? line.size() : other;
}

// `line` in the functions below: without indentation and without white space at its end.

// The level of an ATX heading, or 0.
std::size_t AtxLevel(std::string_view line) {
  const std::size_t level = RunLength(line, '#');
  if (level == 0 || level > kLevels) return 0;
  return level == line.size() || IsBlankByte(line[level]) ? level : 0;
}

std::string_view AtxTitle(std::string_view line) {
  line.remove_prefix(RunLength(line, '#'));
  std::string_view open = line;
  while (!open.empty() && open.back() == '#') open.remove_suffix(1);
  // Closing marks are closing only behind a space.
  if (open.empty() || IsBlankByte(open.back())) line = open;
  return line;
}

// The level that a setext underline gives to the paragraph above, or 0.
std::size_t SetextLevel(std::string_view line) {
  if (line.empty() || RunLength(line, line[0]) != line.size()) return 0;
  return line[0] == '=' ? 1 : line[0] == '-' ? 2 : 0;
}

bool IsThematicBreak(std::string_view line) {
  const char mark = line[0];
  if (mark != '-' && mark != '*' && mark != '_') return false;
  std::size_t marks = 0;
  for (const char c : line) {
    if (c == mark) {
      ++marks;
    } else if (!IsBlankByte(c)) {
      return false;
    }
  }
  return marks >= 3;
}

// A block quote or a list item: an underline below its text does not make that text a heading.
bool OpensContainer(std::string_view line) {
  if (line[0] == '>') return true;
  std::size_t marker = 0;
  if (line[0] == '-' || line[0] == '+' || line[0] == '*') {
    marker = 1;
  } else {
    constexpr std::size_t kListDigitsMax = 9;
    while (marker < line.size() && line[marker] >= '0' && line[marker] <= '9') ++marker;
    if (marker == 0 || marker > kListDigitsMax || marker == line.size()) return false;
    if (line[marker] != '.' && line[marker] != ')') return false;
    ++marker;
  }
  return marker == line.size() || IsBlankByte(line[marker]);
}

struct Fence {
  char mark = 0;  // 0: none.
  std::size_t length = 0;
};

Fence OpeningFence(std::string_view line) {
  constexpr std::size_t kFenceMarksMin = 3;
  const char mark = line[0];
  if (mark != '`' && mark != '~') return {};
  const std::size_t length = RunLength(line, mark);
  if (length < kFenceMarksMin) return {};
  // Back quotes behind back quotes are a code span, not a fence.
  if (mark == '`' && line.find('`', length) != std::string_view::npos) return {};
  return {mark, length};
}

bool Closes(const Fence& fence, std::string_view line) {
  return line[0] == fence.mark && RunLength(line, fence.mark) == line.size() &&
         line.size() >= fence.length;
}

// `title` with white space runs as single spaces, cut to kHeadingBytesMax.
std::string PathPart(std::string_view title) {
  std::string part;
  for (const char c : title) {
    const bool is_white = c == '\n' || IsBlankByte(c);
    if (is_white && (part.empty() || part.back() == ' ')) continue;
    if (part.size() > kHeadingBytesMax) break;
    part += is_white ? ' ' : c;
  }
  if (part.size() > kHeadingBytesMax) {
    std::size_t end = kHeadingBytesMax;
    while (end > 0 && IsContinuation(part[end])) --end;
    part.resize(end);
  }
  while (!part.empty() && part.back() == ' ') part.pop_back();
  return part;
}

// Walks over the lines of one text and cuts each section when the next one begins.
class SectionReader {
 public:
  SectionReader(std::string_view text, const CutLimits& limits, std::vector<ChunkSpan>* spans)
      : text_(text), limits_(limits), spans_(*spans) {}

  void Read() {
    std::size_t at = SkipFrontMatter();
    while (at < text_.size()) {
      const std::size_t end = LineEnd(at);
      ReadLine(at, end);
      at = end + 1;
    }
    CutSection(text_.size());
  }

 private:
  // The position of the line's '\n', or text.size().
  std::size_t LineEnd(std::size_t at) const { return std::min(text_.find('\n', at), text_.size()); }

  // The begin of the first line behind YAML front matter, whose closing mark would else make a
  // heading of its last line.
  std::size_t SkipFrontMatter() {
    std::size_t at = LineEnd(0) + 1;
    if (TrimLine(text_.substr(0, at - 1)) != "---") return 0;
    while (at < text_.size()) {
      const std::size_t end = LineEnd(at);
      const std::string_view line = TrimLine(text_.substr(at, end - at));
      at = end + 1;
      if (line == "---" || line == "...") {
        section_has_text_ = true;
        return at;
      }
    }
    return 0;
  }

  void ReadLine(std::size_t begin, std::size_t end) {
    std::string_view line = TrimLine(text_.substr(begin, end - begin));
    const std::size_t indent = RunLength(line, ' ');
    line.remove_prefix(indent);
    if (fence_.mark != 0) {
      section_has_text_ = true;
      if (!line.empty() && indent <= kIndentMax && Closes(fence_, line)) fence_ = {};
    } else if (line.empty()) {
      paragraph_is_open_ = false;
      is_in_container_ = false;
    } else if (indent > kIndentMax || line[0] == '\t') {
      section_has_text_ = true;
    } else {
      ReadBlock(begin, line);
    }
  }

  void ReadBlock(std::size_t begin, std::string_view line) {
    if (const std::size_t level = AtxLevel(line)) {
      OpenSection(begin, level, AtxTitle(line), section_has_text_);
      return;
    }
    if (const std::size_t level = paragraph_is_open_ ? SetextLevel(line) : 0) {
      OpenSection(paragraph_begin_, level, text_.substr(paragraph_begin_, begin - paragraph_begin_),
                  section_had_text_before_paragraph_);
      return;
    }
    fence_ = OpeningFence(line);
    if (fence_.mark != 0) {
      paragraph_is_open_ = false;
      section_has_text_ = true;
    } else if (IsThematicBreak(line)) {
      paragraph_is_open_ = false;
      is_in_container_ = false;
    } else if (OpensContainer(line)) {
      paragraph_is_open_ = false;
      is_in_container_ = true;
      section_has_text_ = true;
    } else if (!paragraph_is_open_ && !is_in_container_) {
      paragraph_is_open_ = true;
      paragraph_begin_ = begin;
      section_had_text_before_paragraph_ = section_has_text_;
      section_has_text_ = true;
    }
  }

  // `has_text`: whether the section up to this heading has text of its own.
  void OpenSection(std::size_t begin, std::size_t level, std::string_view title, bool has_text) {
    // A heading above or beside the last one ends its section even when that has no text.
    if (has_text || level <= section_level_) {
      CutSection(begin);
      section_begin_ = begin;
    }
    section_level_ = level;
    section_has_text_ = false;
    paragraph_is_open_ = false;
    is_in_container_ = false;
    path_[level - 1] = PathPart(title);
    std::fill(path_.begin() + static_cast<std::ptrdiff_t>(level), path_.end(), std::string());
  }

  void CutSection(std::size_t end) {
    const std::size_t first = spans_.size();
    CutRecursively(text_.substr(section_begin_, end - section_begin_), section_begin_, limits_,
                   &spans_);
    if (first == spans_.size()) return;
    std::string path;
    for (const std::string& part : path_) {
      if (!path.empty() && !part.empty()) path += " > ";
      path += part;
    }
    for (std::size_t i = first; i < spans_.size(); ++i) spans_[i].heading = path;
  }

  const std::string_view text_;
  const CutLimits limits_;
  std::vector<ChunkSpan>& spans_;
  Fence fence_;
  std::size_t section_begin_ = 0;
  std::size_t section_level_ = 0;  // Of its last heading; 0 before the first.
  bool section_has_text_ = false;
  std::array<std::string, kLevels> path_;  // By level.
  bool paragraph_is_open_ = false;         // A paragraph that an underline makes a heading.
  std::size_t paragraph_begin_ = 0;
  bool section_had_text_before_paragraph_ = false;
  bool is_in_container_ = false;
};

}  // namespace

void MarkdownChunker::Chunk(std::string_view text, std::vector<ChunkSpan>* spans) const {
  SectionReader(text, limits_, spans).Read();
}

}  // namespace embedflow
