// What is kept about all vectors of a space: a vector that is gone shows, needed or not.
#include "store/vector_sums.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lmdb.h>

#include "base/log.h"
#include "store/directory.h"
#include "store/records.h"
#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

using testing::HasSubstr;

// Changes the file behind the store's back, in one transaction.
void Change(const std::string& directory, const std::function<void(MDB_txn*)>& change) {
  MDB_env* env = nullptr;
  ASSERT_EQ(mdb_env_create(&env), 0);
  ASSERT_EQ(mdb_env_set_maxdbs(env, 8), 0);
  ASSERT_EQ(mdb_env_open(env, (directory + "/" + kVectorFile).c_str(), MDB_NOSUBDIR, 0600), 0);
  MDB_txn* txn = nullptr;
  ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
  change(txn);
  ASSERT_EQ(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
}

void Delete(MDB_txn* txn, const std::string& database, const ContentHash& hash) {
  unsigned int opened = 0;
  ASSERT_EQ(mdb_dbi_open(txn, database.c_str(), 0, &opened), 0);
  MDB_val key = {hash.bytes.size(), const_cast<unsigned char*>(hash.bytes.data())};
  ASSERT_EQ(mdb_del(txn, opened, &key, nullptr), 0);
}

// "b" is in no document: its vector is an orphan.
void Fill(const std::string& directory) {
  Rig rig(directory);
  GroupBuilder group;
  group.Add("one", "a", 0).Add("two", "c", 1);
  rig.Commit(group, rig.Begin());
  const std::vector<float> vector = VectorOf(HashContent("b"), 8);
  const Store::VectorPut puts[] = {{HashContent("b"), vector}};
  ASSERT_TRUE(rig.store->PutVectors(rig.space, puts).ok());
}

StoreCheck CheckOf(const std::string& directory) {
  auto reader = OpenStoreReader(directory);
  EXPECT_TRUE(reader.ok()) << reader.status().ToString();
  return reader.ok() ? *(*reader)->Check() : StoreCheck();
}

TEST(VectorSums, FollowPutsReplacementsAndDeletions) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  ExpectSound(CheckOf(directory.path()));
  {
    Rig rig(directory.path());
    EXPECT_EQ(*rig.store->DropOrphanVectors(), 1u);
  }
  const StoreCheck check = CheckOf(directory.path());
  ExpectSound(check);
  EXPECT_EQ(check.vectors, 2u);
}

TEST(VectorSums, AVectorThatVanishedIsToldEvenIfNoChunkNeedsIt) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  Change(directory.path(),
         [](MDB_txn* txn) { Delete(txn, SpaceKey(TestSpace()).hex(), HashContent("b")); });
  const StoreCheck check = CheckOf(directory.path());
  EXPECT_EQ(check.missing_vectors, 0u);
  EXPECT_EQ(check.corrupt, 1u);
  ASSERT_EQ(check.faults.size(), 1u);
  EXPECT_THAT(check.faults[0], HasSubstr("2 are there, 3 were written"));
  // A writer says so too, and does not make it look right.
  std::string logged;
  SetLogSink([&](LogLevel, std::string_view line) { logged += line; });
  { Rig rig(directory.path()); }
  SetLogSink({});
  EXPECT_THAT(logged, HasSubstr("missing or extra"));
  EXPECT_EQ(CheckOf(directory.path()).corrupt, 1u);
}

TEST(VectorSums, AVectorInAnothersPlaceIsToldThoughTheCountIsRight) {
  VectorTallies tallies;
  const ContentHash key = SpaceKey(TestSpace());
  tallies.Note(key.hex(), HashContent("a").view(), {});
  VectorTally written;
  written.Add(HashContent("b").view(), key.high64());
  tallies.kept[key] = written;
  EXPECT_FALSE(tallies.Agrees(key));
  tallies.kept[key] = tallies.counted[key];
  EXPECT_TRUE(tallies.Agrees(key));
}

TEST(VectorSums, ADamagedRecordIsNamedAndStaysSo) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  const ContentHash key = SpaceKey(TestSpace());
  Change(directory.path(), [&](MDB_txn* txn) {
    unsigned int opened = 0;
    ASSERT_EQ(mdb_dbi_open(txn, kSumsDatabase, 0, &opened), 0);
    TallyImage image = ImageOf(key, {2, 7});
    image[0] = 3;
    MDB_val name = {key.bytes.size(), const_cast<unsigned char*>(key.bytes.data())};
    MDB_val value = {sizeof image, image.data()};
    ASSERT_EQ(mdb_put(txn, opened, &name, &value, 0), 0);
  });
  for (int i = 0; i < 2; ++i) {
    const StoreCheck check = CheckOf(directory.path());
    EXPECT_EQ(check.corrupt, 1u);
    EXPECT_THAT(check.faults.at(0), HasSubstr("the record of how many vectors"));
    SetLogLevel(LogLevel::kOff);
    Rig rig(directory.path());
    SetLogLevel(LogLevel::kWarning);
    GroupBuilder group;
    group.Add("new", "text " + std::to_string(i), 2);
    rig.Commit(group, rig.Begin());
  }
}

TEST(VectorSums, AFileOfEarlierDaysIsCountedOnceByAWriter) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  Change(directory.path(), [](MDB_txn* txn) {
    unsigned int opened = 0;
    ASSERT_EQ(mdb_dbi_open(txn, kSumsDatabase, 0, &opened), 0);
    ASSERT_EQ(mdb_drop(txn, opened, 1), 0);
  });
  // A reader writes nothing and misses nothing.
  ExpectSound(CheckOf(directory.path()));
  { Rig rig(directory.path()); }
  Change(directory.path(),
         [](MDB_txn* txn) { Delete(txn, SpaceKey(TestSpace()).hex(), HashContent("b")); });
  EXPECT_EQ(CheckOf(directory.path()).corrupt, 1u);
}

}  // namespace
}  // namespace embedflow
