#include "providers/builtin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "vector/index.h"

namespace embedflow {
namespace {

std::vector<float> Embed(std::string_view text, int dimensions = kBuiltinDimensions) {
  std::vector<float> vector(static_cast<std::size_t>(dimensions));
  const Status status = MakeBuiltin(dimensions)->embedder()->Embed({&text, 1}, vector);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return vector;
}

double Cosine(std::span<const float> a, std::span<const float> b) {
  double dot = 0;
  for (std::size_t i = 0; i < a.size(); ++i) dot += double{a[i]} * double{b[i]};
  return dot;
}
double Similarity(std::string_view a, std::string_view b) { return Cosine(Embed(a), Embed(b)); }

TEST(Builtin, SaysWhatItIs) {
  const auto provider = MakeBuiltin();
  EXPECT_EQ(provider->space().name(), "builtin/hash-v1/512");
  EXPECT_EQ(MakeBuiltin(64)->space().name(), "builtin/hash-v1/64");
  EXPECT_NE(provider->embedder(), nullptr);
  EXPECT_EQ(provider->dialect(), nullptr);
  EXPECT_GE(provider->limits().inputs_max, 1u);
  for (const int dimensions : {0, -3, 65537}) EXPECT_EQ(MakeBuiltin(dimensions), nullptr);
}

// These bits are what "hash-v1" means, on every machine. If this fails, vectors that users have
// stored no longer fit: give the model a new name.
TEST(Builtin, TheBitsOfHashV1) {
  const std::vector<std::pair<std::string, std::uint64_t>> known = {
      {"The quick brown fox jumps over the lazy dog.", 4671654009959702296u},
      {"a a a a b b; A", 7990713168227803974u},
      {"Ünïcödé Ελληνικά Привет 漢字とかな — €5", 17029218552796392591u},
      {"...", 10315245862420204619u},
  };
  for (const auto& [text, checksum] : known) {
    // The checksum reads the machine's bytes; little endian is the rule for all but a few.
    EXPECT_EQ(Checksum(Embed(text)), checksum) << text;
  }
  EXPECT_EQ(Checksum(Embed(known[0].first, 100)), 17986701199128125047u);
}

// A vector depends on its text alone: not on its place, its neighbours, other dimensions before it
// or the thread.
TEST(Builtin, IsAPureFunctionOfTheText) {
  const std::vector<std::string> texts = {"one fish two fish red fish blue fish",
                                          "fish",
                                          "!!",
                                          std::string(5000, 'x'),
                                          "red fish",
                                          "fish"};
  std::vector<std::vector<float>> alone;
  for (const std::string& text : texts) alone.push_back(Embed(text));
  EXPECT_EQ(alone[1], alone[5]);
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const auto provider = MakeBuiltin();
  const auto check = [&] {
    for (int round = 0; round < 50; ++round) {
      std::vector<float> vectors(texts.size() * kBuiltinDimensions);
      ASSERT_TRUE(provider->embedder()->Embed(views, vectors).ok());
      for (std::size_t i = 0; i < texts.size(); ++i) {
        const auto at = vectors.begin() + static_cast<std::ptrdiff_t>(i * kBuiltinDimensions);
        ASSERT_TRUE(std::equal(alone[i].begin(), alone[i].end(), at)) << "text " << i;
      }
      Embed(texts[0], 7 + round);
    }
  };
  std::thread other(check);
  check();
  other.join();
}

// Whatever the bytes are, the vector is finite and of unit length.
TEST(Builtin, EveryTextGetsAUnitVector) {
  const std::uint64_t seed = 4711;
  std::cout << "seed " << seed << "\n";
  Rng rng(seed);
  std::vector<std::string> texts = {"",
                                    " ",
                                    "?!",
                                    std::string("\0", 1),
                                    "\xFF\xFE",
                                    "\xE2\x82",
                                    "\xF0\x9F\x98\x80",
                                    "a",
                                    "\xE2\x80\xA6",
                                    std::string(3'000'000, 'z'),
                                    std::string(100'000, ' ')};
  std::string many;
  for (int i = 0; i < 200'000; ++i) many += std::to_string(rng.Next()) + ' ';
  texts.push_back(std::move(many));
  std::string same;
  for (int i = 0; i < 200'000; ++i) same += "same ";
  texts.push_back(std::move(same));
  for (int i = 0; i < 2000; ++i) {
    std::string random(rng.Below(300), '\0');
    for (char& c : random) c = static_cast<char>(rng.Next());
    texts.push_back(std::move(random));
  }
  for (const int dimensions : {1, 2, 3, 512, 1000, 65536}) {
    for (std::size_t i = 0; i < texts.size() / (dimensions > 1000 ? 50 : 1); ++i) {
      const std::vector<float> vector = Embed(texts[i], dimensions);
      ASSERT_TRUE(IsUsableVector(vector)) << "text " << i << ", " << dimensions << " dimensions";
      ASSERT_NEAR(Cosine(vector, vector), 1.0, 1e-5) << "text " << i << ", " << dimensions;
    }
  }
}

TEST(Builtin, TextsWithoutWordsDiffer) {
  EXPECT_LT(std::abs(Similarity("...", "!!!")), 0.3);
  EXPECT_LT(std::abs(Similarity("...", "....")), 0.3);
  EXPECT_EQ(Embed("..."), Embed("..."));
}

TEST(Builtin, CaseAndPunctuationDoNotMatter) {
  EXPECT_EQ(Embed("The cat, the HAT!"), Embed("the cat the hat"));
  EXPECT_EQ(Embed("ÀÉÎÕÜÞ ΑΒΓΩ ЁЖЯ"), Embed("àéîõüþ αβγω ёжя"));
  EXPECT_EQ(Embed("café — “bar”… 5×3 №"), Embed("café bar 5 3"));
  EXPECT_EQ(Embed("漢字、かな。"), Embed("漢字かな"));
  EXPECT_NE(Embed("naïve"), Embed("naive"));
}

TEST(Builtin, LikeTextsAreNear) {
  const std::string text = "streams large corpora through embedding providers into an index";
  EXPECT_GT(Similarity(text, "an index of large corpora from embedding providers"), 0.5);
  EXPECT_GT(Similarity(text, "streaming a large corpus through an embedding provider"), 0.4);
  EXPECT_LT(Similarity(text, "the weather was cold and it rained all day"), 0.2);
  EXPECT_GT(Similarity("embedding", "embeddings"), 0.4);
  EXPECT_GT(Similarity("東京の天気は晴れです", "明日の東京の天気"), 0.4);
  EXPECT_LT(Similarity("東京の天気は晴れです", "猫が好き"), 0.2);
  // The order counts, but little.
  const double swapped = Similarity("dog bites man", "man bites dog");
  EXPECT_GT(swapped, 0.6);
  EXPECT_LT(swapped, 0.99);
}

// A word that is repeated gains weight, but less each time.
TEST(Builtin, WeightsAreSublinear) {
  const std::string once = "alpha beta", more = "alpha alpha alpha alpha beta";
  EXPECT_GT(Similarity(more, "alpha"), Similarity(once, "alpha"));
  EXPECT_GT(Similarity(more, "beta"), 0.15);  // Linear weights would leave less.
}

TEST(Builtin, RefusesAWrongSize) {
  const std::string_view text = "x";
  std::vector<float> vectors(511);
  EXPECT_EQ(MakeBuiltin()->embedder()->Embed({&text, 1}, vectors).code(), Code::kInvalidArgument);
  EXPECT_TRUE(MakeBuiltin()->embedder()->Embed({}, {}).ok());
}

// --- Quality, on WordNet ---

std::vector<std::string> WordNetGlosses() {
  std::vector<std::string> glosses;
  for (const char* part : {"noun", "verb", "adj", "adv"}) {
    std::ifstream in(std::string("/usr/share/wordnet/data.") + part);
    for (std::string line; std::getline(in, line);) {
      const std::size_t bar = line.find(" | ");
      if (line.starts_with(' ') || bar == std::string::npos) continue;  // The licence.
      glosses.push_back(line.substr(bar + 3));
    }
  }
  return glosses;
}

std::vector<std::string> Words(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c != ' ') {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

// A gloss of at least five words, with two taken away, finds its synset first among 117,659.
TEST(Builtin, FindsGlossesWithTwoWordsMissing) {
#ifdef EMBEDFLOW_SANITIZED
  constexpr std::size_t kQueries = 200;
#else
  constexpr std::size_t kQueries = 1000;
#endif
  constexpr std::size_t kWordsMin = 5;
  const std::vector<std::string> glosses = WordNetGlosses();
  if (glosses.empty()) {
    GTEST_SKIP() << "*** WordNet is not there: install wordnet-base; quality was NOT tested ***";
  }
  ASSERT_EQ(glosses.size(), 117659u);
  const auto provider = MakeBuiltin();
  auto index = MakeIndex({"flat", Metric::kCosine}, kBuiltinDimensions);
  ASSERT_TRUE(index.ok());
  SetIndexThreads(static_cast<int>(std::thread::hardware_concurrency()));
  std::vector<float> vectors;
  for (std::size_t begin = 0; begin < glosses.size(); begin += 4096) {
    const std::size_t end = std::min(begin + 4096, glosses.size());
    std::vector<std::string_view> texts;
    std::vector<ChunkId> ids;
    for (std::size_t i = begin; i < end; ++i) {
      texts.push_back(glosses[i]);
      ids.push_back(static_cast<ChunkId>(i));
    }
    vectors.resize(texts.size() * kBuiltinDimensions);
    ASSERT_TRUE(provider->embedder()->Embed(texts, vectors).ok());
    ASSERT_TRUE((*index)->Add(ids, vectors).ok());
  }

  const std::uint64_t seed = 1;
  Rng rng(seed);
  std::set<std::size_t> chosen;
  std::size_t right = 0, same_gloss = 0;
  while (chosen.size() < kQueries) {
    const std::size_t target = rng.Below(glosses.size());
    std::vector<std::string> words = Words(glosses[target]);
    if (words.size() < kWordsMin || !chosen.insert(target).second) continue;
    for (int i = 0; i < 2; ++i)
      words.erase(words.begin() + static_cast<int>(rng.Below(words.size())));
    std::string query;
    for (const std::string& word : words) query += word + ' ';
    const auto hits = (*index)->Search(Embed(query), 1, nullptr);
    ASSERT_TRUE(hits.ok());
    const auto found = static_cast<std::size_t>((*hits)[0].id);
    right += found == target ? 1 : 0;
    same_gloss += glosses[found] == glosses[target] ? 1 : 0;
  }
  std::cout << "seed " << seed << ": the right synset first for " << right << " of " << kQueries
            << ", one with the very same gloss for " << same_gloss << "\n";
  EXPECT_GE(right, kQueries * 95 / 100);
  EXPECT_GE(same_gloss, right);
}

}  // namespace
}  // namespace embedflow
