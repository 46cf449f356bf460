#include "store/schema.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "store/records.h"

namespace embedflow {
namespace {

// One statement an entry. Compared word for word when a corpus is opened, so a change here is a new
// format version. docs/formats.md explains the columns.
constexpr const char* kInEveryFormat[] = {
    "CREATE TABLE totals(one INTEGER PRIMARY KEY, commits INTEGER NOT NULL,"
    " documents INTEGER NOT NULL, chunks INTEGER NOT NULL, dead_letters INTEGER NOT NULL,"
    " documents_sum INTEGER NOT NULL, chunks_sum INTEGER NOT NULL, letters_sum INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL)",
    "CREATE TABLE texts(document INTEGER PRIMARY KEY, metadata TEXT NOT NULL, text BLOB NOT NULL)",
    "CREATE TABLE chunks(place INTEGER PRIMARY KEY, chunk_id INTEGER NOT NULL UNIQUE,"
    " begin INTEGER NOT NULL, end INTEGER NOT NULL, heading TEXT NOT NULL,"
    " text_hash BLOB NOT NULL, dead_spaces INTEGER NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE TABLE fields(field INTEGER NOT NULL, document INTEGER NOT NULL,"
    " PRIMARY KEY(field, document)) WITHOUT ROWID",
    "CREATE TABLE dead_letters(letter BLOB PRIMARY KEY, reason TEXT NOT NULL,"
    " provider_says TEXT NOT NULL, document_id TEXT NOT NULL, file TEXT NOT NULL,"
    " line INTEGER NOT NULL, begin INTEGER NOT NULL, end INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, wall_ms INTEGER NOT NULL, space INTEGER NOT NULL,"
    " run INTEGER NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX dead_letters_by_document ON dead_letters(document_id)",
    "CREATE TABLE empty_records(id TEXT PRIMARY KEY, run INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE runs(run INTEGER PRIMARY KEY, space INTEGER NOT NULL,"
    " in_flight_max INTEGER NOT NULL, began_ms INTEGER NOT NULL, ended_ms INTEGER,"
    " summary TEXT NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE TABLE run_samples(run INTEGER NOT NULL, sample INTEGER NOT NULL,"
    " wall_ms INTEGER NOT NULL, progress TEXT NOT NULL, checksum INTEGER NOT NULL,"
    " PRIMARY KEY(run, sample)) WITHOUT ROWID",
};

constexpr const char* kOnlyInFormat1[] = {
    "CREATE TABLE spaces(space INTEGER PRIMARY KEY, provider TEXT NOT NULL, model TEXT NOT NULL,"
    " revision TEXT NOT NULL, dimensions INTEGER NOT NULL, input_type TEXT NOT NULL,"
    " digest TEXT NOT NULL, base_url TEXT NOT NULL, api_key_env TEXT NOT NULL,"
    " index_kind TEXT NOT NULL, metric TEXT NOT NULL, generation INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL)",
    "CREATE TABLE documents(document INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " text_hash BLOB NOT NULL, metadata_hash BLOB NOT NULL, chunking BLOB NOT NULL,"
    " spaces INTEGER NOT NULL, run INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " chunks INTEGER NOT NULL, chunks_dead INTEGER NOT NULL, file TEXT NOT NULL,"
    " line INTEGER NOT NULL, text_bytes INTEGER NOT NULL, text_sum INTEGER NOT NULL,"
    " metadata_sum INTEGER NOT NULL, checksum INTEGER NOT NULL)",
};

constexpr const char* kSpaces2 =
    "CREATE TABLE spaces(space INTEGER PRIMARY KEY, provider TEXT NOT NULL, model TEXT NOT NULL,"
    " revision TEXT NOT NULL, dimensions INTEGER NOT NULL, input_type TEXT NOT NULL,"
    " digest TEXT NOT NULL, base_url TEXT NOT NULL, api_key_env TEXT NOT NULL,"
    " index_kind TEXT NOT NULL, metric TEXT NOT NULL, generation INTEGER NOT NULL,"
    " documents INTEGER NOT NULL, options TEXT NOT NULL, checksum INTEGER NOT NULL)";
// The last column as ALTER TABLE writes it down, so that a file that was brought forward and a new
// one are the same.
constexpr const char* kDocuments2 =
    "CREATE TABLE documents(document INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " text_hash BLOB NOT NULL, metadata_hash BLOB NOT NULL, chunking BLOB NOT NULL,"
    " spaces INTEGER NOT NULL, run INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " chunks INTEGER NOT NULL, chunks_dead INTEGER NOT NULL, file TEXT NOT NULL,"
    " line INTEGER NOT NULL, text_bytes INTEGER NOT NULL, text_sum INTEGER NOT NULL,"
    " metadata_sum INTEGER NOT NULL, checksum INTEGER NOT NULL, source INTEGER NOT NULL DEFAULT 0)";
constexpr const char* kAddSource =
    "ALTER TABLE documents ADD COLUMN source INTEGER NOT NULL DEFAULT 0";
constexpr const char* kNewIn2[] = {
    "CREATE TABLE sources(source INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " checksum INTEGER NOT NULL)",
    "CREATE TABLE maybe_paid(space INTEGER NOT NULL, text_hash BLOB NOT NULL,"
    " checksum INTEGER NOT NULL, PRIMARY KEY(space, text_hash)) WITHOUT ROWID",
};

std::vector<std::string_view> SchemaOf(int version) {
  std::vector<std::string_view> schema(std::begin(kInEveryFormat), std::end(kInEveryFormat));
  if (version == 1) {
    schema.insert(schema.end(), std::begin(kOnlyInFormat1), std::end(kOnlyInFormat1));
  } else {
    schema.insert(schema.end(), {kSpaces2, kDocuments2});
    schema.insert(schema.end(), std::begin(kNewIn2), std::end(kNewIn2));
  }
  // By their text: what was brought forward has its tables in another order.
  std::sort(schema.begin(), schema.end());
  return schema;
}

Result<std::vector<SpaceRecord>> ReadSpaces1(Database* database) {
  EF_ASSIGN_OR_RETURN(
      Statement rows,
      database->Prepare("SELECT space, provider, model, revision, dimensions, input_type, digest,"
                        " base_url, api_key_env, index_kind, metric, generation, checksum"
                        " FROM spaces ORDER BY space"));
  std::vector<SpaceRecord> spaces;
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return spaces;
    SpaceRecord& space = spaces.emplace_back();
    space.id = static_cast<SpaceId>(rows.Int(0));
    space.space.provider = rows.Bytes(1);
    space.space.model = rows.Bytes(2);
    space.space.revision = rows.Bytes(3);
    space.space.dimensions = static_cast<int>(rows.Int(4));
    space.space.input_type = rows.Bytes(5);
    space.space.digest = rows.Bytes(6);
    space.base_url = rows.Bytes(7);
    space.api_key_env = rows.Bytes(8);
    space.index_kind = rows.Bytes(9);
    space.metric = rows.Bytes(10);
    space.generation = rows.Unsigned(11);
    if (rows.Unsigned(12) != SpaceSum1(space)) {
      return Damaged(*database, "space " + std::to_string(space.id), "its checksum is wrong");
    }
  }
}

// Format 2: documents know their source, spaces how many documents they have and how their provider
// was made.
Status MigrateTo2(Database* database) {
  EF_ASSIGN_OR_RETURN(std::vector<SpaceRecord> spaces, ReadSpaces1(database));
  for (SpaceRecord& space : spaces) {
    EF_ASSIGN_OR_RETURN(
        Statement count,
        database->Prepare("SELECT count(*) FROM documents WHERE (spaces & ?) != 0"));
    EF_ASSIGN_OR_RETURN(const bool row, count.BindUnsigned(SpaceBit(space.id)).Step());
    if (row) space.documents = count.Unsigned(0);
  }
  EF_RETURN_IF_ERROR(database->Execute(kAddSource));
  EF_RETURN_IF_ERROR(database->Execute("DROP TABLE spaces"));
  EF_RETURN_IF_ERROR(database->Execute(kSpaces2));
  for (const char* statement : kNewIn2) EF_RETURN_IF_ERROR(database->Execute(statement));
  for (const SpaceRecord& space : spaces) EF_RETURN_IF_ERROR(WriteSpace(database, space));
  return database->Execute("PRAGMA user_version=2");
}

}  // namespace

Status CheckSchema(Database* database, int version) {
  EF_ASSIGN_OR_RETURN(
      Statement rows,
      database->Prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql"));
  for (const std::string_view wanted : SchemaOf(version)) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row || rows.Bytes(0) != wanted) {
      return Damaged(*database, "schema", "it is not the one of its format version");
    }
  }
  EF_ASSIGN_OR_RETURN(const bool more, rows.Step());
  if (more) return Damaged(*database, "schema", "it holds something that is not ours");
  return {};
}

Status LayFormat(Database* database) {
  EF_RETURN_IF_ERROR(database->Execute("BEGIN IMMEDIATE"));
  for (const char* statement : kInEveryFormat) EF_RETURN_IF_ERROR(database->Execute(statement));
  EF_RETURN_IF_ERROR(database->Execute(kSpaces2));
  EF_RETURN_IF_ERROR(database->Execute(kDocuments2));
  for (const char* statement : kNewIn2) EF_RETURN_IF_ERROR(database->Execute(statement));
  EF_ASSIGN_OR_RETURN(Statement totals,
                      database->Prepare("INSERT INTO totals VALUES(1, 0, 0, 0, 0, 0, 0, 0, ?)"));
  EF_RETURN_IF_ERROR(totals.BindUnsigned(Totals{}.checksum()).Run());
  static_assert(kApplicationId == 1162234967 && kFormatVersion == 2);
  EF_RETURN_IF_ERROR(database->Execute("PRAGMA application_id=1162234967"));
  EF_RETURN_IF_ERROR(database->Execute("PRAGMA user_version=2"));
  return database->Execute("COMMIT");
}

Status Migrate(Database* database) {
  Log(LogLevel::kInfo, database->path() + ": bringing it from format version 1 to 2");
  EF_RETURN_IF_ERROR(database->Execute("BEGIN IMMEDIATE"));
  Status status = MigrateTo2(database);
  if (status.ok()) status = database->Execute("COMMIT");
  if (!status.ok()) (void)database->Execute("ROLLBACK");
  return status;
}

}  // namespace embedflow
