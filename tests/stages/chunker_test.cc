#include "stages/chunker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "stages/model_tokens.h"
#include "tests/stages/chunker_properties.h"

namespace embedflow {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

std::string Words(int count, std::string_view word = "lorem") {
  std::string text;
  for (int i = 0; i < count; ++i) {
    if (i > 0) text += ' ';
    text += word;
  }
  return text;
}

TEST(ModelTokens, AnEmptyTextHasNoneAnyOtherAtLeastOne) {
  EXPECT_EQ(EstimateModelTokens(""), 0u);
  EXPECT_EQ(EstimateModelTokens(" "), 1u);
  EXPECT_EQ(EstimateModelTokens("a"), 1u);
  EXPECT_EQ(EstimateModelTokens("語"), 1u);
}

TEST(ModelTokens, EnglishProseIsNearFourAndAHalfBytesAToken) {
  const std::string_view text =
      "The quick brown fox jumps over the lazy dog, and nobody in the village was surprised.";
  EXPECT_GE(EstimateModelTokens(text), 17u);
  EXPECT_LE(EstimateModelTokens(text), 21u);
}

TEST(ModelTokens, OtherScriptsAndDigitsCountDenser) {
  EXPECT_EQ(EstimateModelTokens("東京都は日本の首都"), 9u);
  EXPECT_EQ(EstimateModelTokens("20240229"), 4u);
  EXPECT_GT(EstimateModelTokens("слово"), EstimateModelTokens("slovo"));
}

TEST(ModelTokens, EveryCodePointIsAboveZeroAndAtMostOneToken) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const unsigned units = kModelTokenUnits[byte];
    EXPECT_LE(units, kUnitsPerModelToken);
    EXPECT_EQ(units == 0, (byte & 0xC0u) == 0x80u) << byte;
  }
}

TEST(ModelTokens, NeverFallsByAppendingAndNeverExceedsTheSumOfParts) {
  Rng rng(7);
  for (int round = 0; round < 2000; ++round) {
    const std::string a = RandomText(rng, rng.Below(20));
    const std::string b = RandomText(rng, rng.Below(20));
    const std::size_t whole = EstimateModelTokens(a + b);
    ASSERT_GE(whole, EstimateModelTokens(a)) << "seed 7, round " << round;
    ASSERT_LE(whole, EstimateModelTokens(a) + EstimateModelTokens(b)) << "seed 7, round " << round;
  }
}

TEST(ModelTokens, AdvanceStopsBeforeTheFirstCodePointThatDoesNotFit) {
  Rng rng(11);
  for (int round = 0; round < 2000; ++round) {
    const std::string text = RandomText(rng, 1 + rng.Below(40));
    const std::uint64_t units_max = rng.Below(ModelTokenUnits(text) + 10);
    std::uint64_t units = 0;
    const std::size_t at = AdvanceByUnits(text, 0, units_max, &units);
    ASSERT_TRUE(IsCodePointBound(text, at)) << "seed 11, round " << round;
    ASSERT_EQ(units, ModelTokenUnits(std::string_view(text).substr(0, at)));
    ASSERT_LE(units, units_max);
    if (at == text.size()) continue;
    ASSERT_GT(units + kModelTokenUnits[static_cast<unsigned char>(text[at])], units_max);
  }
}

TEST(ChunkerOptions, ValidateNamesTheFieldAndTheValue) {
  EXPECT_TRUE(ChunkerOptions().Validate().ok());
  EXPECT_TRUE(Options(Kind::kRecursive, 1, 0).Validate().ok());
  EXPECT_TRUE(Options(Kind::kRecursive, 1'000'000, 500'000).Validate().ok());
  EXPECT_TRUE(Options(Kind::kSentence).Validate().ok());
  EXPECT_THAT(Options(Kind::kRecursive, 0, 0).Validate().message(),
              HasSubstr("size_tokens must be in [1, 1000000], got 0"));
  EXPECT_THAT(Options(Kind::kRecursive, 1'000'001, 0).Validate().message(),
              HasSubstr("got 1000001"));
  EXPECT_THAT(Options(Kind::kRecursive, 10, 6).Validate().message(),
              HasSubstr("overlap_tokens must be in [0, 5]"));
  EXPECT_THAT(Options(Kind::kRecursive, 10, -1).Validate().message(), HasSubstr("got -1"));
  EXPECT_EQ(Options(static_cast<Kind>(99)).Validate().code(), Code::kInvalidArgument);
}

TEST(ChunkingFingerprint, ChangesWithWhatChangesTheSpansAndNothingElse) {
  const ContentHash base = ChunkingFingerprint(Options(Kind::kRecursive, 256, 32));
  EXPECT_EQ(base, ChunkingFingerprint(ChunkerOptions()));
  EXPECT_NE(base, ChunkingFingerprint(Options(Kind::kFixed, 256, 32)));
  EXPECT_NE(base, ChunkingFingerprint(Options(Kind::kRecursive, 255, 32)));
  EXPECT_NE(base, ChunkingFingerprint(Options(Kind::kRecursive, 256, 31)));
  EXPECT_EQ(ChunkingFingerprint(Options(Kind::kNone, 256, 32)),
            ChunkingFingerprint(Options(Kind::kNone, 100, 0)));
}

TEST(RecursiveChunker, KeepsAShortTextWhole) {
  EXPECT_THAT(Texts(Options(Kind::kRecursive), "  One.\n\nTwo. \n"), ElementsAre("One.\n\nTwo."));
}

// In each text all kinds of bounds lie in the second half of the first chunk; the highest wins.
TEST(RecursiveChunker, PrefersParagraphThenLineThenSentenceThenWord) {
  const ChunkerOptions options = Options(Kind::kRecursive, 14, 0);
  const struct {
    const char* text;
    const char* first;
  } kCases[] = {
      {"aa bb cc dd ee ff gg hh ii jj kk ll mm nn\n\noo pp\nqq rr. Ss tt uu vv ww xx yy zz aa bb",
       "aa bb cc dd ee ff gg hh ii jj kk ll mm nn"},
      {"aa bb cc dd ee ff gg hh ii jj kk ll mm nn\r\n\t\r\noo pp\nqq rr. Ss tt uu vv ww xx yy zz "
       "aa",
       "aa bb cc dd ee ff gg hh ii jj kk ll mm nn"},
      {"aa bb cc dd ee ff gg hh ii jj kk ll mm nn oo\npp qq rr. Ss tt uu vv ww xx yy zz aa bb cc",
       "aa bb cc dd ee ff gg hh ii jj kk ll mm nn oo"},
      {"aa bb cc dd ee ff gg hh ii jj kk ll mm nn oo pp qq. Rr ss tt uu vv ww xx yy zz aa bb cc dd",
       "aa bb cc dd ee ff gg hh ii jj kk ll mm nn oo pp qq."},
      {"aa bb cc dd ee ff gg hh ii jj kk ll mm nn oo \"pp qq!\" Rr ss tt uu vv ww xx yy zz aa bb "
       "cc",
       "aa bb cc dd ee ff gg hh ii jj kk ll mm nn oo \"pp qq!\""},
  };
  for (const auto& c : kCases) {
    const std::vector<std::string> texts = Texts(options, c.text);
    ASSERT_GT(texts.size(), 1u) << c.text;
    EXPECT_EQ(texts[0], c.first);
  }
}

TEST(RecursiveChunker, AnAbbreviationEndsNoSentence) {
  const std::string text = Words(18) + " e.g. " + Words(30);
  EXPECT_THAT(Texts(Options(Kind::kRecursive, 30, 0), text)[0], EndsWith(" lorem"));
}

TEST(RecursiveChunker, ABreakInTheFirstHalfIsNotTaken) {
  const std::string text = "Title\n\n" + Words(60);
  EXPECT_THAT(Texts(Options(Kind::kRecursive, 30, 0), text)[0], StartsWith("Title\n\nlorem"));
}

TEST(RecursiveChunker, CutsAWordOnlyIfItAloneIsTooLong) {
  Rng rng(3);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (int i = 0; i < 60; ++i) {
      text.append(1 + rng.Below(rng.Below(10) == 0 ? 400 : 12), 'w');
      text += ' ';
    }
    const ChunkerOptions options = Options(Kind::kRecursive, 24, static_cast<int>(rng.Below(13)));
    std::size_t fresh = 0;
    for (const ChunkSpan& span : Spans(options, text)) {
      if (text[span.end] != ' ') {
        const auto piece = std::string_view(text).substr(fresh, span.end - fresh);
        ASSERT_EQ(piece.find(' '), std::string_view::npos) << "seed 3, round " << round;
      }
      fresh = text.find_first_not_of(' ', span.end);
    }
  }
}

TEST(RecursiveChunker, TextWithoutSpacesFillsItsChunks) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "語";
  const auto spans = Spans(Options(Kind::kRecursive, 100, 0), text);
  ASSERT_THAT(spans, SizeIs(10));
  for (const ChunkSpan& span : spans) EXPECT_EQ(span.end - span.begin, 300u);
}

TEST(RecursiveChunker, CutsIdeographsAtFullStops) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "今日は天気がいい。「そうですね。」";
  for (const std::string& chunk : Texts(Options(Kind::kRecursive, 40, 0), text)) {
    EXPECT_TRUE(chunk.ends_with("。") || chunk.ends_with("。」")) << chunk;
    EXPECT_FALSE(chunk.starts_with("」")) << chunk;
  }
}

TEST(RecursiveChunker, DoesNotTearACombinedCharacter) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "e\u0301";
  for (const std::string& chunk : Texts(Options(Kind::kRecursive, 10, 0), text)) {
    EXPECT_THAT(chunk, StartsWith("e"));
  }
}

TEST(RecursiveChunker, OverlapBeginsAtAWord) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "w" + std::to_string(i) + " ";
  const auto spans = Spans(Options(Kind::kRecursive, 60, 20), text);
  ASSERT_GT(spans.size(), 5u);
  for (std::size_t i = 1; i < spans.size(); ++i) {
    EXPECT_EQ(text[spans[i].begin], 'w');
    ASSERT_LT(spans[i].begin, spans[i - 1].end);
    const std::string_view shared =
        std::string_view(text).substr(spans[i].begin, spans[i - 1].end - spans[i].begin);
    EXPECT_LE(EstimateModelTokens(shared), 20u);
    EXPECT_GE(EstimateModelTokens(shared), 15u);
  }
}

TEST(RecursiveChunker, BuysAtMostTwiceTheLeastNumberOfChunks) {
  const std::string text = FileText("/usr/share/common-licenses/GPL-3");
  if (text.empty()) GTEST_SKIP() << "this machine does not have the file";
  const std::size_t least = EstimateModelTokens(text) / 256;
  EXPECT_LE(Spans(Options(Kind::kRecursive, 256, 0), text).size(), 2 * least);
}

TEST(FixedChunker, StepsBySizeMinusOverlap) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "語";
  const auto spans = Spans(Options(Kind::kFixed, 100, 20), text);
  ASSERT_THAT(spans, SizeIs(13));
  for (std::size_t i = 0; i < spans.size(); ++i) {
    EXPECT_EQ(spans[i].begin, i * 240);
    EXPECT_EQ(spans[i].end, std::min<std::size_t>(i * 240 + 300, text.size()));
  }
}

TEST(FixedChunker, LooksAtNoWordBound) {
  EXPECT_THAT(Texts(Options(Kind::kFixed, 2, 0), "abcdefgh ijklmnop"),
              ElementsAre("abcdefgh", "ijklmnop"));
  EXPECT_THAT(Texts(Options(Kind::kFixed, 2, 0), "abcdefghijklmnop"),
              ElementsAre("abcdefgh", "ijklmnop"));
}

TEST(NoneChunker, GivesTheWholeTrimmedText) {
  const std::string text = "\n\u00A0 " + Words(5000) + "\u3000\n";
  EXPECT_THAT(Texts(Options(Kind::kNone), text), ElementsAre(Words(5000)));
}

}  // namespace
}  // namespace embedflow
