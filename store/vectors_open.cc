// Opening LMDB: one environment a file, examined before it is mapped.
#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/utf8.h"
#include "store/vector_transactions.h"
#include "store/vectors.h"

namespace embedflow {
namespace {

constexpr unsigned int kReadersMax = 510;
// Spaces, and room for what later formats may keep here.
constexpr unsigned int kDatabasesMax = kSpacesMax + 4;
constexpr std::size_t kFirstMapBytes = 1u << 20;
// A file this short cannot hold a vector: its making was cut off.
constexpr long long kUnbornBytesMax = 2 * 65536;

using FileId = std::pair<dev_t, ino_t>;
struct Registry {
  Mutex mu;
  std::map<FileId, std::weak_ptr<VectorStore>> open EF_GUARDED_BY(mu);
};
Registry& TheRegistry() {
  static Registry registry;
  return registry;
}

bool MayWrite(const std::string& path) {
  return faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
}

}  // namespace

Result<std::shared_ptr<VectorStore>> VectorStore::Open(const std::string& directory, Access access,
                                                       std::size_t map_bytes) {
  const std::string path = directory + "/" + kVectorFile;
  if (access == Access::kMake) EF_RETURN_IF_ERROR(MakePrivateFile(path));
  if (access != Access::kRead) EF_RETURN_IF_ERROR(MakePrivateFile(path + "-lock"));
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return Damage(path, "it is missing");
    return IoError(path, "examine", errno);
  }
  Registry& registry = TheRegistry();
  MutexLock lock(registry.mu);
  std::weak_ptr<VectorStore>& entry = registry.open[FileId(status.st_dev, status.st_ino)];
  if (std::shared_ptr<VectorStore> open = entry.lock()) {
    if (access != Access::kRead && open->read_only_) {
      return Status(Code::kIo, EscapeControl(path) + " is open for reading only in this process");
    }
    if (access != Access::kRead) EF_RETURN_IF_ERROR(open->PrepareToWrite());
    return open;
  }
  EF_ASSIGN_OR_RETURN(std::shared_ptr<VectorStore> made, OpenNew(path, access, map_bytes));
  entry = made;
  return made;
}

Status VectorStore::Make(const std::string& directory) {
  const std::string path = directory + "/" + kVectorFile;
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path));
  if (bytes > 0 && bytes <= kUnbornBytesMax) {
    const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.ok()) return IoError(path, "open", errno);
    const Result<LmdbMeta> meta = ReadLmdbMeta(file.get(), path);
    if (!meta.ok() && meta.status().code() == Code::kCorruption && unlink(path.c_str()) != 0) {
      return IoError(path, "remove", errno);
    }
  }
  EF_ASSIGN_OR_RETURN(const std::shared_ptr<VectorStore> store,
                      Open(directory, Access::kMake, kFirstMapBytes));
  const int result = mdb_env_sync(store->env_, 1);
  return result == MDB_SUCCESS ? Status() : store->Error(result, "sync");
}

Result<std::shared_ptr<VectorStore>> VectorStore::OpenNew(const std::string& path, Access access,
                                                          std::size_t map_bytes) {
  MDB_env* env = nullptr;
  if (mdb_env_create(&env) != MDB_SUCCESS) {
    return Status(Code::kInternal, "LMDB has no memory for an environment");
  }
  std::shared_ptr<VectorStore> store(new VectorStore(path, env));
  EF_RETURN_IF_ERROR(store->Map(access, map_bytes));
  return store;
}

Status VectorStore::Map(Access access, std::size_t map_bytes) {
  file_ = FileDescriptor(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file_.ok()) return IoError(path_, "open", errno);
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path_));
  std::size_t map = map_bytes;
  if (bytes > 0) {
    EF_ASSIGN_OR_RETURN(const LmdbMeta meta, ReadLmdbMeta(file_.get(), path_));
    // LMDB refuses a map that is smaller than what is counted.
    const auto used = std::max(static_cast<std::size_t>(bytes),
                               static_cast<std::size_t>(meta.last_page + 1) * meta.page_bytes);
    while (map < used) map *= 2;
  } else if (access != Access::kMake) {
    return Damage(path_, "it is empty");
  }
  // Readers open it for writing too where they may, and never write: so that a writer of the same
  // process can share the environment.
  unsigned int flags = MDB_NOSUBDIR | MDB_NOTLS;
  if (access == Access::kRead && !MayWrite(path_)) {
    flags |= MDB_RDONLY;
    read_only_ = true;
  }
  if (access == Access::kRead && !MakePrivateFile(path_ + "-lock").ok()) {
    // Without its reader table a writer would use pages again that we read, so there must be none.
    const std::string directory = path_.substr(0, path_.rfind('/'));
    lock_ = FileDescriptor(open((directory + "/" + kLockFile).c_str(), O_RDONLY | O_CLOEXEC));
    if (lock_.ok() && flock(lock_.get(), LOCK_SH | LOCK_NB) != 0) {
      return Status(Code::kInUse, EscapeControl(directory) +
                                      " is being written to, and this user may not enter "
                                      "themselves as a reader")
          .WithNext("wait for the writer, or read as the owner of the directory");
    }
    flags |= MDB_RDONLY | MDB_NOLOCK;
    read_only_ = true;
  }
  int result = mdb_env_set_maxdbs(env_, kDatabasesMax);
  if (result == MDB_SUCCESS) result = mdb_env_set_maxreaders(env_, kReadersMax);
  if (result == MDB_SUCCESS) result = mdb_env_set_mapsize(env_, map);
  if (result == MDB_SUCCESS) result = mdb_env_open(env_, path_.c_str(), flags, 0600);
  if (result != MDB_SUCCESS) return Error(result, "open");
  int dead = 0;
  mdb_reader_check(env_, &dead);
  MDB_stat stat;
  mdb_env_stat(env_, &stat);
  page_bytes_ = stat.ms_psize;
  {
    EF_ASSIGN_OR_RETURN(const ReadTransaction read, BeginRead());
    result = mdb_dbi_open(read.get(), nullptr, 0, &names_);
    if (result != MDB_SUCCESS) return Error(result, "open");
  }
  if (access != Access::kRead) return PrepareToWrite();
  return Walk({.free_list = false, .overflow_headers = false});
}

Result<VectorTallies> VectorStore::Examine() {
  return Tally({.free_list = !read_only_, .overflow_headers = true});
}

Result<VectorTallies> VectorStore::Tally(LmdbWalk walk) {
  VectorTallies tallies;
  walk.database = [&](std::string_view name) {
    if (name == kSumsDatabase) tallies.has_sums = true;
    if (const auto key = SpaceKeyOfDatabase(name)) tallies.counted[*key];
  };
  walk.entry = [&](std::string_view database, std::string_view key, std::string_view value) {
    tallies.Note(database, key, value);
  };
  EF_RETURN_IF_ERROR(Walk(walk));
  return tallies;
}

Status VectorStore::Walk(const LmdbWalk& walk) {
  // Two commits may come between the transaction and the meta pages.
  constexpr int kAttemptsMax = 1000;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    EF_ASSIGN_OR_RETURN(const ReadTransaction read, BeginRead());
    const std::uint64_t transaction = mdb_txn_id(read.get());
    EF_ASSIGN_OR_RETURN(const LmdbMeta meta, ReadLmdbMeta(file_.get(), path_, transaction));
    if (transaction != meta.transaction) continue;
    return WalkLmdbPages(file_.get(), path_, meta, walk);
  }
  return Status(Code::kInUse, EscapeControl(path_) + " changes too fast to be examined")
      .WithNext("try again");
}

}  // namespace embedflow
