// SQLite as values: a connection, statements with bound parameters, results as Status.
//
// SQL text is always a literal: Prepare takes a `const char*` that the caller wrote down, and every
// value travels by Bind.
#ifndef EMBEDFLOW_STORE_SQLITE_H_
#define EMBEDFLOW_STORE_SQLITE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "embedflow/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace embedflow {

class Database;

// A prepared statement. Bind in the order of the parameters, then Step or Run; views bound must
// live until Reset, which Run and a finished Step do by themselves.
// Threads: those of its Database. The Database must outlive it.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  Statement& Bind(std::int64_t value);
  // Values from 2^63 are stored as their two's complement; Unsigned() reads them back.
  Statement& BindUnsigned(std::uint64_t value) { return Bind(static_cast<std::int64_t>(value)); }
  Statement& BindText(std::string_view text);
  Statement& BindBlob(std::string_view bytes);
  Statement& BindHash(const ContentHash& hash) { return BindBlob(hash.view()); }
  Statement& BindNull();

  // True if there is a row; its columns may be read until the next call.
  Result<bool> Step();
  // Steps to the end, ignoring rows.
  Status Run();
  // As Run, but returns false instead of an error when a UNIQUE constraint stands in the way.
  Result<bool> RunUnlessTaken();
  void Reset();

  std::int64_t Int(int column) const;
  std::uint64_t Unsigned(int column) const { return static_cast<std::uint64_t>(Int(column)); }
  bool IsNull(int column) const;
  // Text or blob; valid until the next call on this statement.
  std::string_view Bytes(int column) const;
  // False if the column does not hold 16 bytes.
  bool Hash(int column, ContentHash* hash) const;

 private:
  friend class Database;
  Statement(Database* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}
  void Note(int result);

  Database* database_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  int parameter_ = 0;
  int bind_result_ = 0;  // The first failed bind; reported by Step.
};

// A connection to one file, hardened: defensive, untrusted schema, no mapped reads, no extensions,
// lowered limits.
// Threads: one thread at a time.
class Database {
 public:
  enum class Access {
    kRead,       // Read-only; never checkpoints, because only the writer may (SQLite's WAL-reset
                 // bug, fixed after the version we stand on, needs two connections that do).
    kImmutable,  // As kRead, for a file that nobody can be writing to and whose WAL is empty.
    kWrite,
  };
  // Errors: kIo, kCorruption (not a database).
  static Result<std::unique_ptr<Database>> Open(const std::string& path, Access access);
  ~Database();

  // `sql` must outlive nothing: it is copied. Errors: kCorruption, kIo, kInternal.
  Result<Statement> Prepare(const char* sql);
  // Statements without parameters and results.
  Status Execute(const char* sql);
  // The first column of the first row, as number or text.
  Result<std::int64_t> QueryInt(const char* sql);
  Result<std::string> QueryText(const char* sql);

  // Reads bytes [begin, begin + out.size()) of a blob without reading what is before or behind it.
  Status ReadBlob(const char* table, const char* column, std::int64_t row, std::uint64_t begin,
                  std::string* out);

  // OK if the file's header asks for a WAL: otherwise SQLite reads the file without it, or refuses
  // to write. Errors: kCorruption, kIo.
  Status CheckModeBytes();

  const std::string& path() const { return path_; }
  sqlite3* handle() { return handle_; }
  // What a SQLite result code means to a caller.
  Status Error(int result, std::string_view doing);

 private:
  Database(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}
  Status Harden(Access access);

  std::string path_;
  sqlite3* handle_;
};

// A read transaction: all statements of one connection see the same state while it lives. Inside
// another one, it is that one.
class ReadSnapshot {
 public:
  static Result<ReadSnapshot> Begin(Database* database);
  ReadSnapshot(ReadSnapshot&& other) noexcept : database_(other.database_) {
    other.database_ = nullptr;
  }
  ~ReadSnapshot();

 private:
  explicit ReadSnapshot(Database* database) : database_(database) {}
  Database* database_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_SQLITE_H_
