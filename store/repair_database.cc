#include "store/repair_database.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/utf8.h"
#include "store/check.h"
#include "store/copy_database.h"
#include "store/database.h"
#include "store/directory.h"
#include "store/set_aside.h"

namespace embedflow {
namespace {

// The new database on its way: while it is being written, and once it is whole. With this last name
// it counts only where the old database has lost its name already.
constexpr const char* kMaking = ".repair.tmp";
constexpr const char* kMade = ".repaired";

class DatabaseRepairer {
 public:
  DatabaseRepairer(const std::string& directory, const std::function<Status()>& forget_indexes)
      : directory_(directory),
        path_(directory + "/" + kDatabaseFile),
        forget_indexes_(forget_indexes) {}

  Result<DatabaseRepair> Run() {
    EF_RETURN_IF_ERROR(FinishSwap());
    seal_ = Seal::Read(directory_);
    if (!seal_.ok() && seal_.status().code() != Code::kCorruption) return seal_.status();
    EF_ASSIGN_OR_RETURN(const State state, Look());
    if (state == State::kNone) return NoDatabase(directory_);
    EF_RETURN_IF_ERROR(state == State::kWhole ? MendSeal() : MakeAnew());
    return std::move(repair_);
  }

 private:
  enum class State { kNone, kWhole, kDamaged };

  void Note(std::string note) { repair_.notes.push_back(std::move(note)); }
  static bool IsDamage(const Status& status) { return status.code() == Code::kCorruption; }

  Status FinishSwap();
  Result<State> Look();
  Result<State> LookWithoutDatabase();
  Result<State> LookInside();
  Status BringForward();
  Status MendSeal();
  Status MakeAnew();
  Result<Totals> Fill();
  Status Swap();
  Status WriteSeal(const Totals& totals);

  const std::string& directory_;
  const std::string path_;
  const std::function<Status()>& forget_indexes_;
  Result<Totals> seal_ = Totals();
  std::unique_ptr<Database> old_;  // Null where it cannot even be opened.
  std::optional<Totals> totals_;   // Of the old database, if they can be trusted.
  DatabaseRepair repair_;
};

// A repair that was killed while it swapped the databases.
Status DatabaseRepairer::FinishSwap() {
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path_));
  EF_ASSIGN_OR_RETURN(const long long made, FileBytes(path_ + kMade));
  if (bytes >= 0 || made < 0) return {};
  EF_RETURN_IF_ERROR(Swap());
  Note("an earlier repair was finished");
  repair_.lost = true;
  return {};
}

Result<DatabaseRepairer::State> DatabaseRepairer::Look() {
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path_));
  // SQLite would delete a WAL that stands beside an empty database.
  if (bytes <= 0) return LookWithoutDatabase();
  EF_ASSIGN_OR_RETURN(const long long journal, FileBytes(path_ + "-journal"));
  if (journal >= 0) {
    // Left by whoever died while making the database; see OpenForWriting.
    const auto born = Database::Open(path_, Database::Access::kWrite);
    if (born.ok()) (void)(*born)->QueryInt("SELECT count(*) FROM sqlite_schema").ok();
  }
  const Result<State> state = LookInside();
  if (state.ok() || !IsDamage(state.status())) return state;
  return State::kDamaged;
}

Result<DatabaseRepairer::State> DatabaseRepairer::LookWithoutDatabase() {
  const Status status = NoDatabase(directory_);
  if (status.code() == Code::kNotFound) return State::kNone;
  return status.code() == Code::kCorruption ? Result<State>(State::kDamaged) : status;
}

Result<DatabaseRepairer::State> DatabaseRepairer::LookInside() {
  EF_ASSIGN_OR_RETURN(old_, Database::Open(path_, Database::Access::kRead));
  EF_ASSIGN_OR_RETURN(const std::int64_t tables,
                      old_->QueryInt("SELECT count(*) FROM sqlite_schema"));
  EF_ASSIGN_OR_RETURN(const std::int64_t version, old_->QueryInt("PRAGMA user_version"));
  if (tables == 0 && version == 0) return LookWithoutDatabase();
  Totals totals;
  if (ReadTotals(old_.get(), &totals).ok()) totals_ = totals;
  if (!CheckSchema(old_.get()).ok()) {
    // A later format has another schema, or else its number is what is damaged.
    if (version > kFormatVersion) {
      return Status(Code::kUnsupported, EscapeControl(path_) + " has format version " +
                                            std::to_string(version) + ", this build knows " +
                                            std::to_string(kFormatVersion))
          .WithWord("newer_format")
          .WithKept("nothing was changed")
          .WithNext("use the embedflow that wrote it, or a newer one");
    }
    if (!CheckSchema(old_.get(), 1).ok()) return State::kDamaged;
    EF_RETURN_IF_ERROR(BringForward());
  }
  const StoreCheck check = CheckDatabase(directory_, old_.get());
  return check.corrupt == 0 ? State::kWhole : State::kDamaged;
}

Status DatabaseRepairer::BringForward() {
  old_.reset();
  {
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                        Database::Open(path_, Database::Access::kWrite));
    EF_RETURN_IF_ERROR(Migrate(database.get()));
  }
  EF_ASSIGN_OR_RETURN(old_, Database::Open(path_, Database::Access::kRead));
  return {};
}

Status DatabaseRepairer::MendSeal() {
  old_.reset();
  if (seal_.ok() && (seal_->commits < totals_->commits || *seal_ == *totals_)) return {};
  const std::string seal = EscapeControl(directory_) + "/" + kSealFile;
  if (!seal_.ok()) {
    Note(seal + " was missing or damaged and is written anew");
  } else if (seal_->commits > totals_->commits) {
    // The numbers of the lost commits come again, and with them the generations of indexes.
    EF_RETURN_IF_ERROR(forget_indexes_());
    repair_.lost = true;
    Note(EscapeControl(path_) + " has lost its last " +
         std::to_string(seal_->commits - totals_->commits) +
         " commits; what it holds is kept, and the seal is written anew");
  } else {
    EF_RETURN_IF_ERROR(forget_indexes_());
    Note(seal + " disagreed with the database and is written anew");
  }
  return WriteSeal(*totals_);
}

Status DatabaseRepairer::MakeAnew() {
  EF_RETURN_IF_ERROR(forget_indexes_());
  EF_ASSIGN_OR_RETURN(const Totals totals, Fill());
  old_.reset();
  EF_RETURN_IF_ERROR(Swap());
  return WriteSeal(totals);
}

// Makes the new database under its name of one that is whole.
Result<Totals> DatabaseRepairer::Fill() {
  const std::string making = path_ + kMaking;
  for (const std::string& name :
       {making, making + "-journal", making + "-wal", making + "-shm", path_ + kMade}) {
    if (unlink(name.c_str()) != 0 && errno != ENOENT) return IoError(name, "remove", errno);
  }
  Totals known = totals_.value_or(Totals());
  if (seal_.ok() && seal_->commits > known.commits) known = *seal_;
  EF_RETURN_IF_ERROR(MakePrivateFile(making));
  Totals totals;
  {
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Database> fresh,
                        Database::Open(making, Database::Access::kWrite));
    EF_RETURN_IF_ERROR(fresh->Execute("PRAGMA page_size=4096"));
    EF_RETURN_IF_ERROR(fresh->Execute("PRAGMA synchronous=FULL"));
    EF_RETURN_IF_ERROR(LayFormat(fresh.get()));
    EF_ASSIGN_OR_RETURN(DatabaseCopy copy, CopyWhatIsWhole(old_.get(), fresh.get(), known));
    EF_RETURN_IF_ERROR(ReadTotals(fresh.get(), &totals));
    EF_ASSIGN_OR_RETURN(const std::string mode, fresh->QueryText("PRAGMA journal_mode=WAL"));
    if (mode != "wal") return IoError(making, "keep a write-ahead log for", EIO);
    repair_.documents_dropped = std::max(
        copy.dropped, known.documents > copy.documents ? known.documents - copy.documents : 0);
    repair_.dropped_ids = std::move(copy.dropped_ids);
    repair_.notes.insert(repair_.notes.end(), copy.notes.begin(), copy.notes.end());
  }
  const bool behind = !totals_ || (seal_.ok() && seal_->commits > totals_->commits);
  repair_.lost = behind || repair_.documents_dropped > 0;
  if (rename(making.c_str(), (path_ + kMade).c_str()) != 0) return IoError(making, "rename", errno);
  EF_RETURN_IF_ERROR(SyncDirectory(directory_));
  return totals;
}

// The old database gets its other names first and loses its own then, its WAL after it: SQLite
// would put the pages of one database's WAL into another. From the moment the old one has no name
// the new one counts, and nobody opens the directory until it is in place.
Status DatabaseRepairer::Swap() {
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path_));
  EF_ASSIGN_OR_RETURN(const long long wal_bytes, FileBytes(path_ + "-wal"));
  // A young corpus is all in its WAL, which is worth keeping also without the database.
  if (bytes >= 0 || wal_bytes > 0) {
    const std::string kept = FreeDamagedName(bytes >= 0 ? path_ : path_ + "-wal");
    if (bytes >= 0) {
      EF_RETURN_IF_ERROR(AlsoName(path_, kept));
      EF_RETURN_IF_ERROR(AlsoName(path_ + "-wal", kept + "-wal"));
    } else {
      EF_RETURN_IF_ERROR(AlsoName(path_ + "-wal", kept));
    }
    EF_RETURN_IF_ERROR(SyncDirectory(directory_));
    Note(EscapeControl(path_) +
         (bytes >= 0 ? " was damaged; it is kept as " : " was missing; its -wal is kept as ") +
         EscapeControl(kept));
  } else {
    Note(EscapeControl(path_) + " was missing");
  }
  for (const std::string& name : {path_, path_ + "-wal", path_ + "-shm", path_ + "-journal"}) {
    if (unlink(name.c_str()) != 0 && errno != ENOENT) return IoError(name, "remove", errno);
    // In this order, also for a power cut.
    EF_RETURN_IF_ERROR(SyncDirectory(directory_));
  }
  const std::string made = path_ + kMade;
  if (rename(made.c_str(), path_.c_str()) != 0) return IoError(made, "rename", errno);
  return SyncDirectory(directory_);
}

Status DatabaseRepairer::WriteSeal(const Totals& totals) {
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Seal> seal, Seal::Open(directory_));
  return seal->Write(totals);
}

}  // namespace

Result<DatabaseRepair> RepairDatabase(const std::string& directory,
                                      const std::function<Status()>& forget_indexes) {
  return DatabaseRepairer(directory, forget_indexes).Run();
}

}  // namespace embedflow
