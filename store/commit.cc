#include "store/commit.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"
#include "base/utf8.h"

namespace embedflow {
namespace {

constexpr std::size_t kIdBytesMax = 1024;

Status Invalid(const DocumentCommit& commit, const std::string& what) {
  return Status(Code::kInvalidArgument,
                "document \"" + EscapeControl(commit.document->id, 100) + "\": " + what);
}

// Of a document that was of `before` and has now been read from `read`.
std::int64_t MergeSources(std::int64_t before, std::int64_t read) {
  if (before == 0 || before == read) return read;
  return read == 0 ? before : kSeveralSources;
}

}  // namespace

Result<std::unique_ptr<Committer>> Committer::Open(Writer* writer) {
  std::unique_ptr<Committer> committer(new Committer(writer));
  Database& database = writer->database();
  EF_ASSIGN_OR_RETURN(committer->letters_, Letters::Open(writer));
  EF_ASSIGN_OR_RETURN(committer->fields_, Fields::Open(&database));
  EF_RETURN_IF_ERROR(committer->PrepareDocuments());
  EF_RETURN_IF_ERROR(committer->PrepareChunks());
  EF_ASSIGN_OR_RETURN(const std::int64_t last,
                      database.QueryInt("SELECT max(document) FROM documents"));
  committer->next_document_ = last + 1;
  EF_ASSIGN_OR_RETURN(const std::int64_t empty,
                      database.QueryInt("SELECT EXISTS(SELECT 1 FROM empty_records)"));
  committer->has_empty_records_ = empty != 0;
  return committer;
}

Status Committer::PrepareDocuments() {
  Database& database = writer_->database();
  EF_ASSIGN_OR_RETURN(find_document_, database.Prepare(kDocumentById));
  EF_ASSIGN_OR_RETURN(find_number_, database.Prepare(kDocumentByNumber));
  EF_ASSIGN_OR_RETURN(forget_maybe_paid_,
                      database.Prepare("DELETE FROM maybe_paid WHERE space = ? AND text_hash = ?"));
  EF_ASSIGN_OR_RETURN(
      insert_document_,
      database.Prepare("INSERT INTO documents(id, text_hash, metadata_hash, chunking, spaces, run,"
                       " sequence, chunks, chunks_dead, file, line, text_bytes, text_sum,"
                       " metadata_sum, checksum, source, document)"
                       " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  EF_ASSIGN_OR_RETURN(
      update_document_,
      database.Prepare("UPDATE documents SET id = ?, text_hash = ?, metadata_hash = ?,"
                       " chunking = ?, spaces = ?, run = ?, sequence = ?, chunks = ?,"
                       " chunks_dead = ?, file = ?, line = ?, text_bytes = ?, text_sum = ?,"
                       " metadata_sum = ?, checksum = ?, source = ? WHERE document = ?"));
  EF_ASSIGN_OR_RETURN(delete_document_,
                      database.Prepare("DELETE FROM documents WHERE document = ?"));
  EF_ASSIGN_OR_RETURN(
      insert_text_,
      database.Prepare("INSERT INTO texts(metadata, text, document) VALUES(?, ?, ?)"));
  EF_ASSIGN_OR_RETURN(
      update_text_, database.Prepare("UPDATE texts SET metadata = ?, text = ? WHERE document = ?"));
  EF_ASSIGN_OR_RETURN(delete_text_, database.Prepare("DELETE FROM texts WHERE document = ?"));
  EF_ASSIGN_OR_RETURN(read_metadata_,
                      database.Prepare("SELECT metadata FROM texts WHERE document = ?"));
  EF_ASSIGN_OR_RETURN(find_empty_,
                      database.Prepare("SELECT run, sequence FROM empty_records WHERE id = ?"));
  EF_ASSIGN_OR_RETURN(
      put_empty_,
      database.Prepare("INSERT OR REPLACE INTO empty_records(id, run, sequence) VALUES(?, ?, ?)"));
  return {};
}

Status Committer::Validate(const CommitGroup& group) const {
  for (const DocumentCommit& commit : group.documents) {
    EF_CHECK(commit.document != nullptr && commit.chunks != nullptr);
    const std::string& id = commit.document->id;
    if (id.empty() || id.size() > kIdBytesMax || id.find('\0') != std::string::npos) {
      return Invalid(commit, "an id must have 1 to 1024 bytes and no NUL, got " +
                                 std::to_string(id.size()) + " bytes");
    }
    if (commit.chunks->size() > kOrdinalsMax) {
      return Invalid(commit, "a document must have at most 67108864 chunks, got " +
                                 std::to_string(commit.chunks->size()));
    }
    for (const ChunkRow& chunk : *commit.chunks) {
      if (chunk.begin >= chunk.end || chunk.end > commit.document->text.size()) {
        return Invalid(commit, "a chunk is no span of its text");
      }
    }
  }
  return {};
}

Result<CommitResult> Committer::Run(const CommitGroup& group, SpaceChanges* changes) {
  const std::size_t size = group.documents.size();
  CommitResult result;
  result.fates.assign(size, CommitResult::Fate::kSuperseded);
  result.chunk_ids.resize(size);
  result.chunk_is_new.resize(size);
  result.replaced_other.assign(size, 0);
  changes_ = {};
  // Of several records with one id only the last one read is written.
  std::unordered_map<std::string_view, std::size_t> last;
  for (std::size_t i = 0; i < size; ++i) {
    const auto [at, is_first] = last.try_emplace(group.documents[i].document->id, i);
    if (!is_first && group.documents[at->second].sequence <= group.documents[i].sequence) {
      at->second = i;
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (last.at(group.documents[i].document->id) == i) {
      EF_RETURN_IF_ERROR(CommitOne(group, i, &result));
    }
  }
  for (const MovedDocument& moved : group.moved) EF_RETURN_IF_ERROR(Move(moved));
  EF_RETURN_IF_ERROR(CommitLetters(group, result));
  for (const ContentHash& hash : group.bought_again) {
    EF_RETURN_IF_ERROR(forget_maybe_paid_.Bind(group.space).BindHash(hash).Run());
  }
  *changes = changes_;
  return result;
}

void Committer::ChangeSpaces(std::uint64_t before, std::uint64_t after) {
  changes_.spaces |= before ^ after;
  for (SpaceId space = 1; space <= kSpacesMax; ++space) {
    const std::uint64_t bit = SpaceBit(space);
    if ((before & bit) == (after & bit)) continue;
    changes_.documents[static_cast<std::size_t>(space)] += (after & bit) != 0 ? 1 : -1;
  }
}

Result<Store::Removed> Committer::Remove(std::span<const std::int64_t> documents,
                                         SpaceChanges* changes) {
  changes_ = {};
  Store::Removed removed;
  for (const std::int64_t number : documents) {
    EF_ASSIGN_OR_RETURN(const std::optional<DocumentRow> row, FindNumber(number));
    if (!row) continue;
    EF_RETURN_IF_ERROR(RemoveOne(*row, &removed.chunks));
    ++removed.documents;
  }
  *changes = changes_;
  return removed;
}

Status Committer::Move(const MovedDocument& moved) {
  EF_ASSIGN_OR_RETURN(std::optional<DocumentRow> row, FindNumber(moved.number));
  if (!row) return {};
  writer_->totals().documents_sum -= row->checksum();
  if (row->state.source == 0) row->origin = moved.origin;
  row->state.source = MergeSources(row->state.source, moved.source);
  const std::uint64_t checksum = row->checksum();
  writer_->totals().documents_sum += checksum;
  return WriteRow(&update_document_, *row, checksum);
}

Result<std::optional<DocumentRow>> Committer::Find(std::string_view id) {
  EF_ASSIGN_OR_RETURN(const bool found, find_document_.BindText(id).Step());
  if (!found) return std::optional<DocumentRow>();
  DocumentRow row;
  EF_RETURN_IF_ERROR(ReadDocument(writer_->database(), find_document_, &row));
  find_document_.Reset();
  // A damaged index may lead to another row.
  if (row.id != id) {
    return Damaged(writer_->database(), DocumentName(row.number), "an index leads to it wrongly");
  }
  return std::optional<DocumentRow>(std::move(row));
}

Result<std::optional<DocumentRow>> Committer::FindNumber(std::int64_t number) {
  EF_ASSIGN_OR_RETURN(const bool found, find_number_.Bind(number).Step());
  if (!found) return std::optional<DocumentRow>();
  DocumentRow row;
  EF_RETURN_IF_ERROR(ReadDocument(writer_->database(), find_number_, &row));
  find_number_.Reset();
  return std::optional<DocumentRow>(std::move(row));
}

Result<bool> Committer::IsSuperseded(const CommitGroup& group, const DocumentCommit& commit,
                                     const std::optional<DocumentRow>& old) {
  if (old && old->state.run == group.run && old->sequence > commit.sequence) return true;
  if (!has_empty_records_) return false;
  EF_ASSIGN_OR_RETURN(const bool found, find_empty_.BindText(commit.document->id).Step());
  if (!found) return false;
  const bool is_later =
      find_empty_.Int(0) == group.run && find_empty_.Unsigned(1) > commit.sequence;
  find_empty_.Reset();
  return is_later;
}

Status Committer::CommitOne(const CommitGroup& group, std::size_t i, CommitResult* result) {
  const DocumentCommit& commit = group.documents[i];
  EF_ASSIGN_OR_RETURN(const std::optional<DocumentRow> old, Find(commit.document->id));
  EF_ASSIGN_OR_RETURN(const bool superseded, IsSuperseded(group, commit, old));
  if (superseded) return {};
  const bool replaces = old && old->state.run == group.run && old->sequence < commit.sequence;
  result->replaced_other[i] = replaces ? 1 : 0;
  if (commit.chunks->empty()) return CommitEmpty(group, i, old, result);

  Change change;
  change.commit = &commit;
  change.old = old ? &*old : nullptr;
  change.same =
      old && old->state.text_hash == commit.text_hash && old->state.chunking == commit.chunking;
  change.spaces_before = old ? old->state.spaces : 0;
  change.spaces = SpaceBit(group.space) | (change.same ? change.spaces_before : 0);
  change.number = old ? old->number : next_document_++;
  ChangeSpaces(change.spaces_before, change.spaces);
  EF_RETURN_IF_ERROR(MergeChunks(group, &change, &result->chunk_ids[i], &result->chunk_is_new[i],
                                 &result->removed));
  EF_RETURN_IF_ERROR(WriteDocument(group, change));
  EF_RETURN_IF_ERROR(letters_->DropOfDocument(commit.document->id, change.same ? group.space : 0));
  result->fates[i] = replaces ? CommitResult::Fate::kReplacedOther : CommitResult::Fate::kIngested;
  return {};
}

Status Committer::CommitEmpty(const CommitGroup& group, std::size_t i,
                              const std::optional<DocumentRow>& old, CommitResult* result) {
  const DocumentCommit& commit = group.documents[i];
  if (old) EF_RETURN_IF_ERROR(RemoveOne(*old, &result->removed));
  // So that an earlier record of this run, which may be committed later, does not come back.
  EF_RETURN_IF_ERROR(
      put_empty_.BindText(commit.document->id).Bind(group.run).BindUnsigned(commit.sequence).Run());
  has_empty_records_ = true;
  result->fates[i] = CommitResult::Fate::kEmpty;
  return {};
}

Status Committer::RemoveOne(const DocumentRow& old, std::vector<ChunkId>* removed) {
  EF_RETURN_IF_ERROR(ReadOldChunks(old));
  for (const StoredChunkRow& chunk : old_chunks_) {
    EF_RETURN_IF_ERROR(DeleteChunk(chunk));
    removed->push_back(chunk.id);
  }
  EF_ASSIGN_OR_RETURN(const bool has_text, read_metadata_.Bind(old.number).Step());
  if (has_text) {
    const std::string metadata(read_metadata_.Bytes(0));
    read_metadata_.Reset();
    EF_RETURN_IF_ERROR(fields_->Remove(old.number, metadata));
  }
  EF_RETURN_IF_ERROR(delete_text_.Bind(old.number).Run());
  EF_RETURN_IF_ERROR(delete_document_.Bind(old.number).Run());
  EF_RETURN_IF_ERROR(letters_->DropOfDocument(old.id, 0));
  --writer_->totals().documents;
  writer_->totals().documents_sum -= old.checksum();
  ChangeSpaces(old.state.spaces, 0);
  return {};
}

Status Committer::WriteRow(Statement* write, const DocumentRow& row, std::uint64_t checksum) {
  return write->BindText(row.id)
      .BindHash(row.state.text_hash)
      .BindHash(row.state.metadata_hash)
      .BindHash(row.state.chunking)
      .BindUnsigned(row.state.spaces)
      .Bind(row.state.run)
      .BindUnsigned(row.sequence)
      .BindUnsigned(row.chunks)
      .Bind(row.state.chunks_dead)
      .BindText(row.origin.file)
      .BindUnsigned(row.origin.line)
      .BindUnsigned(row.text_bytes)
      .BindUnsigned(row.text_sum)
      .BindUnsigned(row.metadata_sum)
      .BindUnsigned(checksum)
      .Bind(row.state.source)
      .Bind(row.number)
      .Run();
}

Status Committer::WriteDocument(const CommitGroup& group, const Change& change) {
  const DocumentCommit& commit = *change.commit;
  const std::string metadata = MetadataJson(commit.document->metadata);
  DocumentRow row;
  row.number = change.number;
  row.id = commit.document->id;
  row.state = {commit.text_hash,
               commit.metadata_hash,
               commit.chunking,
               change.spaces,
               group.run,
               change.chunks_dead,
               change.number,
               MergeSources(change.old == nullptr ? 0 : change.old->state.source, commit.source)};
  row.sequence = commit.sequence;
  row.chunks = commit.chunks->size();
  row.origin = commit.origin;
  row.text_bytes = commit.document->text.size();
  row.text_sum = Checksum(commit.document->text);
  row.metadata_sum = Checksum(metadata);
  const std::uint64_t checksum = row.checksum();
  Statement& write = change.old == nullptr ? insert_document_ : update_document_;
  EF_RETURN_IF_ERROR(WriteRow(&write, row, checksum));
  Totals& totals = writer_->totals();
  totals.documents_sum += checksum;
  if (change.old == nullptr) {
    ++totals.documents;
  } else {
    totals.documents_sum -= change.old->checksum();
  }
  return WriteText(change, row, metadata);
}

Status Committer::WriteText(const Change& change, const DocumentRow& row,
                            std::string_view metadata_json) {
  const DocumentRow* old = change.old;
  const bool metadata_kept = old != nullptr && old->metadata_sum == row.metadata_sum;
  if (metadata_kept && old->text_bytes == row.text_bytes && old->text_sum == row.text_sum) {
    return {};
  }
  if (old != nullptr && !metadata_kept) {
    EF_ASSIGN_OR_RETURN(const bool found, read_metadata_.Bind(row.number).Step());
    const std::string before(found ? read_metadata_.Bytes(0) : std::string_view("{}"));
    read_metadata_.Reset();
    EF_RETURN_IF_ERROR(fields_->Remove(row.number, before));
  }
  if (!metadata_kept) EF_RETURN_IF_ERROR(fields_->Add(row.number, metadata_json));
  Statement& write = old == nullptr ? insert_text_ : update_text_;
  return write.BindText(metadata_json)
      .BindBlob(change.commit->document->text)
      .Bind(row.number)
      .Run();
}

Status Committer::CommitLetters(const CommitGroup& group, const CommitResult& result) {
  // A letter names its document by id, so of several records with one id it may be about one that
  // was not written: only dead chunks of the one that was have letters.
  std::unordered_map<std::string_view, const DocumentCommit*> written;
  for (std::size_t i = 0; i < group.documents.size(); ++i) {
    const DocumentCommit*& entry = written[group.documents[i].document->id];
    if (result.fates[i] != CommitResult::Fate::kSuperseded) entry = &group.documents[i];
  }
  for (const DeadLetter& letter : group.dead_letters) {
    if (IsChunkLetter(letter)) {
      const auto found = written.find(letter.document_id);
      if (found != written.end()) {
        if (found->second == nullptr) continue;
        const std::vector<ChunkRow>& chunks = *found->second->chunks;
        const bool is_dead = std::any_of(chunks.begin(), chunks.end(), [&](const ChunkRow& chunk) {
          return chunk.dead && chunk.begin == letter.begin && chunk.end == letter.end;
        });
        if (!is_dead) continue;
      }
    }
    EF_RETURN_IF_ERROR(letters_->Put(letter, group.space, group.run));
  }
  return {};
}

}  // namespace embedflow
