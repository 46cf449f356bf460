#include "vector/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "vector/top_hits.h"

namespace embedflow {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::unique_ptr<Index> Make(Metric metric, int dimensions) {
  Result<std::unique_ptr<Index>> index = MakeIndex({"flat", metric}, dimensions);
  EXPECT_TRUE(index.ok()) << index.status().ToString();
  return std::move(index).value();
}

std::vector<float> RandomVectors(Rng* rng, std::size_t count, std::size_t dimensions) {
  std::vector<float> vectors(count * dimensions);
  for (float& value : vectors) value = static_cast<float>(rng->Uniform() * 2 - 1);
  return vectors;
}

// What an index must answer, in the plainest way.
class Reference {
 public:
  Reference(Metric metric, std::size_t dimensions) : metric_(metric), dimensions_(dimensions) {}

  void Add(std::span<const ChunkId> ids, std::span<const float> vectors) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto row = vectors.subspan(i * dimensions_, dimensions_);
      rows_[ids[i]] = {row.begin(), row.end()};
    }
  }
  void Remove(std::span<const ChunkId> ids) {
    for (const ChunkId id : ids) rows_.erase(id);
  }
  // All hits, best first.
  std::vector<IndexHit> Search(std::span<const float> query, const std::vector<ChunkId>* allowed) {
    std::vector<IndexHit> hits;
    for (const auto& [id, row] : rows_) {
      if (allowed != nullptr && !std::binary_search(allowed->begin(), allowed->end(), id)) continue;
      hits.push_back({id, Score(query, row)});
    }
    std::sort(hits.begin(), hits.end(), IsBetter);
    return hits;
  }
  float Score(std::span<const float> query, const std::vector<float>& row) const {
    double dot = 0, query_squares = 0, row_squares = 0, distance = 0;
    for (std::size_t i = 0; i < dimensions_; ++i) {
      const double a = query[i], b = row[i];
      dot += a * b;
      query_squares += a * a;
      row_squares += b * b;
      distance += (a - b) * (a - b);
    }
    if (metric_ == Metric::kL2) return static_cast<float>(-distance);
    if (metric_ == Metric::kInnerProduct) return static_cast<float>(dot);
    return static_cast<float>(dot / std::sqrt(query_squares * row_squares));
  }
  const std::map<ChunkId, std::vector<float>>& rows() const { return rows_; }

 private:
  const Metric metric_;
  const std::size_t dimensions_;
  std::map<ChunkId, std::vector<float>> rows_;
};

// `index` must answer with the reference's best k; two that are nearer to each other than floats
// can tell may change places.
void ExpectSameAnswer(Index* index, Reference* reference, std::span<const float> query,
                      std::size_t k, const std::vector<ChunkId>* allowed) {
  const std::vector<IndexHit> expected = reference->Search(query, allowed);
  const Result<std::vector<IndexHit>> found = index->Search(query, k, allowed);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  ASSERT_EQ(found->size(), std::min(k, expected.size()));
  std::vector<ChunkId> seen;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const IndexHit& hit = (*found)[i];
    const float tolerance = 1e-5f + 2e-6f * std::abs(hit.score);
    ASSERT_NEAR(hit.score, expected[i].score, tolerance) << "rank " << i;
    const auto row = reference->rows().find(hit.id);
    ASSERT_NE(row, reference->rows().end()) << "id " << hit.id << " is not in the index";
    ASSERT_NEAR(hit.score, reference->Score(query, row->second), tolerance) << "id " << hit.id;
    if (allowed != nullptr) {
      ASSERT_TRUE(std::binary_search(allowed->begin(), allowed->end(), hit.id));
    }
    seen.push_back(hit.id);
  }
  std::sort(seen.begin(), seen.end());
  ASSERT_EQ(std::unique(seen.begin(), seen.end()), seen.end()) << "an id was found twice";
}

class IndexMetricTest : public testing::TestWithParam<std::pair<Metric, int>> {};

// Adds, removals and searches in random order agree with the reference at every step.
TEST_P(IndexMetricTest, AgreesWithTheReference) {
  const auto [metric, dimensions] = GetParam();
  const std::uint64_t seed = 20240611 + static_cast<std::uint64_t>(dimensions);
  std::cout << "seed " << seed << "\n";
  Rng rng(seed);
  const auto width = static_cast<std::size_t>(dimensions);
  const std::unique_ptr<Index> index = Make(metric, dimensions);
  Reference reference(metric, width);
  SetIndexThreads(2);
  for (int round = 0; round < 12; ++round) {
    std::vector<ChunkId> ids;
    for (std::size_t i = 0; i < 1 + rng.Below(700); ++i) {
      const auto id = static_cast<ChunkId>(rng.Next() >> 1);
      if (!reference.rows().contains(id)) ids.push_back(id);
    }
    const std::vector<float> vectors = RandomVectors(&rng, ids.size(), width);
    ASSERT_TRUE(index->Add(ids, vectors).ok());
    reference.Add(ids, vectors);

    std::vector<ChunkId> removed = {static_cast<ChunkId>(rng.Next() >> 1)};  // Not there.
    for (const auto& [id, row] : reference.rows()) {
      if (rng.Below(10) < static_cast<std::uint64_t>(round % 4)) removed.push_back(id);
    }
    index->Remove(removed);
    reference.Remove(removed);
    ASSERT_EQ(index->size(), reference.rows().size());

    std::vector<ChunkId> all, some;
    for (const auto& [id, row] : reference.rows()) {
      all.push_back(id);
      if (rng.Below(3) == 0) some.push_back(id);
    }
    ASSERT_EQ(index->ids(), all);
    some.insert(some.end(), removed.begin(), removed.end());  // Allowed, but gone.
    std::sort(some.begin(), some.end());
    const std::vector<ChunkId> five(all.begin(),
                                    all.begin() + std::min<std::ptrdiff_t>(5, std::ssize(all)));
    const std::vector<ChunkId> none;
    const std::vector<const std::vector<ChunkId>*> lists = {nullptr, &some, &five, &none};
    for (int i = 0; i < 4; ++i) {
      const std::vector<float> query = RandomVectors(&rng, 1, width);
      for (const std::size_t k : {std::size_t{1}, std::size_t{10}, all.size() + 7}) {
        for (const std::vector<ChunkId>* allowed : lists) {
          ExpectSameAnswer(index.get(), &reference, query, k, allowed);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, IndexMetricTest,
    testing::Values(std::pair{Metric::kCosine, 1}, std::pair{Metric::kCosine, 48},
                    std::pair{Metric::kCosine, 512}, std::pair{Metric::kInnerProduct, 4},
                    std::pair{Metric::kInnerProduct, 65}, std::pair{Metric::kInnerProduct, 512},
                    std::pair{Metric::kL2, 2}, std::pair{Metric::kL2, 33},
                    std::pair{Metric::kL2, 512}));

// Equal vectors under many ids, more of them than are asked for: the smallest ids win, whatever the
// order they came in and however many threads scan.
TEST(Index, TiesGoToTheSmallerId) {
  constexpr std::size_t kDimensions = 128;
  constexpr std::size_t kCount = 6000;  // Enough floats for several threads.
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    Rng rng(7);
    const std::vector<float> one = RandomVectors(&rng, 1, kDimensions);
    std::vector<float> vectors;
    std::vector<ChunkId> ids;
    for (std::size_t i = 0; i < kCount; ++i) {
      ids.push_back(static_cast<ChunkId>((i * 4999) % kCount));
      vectors.insert(vectors.end(), one.begin(), one.end());
    }
    const std::unique_ptr<Index> index = Make(metric, kDimensions);
    ASSERT_TRUE(index->Add(ids, vectors).ok());
    for (const int threads : {1, 2, 3}) {
      SetIndexThreads(threads);
      const Result<std::vector<IndexHit>> hits = index->Search(one, 50, nullptr);
      ASSERT_TRUE(hits.ok());
      ASSERT_EQ(hits->size(), 50u);
      for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ((*hits)[i].id, static_cast<ChunkId>(i));
    }
  }
}

TEST(Index, AnswersDoNotDependOnTheNumberOfThreads) {
  Rng rng(11);
  const std::unique_ptr<Index> index = Make(Metric::kCosine, 64);
  std::vector<ChunkId> ids;
  for (ChunkId id = 0; id < 30000; ++id) ids.push_back(id);
  ASSERT_TRUE(index->Add(ids, RandomVectors(&rng, ids.size(), 64)).ok());
  const std::vector<float> query = RandomVectors(&rng, 1, 64);
  SetIndexThreads(1);
  const auto one = index->Search(query, 200, nullptr);
  SetIndexThreads(5);
  const auto five = index->Search(query, 200, nullptr);
  SetIndexThreads(0);  // Taken as 1.
  ASSERT_TRUE(one.ok() && five.ok());
  ASSERT_EQ(one->size(), 200u);
  for (std::size_t i = 0; i < one->size(); ++i) {
    EXPECT_EQ((*one)[i].id, (*five)[i].id);
    EXPECT_EQ((*one)[i].score, (*five)[i].score);
  }
}

TEST(Index, CosineNormalisesAndTheOthersKeep) {
  const std::vector<float> vector = {3, 0, 4};
  std::vector<float> stored(3);
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    const std::unique_ptr<Index> index = Make(metric, 3);
    ASSERT_TRUE(index->Add(std::vector<ChunkId>{5}, vector).ok());
    EXPECT_FALSE(index->Get(4, stored));
    ASSERT_TRUE(index->Get(5, stored));
    const float scale = metric == Metric::kCosine ? 5.0f : 1.0f;
    EXPECT_FLOAT_EQ(stored[0], 3 / scale);
    EXPECT_FLOAT_EQ(stored[2], 4 / scale);
    const auto hits = index->Search(std::vector<float>{6, 0, 8}, 3, nullptr);
    ASSERT_TRUE(hits.ok());
    ASSERT_EQ(hits->size(), 1u);
    EXPECT_FLOAT_EQ((*hits)[0].score, metric == Metric::kCosine         ? 1.0f
                                      : metric == Metric::kInnerProduct ? 50.0f
                                                                        : -25.0f);
  }
}

TEST(Index, VeryLongAndVeryShortVectorsAreNormalised) {
  const std::unique_ptr<Index> index = Make(Metric::kCosine, 2);
  ASSERT_TRUE(
      index->Add(std::vector<ChunkId>{1, 2}, std::vector<float>{3e18f, 4e18f, 3e-30f, -4e-30f})
          .ok());
  std::vector<float> stored(2);
  ASSERT_TRUE(index->Get(1, stored));
  EXPECT_NEAR(stored[1], 0.8f, 1e-6f);
  ASSERT_TRUE(index->Get(2, stored));
  EXPECT_NEAR(stored[1], -0.8f, 1e-6f);
}

// Whatever is refused, nothing of the call is added.
TEST(Index, RefusesVectorsThatCannotBeCompared) {
  const float large = std::sqrt(std::numeric_limits<float>::max());
  for (const Metric metric : {Metric::kCosine, Metric::kInnerProduct, Metric::kL2}) {
    const std::unique_ptr<Index> index = Make(metric, 3);
    ASSERT_TRUE(index->Add(std::vector<ChunkId>{9}, std::vector<float>{1, 2, 3}).ok());
    for (const std::vector<float>& bad :
         std::vector<std::vector<float>>{{1, kNan, 1},
                                         {kInfinity, 1, 1},
                                         {1, 1, -kInfinity},
                                         {0, 0, 0},
                                         {0, -0.0f, 0},
                                         {large, large, 0},
                                         {std::numeric_limits<float>::max(), 0, 0}}) {
      std::vector<float> two = {1, 1, 1};
      two.insert(two.end(), bad.begin(), bad.end());
      EXPECT_EQ(index->Add(std::vector<ChunkId>{1, 2}, two).code(), Code::kInvalidArgument);
      EXPECT_EQ(index->Search(bad, 1, nullptr).status().code(), Code::kInvalidArgument);
      EXPECT_FALSE(IsUsableVector(bad));
    }
    EXPECT_EQ(index->size(), 1u);
    EXPECT_EQ(index->ids(), std::vector<ChunkId>{9});
  }
}

TEST(Index, RefusesWrongSizesAndIds) {
  const std::unique_ptr<Index> index = Make(Metric::kCosine, 3);
  const std::vector<float> three = {1, 2, 3}, six = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(index->Add(std::vector<ChunkId>{4}, three).ok());
  EXPECT_EQ(index->Add(std::vector<ChunkId>{1}, six).code(), Code::kInvalidArgument);
  EXPECT_EQ(index->Add(std::vector<ChunkId>{1, 2}, three).code(), Code::kInvalidArgument);
  EXPECT_EQ(index->Add(std::vector<ChunkId>{-1}, three).code(), Code::kInvalidArgument);
  EXPECT_EQ(index->Add(std::vector<ChunkId>{1, 1}, six).code(), Code::kInvalidArgument);
  EXPECT_EQ(index->Add(std::vector<ChunkId>{1, 4}, six).code(), Code::kInvalidArgument);
  EXPECT_EQ(index->Search(six, 1, nullptr).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(index->ids(), std::vector<ChunkId>{4});
  ASSERT_TRUE(index->Add(std::vector<ChunkId>{1, 2}, six).ok());  // The refused left no trace.
  ASSERT_TRUE(index->Add({}, {}).ok());
  EXPECT_EQ(index->size(), 3u);
}

TEST(Index, AnEmptyIndexFindsNothing) {
  const std::unique_ptr<Index> index = Make(Metric::kL2, 2);
  const std::vector<float> query = {1, 2};
  const std::vector<ChunkId> allowed = {1, 2, 3};
  const auto without = index->Search(query, 10, nullptr);
  const auto with = index->Search(query, 10, &allowed);
  ASSERT_TRUE(without.ok() && with.ok());
  EXPECT_TRUE(without->empty() && with->empty());
  index->Remove(allowed);
  EXPECT_TRUE(index->ids().empty());
  ASSERT_TRUE(index->Add(allowed, std::vector<float>{1, 1, 2, 2, 3, 3}).ok());
  index->Remove(allowed);
  EXPECT_EQ(index->size(), 0u);
  const auto none = index->Search(query, std::numeric_limits<std::size_t>::max(), nullptr);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->empty());
  const auto zero = index->Search(query, 0, nullptr);
  ASSERT_TRUE(zero.ok());
  EXPECT_TRUE(zero->empty());
}

// A removed id may come back with another vector, before and after the gaps are closed.
TEST(Index, RemovedIdsMayComeBack) {
  const std::unique_ptr<Index> index = Make(Metric::kInnerProduct, 2);
  std::vector<ChunkId> ids;
  std::vector<float> vectors;
  for (ChunkId id = 0; id < 100; ++id) {
    ids.push_back(id);
    vectors.insert(vectors.end(), {1, static_cast<float>(id)});
  }
  ASSERT_TRUE(index->Add(ids, vectors).ok());
  std::vector<float> stored(2);
  for (ChunkId id = 0; id < 60; ++id) {
    index->Remove(std::vector<ChunkId>{id, id});
    EXPECT_FALSE(index->Get(id, stored));
    ASSERT_TRUE(index->Add(std::vector<ChunkId>{id}, std::vector<float>{2, 0.5f}).ok());
    ASSERT_TRUE(index->Get(id, stored));
    EXPECT_EQ(stored, (std::vector<float>{2, 0.5f}));
    ASSERT_TRUE(index->Get(99, stored));
    EXPECT_EQ(stored, (std::vector<float>{1, 99}));
    ASSERT_EQ(index->size(), 100u);
  }
}

TEST(IndexOptions, ValidateNamesTheField) {
  EXPECT_TRUE(IndexOptions{}.Validate().ok());
  for (const char* kind : {"auto", "flat", "none"}) {
    EXPECT_TRUE((IndexOptions{kind, Metric::kL2}).Validate().ok());
  }
  for (const char* kind : {"", "Flat", "hnsw"}) {
    const Status status = IndexOptions{kind, Metric::kL2}.Validate();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_NE(status.message().find("kind must be"), std::string::npos);
  }
  EXPECT_EQ((IndexOptions{"flat", static_cast<Metric>(9)}).Validate().code(),
            Code::kInvalidArgument);
}

TEST(MakeIndex, RefusesWhatItCannotMake) {
  for (const int dimensions : {0, -1, 65537}) {
    EXPECT_EQ(MakeIndex({}, dimensions).status().code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(MakeIndex({"none", Metric::kCosine}, 4).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeIndex({"hnsw", Metric::kCosine}, 4).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(MakeIndex({"auto", Metric::kCosine}, 65536).ok());
}

TEST(IsUsableVector, ChecksEveryPlace) {
  for (std::size_t size : {1u, 7u, 8u, 9u, 33u}) {
    std::vector<float> vector(size, 0.0f);
    EXPECT_FALSE(IsUsableVector(vector));
    for (std::size_t i = 0; i < size; ++i) {
      vector[i] = std::numeric_limits<float>::denorm_min();
      EXPECT_TRUE(IsUsableVector(vector));
      for (const float bad : {kNan, kInfinity, -kInfinity, std::numeric_limits<float>::max()}) {
        vector[i] = bad;
        EXPECT_FALSE(IsUsableVector(vector)) << "place " << i << " of " << size;
      }
      vector[i] = 0;
    }
  }
  EXPECT_FALSE(IsUsableVector({}));
}

}  // namespace
}  // namespace embedflow
