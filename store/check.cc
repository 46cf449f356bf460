#include "store/check.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/utf8.h"
#include "store/database.h"
#include "store/fields.h"
#include "store/forget_space.h"
#include "store/match_vectors.h"
#include "store/records.h"
#include "store/runs.h"
#include "store/seal.h"

namespace embedflow {
namespace {

constexpr std::size_t kFaultsMax = 100;
constexpr std::uint64_t kFieldRowKind = 7;
constexpr std::size_t kReaderMapBytes = 1u << 20;

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
    Note(CheckVectors());
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

  void Fault(const std::string& what) {
    ++check_.corrupt;
    Line(what);
  }
  void Line(const std::string& what) {
    if (check_.faults.size() < kFaultsMax) check_.faults.push_back(what);
  }
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

  Status CheckVectors() {
    if (*vectors_ == nullptr) {
      EF_ASSIGN_OR_RETURN(
          *vectors_, VectorStore::Open(directory_, VectorStore::Access::kRead, kReaderMapBytes));
    }
    EF_ASSIGN_OR_RETURN(const VectorTallies tallies, (*vectors_)->Examine());
    std::map<ContentHash, std::string> names;
    for (const auto& [key, tally] : tallies.counted) names[key] = "space " + key.hex();
    for (const auto& [key, tally] : tallies.kept) names[key] = "space " + key.hex();
    EF_ASSIGN_OR_RETURN(Statement rows, database_->Prepare(kAllSpaces));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      SpaceRecord space;
      if (!ReadSpace(*database_, rows, &space).ok()) continue;
      EF_RETURN_IF_ERROR(CheckSpace(space));
      const ContentHash key = SpaceKey(space.space);
      CheckTally(tallies, key, EscapeControl(space.space.name()));
      names.erase(key);
    }
    EF_RETURN_IF_ERROR(AddHomeless(database_, needy_, &check_.to_buy_again));
    // Of spaces that the database does not know: bought, and waiting for their texts.
    for (const auto& [key, name] : names) {
      CheckTally(tallies, key, name);
      const auto counted = tallies.counted.find(key);
      if (counted == tallies.counted.end()) continue;
      check_.vectors += counted->second.count;
      check_.orphan_vectors += counted->second.count;
    }
    return {};
  }

  void CheckTally(const VectorTallies& tallies, const ContentHash& key, const std::string& name) {
    if (!tallies.has_sums || tallies.Agrees(key)) return;
    const auto counted = tallies.counted.find(key);
    const std::uint64_t is = counted == tallies.counted.end() ? 0 : counted->second.count;
    const auto kept = tallies.kept.find(key);
    const std::string file = EscapeControl(directory_) + "/" + kVectorFile + ": ";
    if (kept == tallies.kept.end() || !kept->second) {
      Fault(file + "the record of how many vectors " + name + " has is missing or damaged");
      return;
    }
    Fault(file + "vectors of " + name + " are missing, extra or changed: " + std::to_string(is) +
          " are there, " + std::to_string(kept->second->count) + " were written");
  }

  Status CheckSpace(const SpaceRecord& record) {
    const std::string file = EscapeControl(directory_) + "/" + kVectorFile;
    const std::string name = EscapeControl(record.space.name());
    EF_ASSIGN_OR_RETURN(const VectorSpace* space, (*vectors_)->FindSpace(record.space, false));
    std::vector<ContentHash> gone;
    VectorMatch match;
    match.missing = [&](std::string_view hash, std::uint64_t chunks, std::int64_t place) {
      check_.missing_vectors += chunks;
      gone.push_back(ContentHash::FromBytes(hash));
      Line(file + ": the vector of " + ChunkName(place) + " in " + name + " is missing");
    };
    match.orphan = [&](const ContentHash&) { ++check_.orphan_vectors; };
    match.damaged = [&](const ContentHash& hash) {
      gone.push_back(hash);
      Fault(file + ": vector " + hash.hex() + " of " + name + ": its checksum is wrong");
    };
    EF_ASSIGN_OR_RETURN(const std::uint64_t vectors,
                        MatchVectors(database_, record.id, vectors_->get(), space, match));
    check_.vectors += vectors;
    if (gone.empty()) return {};
    std::sort(gone.begin(), gone.end());
    EF_ASSIGN_OR_RETURN(const SpaceNeedy needy, FindNeedy(database_, record.id, gone));
    AddNeedy(record.space, needy, &needy_, &check_.to_buy_again);
    return {};
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
  std::set<std::int64_t> needy_;  // Documents that need vectors that are gone.
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
