// Opening a corpus: who may, what is made, and what is left alone.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>

#include "store/directory.h"
#include "tests/store/store_fixture.h"

namespace embedflow {
namespace {

using testing::HasSubstr;

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

// Runs SQL on a corpus that nobody has open.
void Sql(const std::string& directory, const char* sql) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open((directory + "/" + kDatabaseFile).c_str(), &handle), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(handle);
  sqlite3_close(handle);
}

void Fill(const std::string& directory) {
  Rig rig(directory);
  GroupBuilder group;
  group.Add("a", "0123456789abcdef!", 0).Add("b", "0123456789abcdef?", 1);
  rig.Commit(group, rig.Begin());
}

TEST(OpenStore, NeedsACorpusUnlessToldToMakeOne) {
  const TemporaryDirectory directory;
  for (const std::string& path : {directory.path(), directory.path() + "/none"}) {
    EXPECT_EQ(OpenStore(path, {}, SystemClock()).status().code(), Code::kNotFound);
    EXPECT_EQ(OpenStoreReader(path).status().code(), Code::kNotFound);
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  Fill(directory.path() + "/deep/er/");
  EXPECT_TRUE(OpenStore(directory.path() + "/deep/er", {}, SystemClock()).ok());
}

TEST(OpenStore, NamesTheWriterThatIsThere) {
  const TemporaryDirectory directory;
  const Rig rig(directory.path());
  const auto second = OpenStore(directory.path(), {}, SystemClock());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), Code::kInUse);
  EXPECT_EQ(second.status().word(), "in_use");
  EXPECT_THAT(second.status().message(), HasSubstr(std::to_string(getpid())));
  EXPECT_THAT(second.status().next(), HasSubstr("kill -INT " + std::to_string(getpid())));
}

TEST(OpenStore, TheLockOfADeadWriterIsNone) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  const pid_t child = fork();
  if (child == 0) {
    auto store = OpenStore(directory.path(), {}, SystemClock());
    _exit(store.ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_TRUE(OpenStore(directory.path(), {}, SystemClock()).ok());
}

TEST(OpenStore, ModesAreExactUnderAnyUmask) {
  for (const mode_t mask : {0000u, 0022u, 0777u}) {
    const TemporaryDirectory parent;
    const std::string directory = parent.path() + "/corpus";
    const mode_t before = umask(mask);
    {
      Rig rig(directory);
      GroupBuilder group;
      group.Add("a", "text", 0);
      rig.Commit(group, rig.Begin());
      std::map<std::string, unsigned> modes;
      for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        struct stat status;
        ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
        modes[entry.path().filename()] = status.st_mode & 07777;
      }
      EXPECT_EQ(modes, (std::map<std::string, unsigned>{{"LOCK", 0600},
                                                        {"corpus.seal", 0600},
                                                        {"corpus.sqlite", 0600},
                                                        {"corpus.sqlite-shm", 0600},
                                                        {"corpus.sqlite-wal", 0600},
                                                        {"in_flight", 0600},
                                                        {"vectors.lmdb", 0600},
                                                        {"vectors.lmdb-lock", 0600}}));
      struct stat status;
      ASSERT_EQ(stat(directory.c_str(), &status), 0);
      EXPECT_EQ(status.st_mode & 07777, 0700u);
    }
    umask(before);
  }
}

TEST(OpenStore, RefusesANewerFormatAndLeavesItAsItIs) {
  const TemporaryDirectory directory;
  Fill(directory.path());
  Sql(directory.path(), "PRAGMA user_version = 3; CREATE TABLE novelty(x)");
  const std::string database = Slurp(directory.path() + "/" + kDatabaseFile);
  const std::string vectors = Slurp(directory.path() + "/" + kVectorFile);
  StoreOptions create;
  create.create = true;
  for (const Status& status : {OpenStore(directory.path(), create, SystemClock()).status(),
                               OpenStoreReader(directory.path()).status()}) {
    EXPECT_EQ(status.code(), Code::kUnsupported);
    EXPECT_EQ(status.word(), "newer_format");
    EXPECT_THAT(status.message(), HasSubstr("format version 3"));
  }
  EXPECT_EQ(Slurp(directory.path() + "/" + kDatabaseFile), database);
  EXPECT_EQ(Slurp(directory.path() + "/" + kVectorFile), vectors);
}

TEST(OpenStore, RefusesWhatIsNotOurs) {
  StoreOptions create;
  create.create = true;
  {
    const TemporaryDirectory directory;
    std::ofstream(directory.path() + "/" + kDatabaseFile) << std::string(5000, 'x');
    EXPECT_EQ(OpenStore(directory.path(), create, SystemClock()).status().code(),
              Code::kCorruption);
    EXPECT_EQ(OpenStoreReader(directory.path()).status().code(), Code::kCorruption);
  }
  {
    const TemporaryDirectory directory;
    Sql(directory.path(), "CREATE TABLE theirs(x)");
    EXPECT_EQ(OpenStore(directory.path(), create, SystemClock()).status().code(),
              Code::kCorruption);
  }
  {
    const TemporaryDirectory directory;
    std::ofstream(directory.path() + "/file") << "x";
    EXPECT_EQ(OpenStore(directory.path() + "/file", create, SystemClock()).status().code(),
              Code::kInvalidArgument);
  }
  {
    // A trigger could run code of somebody else's making.
    const TemporaryDirectory directory;
    Fill(directory.path());
    Sql(directory.path(),
        "CREATE TRIGGER theirs AFTER INSERT ON chunks BEGIN DELETE FROM texts; END");
    EXPECT_EQ(OpenStore(directory.path(), create, SystemClock()).status().code(),
              Code::kCorruption);
  }
}

TEST(OpenStore, AMissingFileIsDamageAndNeverMadeAnew) {
  for (const char* file : {kVectorFile, kDatabaseFile}) {
    SCOPED_TRACE(file);
    const TemporaryDirectory directory;
    Fill(directory.path());
    std::filesystem::remove(directory.path() + "/" + file);
    StoreOptions create;
    create.create = true;
    EXPECT_EQ(OpenStore(directory.path(), create, SystemClock()).status().code(),
              Code::kCorruption);
  }
}

TEST(OpenStore, FinishesAMakingThatWasCutOff) {
  const TemporaryDirectory directory;
  // What a power cut may leave: names without content, or with half of it.
  std::ofstream(directory.path() + "/" + kDatabaseFile);
  std::ofstream(directory.path() + "/" + kVectorFile) << std::string(4096, '\0');
  EXPECT_EQ(OpenStoreReader(directory.path()).status().code(), Code::kNotFound);
  Fill(directory.path());
  Rig rig(directory.path());
  ExpectSound(rig.Check());
  EXPECT_EQ(rig.Reader()->Counts()->documents, 2u);
}

TEST(OpenStore, NetworkFileSystemsAreTold) {
  for (const unsigned long magic : {0x6969ul, 0xFF534D42ul, 0xFE534D42ul, 0x517Bul}) {
    EXPECT_TRUE(IsNetworkFileSystem(magic)) << std::hex << magic;
  }
  // ext4, tmpfs, xfs, btrfs, overlayfs, 9p: local, or a virtual machine's view of local.
  for (const unsigned long magic :
       {0xEF53ul, 0x01021994ul, 0x58465342ul, 0x9123683Eul, 0x794C7630ul, 0x01021997ul}) {
    EXPECT_FALSE(IsNetworkFileSystem(magic)) << std::hex << magic;
  }
}

TEST(OpenStoreReader, SeesCommitsOfAWriterThatWorks) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  // One that opened its files by itself, and one of the store.
  auto other = OpenStoreReader(directory.path());
  ASSERT_TRUE(other.ok()) << other.status().ToString();
  const auto own = rig.Reader();
  const std::int64_t run = rig.Begin();
  for (std::uint64_t i = 0; i < 50; ++i) {
    GroupBuilder group;
    group.Add("id" + std::to_string(i), "text number " + std::to_string(i), i);
    rig.Commit(group, run);
    for (StoreReader* reader : {other->get(), own.get()}) {
      EXPECT_EQ(reader->Counts()->documents, i + 1);
      EXPECT_TRUE(reader->FindDocument("id" + std::to_string(i))->has_value());
      EXPECT_EQ(*reader->VectorCount(rig.space), i + 1);
    }
  }
  const auto check = (*other)->Check();
  ASSERT_TRUE(check.ok());
  ExpectSound(*check);
}

TEST(OpenStoreReader, AScanKeepsItsStateWhileTheWriterGoesOn) {
  const TemporaryDirectory directory;
  Rig rig(directory.path());
  const std::int64_t run = rig.Begin();
  GroupBuilder group;
  group.Add("a", "0123456789abcdef0123456789abcdef", 0);
  rig.Commit(group, run);
  auto reader = OpenStoreReader(directory.path());
  ASSERT_TRUE(reader.ok());
  std::size_t chunks = 0;
  const Status status =
      (*reader)->ScanChunks(true, [&](const ChunkScan&, std::string_view text, std::string_view) {
        EXPECT_EQ(text, "0123456789abcdef");
        GroupBuilder next;
        next.Add("a", "something else", 1 + chunks);
        rig.Commit(next, run);
        ++chunks;
        return Status();
      });
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(chunks, 2u);
  EXPECT_EQ((*reader)->Counts()->chunks, 1u);
}

// A reader of another process follows a map that the writer has grown.
TEST(OpenStoreReader, FollowsAMapThatAnotherProcessGrows) {
  const TemporaryDirectory directory;
  int to_child[2];
  int to_parent[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(to_parent), 0);
  Fill(directory.path());
  const pid_t child = fork();
  if (child == 0) {
    // Reads before and after the writer has filled sixteen times the first map.
    auto reader = OpenStoreReader(directory.path());
    bool good = reader.ok() && *(*reader)->VectorCount(1) == 3;
    char byte = good ? 'y' : 'n';
    if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1) _exit(2);
    good = good && *(*reader)->VectorCount(1) == 3 + 200;
    std::vector<float> vector(8);
    const ContentHash hash = HashContent("199");
    good = good && *(*reader)->ReadVector(1, hash, vector) && vector == VectorOf(hash, 8);
    const auto check = (*reader)->Check();
    good = good && check.ok() && check->corrupt == 0 && check->orphan_vectors == 400;
    _exit(good ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(read(to_parent[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  {
    Rig rig(directory.path());
    SpaceRecord wide;
    wide.space = TestSpace(16384, "wide");
    const SpaceId space = rig.store->AddSpace(wide)->id;
    for (int i = 0; i < 200; ++i) {
      const ContentHash hash = HashContent(std::to_string(i));
      const std::vector<float> big = VectorOf(hash, 16384);
      const std::vector<float> small = VectorOf(hash, 8);
      const Store::VectorPut bigs[] = {{hash, big}};
      const Store::VectorPut smalls[] = {{hash, small}};
      ASSERT_TRUE(rig.store->PutVectors(space, bigs).ok());
      ASSERT_TRUE(rig.store->PutVectors(rig.space, smalls).ok());
    }
    ASSERT_GT(std::filesystem::file_size(directory.path() + "/" + kVectorFile), 12u << 20);
    EXPECT_EQ(write(to_child[1], "g", 1), 1);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  for (const int fd : {to_child[0], to_child[1], to_parent[0], to_parent[1]}) close(fd);
}

// As a user who may read the files and nothing more.
TEST(OpenStoreReader, WorksWhereItMayNotWrite) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  const TemporaryDirectory directory;
  Fill(directory.path());
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    chmod(entry.path().c_str(), 0444);
  }
  chmod(directory.path().c_str(), 0555);
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(9);
    auto reader = OpenStoreReader(directory.path());
    if (!reader.ok()) {
      fprintf(stderr, "%s\n", reader.status().ToString().c_str());
      _exit(1);
    }
    const auto check = (*reader)->Check();
    for (const std::string& fault : check->faults) fprintf(stderr, "%s\n", fault.c_str());
    _exit(check.ok() && check->faults.empty() && check->chunks == 4 ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace embedflow
