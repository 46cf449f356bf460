// Every chunker keeps the promises of stages/chunker.h on random and on real text.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <tuple>

#include "stages/chunker.h"
#include "tests/stages/chunker_properties.h"

namespace embedflow {
namespace {

constexpr std::uint64_t kSeed = 20240229;

class EveryChunker : public testing::TestWithParam<std::tuple<Kind, int, int>> {
 protected:
  static ChunkerOptions options() {
    const auto& [kind, size, overlap] = GetParam();
    return Options(kind, size, overlap);
  }
};

TEST_P(EveryChunker, KeepsItsPromisesOnRandomText) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  Rng rng(kSeed);
  const std::unique_ptr<Chunker> chunker = MakeChunker(options());
  for (int round = 0; round < 300; ++round) {
    const std::string text = RandomText(rng, rng.Below(1000));
    ASSERT_TRUE(IsValidUtf8(text));
    std::vector<ChunkSpan> spans;
    chunker->Chunk(text, &spans);
    ASSERT_TRUE(KeepPromises(options(), text, spans)) << "round " << round;
  }
}

TEST_P(EveryChunker, KeepsItsPromisesOnRealText) {
  bool has_read = false;
  for (const char* path :
       {"/usr/share/common-licenses/GPL-3", "/usr/share/common-licenses/Apache-2.0",
        "/usr/share/common-licenses/Artistic", "/usr/share/wordnet/data.adv"}) {
    const std::string text = FileText(path);
    has_read |= !text.empty();
    EXPECT_TRUE(KeepPromises(options(), text, Spans(options(), text))) << path;
  }
  if (!has_read) GTEST_SKIP() << "this machine has none of the files";
}

TEST_P(EveryChunker, KeepsItsPromisesOnHostileText) {
  const auto repeated = [](std::string_view piece, std::size_t times) {
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += piece;
    return text;
  };
  for (const std::string_view piece :
       {"a",      " ",      "\n",      "a\n\n", "a ",   ". ",    "語",    "😀",   "\u0301",
        "\u3000", "\u200D", "👩\u200D", "#",     "# \n", "# a\n", "```\n", "-\n", "a\n-\n",
        "。",     "」",     "\"",      "a\r\n", "\r",   "0",     "ก"}) {
    for (const std::string& text : {repeated(piece, 20000), "x" + repeated(piece, 20000) + "x",
                                    "x\n\n" + repeated(piece, 20000) + "x y. Z"}) {
      ASSERT_TRUE(KeepPromises(options(), text, Spans(options(), text)))
          << "of " << EscapeControl(piece);
    }
  }
}

TEST_P(EveryChunker, IsDeterministicAndAppends) {
  Rng rng(kSeed);
  const std::string text = RandomText(rng, 3000);
  const std::unique_ptr<Chunker> chunker = MakeChunker(options());
  const ChunkSpan before{1, 2, "before"};
  std::vector<ChunkSpan> first = {before};
  chunker->Chunk(text, &first);
  EXPECT_EQ(first.front(), before);
  first.erase(first.begin());
  EXPECT_EQ(first, Spans(options(), text));
  // Several threads share one chunker.
  std::vector<std::vector<ChunkSpan>> results(4);
  std::vector<std::thread> threads;
  threads.reserve(results.size());
  for (auto& result : results) {
    threads.emplace_back([&] {
      for (int round = 0; round < 3; ++round) {
        result.clear();
        chunker->Chunk(text, &result);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, first);
}

TEST_P(EveryChunker, GivesNoSpanForWhiteSpace) {
  EXPECT_TRUE(Spans(options(), "").empty());
  EXPECT_TRUE(Spans(options(), " \r\n\t\u00A0\u3000\uFEFF").empty());
}

std::string NameOf(const testing::TestParamInfo<std::tuple<Kind, int, int>>& info) {
  static const char* const kNames[] = {"Recursive", "Sentence", "Markdown", "Fixed", "None"};
  const auto& [kind, size, overlap] = info.param;
  return std::string(kNames[static_cast<int>(kind)]) + std::to_string(size) + "Overlap" +
         std::to_string(overlap);
}

constexpr Kind kKinds[] = {Kind::kRecursive, Kind::kSentence, Kind::kMarkdown, Kind::kFixed};
INSTANTIATE_TEST_SUITE_P(Default, EveryChunker,
                         testing::Combine(testing::ValuesIn(kKinds), testing::Values(256),
                                          testing::Values(0, 32, 128)),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Small, EveryChunker,
                         testing::Combine(testing::ValuesIn(kKinds), testing::Values(2, 16, 17),
                                          testing::Values(0, 1)),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Least, EveryChunker,
                         testing::Combine(testing::ValuesIn(kKinds), testing::Values(1),
                                          testing::Values(0)),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Whole, EveryChunker,
                         testing::Combine(testing::Values(Kind::kNone), testing::Values(256),
                                          testing::Values(32)),
                         NameOf);

// Text without a place to cut, or with nothing but such places: these tests end in time only if the
// work is linear.
class HugeText : public testing::TestWithParam<std::tuple<Kind, char>> {};

TEST_P(HugeText, TakesLinearTime) {
#ifdef EMBEDFLOW_SANITIZED
  constexpr std::size_t kBytes = 4 << 20;
#else
  constexpr std::size_t kBytes = 32 << 20;
#endif
  const auto& [kind, filler] = GetParam();
  std::string text(kind == Kind::kSentence ? kBytes / 8 : kBytes, filler);
  text.front() = 'x';
  text.back() = 'x';
  const ChunkerOptions options = Options(kind, 256, 128);
  EXPECT_TRUE(KeepPromises(options, text, Spans(options, text)));
}

INSTANTIATE_TEST_SUITE_P(All, HugeText,
                         testing::Combine(testing::ValuesIn(kKinds),
                                          testing::Values('a', ' ', '\n', '.', '#', '`', '-')));

}  // namespace
}  // namespace embedflow
