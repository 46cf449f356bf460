// What every chunker promises, as a check, and texts to check it on.
#ifndef EMBEDFLOW_TESTS_STAGES_CHUNKER_PROPERTIES_H_
#define EMBEDFLOW_TESTS_STAGES_CHUNKER_PROPERTIES_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/utf8.h"
#include "stages/chunker.h"

namespace embedflow {

using Kind = ChunkerOptions::Kind;

inline ChunkerOptions Options(Kind kind, int size_tokens = 256, int overlap_tokens = 32) {
  ChunkerOptions options;
  options.kind = kind;
  options.size_tokens = size_tokens;
  options.overlap_tokens = overlap_tokens;
  return options;
}

inline std::vector<ChunkSpan> Spans(const ChunkerOptions& options, std::string_view text) {
  EXPECT_TRUE(options.Validate().ok()) << options.Validate().ToString();
  std::vector<ChunkSpan> spans;
  MakeChunker(options)->Chunk(text, &spans);
  return spans;
}

inline std::vector<std::string> Texts(const ChunkerOptions& options, std::string_view text) {
  std::vector<std::string> texts;
  for (const ChunkSpan& span : Spans(options, text)) {
    texts.emplace_back(text.substr(span.begin, span.end - span.begin));
  }
  return texts;
}

inline std::string_view TextOf(std::string_view text, const ChunkSpan& span) {
  return text.substr(span.begin, span.end - span.begin);
}

inline bool IsCodePointBound(std::string_view text, std::size_t at) {
  return at == text.size() || (at < text.size() && !IsContinuation(text[at]));
}

// Whether the first, and the last, code point of `text` (not empty) is white space.
inline bool BeginsWhite(std::string_view text) {
  std::size_t at = 0;
  return IsWhiteSpace(NextCodePoint(text, &at));
}
inline bool EndsWhite(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (IsContinuation(text[at])) --at;
  return IsWhiteSpace(NextCodePoint(text, &at));
}

// Checks `spans` against the promises of stages/chunker.h. Stops at the first breach.
inline testing::AssertionResult KeepPromises(const ChunkerOptions& options, std::string_view text,
                                             const std::vector<ChunkSpan>& spans) {
  const auto breach = [&](std::size_t i, const char* what) {
    return testing::AssertionFailure()
           << "span " << i << " [" << spans[i].begin << ", " << spans[i].end << ") of "
           << spans.size() << " in " << text.size() << " bytes: " << what;
  };
  std::size_t covered = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const ChunkSpan& span = spans[i];
    if (span.begin >= span.end || span.end > text.size()) return breach(i, "is no span");
    if (!IsCodePointBound(text, span.begin) || !IsCodePointBound(text, span.end)) {
      return breach(i, "cuts a code point");
    }
    const std::string_view chunk = TextOf(text, span);
    if (BeginsWhite(chunk) || EndsWhite(chunk)) return breach(i, "is not trimmed");
    if (i > 0 && (span.begin <= spans[i - 1].begin || span.end <= spans[i - 1].end)) {
      return breach(i, "is out of order");
    }
    if (span.begin > covered && !IsBlank(text.substr(covered, span.begin - covered))) {
      return breach(i, "leaves text before it out");
    }
    if (options.kind != Kind::kNone) {
      if (EstimateModelTokens(chunk) > static_cast<std::size_t>(options.size_tokens)) {
        return breach(i, "is too large");
      }
      if (span.begin < covered &&
          EstimateModelTokens(text.substr(span.begin, covered - span.begin)) >
              static_cast<std::size_t>(options.overlap_tokens)) {
        return breach(i, "overlaps too much");
      }
    }
    covered = span.end;
  }
  if (!IsBlank(text.substr(covered))) {
    return testing::AssertionFailure() << "text after " << covered << " is left out";
  }
  return testing::AssertionSuccess();
}

// Text made of all that chunkers trip over.
inline std::string RandomText(Rng& rng, std::size_t pieces) {
  static const std::string_view kPieces[] = {" ",
                                             " ",
                                             " ",
                                             " ",
                                             "\n",
                                             "\n\n",
                                             "\r\n",
                                             "\r\n\r\n",
                                             "\t",
                                             "\u00A0",
                                             "\u3000",
                                             "\u2028",
                                             "\uFEFF",
                                             "\n \n",
                                             "    ",
                                             ". ",
                                             ".\n",
                                             "! ",
                                             "? ",
                                             "。",
                                             "！",
                                             "，",
                                             "a",
                                             "the",
                                             "word",
                                             "Word",
                                             "e.g. ",
                                             "U.S. ",
                                             "3.14",
                                             "1234567890",
                                             "don't",
                                             "(so.) ",
                                             "\"End.\" ",
                                             "é",
                                             "naïve",
                                             "e\u0301",
                                             "o\u0308\u0323",
                                             "слово",
                                             "λόγος",
                                             "سلام",
                                             "नमस्ते",
                                             "ภาษาไทย",
                                             "漢字",
                                             "かな",
                                             "한국어",
                                             "「引用。」",
                                             "😀",
                                             "👩‍👩‍👧",
                                             "👍🏽",
                                             "🇩🇪",
                                             "\u200B",
                                             "\u0301",
                                             "--",
                                             "`x`",
                                             "{}();",
                                             "https://example.org/a/b?c=d",
                                             "# Heading\n",
                                             "\n## Second\n",
                                             "Title\n===\n",
                                             "Sub\n---\n",
                                             "\n```\n",
                                             "# not\n",
                                             "> quote\n",
                                             "- item\n",
                                             std::string_view("\0", 1),
                                             "\x01",
                                             "\x7F"};
  std::string text;
  for (std::size_t i = 0; i < pieces; ++i) {
    const std::uint64_t dice = rng.Below(200);
    if (dice == 0) {
      text.append(rng.Below(3000), static_cast<char>('a' + rng.Below(26)));
    } else if (dice == 1) {
      const std::string_view white[] = {" ", "\n", "\u00A0", "\u3000"};
      const std::string_view one = white[rng.Below(std::size(white))];
      for (std::uint64_t n = rng.Below(3000); n > 0; --n) text += one;
    } else if (dice == 2) {
      const std::string_view wide[] = {"語", "😀", "\u0301", "ก", "é"};
      const std::string_view one = wide[rng.Below(std::size(wide))];
      for (std::uint64_t n = rng.Below(600); n > 0; --n) text += one;
    } else {
      text += kPieces[rng.Below(std::size(kPieces))];
      if (rng.Below(2) == 0) text += ' ';
    }
  }
  return text;
}

// The first `bytes_max` bytes of a file (of ASCII), or empty if this machine does not have it.
inline std::string FileText(const std::string& path, std::size_t bytes_max = 4 << 20) {
  std::ifstream file(path, std::ios::binary);
  std::string text(bytes_max, '\0');
  file.read(text.data(), static_cast<std::streamsize>(bytes_max));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_STAGES_CHUNKER_PROPERTIES_H_
