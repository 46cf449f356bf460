// The cache of vectors across corpora: what it finds is right, it stays within its bound, and
// nothing that happens to it is worse than a miss.
#include "store/vector_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/store/cache_fixture.h"

namespace embedflow {
namespace {

TEST(VectorCache, FindsWhatWasPutAlsoAfterClosing) {
  const TemporaryDirectory directory(FastDirectory());
  for (const int dimensions : {1, 8, 500, 1024, 1536, 4096}) {
    const CacheSpace space = SpaceOf(dimensions);
    {
      const auto cache = OpenCache(directory.path());
      EXPECT_EQ(CountRange(cache.get(), space, 0, 20), 0u);
      PutRange(cache.get(), space, 0, 10);
      EXPECT_EQ(CountRange(cache.get(), space, 0, 20), 10u);
      EXPECT_EQ(cache->counts().hits, 10u);
      EXPECT_EQ(cache->counts().misses, 30u);
      EXPECT_EQ(cache->counts().kept, 10u);
    }
    EXPECT_EQ(CountRange(OpenCache(directory.path()).get(), space, 0, 20), 10u);
  }
}

TEST(VectorCache, ARecordThatIsThereIsLeftAlone) {
  const TemporaryDirectory directory(FastDirectory());
  const auto cache = OpenCache(directory.path());
  const CacheSpace space = SpaceOf(8);
  PutRange(cache.get(), space, 0, 10);
  PutRange(cache.get(), space, 5, 15);
  EXPECT_EQ(cache->counts().kept, 15u);
  // And twice in one group.
  const std::vector<float> vector = VectorOf(HashOf(99), 8);
  const Store::VectorPut puts[] = {{HashOf(99), vector}, {HashOf(99), vector}};
  cache->Put(space, puts);
  EXPECT_EQ(cache->counts().kept, 16u);
}

TEST(VectorCache, OtherSpacesAndAddressesNeverHit) {
  const TemporaryDirectory directory(FastDirectory());
  const auto cache = OpenCache(directory.path());
  Space space = TestSpace(8);
  space.revision = "r1";
  space.input_type = "document";
  space.digest = "d1";
  const std::string url = "https://provider.example/v1";
  PutRange(cache.get(), CacheSpace::Of(space, url), 0, 10);
  std::vector<Space> others(6, space);
  others[0].provider = "other";
  others[1].model = "other";
  others[2].revision = "r2";
  others[3].dimensions = 9;
  others[4].input_type = "query";
  others[5].digest = "d2";
  for (const Space& other : others) {
    EXPECT_EQ(CountRange(cache.get(), CacheSpace::Of(other, url), 0, 10), 0u) << other.name();
  }
  EXPECT_EQ(CountRange(cache.get(), CacheSpace::Of(space, "http://localhost:1"), 0, 10), 0u);
  EXPECT_EQ(CountRange(cache.get(), CacheSpace::Of(space, url), 0, 10), 10u);
}

TEST(VectorCache, IsPrivate) {
  const TemporaryDirectory parent;
  const std::string directory = parent.path() + "/a/cache";
  const mode_t before = umask(0);
  const auto cache = OpenCache(directory);
  umask(before);
  struct stat status;
  ASSERT_EQ(stat(directory.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 3);
}

TEST(VectorCache, OneObjectADirectoryAndProcess) {
  const TemporaryDirectory directory(FastDirectory());
  auto first = OpenCache(directory.path());
  auto second = OpenCache(directory.path() + "/.");
  EXPECT_EQ(first, second);
  first.reset();
  second.reset();
  // Closing while others open.
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const auto cache = OpenCache(directory.path());
        PutRange(cache.get(), SpaceOf(8), 100 * t + i, 100 * t + i + 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(CountRange(OpenCache(directory.path()).get(), SpaceOf(8), 0, 400), 80u);
}

struct Shape {
  int dimensions;
  int group;
};
class VectorCacheBound : public testing::TestWithParam<Shape> {};

// Four times what fits, in groups: the file never exceeds the bound, what came last is there, what
// came first is not, and most of the file is used.
TEST_P(VectorCacheBound, HoldsAndTheOldestLeavesFirst) {
  const auto [dimensions, group] = GetParam();
  const TemporaryDirectory directory(FastDirectory());
  const auto cache = OpenCache(directory.path());
  const CacheSpace space = SpaceOf(dimensions);
  const int fits = static_cast<int>(kBytes / (static_cast<std::size_t>(dimensions) * 4));
  const int total = 4 * fits / group * group;
  for (int i = 0; i < total; i += group) {
    PutRange(cache.get(), space, i, i + group);
    ASSERT_LE(cache->counts().bytes, kBytes);
    ASSERT_EQ(cache->counts().dropped, 0u) << "at " << i;
  }
  const VectorCache::Counts counts = cache->counts();
  EXPECT_EQ(counts.kept, static_cast<std::uint64_t>(total));
  const std::vector<int> there = FindRange(cache.get(), space, 0, total);
  EXPECT_EQ(there.size(), counts.kept - counts.evicted);
  ASSERT_FALSE(there.empty());
  EXPECT_EQ(there.back(), total - 1);
  // Groups leave one after the other; inside a group the order is that of the keys.
  EXPECT_GE(there.front() / group, (total - static_cast<int>(there.size())) / group - 1);
  const double used = static_cast<double>(there.size() * space.dimensions * 4) / kBytes;
  RecordProperty("used", std::to_string(used));
  EXPECT_GT(used, 0.5);
}
INSTANTIATE_TEST_SUITE_P(Shapes, VectorCacheBound,
                         testing::Values(Shape{256, 1024}, Shape{500, 100}, Shape{1024, 512},
                                         Shape{1536, 1024}, Shape{1536, 7}, Shape{3072, 256},
                                         Shape{65536, 3}));

// Records of all sizes in turn break up the free room; a put may be dropped for it, but not many.
TEST(VectorCache, HoldsItsBoundWithRecordsOfAllSizes) {
  const TemporaryDirectory directory(FastDirectory());
  const auto cache = OpenCache(directory.path());
  Rng rng(7);
  int n = 0;
  std::vector<CacheSpace> spaces;
  for (const int dimensions : {8, 384, 768, 1536, 3072}) spaces.push_back(SpaceOf(dimensions));
  for (int round = 0; round < 300; ++round) {
    const CacheSpace& space = spaces[rng.Below(spaces.size())];
    const int group = 1 + static_cast<int>(rng.Below(300));
    PutRange(cache.get(), space, n, n + group);
    n += group;
    ASSERT_LE(cache->counts().bytes, kBytes);
    ASSERT_FALSE(cache->is_off());
    ASSERT_GT(CountRange(cache.get(), space, n - group, n) + cache->counts().dropped, 0u);
  }
  EXPECT_GT(cache->counts().evicted, 1000u);
  EXPECT_LE(cache->counts().dropped, static_cast<std::uint64_t>(n / 100)) << "of " << n;
}

TEST(VectorCache, WhatIsUsedStays) {
  const TemporaryDirectory directory(FastDirectory());
  const auto cache = OpenCache(directory.path());
  const CacheSpace space = SpaceOf(1536);
  PutRange(cache.get(), space, 0, 200);
  for (int i = 200; i < 10000; i += 200) {
    PutRange(cache.get(), space, i, i + 200);
    ASSERT_EQ(CountRange(cache.get(), space, 0, 50), 50u) << "at " << i;
  }
  EXPECT_EQ(CountRange(cache.get(), space, 50, 200), 0u);
  // Hits write only now and then: 50 records, each at most eight times a turnover of the cache.
  EXPECT_GT(cache->counts().renewed, 50u);
  EXPECT_LT(cache->counts().renewed, 50u * 8u * 8u);
}

// A run that finds everything puts nothing; what it used is noted when it closes.
TEST(VectorCache, UsesAreNotedAtClosing) {
  const TemporaryDirectory directory(FastDirectory());
  const CacheSpace space = SpaceOf(1536);
  {
    const auto cache = OpenCache(directory.path());
    PutRange(cache.get(), space, 0, 1000);
    EXPECT_EQ(CountRange(cache.get(), space, 0, 50), 50u);
  }
  const auto cache = OpenCache(directory.path());
  PutRange(cache.get(), space, 1000, 2500);
  EXPECT_EQ(CountRange(cache.get(), space, 0, 50), 50u);
  EXPECT_LT(CountRange(cache.get(), space, 50, 1000), 500u);
}

TEST(VectorCache, ASmallerBoundEvictsAndTheFileDoesNotGrow) {
  const TemporaryDirectory directory(FastDirectory());
  const CacheSpace space = SpaceOf(1536);
  std::uint64_t bytes = 0;
  {
    const auto cache = OpenCache(directory.path(), 4 * kBytes);
    PutRange(cache.get(), space, 0, 6000);
    bytes = cache->counts().bytes;
    EXPECT_GT(bytes, 2 * kBytes);
  }
  const auto cache = OpenCache(directory.path(), kBytes);
  EXPECT_EQ(CountRange(cache.get(), space, 0, 6000), 6000u);
  PutRange(cache.get(), space, 6000, 6100);
  EXPECT_EQ(CountRange(cache.get(), space, 6000, 6100), 100u);
  const std::size_t there = CountRange(cache.get(), space, 0, 6100);
  EXPECT_LT(there * 8192, kBytes);
  // Little more: what is evicted first needs a few pages before it frees any.
  EXPECT_LE(cache->counts().bytes, bytes + (1u << 20));
}

TEST(VectorCache, RefusesABoundThatCannotBe) {
  const TemporaryDirectory directory(FastDirectory());
  VectorCacheOptions options;
  for (const std::uint64_t bytes : {std::uint64_t{0}, kCacheBytesMin - 1, kCacheBytesMax + 1}) {
    options.bytes_max = bytes;
    EXPECT_EQ(VectorCache::Open(directory.path(), options).status().code(), Code::kInvalidArgument);
  }
}

TEST(VectorCache, ADirectoryThatCannotBeUsedIsAnError) {
  const TemporaryDirectory directory;
  VectorCacheOptions options;
  options.bytes_max = kBytes;
  const std::string file = directory.path() + "/file";
  { std::ofstream(file) << "a file"; }
  EXPECT_EQ(VectorCache::Open(file, options).status().code(), Code::kIo);
  EXPECT_EQ(VectorCache::Open(file + "/below", options).status().code(), Code::kIo);
  // The link's target is nobody's business.
  const std::string linked = directory.path() + "/linked";
  ASSERT_EQ(mkdir(linked.c_str(), 0700), 0);
  ASSERT_EQ(symlink(file.c_str(), (linked + "/cache.lmdb").c_str()), 0);
  EXPECT_EQ(VectorCache::Open(linked, options).status().code(), Code::kIo);
  EXPECT_EQ(std::filesystem::file_size(file), 6u);
  // A directory that only another user may write to.
  const std::string foreign = directory.path() + "/foreign";
  ASSERT_EQ(mkdir(foreign.c_str(), 0755), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && (chmod(directory.path().c_str(), 0755) != 0 || setuid(65534) != 0)) {
      _exit(9);
    }
    if (geteuid() == 65534) {
      const Status status = VectorCache::Open(foreign, options).status();
      EXPECT_EQ(status.word(), "no_permission") << status.ToString();
    }
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(VectorCache, ThreadsFindWhileOthersPut) {
  const TemporaryDirectory directory(FastDirectory());
  const auto cache = OpenCache(directory.path());
  const CacheSpace space = SpaceOf(300);
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!done) FindRange(cache.get(), space, 0, 2000);
    });
  }
  for (int i = 0; i < 10000; i += 500) PutRange(cache.get(), space, i, i + 500);
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(CountRange(cache.get(), space, 9000, 10000), 1000u);
}

}  // namespace
}  // namespace embedflow
