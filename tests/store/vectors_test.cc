// Vectors by text: what is put is found, exactly once, from any thread and at any size.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/log.h"
#include "store/directory.h"
#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kDimensions = 1024;  // More than half a page: LMDB keeps these in pages of their own.

ContentHash HashOf(int i) { return HashContent(std::to_string(i)); }

// Vectors `begin` to `end`, in no order of their hashes.
Result<std::uint64_t> PutRange(Store* store, SpaceId space, int begin, int end) {
  std::deque<std::vector<float>> vectors;
  std::vector<Store::VectorPut> puts;
  for (int i = begin; i < end; ++i) {
    vectors.push_back(VectorOf(HashOf(i), kDimensions));
    puts.push_back({HashOf(i), vectors.back()});
  }
  return store->PutVectors(space, puts);
}

TEST(Vectors, ArePutOnceAndReadBackExactly) {
  const TemporaryDirectory directory;
  Rig rig(directory.path(), kDimensions);
  EXPECT_EQ(*PutRange(rig.store.get(), rig.space, 0, 100), 0u);
  EXPECT_EQ(*PutRange(rig.store.get(), rig.space, 50, 150), 50u);
  const auto reader = rig.Reader();
  EXPECT_EQ(*reader->VectorCount(rig.space), 150u);
  std::vector<float> vector(kDimensions);
  for (int i = 0; i < 150; ++i) {
    ASSERT_TRUE(*reader->ReadVector(rig.space, HashOf(i), vector));
    EXPECT_EQ(vector, VectorOf(HashOf(i), kDimensions));
  }
  EXPECT_FALSE(*reader->ReadVector(rig.space, HashOf(150), vector));
  EXPECT_EQ(reader->ReadVector(9, HashOf(0), vector).status().code(), Code::kNotFound);
}

TEST(Vectors, TwiceInOneGroupCountsAsAlreadyThere) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  const std::vector<float> vector = VectorOf(HashOf(1), 8);
  const Store::VectorPut puts[] = {{HashOf(1), vector}, {HashOf(1), vector}};
  EXPECT_EQ(*rig.store->PutVectors(rig.space, puts), 1u);
}

TEST(Vectors, SpacesNeverShareVectors) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  // The same dimensions, so that only the space tells them apart.
  SpaceRecord wanted;
  wanted.space = TestSpace(8, "other");
  const SpaceId other = rig.store->AddSpace(wanted)->id;
  EXPECT_NE(other, rig.space);
  const std::vector<float> vector = VectorOf(HashOf(1), 8);
  const Store::VectorPut puts[] = {{HashOf(1), vector}};
  ASSERT_TRUE(rig.store->PutVectors(rig.space, puts).ok());
  const ContentHash hashes[] = {HashOf(1)};
  char found[] = {1};
  ASSERT_TRUE(rig.store->HasVectors(other, hashes, found).ok());
  EXPECT_EQ(found[0], 0);
  ASSERT_TRUE(rig.store->HasVectors(rig.space, hashes, found).ok());
  EXPECT_EQ(found[0], 1);
}

TEST(Vectors, ASpaceIsFoundAgainAndKeepsWhatIsNotSetAnew) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  SpaceRecord wanted;
  wanted.space = TestSpace();
  wanted.base_url = "http://localhost:1";
  wanted.metric = "cosine";
  EXPECT_EQ(rig.store->AddSpace(wanted)->id, rig.space);
  wanted.base_url.clear();
  wanted.metric = "l2";
  EXPECT_EQ(rig.store->AddSpace(wanted)->base_url, "http://localhost:1");
  const auto spaces = rig.Reader()->Spaces();
  ASSERT_EQ(spaces->size(), 1u);
  EXPECT_EQ((*spaces)[0].metric, "l2");
  EXPECT_EQ((*spaces)[0].space, TestSpace());
  for (int i = 2; i <= kSpacesMax; ++i) {
    wanted.space.model = "model " + std::to_string(i);
    EXPECT_EQ(rig.store->AddSpace(wanted)->id, i);
  }
  wanted.space.model = "one too many";
  EXPECT_EQ(rig.store->AddSpace(wanted).status().code(), Code::kUnsupported);
  ExpectSound(rig.Check());
}

// The map starts at 1 MiB and is doubled under readers of several threads.
TEST(Vectors, TheMapGrowsUnderThreadsThatRead) {
  const TemporaryDirectory directory;
  Rig rig(directory.path(), kDimensions);
  std::atomic<int> ready{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      std::vector<ContentHash> hashes;
      for (int i = 0; i < 2000; ++i) hashes.push_back(HashOf(i));
      std::vector<char> found(hashes.size());
      bool last = false;
      while (!last) {
        last = done;
        const int before = ready;
        const Status status = rig.store->HasVectors(rig.space, hashes, found);
        EXPECT_TRUE(status.ok()) << status.ToString();
        for (int i = 0; i < before; ++i) EXPECT_EQ(found[static_cast<std::size_t>(i)], 1);
      }
    });
  }
  for (int i = 0; i < 2000; i += 100) {
    EXPECT_EQ(*PutRange(rig.store.get(), rig.space, i, i + 100), 0u);
    ready = i + 100;
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(*rig.Reader()->VectorCount(rig.space), 2000u);
  EXPECT_GT(std::filesystem::file_size(directory.path() + "/" + kVectorFile), 8u << 20);
}

// PutVectors of the next group beside Commit of this one, as the pipeline may do it.
TEST(Vectors, MayBePutWhileRowsAreCommitted) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  const std::int64_t run = rig.Begin();
  std::vector<GroupBuilder> groups(20);
  std::uint64_t n = 0;
  for (GroupBuilder& group : groups) {
    for (int i = 0; i < 20; ++i, ++n) group.Add("id" + std::to_string(n), std::to_string(n), n);
  }
  ASSERT_TRUE(groups[0].Put(rig.store.get(), rig.space, 8).ok());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    std::thread next([&] {
      if (i + 1 < groups.size()) {
        EXPECT_TRUE(groups[i + 1].Put(rig.store.get(), rig.space, 8).ok());
      }
    });
    EXPECT_TRUE(rig.store->Commit(groups[i].Group(run, rig.space)).ok());
    next.join();
  }
  const StoreCheck check = rig.Check();
  ExpectSound(check);
  EXPECT_EQ(check.chunks, 400u);
}

// Flips a bit inside the stored floats of a text, found by their bytes.
void DamageVector(const std::string& directory, int i) {
  const std::string path = directory + "/" + kVectorFile;
  std::string bytes;
  {
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  const std::vector<float> vector = VectorOf(HashOf(i), kDimensions);
  const std::size_t at = bytes.find(std::string(reinterpret_cast<const char*>(vector.data()), 64));
  ASSERT_NE(at, std::string::npos);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(at + 20));
  file.put(static_cast<char>(bytes[at + 20] ^ 4));
}

TEST(Vectors, ADamagedOneIsNotThereAndIsReplaced) {
  const TemporaryDirectory directory;
  {
    Rig rig(directory.path(), kDimensions);
    ASSERT_TRUE(PutRange(rig.store.get(), rig.space, 0, 10).ok());
  }
  DamageVector(directory.path(), 3);
  Rig rig(directory.path(), kDimensions);
  std::string logged;
  SetLogSink([&](LogLevel, std::string_view line) { logged += line; });
  const ContentHash hashes[] = {HashOf(2), HashOf(3), HashOf(4)};
  std::vector<char> found(3);
  ASSERT_TRUE(rig.store->HasVectors(rig.space, hashes, found).ok());
  SetLogSink({});
  EXPECT_THAT(found, ElementsAre(1, 0, 1));
  EXPECT_THAT(logged, HasSubstr(HashOf(3).hex()));
  std::vector<float> vector(kDimensions);
  const auto read = rig.Reader()->ReadVector(rig.space, HashOf(3), vector);
  EXPECT_EQ(read.status().code(), Code::kCorruption);
  EXPECT_THAT(read.status().message(), HasSubstr(kVectorFile));
  EXPECT_EQ(rig.Check().corrupt, 1u);

  EXPECT_EQ(*PutRange(rig.store.get(), rig.space, 0, 10), 9u);
  EXPECT_TRUE(*rig.Reader()->ReadVector(rig.space, HashOf(3), vector));
  EXPECT_EQ(vector, VectorOf(HashOf(3), kDimensions));
  EXPECT_EQ(rig.Check().corrupt, 0u);
}

TEST(Vectors, OrphansAreCountedAndDroppedOnRequestOnly) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  GroupBuilder before;
  before
      .Add("a",
           "0123456789abcdef"
           "tail",
           0)
      .Add("b", "tail", 1);
  rig.Commit(before, rig.Begin());
  GroupBuilder after;
  after.Add("a", "something else", 0);
  rig.Commit(after, rig.Begin());
  EXPECT_EQ(rig.Check().orphan_vectors, 1u);  // "tail" is still b's.
  EXPECT_EQ(*rig.store->DropOrphanVectors(), 1u);
  const StoreCheck check = rig.Check();
  ExpectSound(check);
  EXPECT_EQ(check.orphan_vectors, 0u);
  EXPECT_EQ(check.vectors, 2u);
  EXPECT_EQ(*rig.store->DropOrphanVectors(), 0u);
}

TEST(Vectors, ThousandsOfOrphansLeaveASoundFile) {
  const TemporaryDirectory directory;
  {
    Rig rig(directory.path(), kDimensions);
    for (int i = 0; i < 9000; i += 1000) {
      ASSERT_TRUE(PutRange(rig.store.get(), rig.space, i, i + 1000).ok());
    }
    EXPECT_EQ(*rig.store->DropOrphanVectors(), 9000u);
    ASSERT_TRUE(PutRange(rig.store.get(), rig.space, 0, 1000).ok());
  }
  Rig rig(directory.path(), kDimensions);
  const StoreCheck check = rig.Check();
  ExpectSound(check);
  EXPECT_EQ(check.vectors, 1000u);
}

TEST(Vectors, AMissingOneIsNamedWithItsChunk) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  GroupBuilder group;
  group.Add("a", "0123456789abcdef0123456789abcdef", 0).Add("b", "there", 1);
  ASSERT_TRUE(rig.store->Commit(group.Group(rig.Begin(), rig.space)).ok());
  const std::vector<float> vector = VectorOf(HashContent("there"), 8);
  const Store::VectorPut puts[] = {{HashContent("there"), vector}};
  ASSERT_TRUE(rig.store->PutVectors(rig.space, puts).ok());
  const StoreCheck check = rig.Check();
  EXPECT_EQ(check.missing_vectors, 2u);
  ASSERT_EQ(check.faults.size(), 1u);
  EXPECT_THAT(check.faults[0], HasSubstr("chunk 0 of document 1"));
}

}  // namespace
}  // namespace embedflow
