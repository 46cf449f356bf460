#include "store/reader.h"

#include <algorithm>

#include "base/clock.h"
#include "base/utf8.h"
#include "store/check.h"
#include "store/fields.h"
#include "store/sources.h"

namespace embedflow {
namespace {

// First size of the map of a reader; it follows the writer's.
constexpr std::size_t kReaderMapBytes = 1u << 20;

// Hands out chunks in order together with what their document says.
class Scan {
 public:
  Scan(Database* database, bool with_text) : database_(database), with_text_(with_text) {}

  Status Run(
      const std::function<Status(const ChunkScan&, std::string_view, std::string_view)>& visit) {
    EF_ASSIGN_OR_RETURN(Statement chunks, database_->Prepare(kChunksByPlace));
    EF_ASSIGN_OR_RETURN(find_document_, database_->Prepare(kDocumentByNumber));
    EF_ASSIGN_OR_RETURN(find_text_,
                        database_->Prepare("SELECT metadata, text FROM texts WHERE document = ?"));
    chunks.Bind(0).Bind(INT64_MAX);
    Totals totals;
    EF_RETURN_IF_ERROR(ReadTotals(database_, &totals));
    StoredChunkRow row;
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool found, chunks.Step());
      if (!found) break;
      EF_RETURN_IF_ERROR(ReadChunk(*database_, chunks, &row));
      --totals.chunks;
      totals.chunks_sum -= row.checksum();
      if (DocumentOf(row.place) != document_.number) EF_RETURN_IF_ERROR(Enter(row));
      EF_RETURN_IF_ERROR(Hand(row, visit));
    }
    EF_RETURN_IF_ERROR(Leave());
    // A damaged page of the tree can hide rows without an error.
    if (totals.chunks == 0 && totals.chunks_sum == 0) return {};
    return Damaged(*database_, "chunks", "rows are missing or extra");
  }

 private:
  Status Leave() {
    if (document_.number == 0 || next_ordinal_ == document_.chunks) return {};
    return Damaged(*database_, DocumentName(document_.number), "some of its chunks are missing");
  }

  Status Enter(const StoredChunkRow& row) {
    EF_RETURN_IF_ERROR(Leave());
    const std::int64_t number = DocumentOf(row.place);
    EF_ASSIGN_OR_RETURN(const bool found, find_document_.Bind(number).Step());
    if (!found) return Damaged(*database_, ChunkName(row.place), "its document is missing");
    EF_RETURN_IF_ERROR(ReadDocument(*database_, find_document_, &document_));
    find_document_.Reset();
    next_ordinal_ = 0;
    if (!with_text_) return {};
    find_text_.Reset();
    EF_ASSIGN_OR_RETURN(const bool has_text, find_text_.Bind(number).Step());
    if (!has_text) return Damaged(*database_, DocumentName(number), "its text is missing");
    metadata_ = find_text_.Bytes(0);
    text_ = find_text_.Bytes(1);
    if (text_.size() != document_.text_bytes || Checksum(text_) != document_.text_sum ||
        Checksum(metadata_) != document_.metadata_sum) {
      return Damaged(*database_, DocumentName(number),
                     "the checksum of its text or metadata is wrong");
    }
    return {};
  }

  Status Hand(
      const StoredChunkRow& row,
      const std::function<Status(const ChunkScan&, std::string_view, std::string_view)>& visit) {
    if (OrdinalOf(row.place) != next_ordinal_) {
      return Damaged(*database_, ChunkName(row.place), "the one before it is missing");
    }
    ++next_ordinal_;
    if (row.begin > row.end || row.end > document_.text_bytes) {
      return Damaged(*database_, ChunkName(row.place), "it is no span of its text");
    }
    ChunkScan scan;
    scan.id = row.id;
    scan.document_id = document_.id;
    scan.ordinal = OrdinalOf(row.place);
    scan.begin = row.begin;
    scan.end = row.end;
    scan.heading = row.heading;
    scan.text_hash = row.text_hash;
    scan.spaces = document_.state.spaces;
    scan.dead_spaces = row.dead_spaces;
    scan.dead = (scan.spaces & ~scan.dead_spaces) == 0;
    const std::string_view text =
        with_text_ ? text_.substr(row.begin, row.end - row.begin) : std::string_view();
    return visit(scan, text, metadata_);
  }

  Database* const database_;
  const bool with_text_;
  Statement find_document_;
  Statement find_text_;  // Stays on its row while the document's chunks are handed out.
  DocumentRow document_;
  std::string_view metadata_;
  std::string_view text_;
  std::uint64_t next_ordinal_ = 0;
};

}  // namespace

Result<std::unique_ptr<StoreReader>> Reader::Open(const std::string& directory,
                                                  std::shared_ptr<VectorStore> vectors) {
  EF_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, OpenForReading(directory));
  std::unique_ptr<Reader> reader(new Reader(directory, std::move(database), std::move(vectors)));
  EF_RETURN_IF_ERROR(reader->Prepare());
  return std::unique_ptr<StoreReader>(std::move(reader));
}

Status Reader::Prepare() {
  EF_ASSIGN_OR_RETURN(begin_, database_->Prepare("BEGIN"));
  EF_ASSIGN_OR_RETURN(commit_, database_->Prepare("COMMIT"));
  EF_ASSIGN_OR_RETURN(find_document_, database_->Prepare(kDocumentById));
  EF_ASSIGN_OR_RETURN(find_chunk_, database_->Prepare(kChunkById));
  EF_ASSIGN_OR_RETURN(document_by_number_, database_->Prepare(kDocumentByNumber));
  EF_ASSIGN_OR_RETURN(metadata_,
                      database_->Prepare("SELECT metadata FROM texts WHERE document = ?"));
  return {};
}

Status Reader::HoldView() {
  if (holds_view_) return {};
  EF_RETURN_IF_ERROR(begin_.Run());
  holds_view_ = true;
  return {};
}

void Reader::ReleaseView() {
  if (!holds_view_) return;
  holds_view_ = false;
  // A failed read may have ended the transaction already, and then there is nothing to commit.
  (void)commit_.Run();
}

Result<std::vector<SpaceRecord>> Reader::Spaces() {
  EF_ASSIGN_OR_RETURN(Statement rows, database_->Prepare(kAllSpaces));
  std::vector<SpaceRecord> spaces;
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return spaces;
    EF_RETURN_IF_ERROR(ReadSpace(*database_, rows, &spaces.emplace_back()));
  }
}

Result<StoreCounts> Reader::Counts() {
  Totals totals;
  EF_RETURN_IF_ERROR(ReadTotals(database_.get(), &totals));
  return StoreCounts{totals.documents, totals.chunks, totals.dead_letters};
}

Result<bool> Reader::IsNextDocument(std::string_view id) {
  EF_ASSIGN_OR_RETURN(const bool found, document_by_number_.Bind(found_number_ + 1).Step());
  if (!found) return false;
  const bool is_it = document_by_number_.Bytes(1) == id;
  const Status status = is_it ? ReadDocument(*database_, document_by_number_, &row_) : Status();
  document_by_number_.Reset();
  if (!status.ok()) return status;
  return is_it;
}

Result<std::optional<DocumentState>> Reader::FindDocument(std::string_view id) {
  // What is read again mostly comes in the order in which it was stored. Then a step in the table
  // replaces a search in the index, whose pages lie anywhere: with 2,000,000 documents half the
  // time (bench/README.md).
  if (holds_view_ && is_in_order_) {
    EF_ASSIGN_OR_RETURN(const bool is_next, IsNextDocument(id));
    if (is_next) {
      found_number_ = row_.number;
      return std::optional<DocumentState>(row_.state);
    }
  }
  EF_ASSIGN_OR_RETURN(const bool found, find_document_.BindText(id).Step());
  if (!found) return std::optional<DocumentState>();
  const Status status = ReadDocument(*database_, find_document_, &row_);
  // Before anything else: a statement on its row keeps a read transaction open.
  find_document_.Reset();
  if (!status.ok()) return status;
  // A damaged index may lead to another row.
  if (row_.id != id) {
    return Damaged(*database_, DocumentName(row_.number), "an index leads to it wrongly");
  }
  is_in_order_ = row_.number == found_number_ + 1;
  found_number_ = row_.number;
  return std::optional<DocumentState>(row_.state);
}

Result<const VectorSpace*> Reader::FindVectors(SpaceId space) {
  const auto slot = static_cast<std::size_t>(std::clamp(space, 0, kSpacesMax));
  if (slot < opened_.size() && opened_[slot] != nullptr) return opened_[slot];
  EF_ASSIGN_OR_RETURN(const std::vector<SpaceRecord> spaces, Spaces());
  const auto record = std::find_if(spaces.begin(), spaces.end(),
                                   [&](const SpaceRecord& r) { return r.id == space; });
  if (record == spaces.end()) {
    return Status(Code::kNotFound, "there is no space " + std::to_string(space));
  }
  if (vectors_ == nullptr) {
    EF_ASSIGN_OR_RETURN(vectors_,
                        VectorStore::Open(directory_, VectorStore::Access::kRead, kReaderMapBytes));
  }
  EF_ASSIGN_OR_RETURN(const VectorSpace* found, vectors_->FindSpace(record->space, false));
  opened_.resize(std::max(opened_.size(), slot + 1), nullptr);
  opened_[slot] = found;
  return found;
}

Result<std::uint64_t> Reader::VectorCount(SpaceId space) {
  EF_ASSIGN_OR_RETURN(const VectorSpace* found, FindVectors(space));
  if (found == nullptr) return std::uint64_t{0};
  return vectors_->Count(*found);
}

Result<bool> Reader::ReadVector(SpaceId space, const ContentHash& text_hash,
                                std::span<float> vector) {
  EF_ASSIGN_OR_RETURN(const VectorSpace* found, FindVectors(space));
  if (found == nullptr) return false;
  return vectors_->Read(*found, text_hash, vector);
}

Status Reader::ScanChunks(bool with_text,
                          const std::function<Status(const ChunkScan&, std::string_view text,
                                                     std::string_view metadata_json)>& visit) {
  EF_ASSIGN_OR_RETURN(const ReadSnapshot snapshot, ReadSnapshot::Begin(database_.get()));
  return Scan(database_.get(), with_text).Run(visit);
}

Result<std::optional<ChunkText>> Reader::FindChunk(ChunkId id) {
  EF_ASSIGN_OR_RETURN(const ReadSnapshot snapshot, ReadSnapshot::Begin(database_.get()));
  EF_ASSIGN_OR_RETURN(const bool found, find_chunk_.Bind(id).Step());
  if (!found) return std::optional<ChunkText>();
  StoredChunkRow row;
  Status status = ReadChunk(*database_, find_chunk_, &row);
  find_chunk_.Reset();
  EF_RETURN_IF_ERROR(status);
  if (row.id != id) {
    return Damaged(*database_, ChunkName(row.place), "an index leads to it wrongly");
  }
  const std::int64_t number = DocumentOf(row.place);
  EF_ASSIGN_OR_RETURN(const bool has_document, document_by_number_.Bind(number).Step());
  if (!has_document) return Damaged(*database_, ChunkName(row.place), "its document is missing");
  status = ReadDocument(*database_, document_by_number_, &row_);
  document_by_number_.Reset();
  EF_RETURN_IF_ERROR(status);
  if (row.begin > row.end || row.end > row_.text_bytes) {
    return Damaged(*database_, ChunkName(row.place), "it is no span of its text");
  }
  ChunkText chunk{row_.id,
                  OrdinalOf(row.place),
                  row.begin,
                  row.end,
                  std::string(row.end - row.begin, '\0'),
                  row.heading,
                  {}};
  // Only this span of the text, which may be large; its own hash tells whether it is right.
  EF_RETURN_IF_ERROR(database_->ReadBlob("texts", "text", number, row.begin, &chunk.text));
  if (HashContent(chunk.text) != row.text_hash) {
    return Damaged(*database_, ChunkName(row.place), "its text is not what was embedded");
  }
  EF_ASSIGN_OR_RETURN(const bool has_metadata, metadata_.Bind(number).Step());
  if (has_metadata) chunk.metadata_json = metadata_.Bytes(0);
  metadata_.Reset();
  if (!has_metadata || Checksum(chunk.metadata_json) != row_.metadata_sum) {
    return Damaged(*database_, DocumentName(number), "the checksum of its metadata is wrong");
  }
  return std::optional<ChunkText>(std::move(chunk));
}

Result<std::vector<ChunkId>> Reader::FilterChunks(
    const std::vector<std::pair<std::string, std::string>>& pairs) {
  EF_ASSIGN_OR_RETURN(const ReadSnapshot snapshot, ReadSnapshot::Begin(database_.get()));
  EF_ASSIGN_OR_RETURN(Statement chunks, database_->Prepare(kChunksByPlace));
  std::vector<ChunkId> ids;
  const auto add = [&](std::int64_t first, std::int64_t last) -> Status {
    chunks.Bind(first).Bind(last);
    StoredChunkRow row;
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool found, chunks.Step());
      if (!found) return {};
      EF_RETURN_IF_ERROR(ReadChunk(*database_, chunks, &row));
      ids.push_back(row.id);
    }
  };
  if (pairs.empty()) {
    EF_RETURN_IF_ERROR(add(0, INT64_MAX));
  } else {
    EF_ASSIGN_OR_RETURN(const std::vector<std::int64_t> documents,
                        FindByFields(database_.get(), pairs));
    for (const std::int64_t document : documents) {
      EF_RETURN_IF_ERROR(add(PlaceOf(document, 0), PlaceOf(document, kOrdinalsMax - 1)));
    }
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

Result<std::vector<DeadLetter>> Reader::DeadLetters() {
  EF_ASSIGN_OR_RETURN(const ReadSnapshot snapshot, ReadSnapshot::Begin(database_.get()));
  Totals totals;
  EF_RETURN_IF_ERROR(ReadTotals(database_.get(), &totals));
  EF_ASSIGN_OR_RETURN(const std::vector<SpaceRecord> spaces, Spaces());
  EF_ASSIGN_OR_RETURN(Statement rows, database_->Prepare(kAllLetters));
  std::vector<DeadLetter> letters;
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) break;
    LetterRow letter;
    EF_RETURN_IF_ERROR(ReadLetter(*database_, rows, &letter));
    totals.letters_sum -= letter.checksum();
    for (const SpaceRecord& space : spaces) {
      if (space.id == letter.space) letter.letter.space = space.space.name();
    }
    letters.push_back(std::move(letter.letter));
  }
  if (letters.size() == totals.dead_letters && totals.letters_sum == 0) return letters;
  return Damaged(*database_, "dead_letters", "rows are missing or extra");
}

Result<std::vector<StoredDocument>> Reader::DocumentsWithout(SpaceId space, std::int64_t after,
                                                             std::size_t documents_max,
                                                             std::size_t bytes_max) {
  EF_ASSIGN_OR_RETURN(const ReadSnapshot snapshot, ReadSnapshot::Begin(database_.get()));
  return ReadDocumentsWithout(database_.get(), space, after, documents_max, bytes_max);
}

Result<std::vector<StoredDocument>> Reader::DocumentsWithLetters(SpaceId space,
                                                                 std::string_view after,
                                                                 std::size_t documents_max,
                                                                 std::size_t bytes_max) {
  EF_ASSIGN_OR_RETURN(const ReadSnapshot snapshot, ReadSnapshot::Begin(database_.get()));
  return ReadDocumentsWithLetters(database_.get(), space, after, documents_max, bytes_max);
}

Result<std::vector<std::int64_t>> Reader::DocumentsOfSources(
    std::span<const std::int64_t> sources, std::int64_t run, std::int64_t after,
    std::size_t documents_max, const std::function<bool(std::int64_t number)>& keep) {
  EF_ASSIGN_OR_RETURN(const ReadSnapshot snapshot, ReadSnapshot::Begin(database_.get()));
  return ReadDocumentsOfSources(database_.get(), sources, run, after, documents_max, keep);
}

Result<std::vector<std::int64_t>> Reader::FindSources(std::span<const std::string> names) {
  return ReadSources(database_.get(), names);
}

Result<StoreCheck> Reader::Check() {
  EF_ASSIGN_OR_RETURN(const ReadSnapshot snapshot, ReadSnapshot::Begin(database_.get()));
  return CheckStore(directory_, database_.get(), &vectors_);
}

Result<std::unique_ptr<StoreReader>> OpenStoreReader(const std::string& directory) {
  Result<std::unique_ptr<StoreReader>> reader = Reader::Open(directory, nullptr);
  if (reader.ok() || !IsOlderFormat(reader.status())) return reader;
  // A writer brings it forward on opening. Where nobody may write, the reader's words say so.
  const Result<std::unique_ptr<Store>> store = OpenStore(directory, {}, SystemClock());
  if (!store.ok()) return store.status().code() == Code::kIo ? reader.status() : store.status();
  return Reader::Open(directory, nullptr);
}

}  // namespace embedflow
