// What a reader hands out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "store/database.h"
#include "store/directory.h"
#include "store/runs.h"
#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// The only value of a query.
std::string Query(const std::string& directory, const char* sql) {
  sqlite3* handle = nullptr;
  sqlite3_open_v2((directory + "/" + kDatabaseFile).c_str(), &handle, SQLITE_OPEN_READONLY,
                  nullptr);
  sqlite3_stmt* statement = nullptr;
  EXPECT_EQ(sqlite3_prepare_v2(handle, sql, -1, &statement, nullptr), SQLITE_OK);
  std::string value;
  if (sqlite3_step(statement) == SQLITE_ROW) {
    value = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
  }
  sqlite3_finalize(statement);
  sqlite3_close(handle);
  return value;
}

TEST(Reader, FiltersByTheExactTextOfAValue) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  GroupBuilder group;
  group.Add("number", "t1", 0, 16, {}, {{"x", MetadataValue::NumberText("1.10")}})
      .Add("other", "t2", 1, 16, {}, {{"x", MetadataValue::NumberText("1.1")}})
      .Add("text", "t3", 2, 16, {}, {{"x", MetadataValue::String("1.10")}})
      .Add("true", "t4", 3, 16, {}, {{"x", MetadataValue::Boolean(true)}})
      .Add("null", "t5", 4, 16, {}, {{"x", MetadataValue::Null()}})
      .Add("large", "t6", 5, 16, {}, {{"x", MetadataValue::NumberText("12345678901234567890")}})
      .Add("year", "t7", 6, 16, {},
           {{"x", MetadataValue::Number(2020)}, {"y", MetadataValue::String("\"q'\n\xC3\xA9")}})
      .Add("no number", "t8", 7, 16, {}, {{"x", MetadataValue::NumberText("12 apples")}})
      .Add("two chunks", "0123456789abcdefX", 8, 16, {}, {{"x", MetadataValue::Number(2020)}});
  rig.Commit(group, rig.Begin());
  const auto reader = rig.Reader();
  const auto find = [&](const std::vector<std::pair<std::string, std::string>>& pairs) {
    std::vector<std::string> ids;
    const auto chunks = reader->FilterChunks(pairs);
    EXPECT_TRUE(chunks.ok());
    EXPECT_TRUE(std::is_sorted(chunks->begin(), chunks->end()));
    for (const ChunkId id : *chunks) ids.push_back((*reader->FindChunk(id))->document_id);
    std::sort(ids.begin(), ids.end());
    return ids;
  };
  EXPECT_THAT(find({{"x", "1.10"}}), ElementsAre("number", "text"));
  EXPECT_THAT(find({{"x", "1.1"}}), ElementsAre("other"));
  EXPECT_THAT(find({{"x", "true"}}), ElementsAre("true"));
  EXPECT_THAT(find({{"x", "null"}}), ElementsAre("null"));
  EXPECT_THAT(find({{"x", "12345678901234567890"}}), ElementsAre("large"));
  EXPECT_THAT(find({{"x", "2020"}}), ElementsAre("two chunks", "two chunks", "year"));
  EXPECT_THAT(find({{"x", "2020"}, {"y", "\"q'\n\xC3\xA9"}}), ElementsAre("year"));
  EXPECT_THAT(find({{"y", "\"q'\n\xC3\xA9"}, {"x", "2021"}}), IsEmpty());
  EXPECT_THAT(find({{"x", "12 apples"}}), ElementsAre("no number"));
  EXPECT_THAT(find({{"nobody has", "it"}}), IsEmpty());
  EXPECT_EQ(find({}).size(), 10u);
  ExpectSound(rig.Check());
}

TEST(Reader, MetadataKeepsNumbersAsTheyWereWritten) {
  EXPECT_EQ(MetadataJson({}), "{}");
  EXPECT_EQ(MetadataJson({{"a", MetadataValue::NumberText("1.10")},
                          {"b\"", MetadataValue::String("x\n")},
                          {"c", MetadataValue::Null()},
                          {"d", MetadataValue::Boolean(false)},
                          {"e", MetadataValue::NumberText("1}, \"f\":2")}}),
            R"({"a":1.10,"b\"":"x\n","c":null,"d":false,"e":"1}, \"f\":2"})");
}

TEST(Reader, ChunkKeysNeverChange) {
  // On disk and in exports of other machines: fixed for ever.
  const ContentHash text = HashContent("text");
  EXPECT_EQ(ChunkKey("id", 7, text), ChunkKey("id", 7, text));
  EXPECT_NE(ChunkKey("id", 7, text), ChunkKey("id", 8, text));
  EXPECT_NE(ChunkKey("id", 7, text), ChunkKey("ie", 7, text));
  EXPECT_EQ(ChunkIdOf(ChunkKey("id", 7, text)), 769287285915222829);
}

TEST(Reader, HandsOutSpansOfTextWithNulAndManyPages) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  std::string text;
  Rng rng(7);
  for (int i = 0; i < 300000; ++i) text += static_cast<char>(rng.Below(128));
  GroupBuilder group;
  group.Add("large", text, 0, 1000, {}, {{"k", MetadataValue::String(std::string(9000, 'v'))}})
      .Add("other", std::string("a\0b", 3), 1);
  const CommitResult result = rig.Commit(group, rig.Begin());
  const auto reader = rig.Reader();
  for (std::size_t i = 0; i < result.chunk_ids[0].size(); ++i) {
    const auto chunk = reader->FindChunk(result.chunk_ids[0][i]);
    ASSERT_TRUE(chunk.ok()) << chunk.status().ToString();
    EXPECT_EQ((*chunk)->text, text.substr(i * 1000, 1000));
    EXPECT_EQ((*chunk)->ordinal, i);
    EXPECT_EQ((*chunk)->metadata_json.size(), 9008u);
  }
  EXPECT_EQ((*reader->FindChunk(result.chunk_ids[1][0]))->text, std::string("a\0b", 3));
  EXPECT_FALSE(reader->FindChunk(12345)->has_value());
  std::size_t at = 0;
  ASSERT_TRUE(reader
                  ->ScanChunks(true,
                               [&](const ChunkScan& chunk, std::string_view span,
                                   std::string_view metadata) {
                                 if (chunk.document_id != "large") return Status();
                                 EXPECT_EQ(span, std::string_view(text).substr(at, 1000));
                                 EXPECT_EQ(metadata.size(), 9008u);
                                 at += span.size();
                                 // The same reader may be asked during the visit.
                                 EXPECT_TRUE(reader->FindChunk(chunk.id)->has_value());
                                 return Status();
                               })
                  .ok());
  EXPECT_EQ(at, text.size());
}

TEST(Reader, AVisitMayStopTheScan) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  GroupBuilder group;
  group.Add("a", "0123456789abcdefX", 0);
  rig.Commit(group, rig.Begin());
  const auto reader = rig.Reader();
  int visits = 0;
  const Status status =
      reader->ScanChunks(false, [&](const ChunkScan&, std::string_view, std::string_view) {
        ++visits;
        return Status(Code::kCancelled, "enough");
      });
  EXPECT_EQ(status.code(), Code::kCancelled);
  EXPECT_EQ(visits, 1);
  EXPECT_TRUE(reader->Counts().ok());
}

TEST(Reader, AHeldViewShowsWhatWasCommittedWhenItWasTaken) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  const std::int64_t run = rig.Begin();
  const auto commit = [&](const std::string& id, const std::string& text, std::uint64_t sequence) {
    GroupBuilder group;
    group.Add(id, text, sequence);
    rig.Commit(group, run);
  };
  const auto reader = rig.Reader();
  const auto hash = [&](const std::string& id) {
    const auto state = reader->FindDocument(id);
    EXPECT_TRUE(state.ok()) << state.status().ToString();
    return state.ok() && state->has_value() ? (*state)->text_hash.hex() : "none";
  };
  commit("a", "old", 1);
  ASSERT_TRUE(reader->HoldView().ok());
  ASSERT_TRUE(reader->HoldView().ok());
  EXPECT_EQ(hash("a"), HashContent("old").hex());
  commit("a", "new", 2);
  commit("b", "new", 3);
  EXPECT_EQ(hash("a"), HashContent("old").hex());
  EXPECT_EQ(hash("b"), "none");
  reader->ReleaseView();
  reader->ReleaseView();
  EXPECT_EQ(hash("a"), HashContent("new").hex());
  EXPECT_EQ(hash("b"), HashContent("new").hex());
  ASSERT_TRUE(reader->HoldView().ok());
  commit("b", "newer", 4);
  ASSERT_TRUE(reader->HoldView().ok());  // One is held already.
  EXPECT_EQ(hash("b"), HashContent("newer").hex()) << "a view is taken by its first read";
}

// What is found must not depend on the order of asking, in a view or without.
TEST(Reader, FindsDocumentsInAnyOrder) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  constexpr int kDocuments = 300;
  const std::int64_t run = rig.Begin();
  const auto text = [](int i) { return "text " + std::to_string(i); };
  GroupBuilder group, removals;
  for (int i = 0; i < kDocuments; ++i) {
    group.Add("d" + std::to_string(i), text(i), static_cast<std::uint64_t>(i));
    // Leaves gaps among the numbers.
    if (i % 7 == 3) removals.Add("d" + std::to_string(i), "", 1000);
  }
  rig.Commit(group, run);
  rig.Commit(removals, rig.Begin());
  const auto reader = rig.Reader();
  const auto expect_found = [&](int i) {
    const auto state = reader->FindDocument("d" + std::to_string(i));
    ASSERT_TRUE(state.ok()) << state.status().ToString();
    ASSERT_EQ(state->has_value(), i < kDocuments && i % 7 != 3) << i;
    if (state->has_value()) {
      EXPECT_EQ((*state)->text_hash, HashContent(text(i))) << i;
    }
  };
  constexpr std::uint64_t kSeed = 20261123;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  Rng rng(kSeed);
  for (const bool in_view : {false, true}) {
    if (in_view) {
      ASSERT_TRUE(reader->HoldView().ok());
    }
    for (int i = 0; i < kDocuments + 5; ++i) expect_found(i);
    for (int i = kDocuments + 5; i-- > 0;) expect_found(i);
    for (int n = 0; n < 2000; ++n) {
      const int first = static_cast<int>(rng.Below(kDocuments));
      for (int i = first; i < first + static_cast<int>(rng.Below(6)); ++i) expect_found(i);
    }
    for (int i = 0; i < kDocuments; ++i) {
      expect_found(i);
      expect_found(i);  // Twice, as a repeated id is.
    }
  }
}

TEST(Runs, AKilledRunIsToldOnceWithWhatItMayHaveBought) {
  const TemporaryDirectory directory;
  {
    Rig rig(directory.path());
    EXPECT_FALSE(rig.store->BeginRun(rig.space, 100)->killed_before);
  }
  Rig rig(directory.path());
  auto begun = rig.store->BeginRun(rig.space, 50);
  EXPECT_TRUE(begun->killed_before);
  EXPECT_EQ(begun->killed_in_flight_max, 100u);
  ASSERT_TRUE(rig.store->EndRun(begun->run, {}).ok());
  begun = rig.store->BeginRun(rig.space, 50);
  EXPECT_FALSE(begun->killed_before);
  EXPECT_EQ(begun->killed_in_flight_max, 0u);
  ExpectSound(rig.Check());
}

TEST(Runs, SamplesHalveTheirResolutionAtTheLimit) {
  const TemporaryDirectory directory;
  { Rig rig(directory.path()); }
  {
    // In one transaction, which the store would make one of each.
    auto opened = OpenForWriting(directory.path());
    ASSERT_TRUE(opened.ok());
    auto writer = Writer::Open(directory.path(), std::move(opened->database));
    ASSERT_TRUE(writer.ok());
    auto runs = Runs::Open(writer->get(), SystemClock());
    ASSERT_TRUE((*writer)->Begin().ok());
    const std::int64_t run = (*runs)->Begin(1, 0)->run;
    Progress progress;
    for (int i = 0; i < 2 * kRunSamplesMax + 10; ++i) {
      progress.so_far.documents.read = static_cast<std::uint64_t>(i);
      if ((*runs)->wants_sample(run)) {
        ASSERT_TRUE((*runs)->AddSample(run, progress).ok());
      } else {
        (*runs)->SkipSample();
      }
    }
    RunSummary summary;
    summary.outcome = RunOutcome::kComplete;
    ASSERT_TRUE((*runs)->End(run, summary).ok());
    ASSERT_TRUE((*writer)->End(Status()).ok());
  }
  const std::string at = directory.path();
  EXPECT_EQ(Query(at, "SELECT count(*) FROM run_samples"), "1003");
  EXPECT_EQ(Query(at, "SELECT count(*) FROM run_samples WHERE sample % 4 = 0"), "1003");
  EXPECT_EQ(Query(at,
                  "SELECT count(*) FROM run_samples"
                  " WHERE json_extract(progress, '$.documents.read') = sample"),
            "1003");
  EXPECT_EQ(Query(at, "SELECT json_extract(summary, '$.outcome') FROM runs"), "complete");
  ExpectSound(Rig(at).Check());
}

TEST(Runs, SamplesAreDurableOneByOne) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  const std::int64_t run = rig.Begin();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(rig.store->AddRunSample(run, {}).ok());
  EXPECT_EQ(Query(directory.path(), "SELECT count(*) FROM run_samples"), "3");
  EXPECT_EQ(rig.store->AddRunSample(run + 1, {}).code(), Code::kInvalidArgument);
  EXPECT_TRUE(rig.store->EndRun(run, {}).ok());
}

}  // namespace
}  // namespace embedflow
