// What the next run is told of texts that an earlier one may have paid for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "store/in_flight.h"
#include "store/records.h"
#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr std::uint64_t kInFlightMax = 100;

class MaybePaid : public testing::Test {
 protected:
  // As a run of the pipeline begins.
  Store::RunBegin Begin(Rig& rig, std::size_t texts_max = 16) {
    const auto begun = rig.store->BeginRun(rig.space, kInFlightMax);
    EXPECT_TRUE(begun.ok()) << begun.status().ToString();
    if (!begun.ok()) return {};
    auto ledger = InFlight::Create(directory_.path(), SpaceKey(TestSpace()), texts_max,
                                   begun->maybe_paid_unnamed);
    EXPECT_TRUE(ledger.ok()) << ledger.status().ToString();
    if (ledger.ok()) ledger_ = std::move(*ledger);
    return *begun;
  }
  std::string FileName() const { return directory_.path() + "/" + kInFlightFile; }
  // As it is after a power cut.
  void MakeOfAnotherBoot() const {
    std::ifstream file(FileName(), std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(file)), {});
    bytes.replace(8, 16, "another boot's i");
    const std::uint64_t checksum = Checksum(std::string_view(bytes).substr(0, 48));
    bytes.replace(48, 8, {reinterpret_cast<const char*>(&checksum), 8});
    std::ofstream(FileName(), std::ios::binary | std::ios::trunc) << bytes;
  }
  const ContentHash& Chunk(std::size_t i) { return group_.chunks(0)[i].text_hash; }

  const TemporaryDirectory directory_;
  std::unique_ptr<InFlight> ledger_;
  GroupBuilder group_ = GroupBuilder().Add("a", "0123456789abcdefghijklmnopqrstuvwxyz", 0);
};

TEST_F(MaybePaid, NamesWhatAKilledRunHadInFlight) {
  {
    Rig rig(directory_.path());
    EXPECT_THAT(Begin(rig).maybe_paid, IsEmpty());
    ledger_->Put(Chunk(0));
    ledger_->Put(Chunk(1));
  }
  Rig rig(directory_.path());
  const Store::RunBegin begun = Begin(rig);
  EXPECT_TRUE(begun.killed_before);
  EXPECT_THAT(begun.maybe_paid, UnorderedElementsAre(Chunk(0), Chunk(1)));
  EXPECT_EQ(begun.maybe_paid_unnamed, 0u);
  EXPECT_EQ(ledger_->size(), 0u);
}

TEST_F(MaybePaid, WhatIsDurableAfterAllIsNotAmongThem) {
  {
    Rig rig(directory_.path());
    Begin(rig);
    ledger_->Put(Chunk(0));
    ledger_->Put(HashContent("another text"));
    // Stored, and killed before the slot was cleared.
    ASSERT_TRUE(group_.Put(rig.store.get(), rig.space, rig.dimensions).ok());
  }
  {
    Rig rig(directory_.path());
    EXPECT_THAT(Begin(rig).maybe_paid, ElementsAre(HashContent("another text")));
  }
  // It is remembered over runs that do not buy it.
  Rig rig(directory_.path());
  EXPECT_THAT(Begin(rig).maybe_paid, ElementsAre(HashContent("another text")));
}

TEST_F(MaybePaid, ACommitForgetsWhatWasBoughtAgain) {
  {
    Rig rig(directory_.path());
    Begin(rig);
    for (std::size_t i = 0; i < 3; ++i) ledger_->Put(Chunk(i));
    ledger_->Put(HashContent("another text"));
  }
  {
    Rig rig(directory_.path());
    const Store::RunBegin begun = Begin(rig);
    EXPECT_EQ(begun.maybe_paid.size(), 4u);
    ASSERT_TRUE(group_.Put(rig.store.get(), rig.space, rig.dimensions).ok());
    CommitGroup commit = group_.Group(begun.run, rig.space);
    for (std::size_t i = 0; i < 3; ++i) commit.bought_again.push_back(Chunk(i));
    ASSERT_TRUE(rig.store->Commit(commit).ok());
  }
  Rig rig(directory_.path());
  EXPECT_THAT(Begin(rig).maybe_paid, ElementsAre(HashContent("another text")));
}

// The next run may be killed at any point between reading the old file and making its own.
TEST_F(MaybePaid, TakingOverTwiceIsTakingOverOnce) {
  {
    Rig rig(directory_.path());
    Begin(rig, 1);
    for (std::size_t i = 0; i < 3; ++i) ledger_->Put(Chunk(i));
  }
  for (int i = 0; i < 2; ++i) {
    Rig rig(directory_.path());
    const auto begun = rig.store->BeginRun(rig.space, kInFlightMax);
    EXPECT_THAT(begun->maybe_paid, ElementsAre(Chunk(0)));
    EXPECT_EQ(begun->maybe_paid_unnamed, 2u);
  }
  Rig rig(directory_.path());
  EXPECT_EQ(Begin(rig).maybe_paid_unnamed, 2u);
}

TEST_F(MaybePaid, AnotherSpacesNamesWaitForItsNextRun) {
  Space other = TestSpace(8, "another model");
  {
    Rig rig(directory_.path());
    SpaceRecord wanted;
    wanted.space = other;
    ASSERT_TRUE(rig.store->AddSpace(wanted).ok());
    ASSERT_TRUE(rig.store->BeginRun(rig.space, kInFlightMax).ok());
    auto ledger = InFlight::Create(directory_.path(), SpaceKey(other), 4, 0);
    ASSERT_TRUE(ledger.ok());
    (*ledger)->Put(Chunk(0));
  }
  Rig rig(directory_.path());
  EXPECT_THAT(Begin(rig).maybe_paid, IsEmpty());
  SpaceRecord wanted;
  wanted.space = other;
  const auto space = rig.store->AddSpace(wanted);
  const auto begun = rig.store->BeginRun(space->id, kInFlightMax);
  EXPECT_THAT(begun->maybe_paid, ElementsAre(Chunk(0)));
}

TEST_F(MaybePaid, AfterAPowerCutTheBoundOfTheKilledRunHolds) {
  {
    Rig rig(directory_.path());
    Begin(rig);
    ledger_->Put(Chunk(0));
  }
  MakeOfAnotherBoot();
  {
    Rig rig(directory_.path());
    const Store::RunBegin begun = Begin(rig);
    EXPECT_THAT(begun.maybe_paid, ElementsAre(Chunk(0)));
    EXPECT_EQ(begun.maybe_paid_unnamed, kInFlightMax);
    // The next file keeps what is left of it.
    EXPECT_EQ(ledger_->TakeOver(60), 60u);
  }
  Rig rig(directory_.path());
  EXPECT_EQ(Begin(rig).maybe_paid_unnamed, kInFlightMax - 60);
}

TEST_F(MaybePaid, WithoutTheFileTheBoundOfTheKilledRunHolds) {
  for (const bool is_damaged : {false, true}) {
    {
      Rig rig(directory_.path());
      Begin(rig);
    }
    std::filesystem::remove(FileName());
    if (is_damaged) std::ofstream(FileName()) << "EFSENT01";
    Rig rig(directory_.path());
    EXPECT_EQ(Begin(rig).maybe_paid_unnamed, kInFlightMax);
    ASSERT_TRUE(rig.store->EndRun(is_damaged ? 4 : 2, {}).ok());
  }
}

// A run that has an end has given its names; a power cut takes nothing of them.
TEST_F(MaybePaid, ARunThatEndedLeavesNoBound) {
  {
    Rig rig(directory_.path());
    const Store::RunBegin begun = Begin(rig);
    ledger_->Put(Chunk(1));
    ASSERT_TRUE(ledger_->Sync().ok());
    ASSERT_TRUE(rig.store->EndRun(begun.run, {}).ok());
  }
  MakeOfAnotherBoot();
  Rig rig(directory_.path());
  const Store::RunBegin begun = Begin(rig);
  EXPECT_FALSE(begun.killed_before);
  EXPECT_THAT(begun.maybe_paid, ElementsAre(Chunk(1)));
  EXPECT_EQ(begun.maybe_paid_unnamed, 0u);
}

// A first run that is killed before it sends anything has sent nothing.
TEST_F(MaybePaid, ANewCorpusHasAnEmptyLedger) {
  {
    Rig rig(directory_.path());
    ASSERT_TRUE(rig.store->BeginRun(rig.space, kInFlightMax).ok());
  }
  Rig rig(directory_.path());
  const Store::RunBegin begun = Begin(rig);
  EXPECT_TRUE(begun.killed_before);
  EXPECT_EQ(begun.killed_in_flight_max, kInFlightMax);
  EXPECT_EQ(begun.maybe_paid_unnamed, 0u);
}

}  // namespace
}  // namespace embedflow
