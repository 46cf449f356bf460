// What a repair keeps, what it drops, and what it says.
#include "store/repair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <fstream>

#include "base/log.h"
#include "store/database.h"
#include "store/records.h"
#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int kWide = 600;

// Behind the store's back.
void Sql(const std::string& directory, const char* sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((directory + "/" + kDatabaseFile).c_str(), &database), SQLITE_OK);
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, &error), SQLITE_OK) << error;
  sqlite3_free(error);
  sqlite3_close(database);
}

std::string FileOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Two spaces, ten documents of two chunks, one of them dead in the first space, and a bad record.
void Fill(const std::string& directory) {
  Rig rig(directory);
  SpaceRecord wide;
  wide.space = TestSpace(kWide, "wide");
  const SpaceId other = rig.store->AddSpace(wide)->id;
  const std::int64_t run = rig.Begin();
  ASSERT_TRUE(rig.store->AddSources(std::vector<std::string>{"/input.jsonl"}).ok());
  GroupBuilder group;
  for (std::uint64_t n = 0; n < 10; ++n) {
    group.Add("id" + std::to_string(n), "document text " + std::to_string(n) + " goes on", n, 16,
              n == 4 ? std::vector<std::size_t>{1} : std::vector<std::size_t>{},
              {{"n", MetadataValue::Number(static_cast<std::int64_t>(n))}});
  }
  DeadLetter letter;
  letter.reason = "refused";
  letter.document_id = "id4";
  letter.begin = 16;
  letter.end = 23;
  DeadLetter bad;
  bad.reason = "not JSON";
  bad.file = "input.jsonl";
  bad.line = 3;
  group.letters = {letter, bad};
  rig.Commit(group, run);
  group.chunks(4)[1].dead = false;
  group.letters.clear();
  ASSERT_TRUE(group.Put(rig.store.get(), other, kWide).ok());
  ASSERT_TRUE(rig.store->Commit(group.Group(run, other)).ok());
  ASSERT_TRUE(rig.store->EndRun(run, {}).ok());
}

struct Mended {
  StoreRepair repair;
  StoreCheck check;
  bool forgot_indexes = false;
};

Mended Mend(const std::string& directory, bool drop_orphans = false) {
  Mended mended;
  StoreRepairOptions options;
  options.drop_orphans = drop_orphans;
  options.forget_indexes = [&] {
    mended.forgot_indexes = true;
    return Status();
  };
  SetLogLevel(LogLevel::kOff);
  Result<StoreRepair> repair = RepairStore(directory, options);
  SetLogLevel(LogLevel::kWarning);
  EXPECT_TRUE(repair.ok()) << repair.status().ToString();
  if (!repair.ok()) return mended;
  mended.repair = std::move(*repair);
  mended.repair.lock.reset();
  auto reader = OpenStoreReader(directory);
  EXPECT_TRUE(reader.ok()) << reader.status().ToString();
  if (reader.ok()) mended.check = *(*reader)->Check();
  ExpectSound(mended.check);
  return mended;
}

std::vector<SpaceRecord> SpacesOf(const std::string& directory) {
  return *(*OpenStoreReader(directory))->Spaces();
}

std::optional<DocumentState> Find(const std::string& directory, const std::string& id) {
  return *(*OpenStoreReader(directory))->FindDocument(id);
}

// Changes the bytes of a stored vector, or of all copies of it.
void DamageVector(const std::string& directory, const std::string& text, int dimensions) {
  const std::string path = directory + "/" + kVectorFile;
  std::string bytes = FileOf(path);
  const std::vector<float> vector = VectorOf(HashContent(text), dimensions);
  // The last eight numbers: vectors of another length begin alike.
  const std::string wanted(reinterpret_cast<const char*>(&vector[vector.size() - 8]), 32);
  std::size_t copies = 0;
  for (std::size_t at = 0; (at = bytes.find(wanted, at)) != std::string::npos; ++at, ++copies) {
    bytes[at + 9] = static_cast<char>(bytes[at + 9] ^ 1);
  }
  ASSERT_GT(copies, 0u);
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Repair, LeavesASoundStoreAsItIs) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  const Mended mended = Mend(directory.path());
  EXPECT_THAT(mended.repair.notes, IsEmpty());
  EXPECT_FALSE(mended.repair.lost);
  EXPECT_FALSE(mended.forgot_indexes);
  EXPECT_EQ(mended.repair.vectors, 22u);  // All but the first chunks are alike.
  EXPECT_EQ(mended.repair.to_buy_again.documents, 0u);
}

TEST(Repair, ADamagedVectorTakesItsDocumentsOutOfItsSpaceAlone) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  DamageVector(directory.path(), "document text 7 ", kWide);
  const std::vector<SpaceRecord> before = SpacesOf(directory.path());
  const Mended mended = Mend(directory.path());
  EXPECT_EQ(mended.repair.to_buy_again.chunks, 1u);
  EXPECT_THAT(mended.repair.to_buy_again.ids, ElementsAre("id7"));
  ASSERT_EQ(mended.repair.to_buy_again.spaces.size(), 1u);
  EXPECT_EQ(mended.repair.to_buy_again.spaces[0].space.model, "wide");
  EXPECT_EQ(Find(directory.path(), "id7")->spaces, SpaceBit(1));
  EXPECT_EQ(Find(directory.path(), "id6")->spaces, SpaceBit(1) | SpaceBit(2));
  const std::vector<SpaceRecord> after = SpacesOf(directory.path());
  EXPECT_EQ(after[0].generation, before[0].generation);
  EXPECT_GT(after[1].generation, before[1].generation);
  EXPECT_EQ(after[1].documents, 9u);
  EXPECT_EQ(mended.check.vectors, 21u);
  EXPECT_EQ(mended.check.orphan_vectors, 0u);
  // A second one finds nothing to do, and still knows nothing that would have no vector at all.
  EXPECT_THAT(Mend(directory.path()).repair.notes, IsEmpty());
}

TEST(Repair, ADamagedRowDropsItsDocumentAndKeepsTheOthersWithAllThatIsTheirs) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  Sql(directory.path(), "UPDATE chunks SET begin = begin + 1 WHERE place = (3 << 26) + 1");
  Sql(directory.path(), "UPDATE documents SET run = run + 1 WHERE id = 'id8'");
  const Mended mended = Mend(directory.path());
  EXPECT_EQ(mended.repair.documents_dropped, 2u);
  // The row of a chunk does not spoil the document's id; its own row does.
  EXPECT_THAT(mended.repair.dropped_ids, ElementsAre("id2", "document 9"));
  EXPECT_TRUE(mended.repair.lost);
  EXPECT_TRUE(mended.forgot_indexes);
  EXPECT_EQ(mended.check.documents, 8u);
  EXPECT_EQ(mended.check.vectors, 22u);
  EXPECT_EQ(mended.check.orphan_vectors, 4u);
  EXPECT_EQ(access((directory.path() + "/" + kDatabaseFile + ".damaged").c_str(), F_OK), 0);
  auto reader = OpenStoreReader(directory.path());
  EXPECT_EQ((*(*reader)->DeadLetters()).size(), 2u);
  EXPECT_THAT(*(*reader)->FindSources(std::vector<std::string>{"/input.jsonl"}), ElementsAre(1));
  EXPECT_EQ((*(*reader)->FilterChunks({{"n", "5"}})).size(), 2u);
  EXPECT_EQ(SpacesOf(directory.path())[1].documents, 8u);
}

TEST(Repair, RunNumbersNeverComeAgain) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  Sql(directory.path(), "DELETE FROM runs; UPDATE totals SET chunks = 1");
  Mend(directory.path());
  Rig rig(directory.path());
  EXPECT_GT(rig.Begin(), 1);
}

TEST(Repair, ASourceThatIsLostIsNobodysNumber) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  Sql(directory.path(), "UPDATE sources SET name = 'x'");
  const Mended mended = Mend(directory.path());
  EXPECT_EQ(mended.check.documents, 10u);
  EXPECT_EQ(Find(directory.path(), "id1")->source, 0);
}

TEST(Repair, ADeadChunkWhoseLetterIsLostIsSentAgain) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  Sql(directory.path(), "UPDATE dead_letters SET attempts = 9 WHERE document_id = 'id4'");
  const Mended mended = Mend(directory.path());
  EXPECT_EQ(mended.repair.documents_dropped, 0u);
  EXPECT_EQ(Find(directory.path(), "id4")->spaces, SpaceBit(2));
  EXPECT_EQ(Find(directory.path(), "id4")->chunks_dead, 0u);
  EXPECT_EQ((*(*OpenStoreReader(directory.path()))->DeadLetters()).size(), 1u);
}

TEST(Repair, OfTwoDocumentsWithOneIdTheNewerStays) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  // As if a damaged index had hidden "id1" when its new text came.
  Sql(directory.path(), "UPDATE documents SET id = 'hidden' WHERE id = 'id1'");
  {
    Rig rig(directory.path());
    GroupBuilder group;
    group.Add("id1", "another text", 1);
    rig.Commit(group, rig.Begin());
  }
  Sql(directory.path(),
      "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL UNIQUE',"
      " 'NOT NULL') WHERE name = 'documents'; DELETE FROM sqlite_schema WHERE name ="
      " 'sqlite_autoindex_documents_1'; PRAGMA writable_schema=RESET;"
      " UPDATE documents SET id = 'id1' WHERE id = 'hidden'");
  const Mended mended = Mend(directory.path());
  EXPECT_EQ(mended.check.documents, 10u);
  EXPECT_EQ(Find(directory.path(), "id1")->text_hash, HashContent("another text"));
  EXPECT_EQ((*(*OpenStoreReader(directory.path()))->FilterChunks({{"n", "1"}})).size(), 0u);
}

TEST(Repair, EveryVectorThatCanBeReadIsReadOutOfABrokenFile) {
  for (const bool with_database : {true, false}) {
    const TemporaryDirectory directory;
    Fill(directory.path());
    const std::string path = directory.path() + "/" + kVectorFile;
    std::string bytes = FileOf(path);
    // Both meta pages: nothing leads to any page any more.
    std::fill_n(bytes.begin(), 2 * 4096, '\xAA');
    std::ofstream(path, std::ios::binary) << bytes;
    if (!with_database) std::filesystem::remove(directory.path() + "/" + kDatabaseFile);
    const Mended mended = Mend(directory.path());
    EXPECT_EQ(mended.repair.vectors, 22u);
    EXPECT_EQ(mended.check.documents, with_database ? 10u : 0u);
    EXPECT_EQ(mended.check.orphan_vectors, with_database ? 0u : 22u);
    EXPECT_EQ(mended.repair.to_buy_again.documents, 0u);
    EXPECT_EQ(FileOf(path + ".damaged"), bytes);
  }
}

TEST(Repair, AMissingFileOfVectorsIsMadeAndAllOfThemAreToBeBoughtAgain) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  std::filesystem::remove(directory.path() + "/" + kVectorFile);
  const Mended mended = Mend(directory.path());
  EXPECT_EQ(mended.repair.to_buy_again.chunks, 39u);
  EXPECT_EQ(mended.repair.to_buy_again.documents, 10u);
  EXPECT_EQ(Find(directory.path(), "id1")->spaces, 0u);
  // Nobody bought them meanwhile.
  EXPECT_EQ(Mend(directory.path()).repair.to_buy_again.documents, 10u);
}

TEST(Repair, OrphansGoOnRequestAndNotWhereDocumentsWereLost) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  {
    Rig rig(directory.path());
    const std::vector<float> vector = VectorOf(HashContent("nobody's"), 8);
    const Store::VectorPut puts[] = {{HashContent("nobody's"), vector}};
    ASSERT_TRUE(rig.store->PutVectors(rig.space, puts).ok());
  }
  EXPECT_EQ(Mend(directory.path()).repair.orphans_dropped, 0u);
  Sql(directory.path(), "UPDATE documents SET run = run + 1 WHERE id = 'id8'");
  const Mended lost = Mend(directory.path(), true);
  EXPECT_EQ(lost.repair.orphans_dropped, 0u);
  EXPECT_THAT(lost.repair.notes, Contains(HasSubstr("kept, because documents")));
  EXPECT_EQ(Mend(directory.path(), true).repair.orphans_dropped, lost.check.orphan_vectors);
}

TEST(Repair, AnEarlierOneThatWasKilledBetweenTwoNamesIsFinished) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  const std::string path = directory.path() + "/" + kDatabaseFile;
  std::filesystem::rename(path, path + ".repaired");
  auto reader = OpenStoreReader(directory.path());
  EXPECT_EQ(reader.status().code(), Code::kCorruption);
  EXPECT_THAT(reader.status().next(), HasSubstr("--repair"));
  EXPECT_EQ(Mend(directory.path()).check.documents, 10u);
  // Beside a database it is a left-over of one that was killed before, and counts for nothing.
  std::ofstream(path + ".repaired") << "rubbish";
  EXPECT_EQ(Mend(directory.path()).check.documents, 10u);
}

TEST(Repair, NothingIsEverOverwritten) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  for (int i = 0; i < 3; ++i) {
    Sql(directory.path(), "UPDATE totals SET chunks = chunks + 1");
    Mend(directory.path());
  }
  for (const char* name : {".damaged", ".damaged.2", ".damaged.3"}) {
    EXPECT_EQ(access((directory.path() + "/" + kDatabaseFile + name).c_str(), F_OK), 0) << name;
  }
}

TEST(Repair, WhatOnlyLooksDamagedIsLeftAlone) {
  const TemporaryDirectory directory;
  StoreRepairOptions options;
  options.forget_indexes = [] { return Status(); };
  EXPECT_EQ(RepairStore(directory.path(), options).status().code(), Code::kNotFound);
  EXPECT_EQ(RepairStore(directory.path() + "/nowhere", options).status().code(), Code::kNotFound);
  Fill(directory.path());
  {
    Rig rig(directory.path());
    EXPECT_EQ(RepairStore(directory.path(), options).status().code(), Code::kInUse);
  }
  Sql(directory.path(), "CREATE TABLE of_the_future(x); PRAGMA user_version=99");
  const std::string before = FileOf(directory.path() + "/" + kDatabaseFile);
  EXPECT_EQ(RepairStore(directory.path(), options).status().word(), "newer_format");
  EXPECT_EQ(FileOf(directory.path() + "/" + kDatabaseFile), before);
}

TEST(Repair, ReadersSayWhatIsMissingInsteadOfNoCorpus) {
  for (const char* file : {kDatabaseFile, kVectorFile}) {
    for (const bool emptied : {false, true}) {
      const TemporaryDirectory directory;
      Fill(directory.path());
      const std::string path = directory.path() + "/" + file;
      std::filesystem::remove(path);
      if (emptied) std::ofstream(path, std::ios::binary) << "";
      auto reader = OpenStoreReader(directory.path());
      const Status status = reader.ok() ? (*reader)->VectorCount(1).status() : reader.status();
      EXPECT_EQ(status.code(), Code::kCorruption) << path;
      EXPECT_THAT(status.next(), HasSubstr("embedflow verify " + directory.path() + " --repair"));
      StoreOptions create;
      create.create = true;
      EXPECT_EQ(OpenStore(directory.path(), create, SystemClock()).status().code(),
                Code::kCorruption);
    }
  }
  const TemporaryDirectory directory;
  std::ofstream(directory.path() + "/file") << "x";
  EXPECT_EQ(OpenStoreReader(directory.path() + "/file").status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace embedflow
