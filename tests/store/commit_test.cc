// What Commit does to documents, chunks, ids, generations and letters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

using Fate = CommitResult::Fate;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class Commit : public testing::Test {
 protected:
  // The chunk ids of a document by ordinal.
  std::vector<ChunkId> IdsOf(const std::string& document) {
    std::vector<ChunkId> ids;
    const Status status = rig.Reader()->ScanChunks(
        false, [&](const ChunkScan& chunk, std::string_view, std::string_view) {
          if (chunk.document_id == document) ids.push_back(chunk.id);
          return Status();
        });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return ids;
  }
  std::uint64_t Generation(SpaceId space) {
    const auto spaces = rig.Reader()->Spaces();
    return spaces.value()[static_cast<std::size_t>(space - 1)].generation;
  }

  TemporaryDirectory directory;
  Rig rig{directory.path()};
};

TEST_F(Commit, NewDocumentsAreAllNew) {
  const std::int64_t run = rig.Begin();
  GroupBuilder group;
  group.Add("a", "0123456789abcdefXYZ", 0).Add("b", "short", 1);
  const CommitResult result = rig.Commit(group, run);
  EXPECT_THAT(result.fates, ElementsAre(Fate::kIngested, Fate::kIngested));
  ASSERT_EQ(result.chunk_ids.size(), 2u);
  EXPECT_EQ(result.chunk_ids[0].size(), 2u);
  EXPECT_EQ(result.chunk_ids[0][1], ChunkIdOf(ChunkKey("a", 1, HashContent("XYZ"))));
  EXPECT_THAT(result.chunk_is_new[0], ElementsAre(1, 1));
  EXPECT_THAT(result.removed, IsEmpty());
  EXPECT_EQ(result.generation, 1u);
  const auto counts = rig.Reader()->Counts();
  EXPECT_EQ(counts->documents, 2u);
  EXPECT_EQ(counts->chunks, 3u);
  ExpectSound(rig.Check());
}

// By table: what a second record with the same id does, for each order of commit.
TEST_F(Commit, TheLaterRecordOfARunWins) {
  const struct {
    const char* name;
    std::uint64_t first_sequence;
    const char* first_text;
    std::uint64_t second_sequence;
    const char* second_text;
    Fate first_fate;
    Fate second_fate;
    char second_replaced;
    const char* left;  // "" for no document.
  } cases[] = {
      {"in order", 1, "old", 2, "new", Fate::kIngested, Fate::kReplacedOther, 1, "new"},
      {"out of order", 2, "new", 1, "old", Fate::kIngested, Fate::kSuperseded, 0, "new"},
      {"emptied", 1, "old", 2, "", Fate::kIngested, Fate::kEmpty, 1, ""},
      {"emptied early", 2, "", 1, "old", Fate::kEmpty, Fate::kSuperseded, 0, ""},
      {"filled", 1, "", 2, "new", Fate::kEmpty, Fate::kIngested, 0, "new"},
      {"filled early", 2, "new", 1, "", Fate::kIngested, Fate::kSuperseded, 0, "new"},
      {"same text", 1, "same", 2, "same", Fate::kIngested, Fate::kReplacedOther, 1, "same"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const std::int64_t run = rig.Begin();
    GroupBuilder first;
    first.Add(c.name, c.first_text, c.first_sequence);
    EXPECT_THAT(rig.Commit(first, run).fates, ElementsAre(c.first_fate));
    GroupBuilder second;
    second.Add(c.name, c.second_text, c.second_sequence);
    const CommitResult result = rig.Commit(second, run);
    EXPECT_THAT(result.fates, ElementsAre(c.second_fate));
    EXPECT_THAT(result.replaced_other, ElementsAre(c.second_replaced));
    const std::vector<ChunkId> ids = IdsOf(c.name);
    if (*c.left == '\0') {
      EXPECT_THAT(ids, IsEmpty());
      EXPECT_FALSE(rig.Reader()->FindDocument(c.name)->has_value());
    } else {
      EXPECT_THAT(ids, ElementsAre(ChunkIdOf(ChunkKey(c.name, 0, HashContent(c.left)))));
    }
  }
  ExpectSound(rig.Check());
}

TEST_F(Commit, OfOneGroupOnlyTheLastRecordIsWritten) {
  const std::int64_t run = rig.Begin();
  GroupBuilder group;
  group.Add("a", "second", 5).Add("b", "other", 6).Add("a", "third", 7).Add("a", "first", 4);
  const CommitResult result = rig.Commit(group, run);
  EXPECT_THAT(result.fates,
              ElementsAre(Fate::kSuperseded, Fate::kIngested, Fate::kIngested, Fate::kSuperseded));
  EXPECT_THAT(result.chunk_ids[0], IsEmpty());
  EXPECT_THAT(result.replaced_other, ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(IdsOf("a"), ElementsAre(ChunkIdOf(ChunkKey("a", 0, HashContent("third")))));
}

TEST_F(Commit, AnEarlierRunNeverSupersedes) {
  GroupBuilder first;
  first.Add("a", "one", 900).Add("b", "", 901);
  rig.Commit(first, rig.Begin());
  GroupBuilder second;
  second.Add("a", "two", 1).Add("b", "three", 2);
  const CommitResult result = rig.Commit(second, rig.Begin());
  EXPECT_THAT(result.fates, ElementsAre(Fate::kIngested, Fate::kIngested));
  EXPECT_THAT(result.replaced_other, ElementsAre(0, 0));
}

TEST_F(Commit, UnchangedChunksKeepTheirIdsAndAreNotNew) {
  GroupBuilder before;
  before.Add("a",
             "0123456789abcdef"
             "second chunk ---"
             "tail",
             0);
  const CommitResult first = rig.Commit(before, rig.Begin());
  GroupBuilder after;
  after.Add("a",
            "0123456789abcdef"
            "SECOND chunk ---"
            "tail, and more",
            0);
  const CommitResult second = rig.Commit(after, rig.Begin());
  EXPECT_THAT(second.chunk_is_new[0], ElementsAre(0, 1, 1));
  EXPECT_EQ(second.chunk_ids[0][0], first.chunk_ids[0][0]);
  EXPECT_THAT(second.removed, UnorderedElementsAre(first.chunk_ids[0][1], first.chunk_ids[0][2]));
  EXPECT_EQ(IdsOf("a"), second.chunk_ids[0]);
  const StoreCheck check = rig.Check();
  ExpectSound(check);
  EXPECT_EQ(check.chunks, 3u);
  EXPECT_EQ(check.orphan_vectors, 2u);
}

TEST_F(Commit, AShorterVersionLosesItsTail) {
  GroupBuilder before;
  before.Add("a", std::string(64, 'x') + "y", 0);
  const CommitResult first = rig.Commit(before, rig.Begin());
  GroupBuilder after;
  after.Add("a", std::string(16, 'x'), 0);
  const CommitResult second = rig.Commit(after, rig.Begin());
  EXPECT_THAT(second.chunk_is_new[0], ElementsAre(0));
  EXPECT_EQ(second.removed.size(), 4u);
  EXPECT_EQ(rig.Reader()->Counts()->chunks, 1u);
  ExpectSound(rig.Check());
}

TEST_F(Commit, AChangeOfMetadataAloneBuysNothing) {
  GroupBuilder before;
  before.Add("a", "text", 0, 16, {}, {{"year", MetadataValue::NumberText("2020")}});
  rig.Commit(before, rig.Begin());
  const std::uint64_t generation = Generation(rig.space);
  GroupBuilder after;
  after.Add("a", "text", 0, 16, {}, {{"year", MetadataValue::NumberText("2021")}});
  const CommitResult result = rig.Commit(after, rig.Begin());
  EXPECT_THAT(result.chunk_is_new[0], ElementsAre(0));
  EXPECT_THAT(result.removed, IsEmpty());
  EXPECT_EQ(result.generation, generation);
  auto reader = rig.Reader();
  EXPECT_THAT(*reader->FilterChunks({{"year", "2020"}}), IsEmpty());
  EXPECT_EQ(reader->FilterChunks({{"year", "2021"}})->size(), 1u);
  ExpectSound(rig.Check());
}

TEST_F(Commit, AnotherChunkingIsAnotherVersion) {
  GroupBuilder before;
  before.Add("a", std::string(16, 'x') + std::string(16, 'y'), 0, 16);
  rig.Commit(before, rig.Begin());
  GroupBuilder after;
  after.Add("a", std::string(16, 'x') + std::string(16, 'y'), 0, 32);
  const CommitResult result = rig.Commit(after, rig.Begin());
  EXPECT_THAT(result.chunk_is_new[0], ElementsAre(1));
  EXPECT_EQ(result.removed.size(), 2u);
  ExpectSound(rig.Check());
}

TEST_F(Commit, ASecondSpaceIsAddedAndAnIndexThereNeedsAllChunks) {
  GroupBuilder group;
  group.Add("a", "0123456789abcdef+", 0);
  const CommitResult first = rig.Commit(group, rig.Begin());
  SpaceRecord wanted;
  wanted.space = TestSpace(4, "other");
  const SpaceId other = rig.store->AddSpace(wanted)->id;
  ASSERT_TRUE(group.Put(rig.store.get(), other, 4).ok());
  const auto second = rig.store->Commit(group.Group(rig.Begin(), other));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->chunk_ids[0], first.chunk_ids[0]);
  EXPECT_THAT(second->chunk_is_new[0], ElementsAre(1, 1));
  EXPECT_THAT(second->removed, IsEmpty());
  EXPECT_EQ(second->generation, 1u);
  EXPECT_EQ(Generation(rig.space), 1u);
  EXPECT_EQ((*rig.Reader()->FindDocument("a"))->spaces, 0b110u);
  ExpectSound(rig.Check());

  // A new version leaves the space it was not embedded in.
  GroupBuilder changed;
  changed.Add("a", "0123456789abcdef-", 0);
  const CommitResult third = rig.Commit(changed, rig.Begin());
  EXPECT_THAT(third.chunk_is_new[0], ElementsAre(0, 1));
  EXPECT_EQ((*rig.Reader()->FindDocument("a"))->spaces, 0b010u);
  EXPECT_EQ(Generation(other), 2u);
  ExpectSound(rig.Check());
}

TEST_F(Commit, DeadChunksHaveNoIdAndALetterUntilTheyLive) {
  GroupBuilder dead;
  dead.Add("a", "0123456789abcdef!", 0, 16, {1});
  DeadLetter letter;
  letter.reason = "refused";
  letter.document_id = "a";
  letter.begin = 16;
  letter.end = 17;
  letter.attempts = 3;
  dead.letters = {letter, letter};
  const CommitResult first = rig.Commit(dead, rig.Begin());
  EXPECT_EQ(first.chunk_ids[0][1], 0);
  EXPECT_THAT(first.chunk_is_new[0], ElementsAre(1, 0));
  EXPECT_EQ((*rig.Reader()->FindDocument("a"))->chunks_dead, 1u);
  ASSERT_EQ(rig.Reader()->DeadLetters()->size(), 1u);
  EXPECT_EQ(rig.Reader()->Counts()->dead_letters, 1u);
  ExpectSound(rig.Check());

  GroupBuilder alive;
  alive.Add("a", "0123456789abcdef!", 0);
  const CommitResult second = rig.Commit(alive, rig.Begin());
  EXPECT_THAT(second.chunk_is_new[0], ElementsAre(0, 1));
  EXPECT_GT(second.generation, first.generation);
  EXPECT_THAT(*rig.Reader()->DeadLetters(), IsEmpty());
  EXPECT_EQ((*rig.Reader()->FindDocument("a"))->chunks_dead, 0u);
  ExpectSound(rig.Check());
}

TEST_F(Commit, AChunkMayBeDeadInOneSpaceAlone) {
  GroupBuilder dead;
  dead.Add("a", "0123456789abcdef!", 0, 16, {1});
  rig.Commit(dead, rig.Begin());
  SpaceRecord wanted;
  wanted.space = TestSpace(4, "other");
  const SpaceId other = rig.store->AddSpace(wanted)->id;
  GroupBuilder alive;
  alive.Add("a", "0123456789abcdef!", 0);
  ASSERT_TRUE(alive.Put(rig.store.get(), other, 4).ok());
  ASSERT_TRUE(rig.store->Commit(alive.Group(rig.Begin(), other)).ok());
  std::vector<std::uint64_t> dead_in;
  ASSERT_TRUE(rig.Reader()
                  ->ScanChunks(false,
                               [&](const ChunkScan& chunk, std::string_view, std::string_view) {
                                 dead_in.push_back(chunk.dead_spaces);
                                 EXPECT_FALSE(chunk.dead);
                                 return Status();
                               })
                  .ok());
  EXPECT_THAT(dead_in, ElementsAre(0u, 0b010u));
  ExpectSound(rig.Check());
}

TEST_F(Commit, LettersOfAVersionThatGaveWayAreNotKept) {
  GroupBuilder group;
  group.Add("a", "first version", 0, 16, {0}).Add("a", "second", 1);
  DeadLetter letter;
  letter.document_id = "a";
  letter.end = 13;
  group.letters = {letter};
  rig.Commit(group, rig.Begin());
  EXPECT_THAT(*rig.Reader()->DeadLetters(), IsEmpty());
  ExpectSound(rig.Check());
}

TEST_F(Commit, BadRecordsAreKeyedByPlaceAndForgottenByFile) {
  const auto record = [](const std::string& file, std::uint64_t line, const std::string& reason) {
    DeadLetter letter;
    letter.file = file;
    letter.line = line;
    letter.reason = reason;
    return letter;
  };
  GroupBuilder group;
  group.letters = {record("x", 1, "a"), record("x", 2, "b"), record("y", 1, "c"),
                   record("x", 1, "again")};
  const std::int64_t first = rig.Begin();
  rig.Commit(group, first);
  auto letters = rig.Reader()->DeadLetters();
  ASSERT_EQ(letters->size(), 3u);
  EXPECT_EQ((*letters)[0].reason, "again");
  GroupBuilder next;
  next.letters = {record("x", 2, "still bad")};
  const std::int64_t second = rig.Begin();
  rig.Commit(next, second);
  ASSERT_TRUE(rig.store->ForgetDeadRecords(second, {"x", "z"}).ok());
  letters = rig.Reader()->DeadLetters();
  ASSERT_EQ(letters->size(), 2u);
  EXPECT_EQ((*letters)[0].reason, "still bad");
  EXPECT_EQ((*letters)[1].file, "y");
  ExpectSound(rig.Check());
}

TEST_F(Commit, ATakenChunkIdGivesTheNextFreeOne) {
  GroupBuilder group;
  group.Add("a", "one", 0).Add("b", "two", 1).Add("c", "three", 2).Add("d", "four", 3);
  // Keys that agree in their first 63 bits, one just before the end of the range, one at zero.
  ContentHash key;
  key.bytes.fill(0xFF);
  group.chunks(0)[0].key = key;
  group.chunks(1)[0].key = key;
  key.bytes.fill(0);
  group.chunks(2)[0].key = key;
  group.chunks(3)[0].key = group.chunks(2)[0].key;
  const CommitResult result = rig.Commit(group, rig.Begin());
  EXPECT_EQ(result.chunk_ids[0][0], INT64_MAX);
  EXPECT_EQ(result.chunk_ids[1][0], 1);
  EXPECT_EQ(result.chunk_ids[2][0], 2);
  EXPECT_EQ(result.chunk_ids[3][0], 3);
}

TEST_F(Commit, WhatCannotBeIsRefusedAndSpoilsNothing) {
  const std::int64_t run = rig.Begin();
  const std::pair<std::string, std::string> ids[] = {
      {"", "no id"}, {std::string(1025, 'x'), "too long"}, {std::string("a\0b", 3), "NUL"}};
  for (const auto& [id, why] : ids) {
    GroupBuilder group;
    group.Add(id, "text", 0);
    EXPECT_EQ(rig.store->Commit(group.Group(run, rig.space)).status().code(),
              Code::kInvalidArgument)
        << why;
  }
  GroupBuilder beyond;
  beyond.Add("a", "text", 0);
  beyond.chunks(0)[0].end = 5;
  EXPECT_FALSE(rig.store->Commit(beyond.Group(run, rig.space)).ok());
  EXPECT_FALSE(rig.store->Commit(beyond.Group(run, 9)).ok());
  EXPECT_FALSE(rig.store->EndRun(99, {}).ok());
  GroupBuilder good;
  good.Add("a", "text", 0);
  EXPECT_THAT(rig.Commit(good, run).fates, ElementsAre(Fate::kIngested));
  ExpectSound(rig.Check());
}

// Random histories against a model: what is left is what the last record of each id says, and every
// chunk id appears in the index that follows `chunk_is_new` and `removed`.
TEST_F(Commit, RandomHistoriesLeaveWhatAModelLeaves) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE(seed);
  Rng rng(seed);
  std::map<std::string, std::string> model;
  std::set<ChunkId> index;
  for (int round = 0; round < 20; ++round) {
    const std::int64_t run = rig.Begin();
    std::map<std::string, std::uint64_t> latest;
    std::vector<std::uint64_t> order;
    for (std::uint64_t s = 0; s < 40; ++s) order.push_back(s);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
    for (std::size_t at = 0; at < order.size();) {
      GroupBuilder group;
      const std::size_t size = 1 + rng.Below(12);
      for (std::size_t n = 0; n < size && at < order.size(); ++n, ++at) {
        const std::string id(1, static_cast<char>('a' + rng.Below(10)));
        std::string text;
        const std::uint64_t chunks = rng.Below(5);
        for (std::uint64_t c = 0; c < chunks; ++c) {
          text += std::string(16, static_cast<char>('0' + rng.Below(3)));
        }
        group.Add(id, text, order[at]);
        if (latest.count(id) == 0 || latest[id] < order[at]) {
          latest[id] = order[at];
          model[id] = text;
        }
      }
      const CommitResult result = rig.Commit(group, run);
      for (const ChunkId id : result.removed) EXPECT_EQ(index.erase(id), 1u);
      for (std::size_t d = 0; d < result.chunk_ids.size(); ++d) {
        for (std::size_t c = 0; c < result.chunk_ids[d].size(); ++c) {
          const bool is_new = result.chunk_is_new[d][c] != 0;
          EXPECT_EQ(index.insert(result.chunk_ids[d][c]).second, is_new);
        }
      }
    }
  }
  std::map<std::string, std::string> left;
  std::set<ChunkId> ids;
  ASSERT_TRUE(
      rig.Reader()
          ->ScanChunks(true,
                       [&](const ChunkScan& chunk, std::string_view text, std::string_view) {
                         left[std::string(chunk.document_id)] += text;
                         ids.insert(chunk.id);
                         return Status();
                       })
          .ok());
  std::erase_if(model, [](const auto& entry) { return entry.second.empty(); });
  EXPECT_EQ(left, model);
  EXPECT_EQ(ids, index);
  ExpectSound(rig.Check());
}

}  // namespace
}  // namespace embedflow
