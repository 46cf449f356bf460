#include "stages/chunker_markdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/stages/chunker_properties.h"

namespace embedflow {
namespace {

using testing::ElementsAre;
using testing::Pair;

// Path and text of each chunk.
std::vector<std::pair<std::string, std::string>> Sections(std::string_view text, int size = 256,
                                                          int overlap = 32) {
  std::vector<std::pair<std::string, std::string>> sections;
  for (const ChunkSpan& span : Spans(Options(Kind::kMarkdown, size, overlap), text)) {
    sections.emplace_back(span.heading, TextOf(text, span));
  }
  return sections;
}

TEST(MarkdownChunker, CutsAtHeadingsAndKeepsTheirPath) {
  EXPECT_THAT(Sections("intro\n\n# A\none\n## B\ntwo\n### C\nthree\n## D\nfour\n# E\nfive"),
              ElementsAre(Pair("", "intro"), Pair("A", "# A\none"), Pair("A > B", "## B\ntwo"),
                          Pair("A > B > C", "### C\nthree"), Pair("A > D", "## D\nfour"),
                          Pair("E", "# E\nfive")));
}

TEST(MarkdownChunker, AHeadingWithoutTextOpensTheSectionBelowIt) {
  EXPECT_THAT(Sections("# A\n\n## B\n\ntext\n## C\n## D\ntext"),
              ElementsAre(Pair("A > B", "# A\n\n## B\n\ntext"), Pair("A > C", "## C"),
                          Pair("A > D", "## D\ntext")));
}

TEST(MarkdownChunker, ReadsSetextHeadings) {
  EXPECT_THAT(Sections("Title\n=====\n\none\n\nSub\ntitle\n  ---  \ntwo\n"),
              ElementsAre(Pair("Title", "Title\n=====\n\none"),
                          Pair("Title > Sub title", "Sub\ntitle\n  ---  \ntwo")));
}

TEST(MarkdownChunker, ARuleATableOrAListIsNoSetextHeading) {
  for (const std::string_view text :
       {"text\n\n---\n\nmore", "- item\n---\nmore", "> quote\n---\nmore", "1. item\n---\nmore",
        "a | b\n--|--\n1 | 2", "text\n\n===\n\nmore", "text\n\n    code\n---\nmore",
        "text\n- - -\nmore"}) {
    EXPECT_THAT(Sections(text), ElementsAre(Pair("", text)));
  }
}

TEST(MarkdownChunker, WhatLooksLikeAnAtxHeadingMayBeNone) {
  for (const std::string_view text : {"#hash", "####### seven", "text\n\n    # code",
                                      "text\n\n\t# code", "\\# no", "text # no", "> # quoted"}) {
    EXPECT_THAT(Sections(text), ElementsAre(Pair("", text)));
  }
}

TEST(MarkdownChunker, TakesTheTitleWithoutItsMarks) {
  EXPECT_THAT(Sections("  ## A  b ##  \nx"), ElementsAre(Pair("A b", "## A  b ##  \nx")));
  EXPECT_THAT(Sections("# C#\nx"), ElementsAre(Pair("C#", "# C#\nx")));
  EXPECT_THAT(Sections("# A\n##\nx"), ElementsAre(Pair("A", "# A\n##\nx")));
  EXPECT_THAT(Sections("# A\r\nx\r\n# B\r\ny"),
              ElementsAre(Pair("A", "# A\r\nx"), Pair("B", "# B\r\ny")));
}

TEST(MarkdownChunker, AFenceHidesHeadings) {
  for (const std::string_view text :
       {"# A\n```sh\n# no\n```\nx", "# A\n~~~\n# no\n```\n# no\n~~~~\nx",
        "# A\n```\n# never closed", "# A\n````\n```\n# no\n````\nx", "# A\n```\nno\n---\n```",
        "# A\n  ```\n# no\n  ```\nx"}) {
    EXPECT_THAT(Sections(text), ElementsAre(Pair("A", text)));
  }
  EXPECT_THAT(Sections("``` not ` a fence\n# A\nx"),
              ElementsAre(Pair("", "``` not ` a fence"), Pair("A", "# A\nx")));
}

TEST(MarkdownChunker, FrontMatterIsNoHeading) {
  EXPECT_THAT(Sections("---\ntitle: x\n---\n# A\ny"),
              ElementsAre(Pair("", "---\ntitle: x\n---"), Pair("A", "# A\ny")));
  EXPECT_THAT(Sections("---\n# A\ny"), ElementsAre(Pair("A", "---\n# A\ny")));
}

TEST(MarkdownChunker, ALongSectionIsCutInsideAndNeverReachesIntoTheNext) {
  std::string text = "# A\n";
  for (int i = 0; i < 200; ++i) text += "Lorem ipsum dolor sit amet. ";
  const std::size_t second = text.size();
  text += "\n# B\nShort.";
  const auto spans = Spans(Options(Kind::kMarkdown, 64, 16), text);
  ASSERT_GT(spans.size(), 10u);
  for (const ChunkSpan& span : spans) {
    EXPECT_EQ(span.heading, span.begin < second ? "A" : "B");
    if (span.begin < second) {
      EXPECT_LE(span.end, second);
    }
  }
  EXPECT_EQ(TextOf(text, spans.back()), "# B\nShort.");
}

TEST(MarkdownChunker, ALongHeadingIsCutInThePathOnly) {
  std::string text = "# ";
  for (int i = 0; i < 1000; ++i) text += "é";
  const auto sections = Sections(text + "\ntext", 10000, 0);
  ASSERT_EQ(sections.size(), 1u);
  EXPECT_EQ(sections[0].first.size(), 200u);
  EXPECT_TRUE(IsValidUtf8(sections[0].first));
}

// No chunk holds a heading line of the same or a higher level than one before it in the chunk, and
// none has text before a heading. Checked with ATX headings only, on text without fences.
TEST(MarkdownChunker, NoChunkCrossesAHeadingInRandomText) {
  Rng rng(5);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 60; ++i) {
      if (rng.Below(3) == 0) {
        text += "\n" + std::string(1 + rng.Below(6), '#') + " h" + std::to_string(i) + "\n";
      } else {
        for (std::uint64_t n = rng.Below(40); n > 0; --n) text += "word ";
        text += rng.Below(2) == 0 ? "\n" : "\n\n";
      }
    }
    for (const auto& [path, chunk] : Sections(text, 48, 12)) {
      std::size_t level = 0;
      bool has_text = false;
      for (std::size_t at = 0; at < chunk.size();) {
        const std::size_t end = std::min(chunk.find('\n', at), chunk.size());
        const std::string line = chunk.substr(at, end - at);
        at = end + 1;
        if (line.empty()) continue;
        if (line[0] != '#') {
          has_text = true;
          continue;
        }
        const std::size_t line_level = line.find(' ');
        ASSERT_FALSE(has_text) << "seed 5, round " << round << "\n" << chunk;
        ASSERT_GT(line_level, level) << "seed 5, round " << round << "\n" << chunk;
        level = line_level;
        ASSERT_THAT(path, testing::HasSubstr(line.substr(line_level + 1)));
      }
    }
  }
}

}  // namespace
}  // namespace embedflow
