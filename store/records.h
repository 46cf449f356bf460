// The rows of the database as values, each with the checksum that tells whether it is what was
// written.
//
// SQLite lets most flipped bits pass as other content, so every row carries an XXH3 of its own
// fields and is checked whenever it is read.
#ifndef EMBEDFLOW_STORE_RECORDS_H_
#define EMBEDFLOW_STORE_RECORDS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "embedflow/status.h"
#include "store/sqlite.h"
#include "store/store.h"

namespace embedflow {

// A checksum over the fields of one record. Each field is hashed with the sum so far as its seed,
// so that fields do not run together.
class RecordSum {
 public:
  // `kind` keeps records of different tables apart; or a sum to go on from.
  explicit RecordSum(std::uint64_t kind) : sum_(kind) {}
  RecordSum& Add(std::uint64_t value) {
    sum_ = Checksum({reinterpret_cast<const char*>(&value), sizeof value}, sum_);
    return *this;
  }
  RecordSum& Add(std::string_view bytes) {
    sum_ = Checksum(bytes, sum_);
    return *this;
  }
  RecordSum& Add(const ContentHash& hash) { return Add(hash.view()); }
  std::uint64_t value() const { return sum_; }

 private:
  std::uint64_t sum_;
};

// Chunks of one document lie side by side: the row id of a chunk is its document's number and its
// ordinal.
inline constexpr int kOrdinalBits = 26;
inline constexpr std::uint64_t kOrdinalsMax = std::uint64_t{1} << kOrdinalBits;
inline std::int64_t PlaceOf(std::int64_t document, std::uint64_t ordinal) {
  return (document << kOrdinalBits) | static_cast<std::int64_t>(ordinal);
}
inline std::int64_t DocumentOf(std::int64_t place) { return place >> kOrdinalBits; }
inline std::uint32_t OrdinalOf(std::int64_t place) {
  return static_cast<std::uint32_t>(place & static_cast<std::int64_t>(kOrdinalsMax - 1));
}

// How far a chunk id may lie behind the one its key asks for, because others had taken it.
inline constexpr int kChunkIdProbesMax = 64;
// The id after `id`; ids are in [1, 2^63), because 0 stands for "no id".
inline ChunkId NextChunkId(ChunkId id) { return id == INT64_MAX ? 1 : id + 1; }
inline ChunkId FirstChunkId(const ContentHash& key) {
  const ChunkId id = ChunkIdOf(key);
  return id == 0 ? 1 : id;
}

inline std::uint64_t SpaceBit(SpaceId space) { return std::uint64_t{1} << space; }

// What the whole store holds, kept in one row and, against a lost tail of the WAL, in the seal. The
// sums are commutative: the wrapping sum of the checksums of all rows of a table.
struct Totals {
  std::uint64_t commits = 0;
  std::uint64_t documents = 0;
  std::uint64_t chunks = 0;
  std::uint64_t dead_letters = 0;
  std::uint64_t documents_sum = 0;
  std::uint64_t chunks_sum = 0;
  std::uint64_t letters_sum = 0;
  std::uint64_t checksum() const;
  bool operator==(const Totals&) const = default;
};

struct DocumentRow {
  std::int64_t number = 0;
  std::string id;
  DocumentState state;
  std::uint64_t sequence = 0;
  std::uint64_t chunks = 0;
  Origin origin;
  std::uint64_t text_bytes = 0;
  std::uint64_t text_sum = 0;
  std::uint64_t metadata_sum = 0;
  // A source of 0 does not enter: rows of format version 1, which had none, keep their checksums.
  std::uint64_t checksum() const;
};

struct StoredChunkRow {
  std::int64_t place = 0;
  ChunkId id = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string heading;
  ContentHash text_hash;
  std::uint64_t dead_spaces = 0;
  std::uint64_t checksum() const;
};

struct LetterRow {
  DeadLetter letter;
  SpaceId space = 0;     // 0 for a bad record.
  std::int64_t run = 0;  // That wrote it last.
  std::uint64_t checksum() const;
};

std::uint64_t SpaceSum(const SpaceRecord& space);
// As a row of format version 1 has it, which the sum of today goes on from.
std::uint64_t SpaceSum1(const SpaceRecord& space);
std::uint64_t SourceSum(std::int64_t source, std::string_view name);
std::uint64_t MaybePaidSum(SpaceId space, const ContentHash& text_hash);
// What names a space's vectors in LMDB and seeds their checksums: never its id, which another
// database could give to another space.
ContentHash SpaceKey(const Space& space);

// A letter of a chunk, as opposed to one of a bad record.
inline bool IsChunkLetter(const DeadLetter& letter) { return letter.end > letter.begin; }
// What a letter is stored under: a chunk's place and space, or a record's place in the input.
ContentHash LetterKey(const DeadLetter& letter, SpaceId space);

// kCorruption: "<path>: <record>: <what>".
Status Damaged(const Database& database, std::string_view record, std::string_view what);
std::string DocumentName(std::int64_t number);
std::string ChunkName(std::int64_t place);

// Read a row from the columns of the queries below and check it. Errors: kCorruption.
Status ReadTotals(Database* database, Totals* totals);
Status ReadDocument(const Database& database, const Statement& row, DocumentRow* document);
Status ReadChunk(const Database& database, const Statement& row, StoredChunkRow* chunk);
Status ReadLetter(const Database& database, const Statement& row, LetterRow* letter);
Status ReadSpace(const Database& database, const Statement& row, SpaceRecord* space);
// Inserts or replaces the row, inside a transaction.
Status WriteSpace(Database* database, const SpaceRecord& space);

inline constexpr const char* kDocumentById =
    "SELECT document, id, text_hash, metadata_hash, chunking, spaces, run, sequence, chunks,"
    " chunks_dead, file, line, text_bytes, text_sum, metadata_sum, checksum, source"
    " FROM documents WHERE id = ?";
inline constexpr const char* kDocumentByNumber =
    "SELECT document, id, text_hash, metadata_hash, chunking, spaces, run, sequence, chunks,"
    " chunks_dead, file, line, text_bytes, text_sum, metadata_sum, checksum, source"
    " FROM documents WHERE document = ?";
inline constexpr const char* kAllDocuments =
    "SELECT document, id, text_hash, metadata_hash, chunking, spaces, run, sequence, chunks,"
    " chunks_dead, file, line, text_bytes, text_sum, metadata_sum, checksum, source"
    " FROM documents ORDER BY document";
inline constexpr const char* kAllDocumentsAfter =
    "SELECT document, id, text_hash, metadata_hash, chunking, spaces, run, sequence, chunks,"
    " chunks_dead, file, line, text_bytes, text_sum, metadata_sum, checksum, source"
    " FROM documents WHERE document > ? ORDER BY document";
inline constexpr const char* kDocumentsWithLetters =
    "SELECT document, id, text_hash, metadata_hash, chunking, spaces, run, sequence, chunks,"
    " chunks_dead, file, line, text_bytes, text_sum, metadata_sum, checksum, source"
    " FROM documents WHERE id > ?1 AND EXISTS(SELECT 1 FROM dead_letters WHERE document_id = id"
    " AND space = ?2 AND \"end\" > begin) ORDER BY id";
inline constexpr const char* kDocumentsWithout =
    "SELECT document, id, text_hash, metadata_hash, chunking, spaces, run, sequence, chunks,"
    " chunks_dead, file, line, text_bytes, text_sum, metadata_sum, checksum, source"
    " FROM documents WHERE document > ? AND (spaces & ?) = 0 ORDER BY document";
inline constexpr const char* kChunksByPlace =
    "SELECT place, chunk_id, begin, end, heading, text_hash, dead_spaces, checksum"
    " FROM chunks WHERE place BETWEEN ? AND ? ORDER BY place";
inline constexpr const char* kChunkById =
    "SELECT place, chunk_id, begin, end, heading, text_hash, dead_spaces, checksum"
    " FROM chunks WHERE chunk_id = ?";
inline constexpr const char* kAllLetters =
    "SELECT letter, reason, provider_says, document_id, file, line, begin, end, attempts, wall_ms,"
    " space, run, checksum FROM dead_letters ORDER BY file, line, document_id, begin, end";
inline constexpr const char* kAllSpaces =
    "SELECT space, provider, model, revision, dimensions, input_type, digest, base_url,"
    " api_key_env, index_kind, metric, generation, documents, options, checksum FROM spaces"
    " ORDER BY space";

// --- Metadata ---

// A metadata field as the filter compares it: the value's text, "null" for null.
// Calls `visit` for each field of `json`, which MetadataJson wrote. Errors: kCorruption without a
// place.
Status VisitMetadata(
    std::string_view json,
    const std::function<void(std::string_view key, std::string_view value)>& visit);
// The number under which a field is found again. Two fields may share one: compare before use.
std::int64_t FieldNumber(std::string_view key, std::string_view value);
// What MetadataJson wrote, as it was. Errors: kCorruption without a place.
Result<Metadata> ReadMetadata(std::string_view json);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_RECORDS_H_
