// Runs of several corpora over one cache: what one has bought, another does not buy, and nothing
// else is different.
#include "pipeline/shared_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/pipeline/harness.h"

namespace embedflow {
namespace {

using testing::HasSubstr;

HttpReply Good(const HttpRequest& request, std::uint64_t) { return GoodReply(request); }

PipelineOptions WithCache(const ScratchDirectory& cache) {
  PipelineOptions options = TestOptions();
  options.cache_directory = cache.corpus();
  options.cache_bytes_max = kCacheBytesMin;
  return options;
}

// `run` brought all documents in, and their vectors are the server's.
void ExpectWhole(const TestRun& run, const ScratchDirectory& scratch, std::size_t count) {
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.outcome, RunOutcome::kComplete);
  EXPECT_EQ(run.summary.documents.ingested, count);
  EXPECT_EQ(run.summary.provider.vectors_bought_twice, 0u);
  EXPECT_EQ(run.summary.chunks.embedded + run.summary.chunks.reused, run.summary.chunks.total);
  const Stored stored = ReadBack(scratch.corpus());
  EXPECT_EQ(stored.chunks, count);
  EXPECT_EQ(stored.wrong + stored.without_vector, 0u);
}

TEST(SharedCache, AnotherCorpusOfTheSameTextsBuysNothing) {
  const ScratchDirectory cache;
  const ScratchDirectory first;
  const ScratchDirectory second;
  ListSource source(Documents(3000));
  const TestRun bought = RunOver(first.corpus(), source, Good, WithCache(cache));
  ExpectWhole(bought, first, 3000);
  EXPECT_EQ(bought.summary.cache.hits, 0u);
  EXPECT_EQ(bought.summary.cache.misses, 3000u);
  EXPECT_EQ(bought.summary.chunks.embedded, 3000u);

  ListSource again(Documents(3000));
  const TestRun found = RunOver(second.corpus(), again, Good, WithCache(cache));
  ExpectWhole(found, second, 3000);
  EXPECT_EQ(found.sends, 0u);
  EXPECT_EQ(found.summary.provider.requests, 0u);
  EXPECT_EQ(found.summary.provider.model_tokens, 0u);
  EXPECT_EQ(found.summary.chunks.embedded, 0u);
  EXPECT_EQ(found.summary.chunks.reused, 3000u);
  EXPECT_EQ(found.summary.cache.hit_rate(), 1.0);
  EXPECT_EQ(again.committed(), 3000u);

  // The corpus is asked first: a third run over it asks the cache for nothing.
  ListSource third(Documents(3000));
  const TestRun unchanged = RunOver(second.corpus(), third, Good, WithCache(cache));
  EXPECT_EQ(unchanged.summary.documents.unchanged, 3000u);
  EXPECT_EQ(unchanged.summary.cache.hit_rate(), std::nullopt);
}

TEST(SharedCache, OnlyWhatNobodyHasIsBought) {
  const ScratchDirectory cache;
  const ScratchDirectory first;
  const ScratchDirectory second;
  ListSource source(Documents(1000));
  ASSERT_TRUE(RunOver(first.corpus(), source, Good, WithCache(cache)).status.ok());
  // Texts 500 to 1,499, each twice: a copy waits for the one that asks the cache or the provider.
  std::vector<Record> records;
  for (int copy = 0; copy < 2; ++copy) {
    for (int i = 500; i < 1500; ++i) {
      records.push_back(DocumentRecord(std::to_string(copy) + "-" + std::to_string(i),
                                       "text of document " + std::to_string(i)));
    }
  }
  ListSource half(records);
  const TestRun run = RunOver(second.corpus(), half, Good, WithCache(cache));
  ExpectWhole(run, second, 2000);
  EXPECT_EQ(run.summary.chunks.embedded, 500u);
  EXPECT_EQ(run.summary.cache.hits, 500u);
  EXPECT_EQ(run.summary.cache.misses, 500u);
  EXPECT_EQ(run.answered.size(), 500u);
  for (const auto& [text, times] : run.answered) EXPECT_EQ(times, 1u) << text;
}

// A document whose texts come from everywhere: the corpus, the cache, the provider.
TEST(SharedCache, PartsOfOneDocumentComeFromWhereTheyAre) {
  const ScratchDirectory cache;
  const ScratchDirectory first;
  const ScratchDirectory second;
  PipelineOptions options = WithCache(cache);
  options.chunker.size_tokens = 16;
  options.chunker.overlap_tokens = 0;
  const std::string a = "The first paragraph stays as it was written.\n\n";
  const std::string b = "The second paragraph is about to be changed.\n\n";
  const std::string c = "The third paragraph stays as well, word for word.";
  ListSource in_cache({DocumentRecord("doc", b)});
  ASSERT_TRUE(RunOver(first.corpus(), in_cache, Good, options).status.ok());
  ListSource in_corpus({DocumentRecord("other", a)});
  ASSERT_TRUE(RunOver(second.corpus(), in_corpus, Good, options).status.ok());
  ListSource source({DocumentRecord("doc", a + b + c)});
  const TestRun run = RunOver(second.corpus(), source, Good, options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.chunks.total, 3u);
  EXPECT_EQ(run.summary.chunks.embedded, 1u);
  EXPECT_EQ(run.summary.chunks.reused, 2u);
  EXPECT_EQ(run.summary.cache.hits, 1u);
  EXPECT_EQ(ReadBack(second.corpus()).wrong, 0u);
}

// More chunks than the store takes in one piece.
TEST(SharedCache, ADocumentOfVeryManyChunksIsFound) {
  constexpr std::size_t kChunks = 70000;
  const ScratchDirectory cache;
  const ScratchDirectory first;
  const ScratchDirectory second;
  PipelineOptions options = WithCache(cache);
  options.cache_bytes_max = 8 * kCacheBytesMin;
  options.chunker.kind = ChunkerOptions::Kind::kSentence;
  options.chunker.size_tokens = 8;
  options.chunker.overlap_tokens = 0;
  std::string text;
  for (std::size_t i = 0; i < kChunks; ++i) {
    text += "This is sentence number " + std::to_string(i) + " of a very long text indeed. ";
  }
  ListSource source({DocumentRecord("long", text)});
  const TestRun bought =
      RunOver(first.corpus(), source, Good, options, WireProvider(/*inputs_max=*/2048));
  ASSERT_TRUE(bought.status.ok()) << bought.status.ToString();
  ASSERT_GT(bought.summary.chunks.total, 65536u);
  ListSource again({DocumentRecord("long", text)});
  const TestRun found =
      RunOver(second.corpus(), again, Good, options, WireProvider(/*inputs_max=*/2048));
  ASSERT_TRUE(found.status.ok()) << found.status.ToString();
  EXPECT_EQ(found.sends, 0u);
  EXPECT_EQ(found.summary.chunks.reused, bought.summary.chunks.total);
  EXPECT_EQ(ReadBack(second.corpus()).wrong, 0u);
}

TEST(SharedCache, ServersOfOtherModelsAndAddressesShareNothing) {
  const ScratchDirectory cache;
  const ScratchDirectory first;
  ListSource source(Documents(100));
  ASSERT_TRUE(RunOver(first.corpus(), source, Good, WithCache(cache)).status.ok());
  ProviderOptions options;
  options.name = "local";
  options.model = "test-model";
  options.dimensions = kTestDimensions;
  options.base_url = "http://127.0.0.1:9/v1";
  std::vector<ProviderOptions> others(4, options);
  others[0].model = "another-model";
  others[1].base_url = "http://127.0.0.1:9/v2";
  others[2].api_endpoint = "/other";
  others[3].parameters = R"({"truncate":false})";
  for (const ProviderOptions& other : others) {
    const ScratchDirectory scratch;
    ListSource again(Documents(100));
    const auto provider = MakeProvider(other);
    ASSERT_TRUE(provider.ok()) << provider.status().ToString();
    const TestRun run = RunOver(scratch.corpus(), again, Good, WithCache(cache), *provider);
    ASSERT_TRUE(run.status.ok()) << run.status.ToString();
    EXPECT_EQ(run.summary.cache.hits, 0u);
    EXPECT_EQ(run.summary.chunks.embedded, 100u);
  }
}

TEST(SharedCache, ACacheThatCannotBeUsedIsOneWarningAndTheRunIsWhole) {
  const ScratchDirectory scratch;
  const ScratchDirectory place;
  { std::ofstream(place.corpus()) << "a file"; }
  ListSource source(Documents(200));
  testing::internal::CaptureStderr();
  const TestRun run = RunOver(scratch.corpus(), source, Good, WithCache(place));
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("the run goes on without the cache"));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  ExpectWhole(run, scratch, 200);
  EXPECT_EQ(run.summary.cache.hit_rate(), std::nullopt);
}

TEST(SharedCache, TheBuiltinProviderDoesWithout) {
  const ScratchDirectory scratch;
  const ScratchDirectory cache;
  ListSource source(Documents(100));
  testing::internal::CaptureStderr();
  const TestRun run =
      RunOver(scratch.corpus(), source, Good, WithCache(cache), *MakeProvider({.name = "builtin"}));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("the cache is not used"));
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.cache.hit_rate(), std::nullopt);
  EXPECT_FALSE(std::filesystem::exists(cache.corpus()));
}

}  // namespace
}  // namespace embedflow
