// One LMDB environment: its map, its transactions, and its errors in words.
#ifndef EMBEDFLOW_STORE_LMDB_ENVIRONMENT_H_
#define EMBEDFLOW_STORE_LMDB_ENVIRONMENT_H_

#include <cstddef>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "embedflow/status.h"

struct MDB_env;
struct MDB_txn;

namespace embedflow {

// Owns the environment. LMDB forbids a second one for the same file in a process, which is the
// owner's to see to. Threads: transactions may be begun from any thread and are used by one at a
// time; at most one write transaction at a time.
class LmdbEnvironment {
 public:
  struct Options {
    std::size_t map_bytes = 0;  // The file never grows beyond it, unless another process's map is
                                // larger: then that one's is taken over.
    unsigned int databases_max = 0;
    unsigned int flags = 0;  // Besides MDB_NOSUBDIR and MDB_NOTLS.
  };
  // Maps `path`, a file that was examined or is empty. Slots of dead readers are cleared.
  static Result<std::unique_ptr<LmdbEnvironment>> Open(const std::string& path,
                                                       const Options& options);
  ~LmdbEnvironment();

  // A view of what was committed last. Movable; it must not outlive the environment.
  class Read {
   public:
    Read(LmdbEnvironment* environment, std::shared_lock<std::shared_mutex> hold, MDB_txn* txn);
    Read(Read&& other) noexcept;
    ~Read();
    MDB_txn* get() const { return txn_; }

   private:
    LmdbEnvironment* environment_;
    std::shared_lock<std::shared_mutex> hold_;
    MDB_txn* txn_;
  };
  Result<Read> BeginRead();

  // Aborted unless committed. Waits while another process writes.
  class Write {
   public:
    explicit Write(LmdbEnvironment* environment);
    ~Write();
    // What beginning it came to, an LMDB result; get() is null unless it is 0.
    int result() const { return result_; }
    MDB_txn* get() const { return txn_; }
    int Commit();

   private:
    std::shared_lock<std::shared_mutex> hold_;
    MDB_txn* txn_ = nullptr;
    int result_ = 0;
  };

  // An LMDB result as "cannot <doing> <path>: ...".
  Status Error(int result, const char* doing) const;

  std::size_t page_bytes() const { return page_bytes_; }

 private:
  LmdbEnvironment(std::string path, MDB_env* env) : path_(std::move(path)), env_(env) {}
  // Takes over the size of a map that another process has made larger.
  void AdoptMap();

  // Constant once open.
  const std::string path_;
  MDB_env* const env_;
  std::size_t page_bytes_ = 0;

  // Own synchronisation. Shared by transactions, exclusive for whatever moves the map: LMDB does
  // not allow that beside a transaction.
  std::shared_mutex map_mu_;
  Mutex turn_;  // Held by whoever waits for map_mu_ alone; taken before it.

  Mutex mu_;
  // Reset read transactions, ready for use again: each keeps its slot in LMDB's reader table.
  std::vector<MDB_txn*> idle_ EF_GUARDED_BY(mu_);
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_LMDB_ENVIRONMENT_H_
