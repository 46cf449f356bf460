// Damaged files: found, never believed, never a crash.
//
// A pristine corpus is read once for its answers. Each mutant has one change in one file and is
// read by a child process. An answer is right, or an error; an answer that lacks something is
// accepted only where Check() reports damage; an answer that holds something else is wrong whatever
// Check() says.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/log.h"
#include "store/directory.h"
#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

constexpr int kMutantsInCi = 240;
constexpr int kNarrow = 8;
constexpr int kWide = 600;

using Files = std::map<std::string, std::string>;

Files ReadFiles(const std::string& directory) {
  Files files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    files[entry.path().filename()] = bytes.str();
  }
  return files;
}

void WriteFiles(const std::string& directory, const Files& files) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::filesystem::remove(entry.path());
  }
  for (const auto& [name, bytes] : files) {
    std::ofstream(directory + "/" + name, std::ios::binary) << bytes;
  }
}

// Two spaces, replaced and emptied documents, dead chunks, letters, metadata, runs and samples.
void Fill(const std::string& directory) {
  Rig rig(directory, kNarrow);
  SpaceRecord wide;
  wide.space = TestSpace(kWide, "wide");
  const SpaceId other = rig.store->AddSpace(wide)->id;
  for (std::uint64_t round = 0; round < 3; ++round) {
    const std::int64_t run = rig.Begin();
    GroupBuilder group;
    for (std::uint64_t n = round * 20; n < 60; ++n) {
      std::string text = "document " + std::to_string(n) + " of round " + std::to_string(round);
      if (n == 59) text += std::string(20000, 'l');
      if (n == 58 && round == 2) text.clear();
      group.Add("id" + std::to_string(n), text, n, n == 59 ? 5000 : 12,
                n % 7 == 0 ? std::vector<std::size_t>{1} : std::vector<std::size_t>{},
                {{"kind", MetadataValue::String(n % 2 == 0 ? "even" : "odd")},
                 {"n", MetadataValue::Number(static_cast<std::int64_t>(n))}});
      DeadLetter letter;
      letter.reason = "refused";
      letter.document_id = "id" + std::to_string(n);
      letter.begin = 12;
      letter.end = 24;
      if (n % 7 == 0) group.letters.push_back(letter);
    }
    rig.Commit(group, run);
    if (round == 1) {
      ASSERT_TRUE(group.Put(rig.store.get(), other, kWide).ok());
      ASSERT_TRUE(rig.store->Commit(group.Group(run, other)).ok());
    }
    ASSERT_TRUE(rig.store->AddRunSample(run, {}).ok());
    ASSERT_TRUE(rig.store->EndRun(run, {}).ok());
  }
}

// One question and its answer in lines; an error where there is none.
struct Answer {
  std::set<std::string> lines;
  Status status;
};

template <typename T>
std::string Show(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

std::vector<Answer> Ask(StoreReader* reader, const std::vector<ChunkId>& chunk_ids) {
  std::vector<Answer> answers;
  const auto next = [&]() -> Answer& { return answers.emplace_back(); };
  {
    Answer& answer = next();
    const auto spaces = reader->Spaces();
    answer.status = spaces.status();
    if (spaces.ok()) {
      for (const SpaceRecord& s : *spaces) {
        answer.lines.insert(Show(s.id) + s.space.name() + Show(s.generation));
      }
    }
  }
  {
    Answer& answer = next();
    const auto counts = reader->Counts();
    answer.status = counts.status();
    if (counts.ok()) answer.lines.insert(Show(counts->documents) + " " + Show(counts->chunks));
  }
  {
    Answer& answer = next();
    answer.status = reader->ScanChunks(
        true, [&](const ChunkScan& c, std::string_view text, std::string_view metadata) -> Status {
          std::string line = Show(c.id) + " " + Show(c.document_id) + " " + Show(c.ordinal) + " " +
                             Show(c.spaces) + " " + Show(c.dead_spaces) + " " + Show(text) + " " +
                             Show(metadata);
          for (const auto& [space, dimensions] : {std::pair(1, kNarrow), std::pair(2, kWide)}) {
            if ((c.spaces & ~c.dead_spaces & (1u << space)) == 0) continue;
            std::vector<float> vector(static_cast<std::size_t>(dimensions));
            EF_ASSIGN_OR_RETURN(const bool found, reader->ReadVector(space, c.text_hash, vector));
            // What an export does with a chunk whose vector is gone.
            if (!found) return Status(Code::kCorruption, "missing");
            line += " " + Show(Checksum(std::span<const float>(vector)));
          }
          answer.lines.insert(line);
          return Status();
        });
  }
  for (int n = 0; n < 62; ++n) {
    Answer& answer = next();
    const auto state = reader->FindDocument("id" + std::to_string(n));
    answer.status = state.status();
    if (state.ok() && state->has_value()) {
      answer.lines.insert((*state)->text_hash.hex() + Show((*state)->spaces));
    }
  }
  for (const ChunkId id : chunk_ids) {
    Answer& answer = next();
    const auto chunk = reader->FindChunk(id);
    answer.status = chunk.status();
    if (chunk.ok() && chunk->has_value()) {
      answer.lines.insert((*chunk)->document_id + (*chunk)->text + (*chunk)->metadata_json);
    }
  }
  {
    Answer& answer = next();
    const auto letters = reader->DeadLetters();
    answer.status = letters.status();
    if (letters.ok()) {
      for (const DeadLetter& l : *letters) answer.lines.insert(l.document_id + l.reason);
    }
  }
  for (const char* kind : {"even", "odd"}) {
    Answer& answer = next();
    const auto ids = reader->FilterChunks({{"kind", kind}});
    answer.status = ids.status();
    if (ids.ok()) {
      for (const ChunkId id : *ids) answer.lines.insert(Show(id));
    }
  }
  return answers;
}

// What a writer does with a damaged corpus must not crash either; errors are as they may be.
void Use(const std::string& directory) {
  auto store = OpenStore(directory, {}, SystemClock());
  if (!store.ok()) return;
  std::vector<ContentHash> hashes;
  for (int i = 0; i < 100; ++i) hashes.push_back(HashContent("document " + std::to_string(i)));
  std::vector<char> found(hashes.size());
  (void)(*store)->HasVectors(1, hashes, found).ok();
  const auto run = (*store)->BeginRun(1, 0);
  if (!run.ok()) return;
  GroupBuilder group;
  for (std::uint64_t n = 0; n < 60; ++n) {
    group.Add("id" + std::to_string(n), "written after the damage " + std::to_string(n), n, 12);
  }
  for (const auto& [space, dimensions] : {std::pair(1, kNarrow), std::pair(2, kWide)}) {
    (void)group.Put(store->get(), space, dimensions).ok();
  }
  (void)(*store)->Commit(group.Group(run->run, 1)).ok();
  (void)(*store)->DropOrphanVectors().ok();
}

constexpr int kGood = 0;
constexpr int kFound = 1;
constexpr int kWrong = 2;

// In a child: how the mutant in `directory` answers.
int Judge(const std::string& directory, const std::vector<Answer>& truth,
          const std::vector<ChunkId>& chunk_ids) {
  auto reader = OpenStoreReader(directory);
  bool wrong = false;
  bool lacking = false;
  bool failed = !reader.ok();
  if (reader.ok()) {
    const std::vector<Answer> answers = Ask(reader->get(), chunk_ids);
    for (std::size_t i = 0; i < truth.size(); ++i) {
      failed = failed || !answers[i].status.ok();
      for (const std::string& line : answers[i].lines) {
        if (truth[i].lines.count(line) == 0) {
          fprintf(stderr, "question %zu is answered wrongly: %.200s\n", i, line.c_str());
          wrong = true;
        }
      }
      lacking = lacking || (answers[i].status.ok() && answers[i].lines != truth[i].lines);
    }
    const auto check = (*reader)->Check();
    const bool reported = !check.ok() || !check->faults.empty();
    if ((lacking || failed) && !reported) {
      fprintf(stderr, "something is %s and Check() finds no fault\n",
              failed ? "refused" : "missing");
      wrong = true;
    }
    failed = failed || reported;
  }
  reader = Status(Code::kCancelled, "closed");
  Use(directory);
  return wrong ? kWrong : failed ? kFound : kGood;
}

// Changes one thing and says what.
std::string Mutate(Files* files, Rng* rng) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : *files) {
    if (!bytes.empty() && name != kLockFile) names.push_back(name);
  }
  // The two that hold everything get most of it.
  std::string name = names[rng->Below(names.size())];
  const std::uint64_t favour = rng->Below(4);
  if (favour == 0) name = kDatabaseFile;
  if (favour == 1) name = kVectorFile;
  std::string& bytes = (*files)[name];
  const std::size_t at = rng->Below(bytes.size());
  switch (rng->Below(6)) {
    case 0:
      bytes.resize(at);
      return name + " cut to " + std::to_string(at);
    case 1: {
      const std::size_t page = at / 4096 * 4096;
      for (std::size_t i = page; i < std::min(bytes.size(), page + 4096); ++i) bytes[i] = 0;
      return name + " page zeroed at " + std::to_string(page);
    }
    case 2:
      for (std::size_t i = at; i < std::min(bytes.size(), at + 32); ++i) {
        bytes[i] = static_cast<char>(rng->Next());
      }
      return name + " 32 bytes of noise at " + std::to_string(at);
    default:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng->Below(8)));
      return name + " bit flipped in byte " + std::to_string(at);
  }
}

class DamageSweep : public testing::TestWithParam<bool> {};

// With and without a WAL: as a writer leaves a corpus that closes it, and one that is killed.
TEST_P(DamageSweep, IsFoundAndNeverBelievedAndNeverACrash) {
  const bool killed = GetParam();
  const TemporaryDirectory directory;
  if (killed) {
    const pid_t child = fork();
    if (child == 0) {
      // Closing would copy the WAL into the database, so the store is never closed.
      Fill(directory.path() + "/made");
      auto keep = OpenStore(directory.path() + "/made", {}, SystemClock());
      const auto run = (*keep)->BeginRun(1, 0);
      GroupBuilder group;
      for (std::uint64_t n = 0; n < 30; ++n) {
        group.Add("id" + std::to_string(n), "in the WAL " + std::to_string(n), n, 12);
      }
      (void)group.Put(keep->get(), 1, kNarrow).ok();
      (void)(*keep)->Commit(group.Group(run->run, 1)).ok();
      raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
  } else {
    Fill(directory.path() + "/made");
  }
  const Files pristine = ReadFiles(directory.path() + "/made");
  ASSERT_EQ(pristine.count("corpus.sqlite-wal") != 0, killed);
  const std::string mutant = directory.path() + "/mutant";
  std::filesystem::create_directory(mutant);
  std::vector<ChunkId> chunk_ids;
  std::vector<Answer> truth;
  WriteFiles(mutant, pristine);
  {
    auto reader = OpenStoreReader(mutant);
    ASSERT_TRUE(reader.ok()) << reader.status().ToString();
    ASSERT_TRUE((*reader)
                    ->ScanChunks(false,
                                 [&](const ChunkScan& c, std::string_view, std::string_view) {
                                   if (chunk_ids.size() < 40) chunk_ids.push_back(c.id);
                                   return Status();
                                 })
                    .ok());
    truth = Ask(reader->get(), chunk_ids);
    for (const Answer& answer : truth) ASSERT_TRUE(answer.status.ok()) << answer.status.ToString();
    ExpectSound(*(*reader)->Check());
  }

  const char* wanted = std::getenv("EMBEDFLOW_MUTANTS");
  const int mutants = (wanted != nullptr ? std::atoi(wanted) : kMutantsInCi) / 2;
  const char* seed_wanted = std::getenv("EMBEDFLOW_SEED");
  const std::uint64_t seed =
      (seed_wanted != nullptr ? std::strtoull(seed_wanted, nullptr, 10) : 20261122) + killed;
  int found = 0;
  for (int i = 0; i < mutants; ++i) {
    Rng rng(seed * 1000003 + static_cast<std::uint64_t>(i));
    Files files = pristine;
    const std::string what = Mutate(&files, &rng);
    SCOPED_TRACE("seed " + std::to_string(seed) + ", mutant " + std::to_string(i) + ": " + what);
    WriteFiles(mutant, files);
    const pid_t child = fork();
    if (child == 0) {
      SetLogLevel(LogLevel::kOff);
      // A damaged file must not keep the reader for ever either.
      alarm(60);
      _exit(Judge(mutant, truth, chunk_ids));
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
    if (!WIFEXITED(status)) continue;
    EXPECT_TRUE(WEXITSTATUS(status) == kGood || WEXITSTATUS(status) == kFound)
        << "exit " << WEXITSTATUS(status);
    if (WEXITSTATUS(status) == kFound) ++found;
  }
  RecordProperty("mutants", mutants);
  RecordProperty("found", found);
  std::printf("%d of %d mutants found, the others harmless\n", found, mutants);
  EXPECT_GT(found, mutants / 4);
}

INSTANTIATE_TEST_SUITE_P(Store, DamageSweep, testing::Bool());

// Each file as it was before the last commit, beside the others as they are.
TEST(Damage, AnOlderCopyOfOneFileIsTold) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  const Files before = ReadFiles(directory.path());
  {
    Rig rig(directory.path());
    GroupBuilder group;
    group.Add("new", "a new text", 0);
    rig.Commit(group, rig.Begin());
  }
  const Files after = ReadFiles(directory.path());
  for (const char* file : {kDatabaseFile, kVectorFile}) {
    SCOPED_TRACE(file);
    Files mixed = after;
    mixed[file] = before.at(file);
    WriteFiles(directory.path(), mixed);
    auto reader = OpenStoreReader(directory.path());
    if (!reader.ok()) {
      EXPECT_EQ(reader.status().code(), Code::kCorruption);
      continue;
    }
    const auto check = (*reader)->Check();
    EXPECT_GT(check->missing_vectors + check->corrupt, 0u);
  }
}

}  // namespace
}  // namespace embedflow
