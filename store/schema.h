// The tables of the database in every format that was, and the way from one to the next.
#ifndef EMBEDFLOW_STORE_SCHEMA_H_
#define EMBEDFLOW_STORE_SCHEMA_H_

#include "embedflow/status.h"
#include "store/sqlite.h"

namespace embedflow {

// Written into the file's header, so that other programs and other versions can tell it.
inline constexpr int kApplicationId = 0x45464C57;  // "EFLW"
inline constexpr int kFormatVersion = 2;

// That the schema is, word for word, the one of that format. `version` must be in [1,
// kFormatVersion]. Errors: kCorruption.
Status CheckSchema(Database* database, int version = kFormatVersion);

// Lays the schema into an empty file, in one transaction.
Status LayFormat(Database* database);

// Brings a file of an older format to this build's, in one transaction: killed at any instant, it
// is of the one or of the other. The caller holds the directory's lock and has checked the schema.
// Errors: kCorruption, kIo.
Status Migrate(Database* database);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_SCHEMA_H_
