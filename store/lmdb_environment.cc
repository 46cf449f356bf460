#include "store/lmdb_environment.h"

#include <lmdb.h>

#include <utility>

#include "base/utf8.h"
#include "store/directory.h"

namespace embedflow {
namespace {

constexpr unsigned int kReadersMax = 510;
// Read transactions kept for use again. More may run at once; they take their slot anew each time.
constexpr std::size_t kIdleReadsMax = 32;

}  // namespace

Result<std::unique_ptr<LmdbEnvironment>> LmdbEnvironment::Open(const std::string& path,
                                                               const Options& options) {
  MDB_env* env = nullptr;
  if (mdb_env_create(&env) != MDB_SUCCESS) {
    return Status(Code::kInternal, "LMDB has no memory for an environment");
  }
  std::unique_ptr<LmdbEnvironment> made(new LmdbEnvironment(path, env));
  int result = mdb_env_set_maxdbs(env, options.databases_max);
  if (result == MDB_SUCCESS) result = mdb_env_set_maxreaders(env, kReadersMax);
  if (result == MDB_SUCCESS) result = mdb_env_set_mapsize(env, options.map_bytes);
  if (result == MDB_SUCCESS) {
    result = mdb_env_open(env, path.c_str(), options.flags | MDB_NOSUBDIR | MDB_NOTLS, 0600);
  }
  if (result != MDB_SUCCESS) return made->Error(result, "open");
  int dead = 0;
  mdb_reader_check(env, &dead);
  MDB_stat stat;
  mdb_env_stat(env, &stat);
  made->page_bytes_ = stat.ms_psize;
  return made;
}

LmdbEnvironment::~LmdbEnvironment() {
  {
    MutexLock lock(mu_);
    for (MDB_txn* txn : idle_) mdb_txn_abort(txn);
  }
  mdb_env_close(env_);
}

void LmdbEnvironment::AdoptMap() {
  const MutexLock turn(turn_);
  const std::unique_lock<std::shared_mutex> alone(map_mu_);
  mdb_env_set_mapsize(env_, 0);
}

Result<LmdbEnvironment::Read> LmdbEnvironment::BeginRead() {
  // Twice is enough: once for a map that another process outgrew, once for slots of dead readers.
  constexpr int kAttemptsMax = 4;
  int result = 0;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    // A turnstile: shared_mutex lets readers pass a waiting mover for ever.
    { const MutexLock turn(turn_); }
    std::shared_lock<std::shared_mutex> hold(map_mu_);
    MDB_txn* txn = nullptr;
    {
      MutexLock lock(mu_);
      if (!idle_.empty()) {
        txn = idle_.back();
        idle_.pop_back();
      }
    }
    result = txn != nullptr ? mdb_txn_renew(txn) : mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn);
    if (result == MDB_SUCCESS) return Read(this, std::move(hold), txn);
    if (txn != nullptr) mdb_txn_abort(txn);
    hold.unlock();
    if (result == MDB_MAP_RESIZED) {
      AdoptMap();
    } else if (result == MDB_READERS_FULL) {
      int dead = 0;
      mdb_reader_check(env_, &dead);
    } else {
      break;
    }
  }
  return Error(result, "read");
}

Status LmdbEnvironment::Error(int result, const char* doing) const {
  if (result > 0) return IoError(path_, doing, result);
  const std::string what =
      "cannot " + std::string(doing) + " " + EscapeControl(path_) + ": " + mdb_strerror(result);
  switch (result) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_CURSOR_FULL:
      return Status(Code::kCorruption, what);
    case MDB_VERSION_MISMATCH:
      return Status(Code::kUnsupported, what);
    case MDB_PANIC:
    case MDB_MAP_FULL:
      return Status(Code::kIo, what);
    case MDB_READERS_FULL:
      return Status(Code::kInUse, what).WithNext("close some of the programs that read it");
    default:
      return Status(Code::kInternal, what);
  }
}

LmdbEnvironment::Read::Read(LmdbEnvironment* environment, std::shared_lock<std::shared_mutex> hold,
                            MDB_txn* txn)
    : environment_(environment), hold_(std::move(hold)), txn_(txn) {}

LmdbEnvironment::Read::Read(Read&& other) noexcept
    : environment_(other.environment_),
      hold_(std::move(other.hold_)),
      txn_(std::exchange(other.txn_, nullptr)) {}

LmdbEnvironment::Read::~Read() {
  if (txn_ == nullptr) return;
  mdb_txn_reset(txn_);
  MutexLock lock(environment_->mu_);
  if (environment_->idle_.size() < kIdleReadsMax) {
    environment_->idle_.push_back(txn_);
  } else {
    mdb_txn_abort(txn_);
  }
}

LmdbEnvironment::Write::Write(LmdbEnvironment* environment) {
  // Twice is enough, as for reading.
  constexpr int kAttemptsMax = 2;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    hold_ = std::shared_lock<std::shared_mutex>(environment->map_mu_);
    result_ = mdb_txn_begin(environment->env_, nullptr, 0, &txn_);
    if (result_ == MDB_SUCCESS) return;
    txn_ = nullptr;
    hold_.unlock();
    if (result_ != MDB_MAP_RESIZED) return;
    environment->AdoptMap();
  }
}

LmdbEnvironment::Write::~Write() {
  if (txn_ != nullptr) mdb_txn_abort(txn_);
}

int LmdbEnvironment::Write::Commit() { return mdb_txn_commit(std::exchange(txn_, nullptr)); }

}  // namespace embedflow
