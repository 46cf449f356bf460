// The two kinds of LMDB transactions, as objects that end themselves, and LMDB's way of passing
// bytes. For vector*.cc only.
#ifndef EMBEDFLOW_STORE_VECTOR_TRANSACTIONS_H_
#define EMBEDFLOW_STORE_VECTOR_TRANSACTIONS_H_

#include <lmdb.h>

#include <shared_mutex>
#include <string_view>
#include <utility>

#include "store/vectors.h"

namespace embedflow {

// Read transactions kept for use again. More may run at once; they take their slot anew each time.
inline constexpr std::size_t kIdleTransactionsMax = 32;

inline MDB_val KeyOf(const ContentHash& hash) {
  return {hash.bytes.size(), const_cast<unsigned char*>(hash.bytes.data())};
}
inline std::string_view View(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

// A read transaction and the shared hold on the map that it needs.
class VectorStore::ReadTransaction {
 public:
  ReadTransaction(VectorStore* store, std::shared_lock<std::shared_mutex> hold, MDB_txn* txn)
      : store_(store), hold_(std::move(hold)), txn_(txn) {}
  ReadTransaction(ReadTransaction&& other) noexcept
      : store_(other.store_), hold_(std::move(other.hold_)), txn_(std::exchange(other.txn_, {})) {}
  ~ReadTransaction() {
    if (txn_ == nullptr) return;
    mdb_txn_reset(txn_);
    MutexLock lock(store_->mu_);
    if (store_->idle_.size() < kIdleTransactionsMax) {
      store_->idle_.push_back(txn_);
    } else {
      mdb_txn_abort(txn_);
    }
  }
  MDB_txn* get() const { return txn_; }

 private:
  VectorStore* store_;
  std::shared_lock<std::shared_mutex> hold_;
  MDB_txn* txn_;
};

// A write transaction; aborted unless committed.
class VectorStore::WriteTransaction {
 public:
  explicit WriteTransaction(VectorStore* store) : hold_(store->map_mu_) {
    result_ = mdb_txn_begin(store->env_, nullptr, 0, &txn_);
  }
  ~WriteTransaction() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }
  int result() const { return result_; }
  MDB_txn* get() const { return txn_; }
  int Commit() { return mdb_txn_commit(std::exchange(txn_, nullptr)); }

 private:
  std::shared_lock<std::shared_mutex> hold_;
  MDB_txn* txn_ = nullptr;
  int result_ = 0;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_VECTOR_TRANSACTIONS_H_
