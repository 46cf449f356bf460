// A cache of vectors that can be told from their texts.
#ifndef EMBEDFLOW_TESTS_STORE_CACHE_FIXTURE_H_
#define EMBEDFLOW_TESTS_STORE_CACHE_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "store/vector_cache.h"
#include "tests/store/store_fixture.h"

namespace embedflow {

// In memory where there is such a place: these tests are about room, not about disks.
inline std::string FastDirectory() { return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ""; }

inline constexpr std::uint64_t kBytes = kCacheBytesMin;

inline ContentHash HashOf(int i) { return HashContent(std::to_string(i)); }

inline CacheSpace SpaceOf(int dimensions, const std::string& model = "model") {
  return CacheSpace::Of(TestSpace(dimensions, model), "https://provider.example/v1");
}

inline std::shared_ptr<VectorCache> OpenCache(const std::string& directory,
                                              std::uint64_t bytes_max = kBytes) {
  VectorCacheOptions options;
  options.bytes_max = bytes_max;
  auto cache = VectorCache::Open(directory, options);
  EXPECT_TRUE(cache.ok()) << cache.status().ToString();
  return cache.ok() ? *cache : nullptr;
}

inline void PutRange(VectorCache* cache, const CacheSpace& space, int begin, int end) {
  std::deque<std::vector<float>> vectors;
  std::vector<Store::VectorPut> puts;
  for (int i = begin; i < end; ++i) {
    vectors.push_back(VectorOf(HashOf(i), static_cast<int>(space.dimensions)));
    puts.push_back({HashOf(i), vectors.back()});
  }
  cache->Put(space, puts);
}

// Which of [begin, end) are found. Every vector that is found must be the text's.
inline std::vector<int> FindRange(VectorCache* cache, const CacheSpace& space, int begin, int end) {
  std::vector<ContentHash> hashes;
  for (int i = begin; i < end; ++i) hashes.push_back(HashOf(i));
  std::vector<char> found(hashes.size());
  std::vector<float> rows;
  const std::size_t count = cache->Find(space, hashes, found, &rows);
  EXPECT_EQ(rows.size(), count * space.dimensions);
  std::vector<int> numbers;
  std::size_t row = 0;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    if (!found[i]) continue;
    const auto at = rows.begin() + static_cast<std::ptrdiff_t>(row++ * space.dimensions);
    const std::vector<float> want = VectorOf(hashes[i], static_cast<int>(space.dimensions));
    EXPECT_TRUE(std::equal(want.begin(), want.end(), at)) << "text " << begin + static_cast<int>(i);
    numbers.push_back(begin + static_cast<int>(i));
  }
  EXPECT_EQ(row, count);
  return numbers;
}

inline std::size_t CountRange(VectorCache* cache, const CacheSpace& space, int begin, int end) {
  return FindRange(cache, space, begin, end).size();
}

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_STORE_CACHE_FIXTURE_H_
