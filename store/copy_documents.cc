// Documents with all that belongs to them, from a damaged database into a new one.
#include <algorithm>
#include <optional>

#include "store/check.h"
#include "store/copier.h"

namespace embedflow {
namespace {

constexpr std::size_t kIdsMax = 100;
// Document numbers leave room for ordinals in a row id.
constexpr std::int64_t kNumberMax = (std::int64_t{1} << (63 - kOrdinalBits)) - 1;
// Damaged stretches of one table that are stepped over.
constexpr int kGapsMax = 100'000;

// Numbers of documents in ascending order. A page of the table that cannot be read is stepped over:
// the tree above it still leads to the numbers behind it.
class NumberWalk {
 public:
  explicit NumberWalk(Statement next) : next_(std::move(next)) {}

  // The first number from `from` on; nullopt at the end.
  Result<std::optional<std::int64_t>> From(std::int64_t from) {
    Result<std::optional<std::int64_t>> found = Query(from);
    if (found.ok() || !IsDamageOfSource(found.status())) return found;
    if (++gaps_ > kGapsMax) return std::optional<std::int64_t>();
    std::int64_t low = from;  // Fails.
    std::int64_t step = 1;
    do {
      low = step == 1 ? from : from + step / 2;
      if (step > kNumberMax - from) return std::optional<std::int64_t>();
      found = Query(from + step);
      step *= 2;
    } while (!found.ok() && IsDamageOfSource(found.status()));
    std::int64_t high = from + step / 2;  // Works.
    while (found.ok() && high - low > 1) {
      const std::int64_t middle = low + (high - low) / 2;
      Result<std::optional<std::int64_t>> tried = Query(middle);
      if (tried.ok()) {
        high = middle;
        found = tried;
      } else if (IsDamageOfSource(tried.status())) {
        low = middle;
      } else {
        return tried;
      }
    }
    return found;
  }

 private:
  Result<std::optional<std::int64_t>> Query(std::int64_t from) {
    EF_ASSIGN_OR_RETURN(const bool row, next_.Bind(from).Step());
    if (!row) return std::optional<std::int64_t>();
    const std::int64_t number = next_.Int(0);
    next_.Reset();
    // A damaged tree may lead backwards.
    if (number < from) return Status(Code::kCorruption, "document numbers go backwards");
    return std::optional<std::int64_t>(number);
  }
  Statement next_;
  int gaps_ = 0;
};

}  // namespace

Status Copier::CopyDocuments() {
  EF_ASSIGN_OR_RETURN(read_document_, from_->Prepare(kDocumentByNumber));
  EF_ASSIGN_OR_RETURN(read_text_,
                      from_->Prepare("SELECT metadata, text FROM texts WHERE document = ?"));
  EF_ASSIGN_OR_RETURN(read_chunks_, from_->Prepare(kChunksByPlace));
  EF_ASSIGN_OR_RETURN(Statement next,
                      from_->Prepare("SELECT document FROM documents NOT INDEXED"
                                     " WHERE document >= ? ORDER BY document LIMIT 1"));
  NumberWalk walk(std::move(next));
  for (std::int64_t from = 1; from <= kNumberMax; ++from) {
    EF_ASSIGN_OR_RETURN(const std::optional<std::int64_t> number, walk.From(from));
    if (!number || *number > kNumberMax) return {};
    from = *number;
    document_.id.clear();
    EF_ASSIGN_OR_RETURN(const bool whole, ReadWhole(*number));
    if (whole) {
      EF_RETURN_IF_ERROR(WriteWhole());
      continue;
    }
    ++copy_.dropped;
    if (copy_.dropped_ids.size() < kIdsMax) {
      copy_.dropped_ids.push_back(document_.id.empty() ? DocumentName(*number) : document_.id);
    }
  }
  return {};
}

// Fills the document in hand. False if something of it is not as it was written; its id is left
// empty if that cannot be trusted either.
Result<bool> Copier::ReadWhole(std::int64_t number) {
  const auto read = [&]() -> Status {
    EF_ASSIGN_OR_RETURN(const bool found, read_document_.Bind(number).Step());
    Status status = found ? ReadDocument(*from_, read_document_, &document_)
                          : Damaged(*from_, DocumentName(number), "it is not there");
    read_document_.Reset();
    if (!status.ok()) document_.id.clear();
    EF_RETURN_IF_ERROR(status);
    EF_ASSIGN_OR_RETURN(const bool has_text, read_text_.Bind(number).Step());
    if (has_text) {
      metadata_ = read_text_.Bytes(0);
      text_ = read_text_.Bytes(1);
    }
    read_text_.Reset();
    if (!has_text || text_.size() != document_.text_bytes ||
        Checksum(text_) != document_.text_sum || Checksum(metadata_) != document_.metadata_sum) {
      return Damaged(*from_, DocumentName(number), "its text is missing or damaged");
    }
    EF_RETURN_IF_ERROR(VisitMetadata(metadata_, [](std::string_view, std::string_view) {}));
    return ReadChunks();
  };
  const Status status = read();
  read_document_.Reset();
  read_text_.Reset();
  read_chunks_.Reset();
  if (status.ok()) return true;
  if (IsDamageOfSource(status)) return false;
  return status;
}

Status Copier::ReadChunks() {
  chunks_.clear();
  read_chunks_.Bind(PlaceOf(document_.number, 0)).Bind(PlaceOf(document_.number, kOrdinalsMax - 1));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, read_chunks_.Step());
    if (!row) break;
    StoredChunkRow chunk;
    EF_RETURN_IF_ERROR(ReadChunk(*from_, read_chunks_, &chunk));
    const std::string_view fault = FaultOfChunk(chunk, document_.id, text_, chunks_.size());
    if (!fault.empty()) return Damaged(*from_, ChunkName(chunk.place), fault);
    chunks_.push_back(std::move(chunk));
  }
  if (chunks_.size() == document_.chunks) return {};
  return Damaged(*from_, DocumentName(document_.number), "some of its chunks are missing");
}

// Bits of spaces that are gone leave the document. So does the bit of a space in which it has a
// dead chunk whose letter is gone: nobody would ever send that chunk again.
Status Copier::MendDeadChunks() {
  DocumentState& state = document_.state;
  state.spaces &= space_bits_;
  state.chunks_dead = 0;
  for (StoredChunkRow& chunk : chunks_) {
    chunk.dead_spaces &= space_bits_;
    for (const SpaceRecord& space : spaces_) {
      if (letters_lost_ == 0 || (chunk.dead_spaces & SpaceBit(space.id)) == 0) continue;
      DeadLetter letter;
      letter.document_id = document_.id;
      letter.begin = chunk.begin;
      letter.end = chunk.end;
      EF_ASSIGN_OR_RETURN(const bool found,
                          find_letter_.BindHash(LetterKey(letter, space.id)).Step());
      find_letter_.Reset();
      if (found) continue;
      chunk.dead_spaces &= ~SpaceBit(space.id);
      state.spaces &= ~SpaceBit(space.id);
    }
    if (chunk.dead_spaces != 0) ++state.chunks_dead;
  }
  return {};
}

// A damaged index may have let a document in twice. The later one is newer.
Status Copier::Replace(const std::string& id) {
  EF_ASSIGN_OR_RETURN(const bool found, find_document_.BindText(id).Step());
  if (!found) return {};
  const std::int64_t number = find_document_.Int(0);
  find_document_.Reset();
  EF_ASSIGN_OR_RETURN(Statement chunks,
                      to_->Prepare("DELETE FROM chunks WHERE place BETWEEN ? AND ?"));
  EF_RETURN_IF_ERROR(chunks.Bind(PlaceOf(number, 0)).Bind(PlaceOf(number, kOrdinalsMax - 1)).Run());
  EF_ASSIGN_OR_RETURN(Statement metadata,
                      to_->Prepare("SELECT metadata FROM texts WHERE document = ?"));
  EF_ASSIGN_OR_RETURN(const bool has_text, metadata.Bind(number).Step());
  if (has_text) {
    const std::string before(metadata.Bytes(0));
    metadata.Reset();
    EF_RETURN_IF_ERROR(fields_->Remove(number, before));
  }
  EF_ASSIGN_OR_RETURN(Statement text, to_->Prepare("DELETE FROM texts WHERE document = ?"));
  EF_RETURN_IF_ERROR(text.Bind(number).Run());
  EF_ASSIGN_OR_RETURN(Statement row, to_->Prepare("DELETE FROM documents WHERE document = ?"));
  EF_RETURN_IF_ERROR(row.Bind(number).Run());
  --copy_.documents;
  return {};
}

Status Copier::WriteWhole() {
  EF_RETURN_IF_ERROR(Written(Replace(document_.id)));
  EF_RETURN_IF_ERROR(Written(MendDeadChunks()));
  DocumentState& state = document_.state;
  // The number of a source that is lost is given to another one, whose document this is not.
  if (!sources_.contains(state.source)) state.source = 0;
  last_run_ = std::max(last_run_, state.run);
  EF_RETURN_IF_ERROR(Written(write_document_.Bind(document_.number)
                                 .BindText(document_.id)
                                 .BindHash(state.text_hash)
                                 .BindHash(state.metadata_hash)
                                 .BindHash(state.chunking)
                                 .BindUnsigned(state.spaces)
                                 .Bind(state.run)
                                 .BindUnsigned(document_.sequence)
                                 .BindUnsigned(document_.chunks)
                                 .Bind(state.chunks_dead)
                                 .BindText(document_.origin.file)
                                 .BindUnsigned(document_.origin.line)
                                 .BindUnsigned(document_.text_bytes)
                                 .BindUnsigned(document_.text_sum)
                                 .BindUnsigned(document_.metadata_sum)
                                 .BindUnsigned(document_.checksum())
                                 .Bind(state.source)
                                 .Run()));
  EF_RETURN_IF_ERROR(
      Written(write_text_.Bind(document_.number).BindText(metadata_).BindBlob(text_).Run()));
  EF_RETURN_IF_ERROR(Written(fields_->Add(document_.number, metadata_)));
  for (const StoredChunkRow& chunk : chunks_) {
    EF_RETURN_IF_ERROR(Written(write_chunk_.Bind(chunk.place)
                                   .Bind(chunk.id)
                                   .BindUnsigned(chunk.begin)
                                   .BindUnsigned(chunk.end)
                                   .BindText(chunk.heading)
                                   .BindHash(chunk.text_hash)
                                   .BindUnsigned(chunk.dead_spaces)
                                   .BindUnsigned(chunk.checksum())
                                   .Run()));
  }
  ++copy_.documents;
  return {};
}

}  // namespace embedflow
