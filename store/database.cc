#include "store/database.h"

#include <sqlite3.h>

#include <cerrno>

#include "base/log.h"
#include "base/utf8.h"
#include "store/directory.h"
#include "store/schema.h"
#include "store/vector_salvage.h"

namespace embedflow {
namespace {

// The WAL is copied into the file when it has grown to this many pages, 64 MiB. It grows on while a
// reader stays inside one scan.
constexpr int kCheckpointPages = 16384;

std::string DatabasePath(const std::string& directory) { return directory + "/" + kDatabaseFile; }

// Whether the file is of a format that this build can use. The version is read before anything else
// so that a newer corpus is left as it is.
Status CheckFormat(Database* database) {
  const std::string printable = EscapeControl(database->path());
  EF_ASSIGN_OR_RETURN(const std::int64_t application, database->QueryInt("PRAGMA application_id"));
  if (application != kApplicationId) {
    return Damage(database->path(), "it is not a database of embedflow");
  }
  EF_ASSIGN_OR_RETURN(const std::int64_t version, database->QueryInt("PRAGMA user_version"));
  if (version > kFormatVersion) {
    return Status(Code::kUnsupported, printable + " has format version " + std::to_string(version) +
                                          ", this build knows " + std::to_string(kFormatVersion))
        .WithWord("newer_format")
        .WithKept("nothing was changed")
        .WithNext("use the embedflow that wrote it, or a newer one");
  }
  if (version < 1) {
    return Damage(database->path(),
                  "it has format version " + std::to_string(version) + ", which never was");
  }
  EF_RETURN_IF_ERROR(CheckSchema(database, static_cast<int>(version)));
  if (version == kFormatVersion) return {};
  return Status(Code::kUnsupported, printable + " has format version " + std::to_string(version) +
                                        ", this build reads " + std::to_string(kFormatVersion))
      .WithWord(kOlderFormat)
      .WithKept("nothing was changed")
      .WithNext("run embedflow status on it where it can be written to, which brings it forward");
}

Status CheckSeal(const std::string& directory, Database* database, const Result<Totals>& seal) {
  Totals totals;
  EF_RETURN_IF_ERROR(ReadTotals(database, &totals));
  if (!seal.ok()) {
    Log(LogLevel::kWarning, seal.status().message());
    return {};
  }
  if (seal->commits <= totals.commits) return {};
  return Damage(DatabasePath(directory), "it or its -wal has lost commits: it ends with " +
                                             std::to_string(totals.commits) + ", " + kSealFile +
                                             " saw " + std::to_string(seal->commits));
}

// SQLite reads a WAL only where it can make the -shm file; without a WAL there is nothing to miss.
Result<std::unique_ptr<Database>> OpenUnwritable(const std::string& directory, Status why) {
  const std::string path = DatabasePath(directory);
  EF_ASSIGN_OR_RETURN(const long long wal_bytes, FileBytes(path + "-wal"));
  if (wal_bytes > 0) return why;
  return Database::Open(path, Database::Access::kImmutable);
}

// A rollback journal stands beside the database only until it keeps a WAL, while it is being made.
// Whoever died there left what no connection that only reads can open.
Status RollBackBirth(const std::string& path) {
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path + "-journal"));
  if (bytes < 0) return {};
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                      Database::Open(path, Database::Access::kWrite));
  return database->QueryInt("SELECT count(*) FROM sqlite_schema").status();
}

}  // namespace

Status NoDatabase(const std::string& directory) {
  const std::string path = DatabasePath(directory);
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path));
  const auto lost = [&](const std::string& witness) {
    return Damage(path,
                  std::string(bytes < 0 ? "it is missing" : "it is empty") + ", but " + witness);
  };
  const Result<Totals> seal = Seal::Read(directory);
  if (seal.ok() && seal->commits > 0) {
    return lost(std::string(kSealFile) + " saw " + std::to_string(seal->commits) + " commits");
  }
  // The seal is made before the log gets its first page: one that has seen nothing is of a making
  // that was cut off, perhaps in the middle of a page.
  EF_ASSIGN_OR_RETURN(const long long wal, FileBytes(path + "-wal"));
  if (!seal.ok() && wal > 0) return lost("there is a -wal");
  EF_ASSIGN_OR_RETURN(const bool has_vectors, HoldsVectors(directory));
  if (has_vectors) return lost(std::string("there are vectors in ") + kVectorFile);
  return Status(Code::kNotFound,
                "there is no corpus in " + EscapeControl(directory) + (bytes < 0 ? "" : " yet"))
      .WithNext("check the path, or make one with embedflow ingest");
}

bool IsOlderFormat(const Status& status) { return status.word() == kOlderFormat; }

Result<std::unique_ptr<Database>> OpenForReading(const std::string& directory) {
  EF_RETURN_IF_ERROR(ExamineDirectory(directory));
  const std::string path = DatabasePath(directory);
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path));
  if (bytes <= 0) return NoDatabase(directory);
  // Before the database: it can only have gone further since.
  const Result<Totals> seal = Seal::Read(directory);
  Result<std::unique_ptr<Database>> opened = Database::Open(path, Database::Access::kRead);
  if (!opened.ok() && opened.status().code() == Code::kIo) {
    // See RollBackBirth: what stands there may be a part of the first page.
    EF_ASSIGN_OR_RETURN(const long long journal, FileBytes(path + "-journal"));
    if (journal > 0) return NoDatabase(directory);
    opened = OpenUnwritable(directory, opened.status());
  }
  EF_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, std::move(opened));
  EF_ASSIGN_OR_RETURN(const std::int64_t version, database->QueryInt("PRAGMA user_version"));
  EF_ASSIGN_OR_RETURN(const std::int64_t tables,
                      database->QueryInt("SELECT count(*) FROM sqlite_schema"));
  // Its making was cut off, or has just begun.
  if (version == 0 && tables == 0) return NoDatabase(directory);
  EF_RETURN_IF_ERROR(CheckFormat(database.get()));
  EF_RETURN_IF_ERROR(CheckSeal(directory, database.get(), seal));
  return database;
}

Result<OpenedDatabase> OpenForWriting(const std::string& directory) {
  const std::string path = DatabasePath(directory);
  EF_ASSIGN_OR_RETURN(const long long bytes, FileBytes(path));
  if (bytes <= 0) {
    // Before SQLite sees it: it deletes a WAL that stands beside an empty database.
    const Status none = NoDatabase(directory);
    if (none.code() != Code::kNotFound) return none;
  }
  EF_RETURN_IF_ERROR(MakePrivateFile(path));
  OpenedDatabase opened;
  const Result<Totals> seal = Seal::Read(directory);
  EF_RETURN_IF_ERROR(RollBackBirth(path));
  {
    // A newer or foreign file must stay as it is, and an opened WAL is no longer as it was.
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Database> look,
                        Database::Open(path, Database::Access::kRead));
    EF_ASSIGN_OR_RETURN(const std::int64_t tables,
                        look->QueryInt("SELECT count(*) FROM sqlite_schema"));
    EF_ASSIGN_OR_RETURN(const std::int64_t version, look->QueryInt("PRAGMA user_version"));
    opened.empty = tables == 0 && version == 0;
    if (opened.empty) {
      const Status none = NoDatabase(directory);
      if (none.code() != Code::kNotFound) return none;
    }
    if (!opened.empty) {
      const Status format = CheckFormat(look.get());
      opened.is_older = IsOlderFormat(format);
      if (!opened.is_older) EF_RETURN_IF_ERROR(format);
      EF_RETURN_IF_ERROR(CheckSeal(directory, look.get(), seal));
    }
  }
  EF_ASSIGN_OR_RETURN(opened.database, Database::Open(path, Database::Access::kWrite));
  Database& database = *opened.database;
  if (opened.empty) EF_RETURN_IF_ERROR(database.Execute("PRAGMA page_size=4096"));
  EF_ASSIGN_OR_RETURN(const std::string mode, database.QueryText("PRAGMA journal_mode=WAL"));
  if (mode != "wal") return IoError(path, "keep a write-ahead log for", EIO);
  EF_RETURN_IF_ERROR(database.Execute("PRAGMA synchronous=FULL"));
  EF_RETURN_IF_ERROR(database.Execute("PRAGMA wal_autocheckpoint=0"));
  EF_RETURN_IF_ERROR(database.Execute("PRAGMA journal_size_limit=67108864"));
  return opened;
}

Result<std::unique_ptr<Writer>> Writer::Open(const std::string& directory,
                                             std::unique_ptr<Database> database) {
  EF_ASSIGN_OR_RETURN(std::unique_ptr<Seal> seal, Seal::Open(directory));
  std::unique_ptr<Writer> writer(new Writer(std::move(database), std::move(seal)));
  EF_RETURN_IF_ERROR(ReadTotals(writer->database_.get(), &writer->totals_));
  EF_ASSIGN_OR_RETURN(writer->update_totals_,
                      writer->database_->Prepare(
                          "UPDATE totals SET commits = ?, documents = ?, chunks = ?,"
                          " dead_letters = ?, documents_sum = ?, chunks_sum = ?, letters_sum = ?,"
                          " checksum = ? WHERE one = 1"));
  sqlite3_wal_hook(
      writer->database_->handle(),
      [](void* pages, sqlite3*, const char*, int count) noexcept {
        *static_cast<int*>(pages) = count;
        return SQLITE_OK;
      },
      &writer->wal_pages_);
  // After a crash the seal may be behind, or gone.
  EF_RETURN_IF_ERROR(writer->seal_->Write(writer->totals_));
  return writer;
}

Writer::~Writer() {
  if (!failed_.ok()) {
    // Whatever failed, SQLite must not touch the disk again on the way out.
    sqlite3_db_config(database_->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  }
}

Status Writer::Begin() {
  if (!failed_.ok()) return failed_;
  Status status = database_->Execute("BEGIN IMMEDIATE");
  if (!status.ok()) failed_ = status;
  totals_before_ = totals_;
  return status;
}

Status Writer::End(Status status) {
  if (status.ok()) status = Commit();
  if (status.ok()) return {};
  totals_ = totals_before_;
  if (sqlite3_get_autocommit(database_->handle()) == 0) (void)database_->Execute("ROLLBACK");
  if (status.code() != Code::kInvalidArgument) failed_ = status;
  return status;
}

Status Writer::Commit() {
  ++totals_.commits;
  EF_RETURN_IF_ERROR(update_totals_.BindUnsigned(totals_.commits)
                         .BindUnsigned(totals_.documents)
                         .BindUnsigned(totals_.chunks)
                         .BindUnsigned(totals_.dead_letters)
                         .BindUnsigned(totals_.documents_sum)
                         .BindUnsigned(totals_.chunks_sum)
                         .BindUnsigned(totals_.letters_sum)
                         .BindUnsigned(totals_.checksum())
                         .Run());
  EF_RETURN_IF_ERROR(database_->Execute("COMMIT"));
  // The transaction is durable from here on: what fails now must not make it look undone, only stop
  // what would come next.
  Status after = seal_->Write(totals_);
  if (after.ok()) after = Checkpoint();
  if (!after.ok()) {
    Log(LogLevel::kError, after.message());
    failed_ = after;
  }
  return {};
}

Status Writer::Checkpoint() {
  if (wal_pages_ < kCheckpointPages) return {};
  const int result = sqlite3_wal_checkpoint_v2(database_->handle(), nullptr,
                                               SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (result == SQLITE_OK || result == SQLITE_BUSY) return {};
  return database_->Error(result, "checkpoint");
}

}  // namespace embedflow
