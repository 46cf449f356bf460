// The chunks of a document in a commit: which rows stay, which go and which come.
#include "base/log.h"
#include "store/commit.h"

namespace embedflow {

Status Committer::PrepareChunks() {
  Database& database = writer_->database();
  EF_ASSIGN_OR_RETURN(chunks_of_document_, database.Prepare(kChunksByPlace));
  EF_ASSIGN_OR_RETURN(
      insert_chunk_,
      database.Prepare("INSERT INTO chunks(place, chunk_id, begin, end, heading, text_hash,"
                       " dead_spaces, checksum) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"));
  EF_ASSIGN_OR_RETURN(
      update_chunk_,
      database.Prepare("UPDATE chunks SET begin = ?, end = ?, heading = ?, dead_spaces = ?,"
                       " checksum = ? WHERE place = ?"));
  EF_ASSIGN_OR_RETURN(delete_chunk_, database.Prepare("DELETE FROM chunks WHERE place = ?"));
  return {};
}

Status Committer::ReadOldChunks(const DocumentRow& old) {
  old_chunks_.clear();
  chunks_of_document_.Bind(PlaceOf(old.number, 0)).Bind(PlaceOf(old.number, kOrdinalsMax - 1));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, chunks_of_document_.Step());
    if (!row) break;
    StoredChunkRow chunk;
    EF_RETURN_IF_ERROR(ReadChunk(writer_->database(), chunks_of_document_, &chunk));
    if (OrdinalOf(chunk.place) != old_chunks_.size()) {
      return Damaged(writer_->database(), ChunkName(chunk.place), "the one before it is missing");
    }
    old_chunks_.push_back(std::move(chunk));
  }
  if (old_chunks_.size() != old.chunks) {
    return Damaged(writer_->database(), DocumentName(old.number), "some of its chunks are missing");
  }
  return {};
}

Status Committer::MergeChunks(const CommitGroup& group, Change* change, std::vector<ChunkId>* ids,
                              std::vector<char>* is_new, std::vector<ChunkId>* removed) {
  old_chunks_.clear();
  if (change->old != nullptr) EF_RETURN_IF_ERROR(ReadOldChunks(*change->old));
  const std::vector<ChunkRow>& chunks = *change->commit->chunks;
  const std::uint64_t bit = SpaceBit(group.space);
  const std::uint64_t both = change->spaces_before | change->spaces;
  // Deleted first: a new chunk may take an id that an old one gives up.
  for (std::size_t i = 0; i < old_chunks_.size(); ++i) {
    if (i < chunks.size() && old_chunks_[i].text_hash == chunks[i].text_hash) continue;
    EF_RETURN_IF_ERROR(DeleteChunk(old_chunks_[i]));
    removed->push_back(old_chunks_[i].id);
    changes_.spaces |= both;
  }
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const ChunkRow& chunk = chunks[i];
    const bool kept = i < old_chunks_.size() && old_chunks_[i].text_hash == chunk.text_hash;
    const std::uint64_t dead_before = kept ? old_chunks_[i].dead_spaces : 0;
    StoredChunkRow row{PlaceOf(change->number, i),
                       kept ? old_chunks_[i].id : 0,
                       chunk.begin,
                       chunk.end,
                       chunk.heading,
                       chunk.text_hash,
                       chunk.dead ? bit : 0};
    if (change->same) row.dead_spaces |= dead_before & ~bit;
    if (kept) {
      EF_RETURN_IF_ERROR(UpdateChunk(old_chunks_[i], row));
    } else {
      EF_RETURN_IF_ERROR(InsertChunk(&row, chunk.key));
      changes_.spaces |= both;
    }
    const bool was_in_index = kept && (change->spaces_before & bit & ~dead_before) != 0;
    if (was_in_index == chunk.dead) changes_.spaces |= was_in_index ? both : bit;
    if (was_in_index && chunk.dead) removed->push_back(row.id);
    if (row.dead_spaces != 0) ++change->chunks_dead;
    ids->push_back(chunk.dead ? 0 : row.id);
    is_new->push_back(!chunk.dead && !was_in_index);
  }
  return {};
}

Status Committer::InsertChunk(StoredChunkRow* row, const ContentHash& key) {
  row->id = FirstChunkId(key);
  for (int probe = 0; probe < kChunkIdProbesMax; ++probe) {
    const std::uint64_t checksum = row->checksum();
    EF_ASSIGN_OR_RETURN(const bool inserted, insert_chunk_.Bind(row->place)
                                                 .Bind(row->id)
                                                 .BindUnsigned(row->begin)
                                                 .BindUnsigned(row->end)
                                                 .BindText(row->heading)
                                                 .BindHash(row->text_hash)
                                                 .BindUnsigned(row->dead_spaces)
                                                 .BindUnsigned(checksum)
                                                 .RunUnlessTaken());
    if (inserted) {
      ++writer_->totals().chunks;
      writer_->totals().chunks_sum += checksum;
      return {};
    }
    EF_RETURN_IF_ERROR(CheckHolder(row->id, key));
    Log(LogLevel::kInfo, "chunk id " + std::to_string(row->id) + " is taken; " +
                             ChunkName(row->place) + " gets the next");
    row->id = NextChunkId(row->id);
  }
  return Status(Code::kInternal, "no chunk id is free for " + ChunkName(row->place));
}

// Another chunk with the same id is as good as impossible; the same chunk is not, where a damaged
// page of an index hides a document, which is then taken for a new one.
Status Committer::CheckHolder(ChunkId id, const ContentHash& key) {
  Database& database = writer_->database();
  EF_ASSIGN_OR_RETURN(Statement find, database.Prepare(kChunkById));
  EF_ASSIGN_OR_RETURN(const bool found, find.Bind(id).Step());
  StoredChunkRow chunk;
  if (found) EF_RETURN_IF_ERROR(ReadChunk(database, find, &chunk));
  EF_ASSIGN_OR_RETURN(const std::optional<DocumentRow> holder, FindNumber(DocumentOf(chunk.place)));
  if (holder && ChunkKey(holder->id, OrdinalOf(chunk.place), chunk.text_hash) != key) return {};
  return Damaged(database, ChunkName(chunk.place), "an index does not lead to it or its document");
}

Status Committer::DeleteChunk(const StoredChunkRow& row) {
  EF_RETURN_IF_ERROR(delete_chunk_.Bind(row.place).Run());
  --writer_->totals().chunks;
  writer_->totals().chunks_sum -= row.checksum();
  return {};
}

Status Committer::UpdateChunk(const StoredChunkRow& old, const StoredChunkRow& row) {
  const std::uint64_t checksum = row.checksum();
  const std::uint64_t before = old.checksum();
  if (checksum == before) return {};
  writer_->totals().chunks_sum += checksum - before;
  return update_chunk_.BindUnsigned(row.begin)
      .BindUnsigned(row.end)
      .BindText(row.heading)
      .BindUnsigned(row.dead_spaces)
      .BindUnsigned(checksum)
      .Bind(row.place)
      .Run();
}

}  // namespace embedflow
