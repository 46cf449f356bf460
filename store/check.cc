#include "store/check.h"

#include <map>
#include <set>

#include "base/utf8.h"
#include "store/database.h"
#include "store/fields.h"
#include "store/records.h"
#include "store/runs.h"
#include "store/seal.h"

namespace embedflow {
namespace {

constexpr std::size_t kFaultsMax = 100;
// Vectors read in one LMDB transaction: a writer that wants to grow its map waits for no more.
constexpr std::size_t kSliceVectors = 1024;
constexpr std::uint64_t kFieldRowKind = 7;
constexpr std::size_t kReaderMapBytes = 1u << 20;

class Checker {
 public:
  Checker(const std::string& directory, Database* database, std::shared_ptr<VectorStore>* vectors)
      : directory_(directory), database_(database), vectors_(vectors) {}

  StoreCheck Run() {
    // Each part goes on where another gives up.
    Note(CheckFile());
    Note(CheckDocuments());
    Note(CheckFields());
    Note(CheckLetters());
    Note(CheckRuns());
    CompareTotals();
    Note(CheckVectors());
    return std::move(check_);
  }

 private:
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
        Fault(EscapeControl(database_->path()) + ": " + EscapeControl(rows.Bytes(0), 200));
      }
    }
    return CheckSchema(database_);
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
    const auto fault = [&](std::string_view what) {
      Note(Damaged(*database_, ChunkName(chunk.place), what));
    };
    if (OrdinalOf(chunk.place) != ordinal) fault("one before it is missing");
    if (!IsIdOf(chunk, document.id)) fault("its id is not the one of its text and place");
    if (!has_text) return;
    if (chunk.begin >= chunk.end || chunk.end > text.size()) {
      fault("it is no span of its text");
      return;
    }
    const bool cuts = IsContinuation(text[chunk.begin]) ||
                      (chunk.end < text.size() && IsContinuation(text[chunk.end]));
    if (cuts) fault("it begins or ends inside a character");
    if (HashContent(text.substr(chunk.begin, chunk.end - chunk.begin)) != chunk.text_hash) {
      fault("its text is not what was embedded");
    }
  }

  // An id may stand a little behind its key where others had taken it.
  static bool IsIdOf(const StoredChunkRow& chunk, std::string_view document_id) {
    ChunkId id = FirstChunkId(ChunkKey(document_id, OrdinalOf(chunk.place), chunk.text_hash));
    for (int probe = 0; probe < kChunkIdProbesMax; ++probe, id = NextChunkId(id)) {
      if (id == chunk.id) return true;
    }
    return false;
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

  void CompareTotals() {
    // Before the row: the writer commits first and seals then.
    const Result<Totals> seal = Seal::Read(directory_);
    if (!seal.ok()) Note(seal.status());
    Totals stored;
    const Status status = ReadTotals(database_, &stored);
    if (!status.ok()) {
      Note(status);
      return;
    }
    if (seal.ok() && seal->commits == stored.commits && *seal != stored) {
      Fault(EscapeControl(directory_) + "/" + kSealFile + ": it disagrees with the database");
    }
    totals_.commits = stored.commits;
    totals_.documents = check_.documents;
    totals_.chunks = check_.chunks;
    if (totals_ != stored) {
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
      const Status status = ReadSpace(*database_, rows, &space);
      Note(status);
      if (!status.ok()) continue;
      EF_RETURN_IF_ERROR(CheckSpace(space));
      const ContentHash key = SpaceKey(space.space);
      CheckTally(tallies, key, EscapeControl(space.space.name()));
      names.erase(key);
    }
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
    VectorMatch match;
    match.missing = [&](std::string_view, std::uint64_t chunks, std::int64_t place) {
      check_.missing_vectors += chunks;
      Line(file + ": the vector of " + ChunkName(place) + " in " + name + " is missing");
    };
    match.orphan = [&](const ContentHash&) { ++check_.orphan_vectors; };
    match.damaged = [&](const ContentHash& hash) {
      Fault(file + ": vector " + hash.hex() + " of " + name + ": its checksum is wrong");
    };
    EF_ASSIGN_OR_RETURN(const std::uint64_t vectors,
                        MatchVectors(database_, record.id, vectors_->get(), space, match));
    check_.vectors += vectors;
    return {};
  }

  const std::string& directory_;
  Database* const database_;
  std::shared_ptr<VectorStore>* const vectors_;
  Statement texts_;
  Statement chunks_;
  StoreCheck check_;
  Totals totals_;  // As counted.
  std::uint64_t fields_sum_ = 0;
};

}  // namespace

Result<std::uint64_t> MatchVectors(Database* database, SpaceId id, VectorStore* vectors,
                                   const VectorSpace* space, const VectorMatch& match) {
  static_assert(kOrdinalBits == 26);
  EF_ASSIGN_OR_RETURN(
      Statement needed,
      database->Prepare("SELECT c.text_hash, count(*), min(c.place) FROM chunks c JOIN documents d"
                        " ON d.document = c.place >> 26"
                        " WHERE (d.spaces & ?1) != 0 AND (c.dead_spaces & ?1) = 0"
                        " GROUP BY c.text_hash ORDER BY c.text_hash"));
  needed.BindUnsigned(SpaceBit(id));
  EF_ASSIGN_OR_RETURN(bool more, needed.Step());
  Status status;
  const auto advance = [&] {
    Result<bool> next = needed.Step();
    if (!next.ok()) status = next.status();
    more = next.ok() && *next;
  };
  const auto missing_before = [&](const ContentHash* hash) {
    while (more && (hash == nullptr || needed.Bytes(0) < hash->view())) {
      match.missing(needed.Bytes(0), needed.Unsigned(1), needed.Int(2));
      advance();
    }
  };
  std::uint64_t total = 0;
  std::optional<ContentHash> after;
  while (space != nullptr && status.ok()) {
    EF_ASSIGN_OR_RETURN(
        const std::size_t visited,
        vectors->Visit(*space, &after, kSliceVectors, [&](const ContentHash& hash, bool good) {
          missing_before(&hash);
          if (!good) match.damaged(hash);
          if (more && needed.Bytes(0) == hash.view()) {
            advance();
          } else if (status.ok()) {
            match.orphan(hash);
          }
        }));
    if (visited == 0) break;
    total += visited;
  }
  EF_RETURN_IF_ERROR(status);
  missing_before(nullptr);
  EF_RETURN_IF_ERROR(status);
  return total;
}

Result<StoreCheck> CheckStore(const std::string& directory, Database* database,
                              std::shared_ptr<VectorStore>* vectors) {
  return Checker(directory, database, vectors).Run();
}

}  // namespace embedflow
