#include "store/check.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/utf8.h"
#include "store/check_vectors.h"
#include "store/database.h"
#include "store/fields.h"
#include "store/records.h"
#include "store/runs.h"
#include "store/seal.h"

namespace embedflow {
namespace {

constexpr std::uint64_t kFieldRowKind = 7;

// An id may stand a little behind its key where others had taken it.
bool IsIdOf(const StoredChunkRow& chunk, std::string_view document_id) {
  ChunkId id = FirstChunkId(ChunkKey(document_id, OrdinalOf(chunk.place), chunk.text_hash));
  for (int probe = 0; probe < kChunkIdProbesMax; ++probe, id = NextChunkId(id)) {
    if (id == chunk.id) return true;
  }
  return false;
}

class Checker {
 public:
  Checker(const std::string& directory, Database* database, std::shared_ptr<VectorStore>* vectors)
      : directory_(directory), database_(database), vectors_(vectors) {}

  StoreCheck Run() {
    // Before the row of totals: the writer commits first and seals then.
    const Result<Totals> seal = Seal::Read(directory_);
    if (!seal.ok()) Note(seal.status());
    CheckRows();
    if (seal.ok() && seal->commits == stored_.commits && *seal != stored_) {
      Fault(EscapeControl(directory_) + "/" + kSealFile + ": it disagrees with the database");
    }
    const Status vectors = CheckVectors(directory_, database_, vectors_, &check_);
    if (!vectors.ok()) AddFault(&check_, vectors.message());
    return std::move(check_);
  }

  StoreCheck RunOnDatabase() {
    CheckRows();
    return std::move(check_);
  }

 private:
  // Each part goes on where another gives up.
  void CheckRows() {
    Note(CheckFile());
    Note(CheckDocuments());
    Note(CheckFields());
    Note(CheckLetters());
    Note(CheckRuns());
    Note(CheckSpaces());
    Note(CheckSources());
    Note(CheckMaybePaid());
    CompareTotals();
  }

  void Fault(const std::string& what) { AddFault(&check_, what); }
  void Note(const Status& status) {
    if (!status.ok()) Fault(status.message());
  }

  Status CheckFile() {
    EF_ASSIGN_OR_RETURN(Statement rows, database_->Prepare("PRAGMA integrity_check(20)"));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      if (rows.Bytes(0) != "ok") {
        std::string what(rows.Bytes(0));
        std::replace(what.begin(), what.end(), '\n', ' ');
        Fault(EscapeControl(database_->path()) + ": " + EscapeControl(what, 200));
      }
    }
    Note(CheckNumbers());
    return CheckSchema(database_);
  }

  // What stands in the header of the file, beside its pages.
  Status CheckNumbers() {
    EF_ASSIGN_OR_RETURN(const std::int64_t application,
                        database_->QueryInt("PRAGMA application_id"));
    EF_ASSIGN_OR_RETURN(const std::int64_t version, database_->QueryInt("PRAGMA user_version"));
    if (application != kApplicationId || version != kFormatVersion) {
      return Damaged(*database_, "header", "it does not name this format");
    }
    return database_->CheckModeBytes();
  }

  Status CheckDocuments() {
    EF_ASSIGN_OR_RETURN(Statement rows, database_->Prepare(kAllDocuments));
    EF_ASSIGN_OR_RETURN(texts_,
                        database_->Prepare("SELECT metadata, text FROM texts WHERE document = ?"));
    EF_ASSIGN_OR_RETURN(chunks_, database_->Prepare(kChunksByPlace));
    DocumentRow document;
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      ++check_.documents;
      Note(ReadDocument(*database_, rows, &document));
      totals_.documents_sum += document.checksum();
      for (SpaceId space = 1; space <= kSpacesMax; ++space) {
        in_space_[static_cast<std::size_t>(space)] += document.state.spaces >> space & 1;
      }
      EF_RETURN_IF_ERROR(CheckDocument(document));
    }
    EF_ASSIGN_OR_RETURN(const std::int64_t chunks,
                        database_->QueryInt("SELECT count(*) FROM chunks"));
    EF_ASSIGN_OR_RETURN(const std::int64_t texts,
                        database_->QueryInt("SELECT count(*) FROM texts"));
    if (static_cast<std::uint64_t>(chunks) != check_.chunks) {
      Fault(EscapeControl(database_->path()) + ": chunks: some have no document");
    }
    if (static_cast<std::uint64_t>(texts) != check_.documents) {
      Fault(EscapeControl(database_->path()) + ": texts: some have no document");
    }
    return {};
  }

  Status CheckDocument(const DocumentRow& document) {
    texts_.Reset();
    EF_ASSIGN_OR_RETURN(const bool has_text, texts_.Bind(document.number).Step());
    std::string_view text;
    if (!has_text) {
      Note(Damaged(*database_, DocumentName(document.number), "its text is missing"));
    } else {
      text = texts_.Bytes(1);
      if (text.size() != document.text_bytes || Checksum(text) != document.text_sum) {
        Note(Damaged(*database_, DocumentName(document.number),
                     "the checksum of its text is wrong"));
      }
      if (Checksum(texts_.Bytes(0)) != document.metadata_sum) {
        Note(Damaged(*database_, DocumentName(document.number),
                     "the checksum of its metadata is wrong"));
      }
      CountFields(document.number, texts_.Bytes(0));
    }
    chunks_.Bind(PlaceOf(document.number, 0)).Bind(PlaceOf(document.number, kOrdinalsMax - 1));
    std::uint64_t count = 0;
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, chunks_.Step());
      if (!row) break;
      CheckChunk(document, text, has_text, count++);
    }
    check_.chunks += count;
    if (count != document.chunks) {
      Note(Damaged(*database_, DocumentName(document.number), "it has another number of chunks"));
    }
    return {};
  }

  void CheckChunk(const DocumentRow& document, std::string_view text, bool has_text,
                  std::uint64_t ordinal) {
    StoredChunkRow chunk;
    const Status status = ReadChunk(*database_, chunks_, &chunk);
    totals_.chunks_sum += chunk.checksum();
    if (!status.ok()) {
      Note(status);
      return;
    }
    if (!has_text) return;
    const std::string_view fault = FaultOfChunk(chunk, document.id, text, ordinal);
    if (!fault.empty()) Note(Damaged(*database_, ChunkName(chunk.place), fault));
  }

  static std::uint64_t FieldSum(std::int64_t field, std::int64_t document) {
    return RecordSum(kFieldRowKind)
        .Add(static_cast<std::uint64_t>(field))
        .Add(static_cast<std::uint64_t>(document))
        .value();
  }

  void CountFields(std::int64_t document, std::string_view metadata_json) {
    std::set<std::int64_t> fields;
    const Status status =
        VisitMetadata(metadata_json, [&](std::string_view key, std::string_view value) {
          fields.insert(FieldNumber(key, value));
        });
    if (!status.ok()) Note(Damaged(*database_, DocumentName(document), status.message()));
    for (const std::int64_t field : fields) fields_sum_ += FieldSum(field, document);
  }

  Status CheckFields() {
    EF_ASSIGN_OR_RETURN(Statement rows, database_->Prepare("SELECT field, document FROM fields"));
    std::uint64_t sum = 0;
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      sum += FieldSum(rows.Int(0), rows.Int(1));
    }
    if (sum == fields_sum_) return {};
    return Damaged(*database_, "fields", "they are not those of the documents");
  }

  Status CheckLetters() {
    EF_ASSIGN_OR_RETURN(Statement rows, database_->Prepare(kAllLetters));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) return {};
      LetterRow letter;
      Note(ReadLetter(*database_, rows, &letter));
      ++totals_.dead_letters;
      totals_.letters_sum += letter.checksum();
    }
  }

  Status CheckRuns() {
    EF_ASSIGN_OR_RETURN(Statement runs,
                        database_->Prepare("SELECT run, space, in_flight_max, began_ms, ended_ms,"
                                           " summary, checksum FROM runs"));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, runs.Step());
      if (!row) break;
      if (RunSum(runs.Int(0), static_cast<SpaceId>(runs.Int(1)), runs.Unsigned(2), runs.Int(3),
                 runs.Int(4), runs.Bytes(5)) != runs.Unsigned(6)) {
        Note(Damaged(*database_, "run " + std::to_string(runs.Int(0)), "its checksum is wrong"));
      }
    }
    EF_ASSIGN_OR_RETURN(
        Statement samples,
        database_->Prepare("SELECT run, sample, wall_ms, progress, checksum FROM run_samples"));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, samples.Step());
      if (!row) return {};
      if (SampleSum(samples.Int(0), samples.Int(1), samples.Int(2), samples.Bytes(3)) !=
          samples.Unsigned(4)) {
        Note(Damaged(*database_,
                     "sample " + std::to_string(samples.Int(1)) + " of run " +
                         std::to_string(samples.Int(0)),
                     "its checksum is wrong"));
      }
    }
  }

  Status CheckSpaces() {
    EF_ASSIGN_OR_RETURN(Statement rows, database_->Prepare(kAllSpaces));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) return {};
      SpaceRecord space;
      const Status status = ReadSpace(*database_, rows, &space);
      Note(status);
      if (status.ok() && space.documents != in_space_[static_cast<std::size_t>(space.id)]) {
        Note(Damaged(*database_, "space " + std::to_string(space.id),
                     "another number of documents is in it"));
      }
    }
  }

  Status CheckSources() {
    EF_ASSIGN_OR_RETURN(Statement rows,
                        database_->Prepare("SELECT source, name, checksum FROM sources"));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) return {};
      if (SourceSum(rows.Int(0), rows.Bytes(1)) == rows.Unsigned(2)) continue;
      Note(Damaged(*database_, "source " + std::to_string(rows.Int(0)), "its checksum is wrong"));
    }
  }

  Status CheckMaybePaid() {
    EF_ASSIGN_OR_RETURN(Statement rows,
                        database_->Prepare("SELECT space, text_hash, checksum FROM maybe_paid"));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) return {};
      ContentHash hash;
      const bool is_hash = rows.Hash(1, &hash);
      const auto space = static_cast<SpaceId>(rows.Int(0));
      if (is_hash && MaybePaidSum(space, hash) == rows.Unsigned(2)) continue;
      Note(Damaged(*database_, "maybe_paid " + hash.hex(), "its checksum is wrong"));
    }
  }

  void CompareTotals() {
    const Status status = ReadTotals(database_, &stored_);
    if (!status.ok()) {
      Note(status);
      return;
    }
    totals_.commits = stored_.commits;
    totals_.documents = check_.documents;
    totals_.chunks = check_.chunks;
    if (totals_ != stored_) {
      Note(Damaged(*database_, "totals", "rows are missing, extra or changed"));
    }
  }

  const std::string& directory_;
  Database* const database_;
  std::shared_ptr<VectorStore>* const vectors_;
  Statement texts_;
  Statement chunks_;
  StoreCheck check_;
  Totals totals_;  // As counted.
  Totals stored_;
  std::array<std::uint64_t, kSpacesMax + 1> in_space_{};  // Documents with the space's bit.
  std::uint64_t fields_sum_ = 0;
};

}  // namespace

std::string_view FaultOfChunk(const StoredChunkRow& chunk, std::string_view document_id,
                              std::string_view text, std::uint64_t ordinal) {
  if (OrdinalOf(chunk.place) != ordinal) return "one before it is missing";
  if (!IsIdOf(chunk, document_id)) return "its id is not the one of its text and place";
  if (chunk.begin >= chunk.end || chunk.end > text.size()) return "it is no span of its text";
  if (IsContinuation(text[chunk.begin]) ||
      (chunk.end < text.size() && IsContinuation(text[chunk.end]))) {
    return "it begins or ends inside a character";
  }
  if (HashContent(text.substr(chunk.begin, chunk.end - chunk.begin)) != chunk.text_hash) {
    return "its text is not what was embedded";
  }
  return {};
}

Result<StoreCheck> CheckStore(const std::string& directory, Database* database,
                              std::shared_ptr<VectorStore>* vectors) {
  return Checker(directory, database, vectors).Run();
}

StoreCheck CheckDatabase(const std::string& directory, Database* database) {
  return Checker(directory, database, nullptr).RunOnDatabase();
}

}  // namespace embedflow
