// What a killed writer leaves: everything it had acknowledged, and nothing halved.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <map>

#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

constexpr int kDimensions = 600;  // In pages of their own.
constexpr int kKills = 20;
constexpr std::uint64_t kDocumentsOfGroup = 25;

std::string IdOf(std::uint64_t n) { return "id" + std::to_string(n % 200); }
std::string TextOf(std::uint64_t n) {
  return "text number " + std::to_string(n) + std::string(n % 90, '.');
}

// Writes groups until it is killed and sends the number of each group behind its commit.
[[noreturn]] void WriteForEver(const std::string& directory, std::uint64_t first, int acks) {
  StoreOptions options;
  options.create = true;
  options.map_bytes = 1u << 20;
  auto store = OpenStore(directory, options, SystemClock());
  if (!store.ok()) {
    fprintf(stderr, "%s\n", store.status().ToString().c_str());
    _exit(3);
  }
  SpaceRecord wanted;
  wanted.space = TestSpace(kDimensions);
  const auto space = (*store)->AddSpace(wanted);
  const auto run = (*store)->BeginRun(space->id, kDocumentsOfGroup);
  if (!space.ok() || !run.ok()) _exit(4);
  for (std::uint64_t group = first;; ++group) {
    GroupBuilder builder;
    for (std::uint64_t i = 0; i < kDocumentsOfGroup; ++i) {
      const std::uint64_t n = group * kDocumentsOfGroup + i;
      builder.Add(IdOf(n), TextOf(n), n);
    }
    if (!builder.Put(store->get(), space->id, kDimensions).ok()) _exit(5);
    if (!(*store)->Commit(builder.Group(run->run, space->id)).ok()) _exit(6);
    if (write(acks, &group, sizeof group) != sizeof group) _exit(7);
  }
}

// Kills the child after `acks_wanted` groups and up to `spin` more, and returns how many groups it
// acknowledged.
std::uint64_t KillAfter(pid_t child, int acks, std::uint64_t acks_wanted,
                        std::chrono::microseconds spin) {
  std::uint64_t group = 0;
  std::uint64_t count = 0;
  while (count < acks_wanted && read(acks, &group, sizeof group) == sizeof group) ++count;
  const auto until = std::chrono::steady_clock::now() + spin;
  while (std::chrono::steady_clock::now() < until) {
  }
  kill(child, SIGKILL);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the writer gave up, exit " << WEXITSTATUS(status);
  while (read(acks, &group, sizeof group) == sizeof group) ++count;
  return count;
}

TEST(Crash, NothingAcknowledgedIsLostWhenTheWriterIsKilled) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  const TemporaryDirectory directory;
  std::uint64_t next_group = 0;
  for (int kill_number = 0; kill_number < kKills; ++kill_number) {
    SCOPED_TRACE("kill " + std::to_string(kill_number));
    int acks[2];
    ASSERT_EQ(pipe(acks), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(acks[0]);
      WriteForEver(directory.path(), next_group, acks[1]);
    }
    close(acks[1]);
    // Every fourth is killed while it opens, which is while it recovers.
    const std::uint64_t wanted = kill_number % 4 == 3 ? 0 : 1 + rng.Below(6);
    next_group += KillAfter(child, acks[0], wanted, std::chrono::microseconds(rng.Below(25000)));
    close(acks[0]);
    if (kill_number % 4 == 3) continue;

    auto reader = OpenStoreReader(directory.path());
    ASSERT_TRUE(reader.ok()) << reader.status().ToString();
    // A group that was committed but not acknowledged may have replaced an id once more.
    for (std::uint64_t n = next_group * kDocumentsOfGroup; n-- > 0;) {
      if (next_group * kDocumentsOfGroup - n > 200) break;
      const auto state = (*reader)->FindDocument(IdOf(n));
      ASSERT_TRUE(state.ok()) << state.status().ToString();
      ASSERT_TRUE(state->has_value()) << n;
      const ContentHash text = HashContent(TextOf(n));
      bool good = (*state)->text_hash == text;
      for (std::uint64_t later = n + 200; !good && later < (next_group + 1) * kDocumentsOfGroup;
           later += 200) {
        good = (*state)->text_hash == HashContent(TextOf(later));
      }
      EXPECT_TRUE(good) << IdOf(n) << " is of an older version";
    }
    const auto check = (*reader)->Check();
    ASSERT_TRUE(check.ok());
    ExpectSound(*check);
  }
  EXPECT_GT(next_group, 20u);

  // Every chunk has the vector of its text, and the writer is told that it was killed.
  Rig rig(directory.path(), kDimensions);
  const auto begun = rig.store->BeginRun(rig.space, 1);
  EXPECT_TRUE(begun->killed_before);
  EXPECT_EQ(begun->killed_in_flight_max, kDocumentsOfGroup);
  const auto reader = rig.Reader();
  std::vector<float> vector(kDimensions);
  const Status status = reader->ScanChunks(
      true, [&](const ChunkScan& chunk, std::string_view text, std::string_view) {
        EXPECT_EQ(HashContent(text), chunk.text_hash);
        EXPECT_TRUE(*reader->ReadVector(rig.space, chunk.text_hash, vector));
        EXPECT_EQ(vector, VectorOf(chunk.text_hash, kDimensions));
        return Status();
      });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// The vectors of a group whose rows were never committed are found, so that they are not bought
// again.
TEST(Crash, VectorsOutliveAKillBeforeTheirRows) {
  const TemporaryDirectory directory;
  GroupBuilder group;
  group.Add("a", "0123456789abcdefX", 0);
  const pid_t child = fork();
  if (child == 0) {
    Rig rig(directory.path());
    if (!group.Put(rig.store.get(), rig.space, 8).ok()) _exit(1);
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  Rig rig(directory.path());
  const ContentHash hashes[] = {group.chunks(0)[0].text_hash, group.chunks(0)[1].text_hash};
  char found[2] = {};
  ASSERT_TRUE(rig.store->HasVectors(rig.space, hashes, found).ok());
  EXPECT_EQ(found[0] + found[1], 2);
  EXPECT_EQ(rig.Check().orphan_vectors, 2u);
}

}  // namespace
}  // namespace embedflow
