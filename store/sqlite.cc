#include "store/sqlite.h"

#include <sqlite3.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "store/directory.h"

namespace embedflow {
namespace {

// How long a reader waits for another connection that recovers a WAL or closes the file.
constexpr std::chrono::milliseconds kBusyWait{10000};

constexpr struct {
  int limit;
  int value;
} kLimits[] = {{SQLITE_LIMIT_SQL_LENGTH, 16384},   {SQLITE_LIMIT_COLUMN, 64},
               {SQLITE_LIMIT_EXPR_DEPTH, 50},      {SQLITE_LIMIT_COMPOUND_SELECT, 3},
               {SQLITE_LIMIT_VDBE_OP, 25000},      {SQLITE_LIMIT_FUNCTION_ARG, 8},
               {SQLITE_LIMIT_ATTACHED, 0},         {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50},
               {SQLITE_LIMIT_VARIABLE_NUMBER, 32}, {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
               {SQLITE_LIMIT_WORKER_THREADS, 0}};

std::string ImmutableUri(const std::string& path) {
  static const char* kDigits = "0123456789ABCDEF";
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%' || static_cast<unsigned char>(c) < 0x21) {
      uri += '%';
      uri += kDigits[static_cast<unsigned char>(c) >> 4];
      uri += kDigits[static_cast<unsigned char>(c) & 15];
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

// SQLite takes a null pointer for NULL; an empty text is not NULL.
const char* NotNull(std::string_view bytes) { return bytes.data() ? bytes.data() : ""; }

}  // namespace

Statement::Statement(Statement&& other) noexcept { *this = std::move(other); }

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(database_, other.database_);
  std::swap(statement_, other.statement_);
  std::swap(parameter_, other.parameter_);
  std::swap(bind_result_, other.bind_result_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::Note(int result) {
  if (bind_result_ == SQLITE_OK) bind_result_ = result;
}

Statement& Statement::Bind(std::int64_t value) {
  Note(sqlite3_bind_int64(statement_, ++parameter_, value));
  return *this;
}

Statement& Statement::BindText(std::string_view text) {
  Note(sqlite3_bind_text64(statement_, ++parameter_, NotNull(text), text.size(), SQLITE_STATIC,
                           SQLITE_UTF8));
  return *this;
}

Statement& Statement::BindBlob(std::string_view bytes) {
  Note(sqlite3_bind_blob64(statement_, ++parameter_, NotNull(bytes), bytes.size(), SQLITE_STATIC));
  return *this;
}

Statement& Statement::BindNull() {
  Note(sqlite3_bind_null(statement_, ++parameter_));
  return *this;
}

Result<bool> Statement::Step() {
  if (bind_result_ != SQLITE_OK) {
    const int result = bind_result_;
    Reset();
    return database_->Error(result, "bind");
  }
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    Reset();
    return false;
  }
  Status status = database_->Error(result, sqlite3_stmt_readonly(statement_) ? "read" : "write");
  Reset();
  return status;
}

Status Statement::Run() {
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return {};
  }
}

Result<bool> Statement::RunUnlessTaken() {
  if (bind_result_ == SQLITE_OK) {
    const int result = sqlite3_step(statement_);
    if (result == SQLITE_DONE || result == SQLITE_CONSTRAINT_UNIQUE) {
      Reset();
      return result == SQLITE_DONE;
    }
    Note(result);
  }
  Status status = database_->Error(bind_result_, "write");
  Reset();
  return status;
}

void Statement::Reset() {
  sqlite3_reset(statement_);
  parameter_ = 0;
  bind_result_ = SQLITE_OK;
}

std::int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::string_view Statement::Bytes(int column) const {
  // column_blob hands out the bytes of a text as they are stored, without a conversion.
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr || size <= 0) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

bool Statement::Hash(int column, ContentHash* hash) const {
  const std::string_view bytes = Bytes(column);
  if (bytes.size() != hash->bytes.size()) return false;
  *hash = ContentHash::FromBytes(bytes);
  return true;
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path, Access access) {
  sqlite3* handle = nullptr;
  const std::string name = access == Access::kImmutable ? ImmutableUri(path) : path;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= access == Access::kWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  if (access == Access::kImmutable) flags |= SQLITE_OPEN_URI;
  const int result = sqlite3_open_v2(name.c_str(), &handle, flags, nullptr);
  if (handle == nullptr) return Status(Code::kInternal, "SQLite has no memory for a connection");
  std::unique_ptr<Database> database(new Database(path, handle));
  if (result != SQLITE_OK) return database->Error(result, "open");
  EF_RETURN_IF_ERROR(database->Harden(access));
  return database;
}

Database::~Database() { EF_CHECK(sqlite3_close(handle_) == SQLITE_OK); }

Status Database::Harden(Access access) {
  const int no_checkpoint = access == Access::kWrite ? 0 : 1;
  const struct {
    int option;
    int value;
  } options[] = {{SQLITE_DBCONFIG_DEFENSIVE, 1},
                 {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                 {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
                 {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                 {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                 {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, no_checkpoint}};
  for (const auto& o : options) {
    const int result = sqlite3_db_config(handle_, o.option, o.value, nullptr);
    if (result != SQLITE_OK) return Error(result, "configure");
  }
  for (const auto& l : kLimits) sqlite3_limit(handle_, l.limit, l.value);
  sqlite3_busy_timeout(handle_, static_cast<int>(kBusyWait.count()));
  EF_RETURN_IF_ERROR(Execute("PRAGMA cell_size_check=ON"));
  EF_RETURN_IF_ERROR(Execute("PRAGMA mmap_size=0"));
  return Execute(access == Access::kWrite ? "PRAGMA cache_size=-16384" : "PRAGMA cache_size=-4096");
}

Result<Statement> Database::Prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int result =
      sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return Error(result, "read");
  return Statement(this, statement);
}

Status Database::Execute(const char* sql) {
  const int result = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? Status() : Error(result, "use");
}

Result<std::int64_t> Database::QueryInt(const char* sql) {
  EF_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  EF_ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

Result<std::string> Database::QueryText(const char* sql) {
  EF_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  EF_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return std::string();
  std::string text(statement.Bytes(0));
  // A pragma that changes the file commits behind its row, and fails there.
  EF_RETURN_IF_ERROR(statement.Run());
  return text;
}

Status Database::ReadBlob(const char* table, const char* column, std::int64_t row,
                          std::uint64_t begin, std::string* out) {
  sqlite3_blob* blob = nullptr;
  int result = sqlite3_blob_open(handle_, "main", table, column, row, 0, &blob);
  if (result == SQLITE_OK) {
    const auto size = static_cast<std::uint64_t>(sqlite3_blob_bytes(blob));
    if (begin > size || out->size() > size - begin) {
      sqlite3_blob_close(blob);
      return Damage(
          path_, "row " + std::to_string(row) + " of " + table + " is shorter than its chunks say");
    }
    result = sqlite3_blob_read(blob, out->data(), static_cast<int>(out->size()),
                               static_cast<int>(begin));
  }
  const int closed = sqlite3_blob_close(blob);
  if (result == SQLITE_OK) result = closed;
  if (result == SQLITE_OK) return {};
  // A row that is not there is reported as SQLITE_ERROR.
  if (result == SQLITE_ERROR) result = SQLITE_CORRUPT;
  return Error(result, "read");
}

// Through SQLite's own descriptor: to close another one of the file would drop the locks on it.
Status Database::CheckModeBytes() {
  sqlite3_file* file = nullptr;
  int result = sqlite3_file_control(handle_, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  char bytes[20] = {};
  if (result == SQLITE_OK) result = file->pMethods->xRead(file, bytes, sizeof bytes, 0);
  if (result != SQLITE_OK) return Error(result, "read");
  constexpr char kWithWal = 2;
  if (bytes[18] == kWithWal && bytes[19] == kWithWal) return {};
  return Damage(path_, "header: it asks for no WAL");
}

Status Database::Error(int result, std::string_view doing) {
  const std::string printable = EscapeControl(path_);
  const std::string what =
      "cannot " + std::string(doing) + " " + printable + ": " + sqlite3_errstr(result);
  switch (result & 0xFF) {
    case SQLITE_FULL:
      return IoError(path_, doing, ENOSPC);
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM: {
      int error_number = sqlite3_system_errno(handle_);
      if (error_number == 0 || error_number == ENOENT) {
        error_number = (result & 0xFF) == SQLITE_READONLY ? EROFS : EIO;
      }
      return IoError(path_, doing, error_number);
    }
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return Damage(path_, "cannot " + std::string(doing) + " it: " + sqlite3_errstr(result));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Status(Code::kInUse, what).WithNext("close the other program that has it open");
    case SQLITE_TOOBIG:
      return Status(Code::kInvalidArgument, "a text or its metadata is too large for " + printable +
                                                "; the limit is 1,000,000,000 bytes");
    default:
      return Status(Code::kInternal, what);
  }
}

Result<ReadSnapshot> ReadSnapshot::Begin(Database* database) {
  if (sqlite3_get_autocommit(database->handle()) == 0) return ReadSnapshot(nullptr);
  EF_RETURN_IF_ERROR(database->Execute("BEGIN"));
  return ReadSnapshot(database);
}

ReadSnapshot::~ReadSnapshot() {
  // A failed read may have ended the transaction already.
  if (database_ != nullptr && sqlite3_get_autocommit(database_->handle()) == 0) {
    (void)database_->Execute("COMMIT");
  }
}

}  // namespace embedflow
