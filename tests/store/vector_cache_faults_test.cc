// What processes, disks and damage do to a cache is never worse than a miss.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lmdb.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>

#include "tests/store/cache_fixture.h"

namespace embedflow {
namespace {

using testing::HasSubstr;

std::string FileOf(const std::string& directory) { return directory + "/cache.lmdb"; }

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

// Texts 0 to 1,999 in random groups, put and found by turns. `beat` gets a byte each time.
constexpr int kTexts = 2000;
void Work(const std::string& directory, std::uint64_t seed, int rounds, int beat) {
  Rng rng(seed);
  const std::shared_ptr<VectorCache> cache = OpenCache(directory);
  if (cache == nullptr) return;
  for (int round = 0; round < rounds; ++round) {
    const CacheSpace space = SpaceOf(round % 2 == 0 ? 1536 : 100);
    const int begin = static_cast<int>(rng.Below(kTexts - 100));
    PutRange(cache.get(), space, begin, begin + 100);
    EXPECT_FALSE(cache->is_off());
    FindRange(cache.get(), space, 0, kTexts);
    if (testing::Test::HasFailure()) return;
    if (beat >= 0 && write(beat, "b", 1) != 1) return;
  }
}

pid_t ForkToWork(const std::string& directory, std::uint64_t seed, int rounds, int beat) {
  const pid_t child = fork();
  if (child != 0) return child;
  Work(directory, seed, rounds, beat);
  _exit(testing::Test::HasFailure() ? 1 : 0);
}

void ExpectUsable(const std::string& directory) {
  const auto cache = OpenCache(directory);
  ASSERT_NE(cache, nullptr);
  EXPECT_LE(cache->counts().bytes, kBytes);
  const CacheSpace space = SpaceOf(1536);
  EXPECT_GT(CountRange(cache.get(), space, 0, kTexts), 0u);
  PutRange(cache.get(), space, kTexts, kTexts + 50);
  EXPECT_EQ(CountRange(cache.get(), space, kTexts, kTexts + 50), 50u);
  EXPECT_EQ(cache->counts().damaged, 0u);
}

class VectorCacheProcesses : public testing::TestWithParam<int> {};

TEST_P(VectorCacheProcesses, PutAndFindAtOnce) {
  const TemporaryDirectory directory(FastDirectory());
  std::vector<pid_t> children;
  for (int i = 0; i < GetParam(); ++i) {
    children.push_back(ForkToWork(directory.path(), static_cast<std::uint64_t>(i), 40, -1));
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  ExpectUsable(directory.path());
}
INSTANTIATE_TEST_SUITE_P(Count, VectorCacheProcesses, testing::Values(2, 4));

// Three work, one of them is killed after a few rounds and some moments, and another takes its
// place, again and again. Those that live never notice.
TEST(VectorCacheFaults, AKilledProcessLeavesItUsable) {
  constexpr std::uint64_t kSeed = 20261123;
  constexpr int kKills = 30;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  Rng rng(kSeed);
  const TemporaryDirectory directory(FastDirectory());
  std::array<int, 2> beats;
  ASSERT_EQ(pipe(beats.data()), 0);
  std::vector<pid_t> children;
  std::uint64_t next = 0;
  for (int i = 0; i < 3; ++i) {
    children.push_back(ForkToWork(directory.path(), next++, 1 << 30, beats[1]));
  }
  for (int kill_count = 0; kill_count < kKills; ++kill_count) {
    char beat = 0;
    for (std::uint64_t i = rng.Below(6); i > 0; --i) ASSERT_EQ(read(beats[0], &beat, 1), 1);
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::microseconds(rng.Below(5000));
    while (std::chrono::steady_clock::now() < until) continue;
    pid_t& victim = children[rng.Below(children.size())];
    ASSERT_EQ(kill(victim, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(victim, &status, 0), victim);
    ASSERT_TRUE(WIFSIGNALED(status)) << "a child ended by itself: " << status;
    victim = ForkToWork(directory.path(), next++, 1 << 30, beats[1]);
  }
  for (const pid_t child : children) {
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "a child ended by itself: " << status;
  }
  close(beats[0]);
  close(beats[1]);
  ExpectUsable(directory.path());
}

// A process that is stopped keeps its locks. Others wait for a moment, then do without.
TEST(VectorCacheFaults, AStoppedProcessHoldsUpNobodyForLong) {
  const TemporaryDirectory directory;
  VectorCacheOptions options;
  options.bytes_max = kBytes;
  options.turn_wait = std::chrono::milliseconds{20};
  const auto cache = VectorCache::Open(directory.path(), options);
  ASSERT_TRUE(cache.ok());
  const CacheSpace space = SpaceOf(8);
  PutRange(cache->get(), space, 0, 10);
  {
    const FileDescriptor held(open((directory.path() + "/cache.lock").c_str(), O_RDWR));
    ASSERT_EQ(flock(held.get(), LOCK_EX | LOCK_NB), 0);
    PutRange(cache->get(), space, 10, 20);
    PutRange(cache->get(), space, 20, 30);
    EXPECT_EQ((*cache)->counts().dropped, 20u);
    EXPECT_EQ(CountRange(cache->get(), space, 0, 30), 10u);
  }
  PutRange(cache->get(), space, 10, 20);
  EXPECT_EQ(CountRange(cache->get(), space, 0, 30), 20u);
}

TEST(VectorCacheFaults, OpeningWaitsForOthersOnlySoLong) {
  const TemporaryDirectory directory;
  VectorCacheOptions options;
  options.bytes_max = kBytes;
  options.turn_wait = std::chrono::milliseconds{20};
  { ASSERT_TRUE(VectorCache::Open(directory.path(), options).ok()); }
  const FileDescriptor held(open((directory.path() + "/cache.lock").c_str(), O_RDWR));
  ASSERT_EQ(flock(held.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(VectorCache::Open(directory.path(), options).status().code(), Code::kInUse);
}

// Every float of every record is changed in turn: none is served.
TEST(VectorCacheFaults, ADamagedVectorIsAMissAndIsPutAnew) {
  const TemporaryDirectory directory;
  for (const int dimensions : {8, 1536}) {
    const CacheSpace space = SpaceOf(dimensions);
    {
      const auto cache = OpenCache(directory.path());
      PutRange(cache.get(), space, 0, 20);
    }
    std::string content = ReadFile(FileOf(directory.path()));
    const std::vector<float> vector = VectorOf(HashOf(7), dimensions);
    // Of a vector in two pieces the last floats are in the second.
    const std::string tail(reinterpret_cast<const char*>(&vector[vector.size() - 4]), 16);
    std::size_t changed = 0;
    for (std::size_t at = content.find(tail); at != std::string::npos;
         at = content.find(tail, at + 1)) {
      content[at + 5] = static_cast<char>(content[at + 5] ^ 0x10);
      ++changed;
    }
    ASSERT_GT(changed, 0u);
    WriteFile(FileOf(directory.path()), content);
    const auto cache = OpenCache(directory.path());
    EXPECT_EQ(CountRange(cache.get(), space, 0, 20), 19u);
    EXPECT_EQ(CountRange(cache.get(), space, 7, 8), 0u);
    EXPECT_EQ(cache->counts().damaged, 2u);
    PutRange(cache.get(), space, 7, 8);
    EXPECT_EQ(CountRange(cache.get(), space, 0, 20), 20u);
    EXPECT_FALSE(cache->is_off());
  }
}

// One change a mutant, anywhere in the file: flipped bits, zeroed and exchanged pages, cut tails.
// Whatever is found is right, and the cache works on, made anew where it must.
TEST(VectorCacheFaults, ADamagedFileNeverCrashesNorAnswersWrongly) {
  const char* mutants_wanted = std::getenv("EMBEDFLOW_MUTANTS");
  const int mutants = mutants_wanted == nullptr ? 300 : std::atoi(mutants_wanted);
  const char* seed_wanted = std::getenv("EMBEDFLOW_SEED");
  const std::uint64_t seed =
      seed_wanted == nullptr ? 4711 : std::strtoull(seed_wanted, nullptr, 10);
  SCOPED_TRACE("seed " + std::to_string(seed));
  const TemporaryDirectory directory(FastDirectory());
  const std::array<CacheSpace, 3> spaces = {SpaceOf(8), SpaceOf(300), SpaceOf(1536)};
  {
    const auto cache = OpenCache(directory.path());
    for (const CacheSpace& space : spaces) {
      PutRange(cache.get(), space, 0, 150);
      PutRange(cache.get(), space, 150, 300);
    }
  }
  const std::string good = ReadFile(FileOf(directory.path()));
  constexpr std::size_t kPage = 4096;
  const std::size_t pages = good.size() / kPage;
  Rng rng(seed);
  int anew = 0;
  for (int mutant = 0; mutant < mutants; ++mutant) {
    SCOPED_TRACE("mutant " + std::to_string(mutant));
    std::string bad = good;
    const std::size_t page = rng.Below(pages) * kPage;
    switch (rng.Below(5)) {
      case 0:
        bad[rng.Below(bad.size())] ^= static_cast<char>(1 << rng.Below(8));
        break;
      case 1:  // Where headers and nodes are.
        bad[page + rng.Below(48)] ^= static_cast<char>(1 << rng.Below(8));
        break;
      case 2:
        std::memset(&bad[page], 0, kPage);
        break;
      case 3:
        std::memcpy(&bad[page], &good[rng.Below(pages) * kPage], kPage);
        break;
      default:
        bad.resize(rng.Below(bad.size()));
    }
    WriteFile(FileOf(directory.path()), bad);
    unlink((FileOf(directory.path()) + "-lock").c_str());
    VectorCacheOptions options;
    options.bytes_max = kBytes;
    auto opened = VectorCache::Open(directory.path(), options);
    // A changed version number is no damage that can be told from a newer format.
    if (!opened.ok()) {
      ASSERT_EQ(opened.status().code(), Code::kUnsupported) << opened.status().ToString();
      continue;
    }
    std::size_t there = 0;
    for (const CacheSpace& space : spaces) there += CountRange(opened->get(), space, 0, 300);
    if (there == 0) ++anew;
    for (const CacheSpace& space : spaces) {
      PutRange(opened->get(), space, 0, 400);
      if ((*opened)->is_off()) break;
      ASSERT_EQ(CountRange(opened->get(), space, 0, 400), 400u);
    }
  }
  EXPECT_GT(anew, mutants / 10);
  EXPECT_LT(anew, mutants);
}

TEST(VectorCacheFaults, ACacheOfAnotherVersionIsLeftAsItIs) {
  const TemporaryDirectory directory;
  MDB_env* env = nullptr;
  ASSERT_EQ(mdb_env_create(&env), 0);
  ASSERT_EQ(mdb_env_set_maxdbs(env, 4), 0);
  ASSERT_EQ(mdb_env_open(env, FileOf(directory.path()).c_str(), MDB_NOSUBDIR, 0600), 0);
  MDB_txn* txn = nullptr;
  ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
  for (const char* name : {"entries 2", "vectors 2", "order 2"}) {
    MDB_dbi database = 0;
    ASSERT_EQ(mdb_dbi_open(txn, name, MDB_CREATE, &database), 0);
  }
  ASSERT_EQ(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
  const std::string before = ReadFile(FileOf(directory.path()));
  VectorCacheOptions options;
  options.bytes_max = kBytes;
  const auto opened = VectorCache::Open(directory.path(), options);
  EXPECT_EQ(opened.status().code(), Code::kUnsupported);
  EXPECT_THAT(opened.status().message(), HasSubstr("another version"));
  EXPECT_EQ(ReadFile(FileOf(directory.path())), before);
}

// Runs `body` in a child whose files cannot grow beyond `bytes`.
int WithFileLimit(rlim_t bytes, const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit size = {bytes, bytes};
    if (setrlimit(RLIMIT_FSIZE, &size) != 0) _exit(9);
    body();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

// A write that fails anywhere: what was there is still found, and the next process goes on.
TEST(VectorCacheFaults, AFailedWriteLeavesItReadable) {
  const CacheSpace space = SpaceOf(1536);
  for (rlim_t limit = 4096; limit < 4u << 20; limit += limit < 65536 ? 8192 : 500000) {
    SCOPED_TRACE("limit " + std::to_string(limit));
    const TemporaryDirectory directory(FastDirectory());
    const int status = WithFileLimit(limit, [&] {
      VectorCacheOptions options;
      options.bytes_max = kBytes;
      const auto cache = VectorCache::Open(directory.path(), options);
      if (!cache.ok()) {
        EXPECT_EQ(cache.status().code(), Code::kIo) << cache.status().ToString();
        EXPECT_LT(limit, 65536u);
        return;
      }
      for (int i = 0; i < 1000; i += 20) PutRange(cache->get(), space, i, i + 20);
      const VectorCache::Counts counts = (*cache)->counts();
      EXPECT_GT(counts.dropped, 0u);
      EXPECT_EQ(CountRange(cache->get(), space, 0, 1000), counts.kept);
    });
    EXPECT_EQ(status, 0);
    const auto cache = OpenCache(directory.path());
    ASSERT_NE(cache, nullptr);
    PutRange(cache.get(), space, 0, 1000);
    EXPECT_EQ(CountRange(cache.get(), space, 0, 1000), 1000u);
  }
}

TEST(VectorCacheFaults, AFullFileSystemIsSaidAndLeavesItReadable) {
  const TemporaryDirectory mount_point;
  if (geteuid() != 0 || mount("tmpfs", mount_point.path().c_str(), "tmpfs", 0, "size=2000k") != 0) {
    GTEST_SKIP() << "cannot mount a small file system here";
  }
  const CacheSpace space = SpaceOf(1536);
  {
    const auto cache = OpenCache(mount_point.path() + "/cache");
    testing::internal::CaptureStderr();
    for (int i = 0; i < 1000; i += 20) PutRange(cache.get(), space, i, i + 20);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_THAT(said, HasSubstr("nothing more is kept in the cache"));
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
    EXPECT_GT(cache->counts().kept, 100u);
    EXPECT_EQ(CountRange(cache.get(), space, 0, 1000), cache->counts().kept);
  }
  EXPECT_EQ(mount("tmpfs", mount_point.path().c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
  {
    const auto cache = OpenCache(mount_point.path() + "/cache");
    PutRange(cache.get(), space, 0, 1000);
    EXPECT_EQ(CountRange(cache.get(), space, 0, 1000), 1000u);
  }
  EXPECT_EQ(umount(mount_point.path().c_str()), 0);
}

// Processes that die while they read leave a slot each; slots are cleared, so a table of 510 holds
// out.
TEST(VectorCacheFaults, SlotsOfDeadReadersAreCleared) {
  const TemporaryDirectory directory(FastDirectory());
  { PutRange(OpenCache(directory.path()).get(), SpaceOf(8), 0, 10); }
  for (int i = 0; i < 600; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto cache = OpenCache(directory.path());
      if (cache == nullptr || CountRange(cache.get(), SpaceOf(8), 0, 10) != 10) _exit(1);
      raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << i;
  }
  const auto cache = OpenCache(directory.path());
  EXPECT_EQ(CountRange(cache.get(), SpaceOf(8), 0, 10), 10u);
}

}  // namespace
}  // namespace embedflow
