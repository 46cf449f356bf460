#include "stages/chunker_sentence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include <algorithm>
#include <set>
#include <string>

#include "tests/stages/chunker_properties.h"

namespace embedflow {
namespace {

using testing::ElementsAre;

// All sentence ends of `text` by ICU, white space behind them included, in one go.
std::set<std::size_t> SentenceBounds(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  UText icu_text = UTEXT_INITIALIZER;
  utext_openUTF8(&icu_text, text.data(), static_cast<std::int64_t>(text.size()), &status);
  UBreakIterator* iterator = ubrk_open(UBRK_SENTENCE, "", nullptr, 0, &status);
  ubrk_setUText(iterator, &icu_text, &status);
  EXPECT_TRUE(U_SUCCESS(status));
  std::set<std::size_t> bounds;
  for (std::int32_t at = 0; at != UBRK_DONE; at = ubrk_next(iterator)) {
    bounds.insert(static_cast<std::size_t>(at));
  }
  ubrk_close(iterator);
  utext_close(&icu_text);
  return bounds;
}

std::size_t SkipWhite(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    std::size_t next = at;
    if (!IsWhiteSpace(NextCodePoint(text, &next))) break;
    at = next;
  }
  return at;
}

TEST(SentenceChunker, PacksWholeSentences) {
  EXPECT_THAT(
      Texts(Options(Kind::kSentence, 8, 0), "One two three. Four five six! Seven eight nine? Ten."),
      ElementsAre("One two three. Four five six!", "Seven eight nine? Ten."));
}

TEST(SentenceChunker, KnowsWhatEndsNoSentence) {
  EXPECT_THAT(Texts(Options(Kind::kSentence, 8, 0), "It costs 3.50 e.g. here. Next one is there."),
              ElementsAre("It costs 3.50 e.g. here.", "Next one is there."));
}

TEST(SentenceChunker, OverlapsByWholeSentencesWhereOneFits) {
  EXPECT_THAT(Texts(Options(Kind::kSentence, 10, 4), "Aaa bbb ccc ddd eee. Fff ggg. Hhh iii jjj."),
              ElementsAre("Aaa bbb ccc ddd eee. Fff ggg.", "Fff ggg. Hhh iii jjj."));
}

TEST(SentenceChunker, CutsAnOverlongSentenceRecursively) {
  std::string text = "Short one. Long ";
  for (int i = 0; i < 100; ++i) text += "word ";
  text += "end. Last one.";
  const std::vector<std::string> texts = Texts(Options(Kind::kSentence, 20, 0), text);
  ASSERT_GT(texts.size(), 4u);
  EXPECT_EQ(texts.front(), "Short one.");
  EXPECT_EQ(texts[1].substr(0, 10), "Long word ");
  EXPECT_EQ(texts.back(), "Last one.");
}

// Every chunk of text whose sentences are short begins and ends at a bound that ICU gives for the
// whole text at once, though the chunker feeds it in windows.
TEST(SentenceChunker, ItsBoundsAreThoseOfTheWholeText) {
  Rng rng(13);
  const std::string_view ends[] = {". ", "! ", "? ", ".\n", ".\r\n\r\n", "。", ".\" "};
  for (const bool has_lines : {true, false}) {
    std::string text;
    while (text.size() < 300000) {
      for (std::uint64_t n = 1 + rng.Below(12); n > 0; --n) {
        text += rng.Below(8) == 0 ? "Größe 3.5 " : "word ";
      }
      text += "last";
      text += ends[rng.Below(std::size(ends))];
      text += "The ";
    }
    if (!has_lines) {
      std::replace_if(
          text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    }
    const std::set<std::size_t> bounds = SentenceBounds(text);
    const auto spans = Spans(Options(Kind::kSentence, 64, 0), text);
    ASSERT_GT(spans.size(), 500u);
    std::set<std::size_t> begins;
    for (const std::size_t bound : bounds) begins.insert(SkipWhite(text, bound));
    for (const ChunkSpan& span : spans) {
      ASSERT_TRUE(begins.contains(span.begin)) << "seed 13, at " << span.begin;
      ASSERT_TRUE(begins.contains(SkipWhite(text, span.end))) << "seed 13, at " << span.end;
    }
  }
}

}  // namespace
}  // namespace embedflow
