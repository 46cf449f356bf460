// The ledger of texts in flight: what a killed process leaves behind, and what is made of it.
#include "store/in_flight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "store/directory.h"
#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;
using testing::UnorderedElementsAreArray;

ContentHash Text(std::uint64_t n) { return HashContent("text " + std::to_string(n)); }
ContentHash SpaceOf() { return HashContent("a space"); }

std::unique_ptr<InFlight> Make(const std::string& directory, std::size_t texts_max,
                               std::uint64_t unnamed = 0) {
  auto made = InFlight::Create(directory, SpaceOf(), texts_max, unnamed);
  EXPECT_TRUE(made.ok()) << made.status().ToString();
  return made.ok() ? std::move(*made) : nullptr;
}

InFlight::Leftover Read(const std::string& directory) {
  auto left = InFlight::Read(directory);
  EXPECT_TRUE(left.ok()) << left.status().ToString();
  return left.ok() ? *left : InFlight::Leftover();
}

std::string FileOf(const TemporaryDirectory& directory) {
  return directory.path() + "/" + kInFlightFile;
}

std::string Bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

TEST(InFlight, NamesWhatWasPutAndNotCleared) {
  const TemporaryDirectory directory;
  auto ledger = Make(directory.path(), 10);
  std::vector<InFlight::Slot> slots;
  for (std::uint64_t n = 0; n < 5; ++n) slots.push_back(ledger->Put(Text(n)));
  ledger->Clear(&slots[1]);
  EXPECT_EQ(slots[1], InFlight::kNoSlot);
  ledger->Clear(&slots[1]);
  ledger->Clear(&slots[3]);
  EXPECT_EQ(ledger->size(), 3u);
  const InFlight::Leftover left = Read(directory.path());
  EXPECT_TRUE(left.is_usable);
  EXPECT_TRUE(left.is_of_this_boot);
  EXPECT_EQ(left.space, SpaceOf());
  EXPECT_EQ(left.unnamed, 0u);
  EXPECT_THAT(left.texts, UnorderedElementsAre(Text(0), Text(2), Text(4)));
  // A cleared slot serves again.
  EXPECT_NE(ledger->Put(Text(9)), InFlight::kUnnamed);
  EXPECT_THAT(Read(directory.path()).texts,
              UnorderedElementsAre(Text(0), Text(2), Text(4), Text(9)));
  struct stat status;
  ASSERT_EQ(stat(FileOf(directory).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(InFlight, WhatFindsNoSlotIsCounted) {
  const TemporaryDirectory directory;
  auto ledger = Make(directory.path(), 2, 3);
  std::vector<InFlight::Slot> slots;
  for (std::uint64_t n = 0; n < 6; ++n) slots.push_back(ledger->Put(Text(n)));
  EXPECT_EQ(slots[2], InFlight::kUnnamed);
  EXPECT_EQ(ledger->size(), 6u);
  EXPECT_EQ(Read(directory.path()).unnamed, 3u + 4u);
  ledger->Clear(&slots[5]);
  EXPECT_EQ(Read(directory.path()).unnamed, 3u + 3u);
  // Those an earlier run left are taken off as they are bought, and those of this one are not.
  EXPECT_EQ(ledger->TakeOver(2), 2u);
  EXPECT_EQ(ledger->TakeOver(2), 1u);
  EXPECT_EQ(ledger->TakeOver(2), 0u);
  EXPECT_EQ(Read(directory.path()).unnamed, 3u);
  EXPECT_THAT(Read(directory.path()).texts, UnorderedElementsAre(Text(0), Text(1)));
  EXPECT_EQ(ledger->size(), 5u);
}

TEST(InFlight, TheNextRunsFileIsEmpty) {
  const TemporaryDirectory directory;
  Make(directory.path(), 4)->Put(Text(1));
  EXPECT_EQ(Read(directory.path()).texts.size(), 1u);
  // What a process left that was killed while it made one.
  Overwrite(FileOf(directory) + ".tmp", "half a file");
  const auto next = Make(directory.path(), 0);
  const InFlight::Leftover left = Read(directory.path());
  EXPECT_TRUE(left.is_usable);
  EXPECT_TRUE(left.texts.empty());
  EXPECT_EQ(next->Put(Text(1)), InFlight::kUnnamed);
  EXPECT_FALSE(std::filesystem::exists(FileOf(directory) + ".tmp"));
}

TEST(InFlight, OutlivesItsOwner) {
  const TemporaryDirectory directory;
  {
    auto ledger = Make(directory.path(), 4);
    ledger->Put(Text(7));
    EXPECT_TRUE(ledger->Sync().ok());
  }
  EXPECT_THAT(Read(directory.path()).texts, UnorderedElementsAre(Text(7)));
}

// Whatever is wrong with the header or the length, nothing is believed; a slot's bytes are any.
TEST(InFlight, ADamagedFileIsNotUsed) {
  const TemporaryDirectory directory;
  EXPECT_FALSE(Read(directory.path()).is_usable);
  Make(directory.path(), 4)->Put(Text(7));
  const std::string good = Bytes(FileOf(directory));
  ASSERT_EQ(good.size(), 128u + 4 * 16);
  for (std::size_t i = 0; i < 56; ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    Overwrite(FileOf(directory), bad);
    EXPECT_FALSE(Read(directory.path()).is_usable) << "byte " << i;
  }
  for (const std::size_t size : std::vector<std::size_t>{0, 1, 127, 128, good.size() - 1}) {
    Overwrite(FileOf(directory), good.substr(0, size));
    EXPECT_FALSE(Read(directory.path()).is_usable) << size << " bytes";
  }
  Overwrite(FileOf(directory), good + "x");
  EXPECT_FALSE(Read(directory.path()).is_usable);
  Overwrite(FileOf(directory), good);
  EXPECT_TRUE(Read(directory.path()).is_usable);
}

TEST(InFlight, TellsAnotherBoot) {
  const TemporaryDirectory directory;
  Make(directory.path(), 4)->Put(Text(7));
  std::string bytes = Bytes(FileOf(directory));
  for (const bool is_unknown : {false, true}) {
    bytes.replace(8, 16, is_unknown ? std::string(16, '\0') : "another boot's i");
    const std::uint64_t checksum = Checksum(std::string_view(bytes).substr(0, 48));
    bytes.replace(48, 8, {reinterpret_cast<const char*>(&checksum), 8});
    Overwrite(FileOf(directory), bytes);
    const InFlight::Leftover left = Read(directory.path());
    EXPECT_TRUE(left.is_usable);
    EXPECT_FALSE(left.is_of_this_boot);
    EXPECT_THAT(left.texts, UnorderedElementsAre(Text(7)));
  }
}

// A disk without room says so when the file is made, never later, and leaves the old one alone.
TEST(InFlight, AFullDiskShowsBeforeAnythingIsPut) {
  const TemporaryDirectory directory;
  Make(directory.path(), 4)->Put(Text(7));
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {65536, 65536};
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto made = InFlight::Create(directory.path(), SpaceOf(), 100000, 0);
    _exit(!made.ok() && made.status().code() == Code::kIo &&
                  made.status().message().find(kInFlightFile) != std::string::npos
              ? 0
              : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_THAT(Read(directory.path()).texts, UnorderedElementsAre(Text(7)));
  EXPECT_FALSE(std::filesystem::exists(FileOf(directory) + ".tmp"));
}

TEST(InFlight, ADirectoryThatIsGoneIsNamed) {
  const auto made = InFlight::Create("/nonexistent/corpus", SpaceOf(), 10, 0);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), Code::kIo);
  EXPECT_THAT(made.status().message(), HasSubstr("/nonexistent/corpus/in_flight"));
}

TEST(InFlight, ThreadsShareIt) {
  const TemporaryDirectory directory;
  constexpr std::uint64_t kThreads = 4, kEach = 20000, kInside = 50;
  // Now and then there is no room.
  auto ledger = Make(directory.path(), kThreads * kInside - 20);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&ledger, t] {
      std::vector<InFlight::Slot> slots(kInside, InFlight::kNoSlot);
      for (std::uint64_t i = 0; i < kEach; ++i) {
        InFlight::Slot& slot = slots[i % kInside];
        ledger->Clear(&slot);
        slot = ledger->Put(Text(t * kEach + i));
      }
      // The last one stays.
      for (std::uint64_t i = 0; i < kInside - 1; ++i) ledger->Clear(&slots[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ledger->size(), kThreads);
  const InFlight::Leftover left = Read(directory.path());
  EXPECT_EQ(left.texts.size() + left.unnamed, kThreads);
  const std::vector<ContentHash> last = {Text(kEach - 1), Text(2 * kEach - 1), Text(3 * kEach - 1),
                                         Text(4 * kEach - 1)};
  for (const ContentHash& text : left.texts) EXPECT_THAT(last, testing::Contains(text));
}

constexpr std::uint64_t kTextsOfChild = 1u << 20;
// What a text of the child is, for the parent to see after the kill.
enum class Fate : char { kNone, kSent, kDurable };
using Fates = std::atomic<Fate>[kTextsOfChild];

// Two threads that put a text, declare it sent, declare it durable some time later and clear it.
[[noreturn]] void SendForEver(const std::string& directory, Fates& fates, int ready) {
  auto ledger = InFlight::Create(directory, SpaceOf(), 256, 0);
  if (!ledger.ok()) _exit(3);
  const auto work = [&](std::uint64_t first) {
    constexpr std::uint64_t kInside = 100;
    std::vector<InFlight::Slot> slots(kInside, InFlight::kNoSlot);
    for (std::uint64_t n = first; n < kTextsOfChild; n += 2) {
      InFlight::Slot& slot = slots[n / 2 % kInside];
      if (slot != InFlight::kNoSlot) {
        fates[n - 2 * kInside] = Fate::kDurable;
        (*ledger)->Clear(&slot);
      }
      slot = (*ledger)->Put(Text(n));
      fates[n] = Fate::kSent;
    }
  };
  std::thread other(work, 1);
  const char byte = 0;
  if (write(ready, &byte, 1) != 1) _exit(4);
  work(0);
  other.join();
  raise(SIGKILL);
  _exit(5);
}

// Whatever was sent and is not durable is in the file, at whatever instant the kill came.
TEST(InFlight, AKillAtAnyInstantLeavesEveryTextThatWasSent) {
  const std::uint64_t seed = 20261123;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  for (int kill_number = 0; kill_number < 30; ++kill_number) {
    SCOPED_TRACE("kill " + std::to_string(kill_number));
    const TemporaryDirectory directory;
    void* const shared =
        mmap(nullptr, sizeof(Fates), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    Fates& fates = *static_cast<Fates*>(shared);
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) SendForEver(directory.path(), fates, ready[1]);
    close(ready[1]);
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::microseconds(rng.Below(20000));
    while (std::chrono::steady_clock::now() < until) {
    }
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));

    const InFlight::Leftover left = Read(directory.path());
    ASSERT_TRUE(left.is_usable && left.is_of_this_boot);
    EXPECT_EQ(left.unnamed, 0u);
    // One text a thread may be half put, one half cleared.
    EXPECT_LE(left.texts.size(), 202u);
    const std::set<ContentHash> named(left.texts.begin(), left.texts.end());
    std::size_t sent = 0;
    for (std::uint64_t n = 0; n < kTextsOfChild; ++n) {
      if (fates[n] != Fate::kSent) continue;
      ++sent;
      ASSERT_EQ(named.count(Text(n)), 1u) << n << " was sent and is not named";
    }
    EXPECT_LE(left.texts.size(), sent + 4);
    munmap(shared, sizeof(Fates));
  }
}

}  // namespace
}  // namespace embedflow
