#include "store/copy_database.h"

#include <algorithm>

#include "base/check.h"
#include "store/copier.h"
#include "store/runs.h"

namespace embedflow {

Status Copier::PrepareWrites() {
  EF_ASSIGN_OR_RETURN(
      write_document_,
      to_->Prepare("INSERT INTO documents(document, id, text_hash, metadata_hash, chunking, spaces,"
                   " run, sequence, chunks, chunks_dead, file, line, text_bytes, text_sum,"
                   " metadata_sum, checksum, source)"
                   " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  EF_ASSIGN_OR_RETURN(write_text_,
                      to_->Prepare("INSERT INTO texts(document, metadata, text) VALUES(?, ?, ?)"));
  EF_ASSIGN_OR_RETURN(
      write_chunk_,
      to_->Prepare("INSERT INTO chunks(place, chunk_id, begin, end, heading, text_hash,"
                   " dead_spaces, checksum) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"));
  EF_ASSIGN_OR_RETURN(
      write_letter_,
      to_->Prepare("INSERT INTO dead_letters(letter, reason, provider_says, document_id, file,"
                   " line, begin, end, attempts, wall_ms, space, run, checksum)"
                   " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  EF_ASSIGN_OR_RETURN(find_letter_, to_->Prepare("SELECT 1 FROM dead_letters WHERE letter = ?"));
  EF_ASSIGN_OR_RETURN(find_document_, to_->Prepare("SELECT document FROM documents WHERE id = ?"));
  EF_ASSIGN_OR_RETURN(fields_, Fields::Open(to_));
  return {};
}

Status Copier::CopySpaces() {
  EF_ASSIGN_OR_RETURN(Statement rows, from_->Prepare(kAllSpaces));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    SpaceRecord space;
    if (!ReadSpace(*from_, rows, &space).ok()) {
      // Its address may be what is damaged, and texts must not go there.
      copy_.notes.push_back(
          "a space could not be read; its vectors are kept, and its documents come back to it when "
          "they are ingested again");
      continue;
    }
    ++space.generation;
    spaces_.push_back(space);
    space_bits_ |= SpaceBit(space.id);
  }
}

Status Copier::CopyLetters() {
  EF_ASSIGN_OR_RETURN(
      Statement rows,
      from_->Prepare("SELECT letter, reason, provider_says, document_id, file, line, begin, end,"
                     " attempts, wall_ms, space, run, checksum FROM dead_letters"));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    LetterRow letter;
    if (!ReadLetter(*from_, rows, &letter).ok() ||
        (letter.space != 0 && (SpaceBit(letter.space) & space_bits_) == 0)) {
      ++letters_lost_;
      continue;
    }
    last_run_ = std::max(last_run_, letter.run);
    const DeadLetter& l = letter.letter;
    const ContentHash key = LetterKey(l, letter.space);
    const Result<bool> written = write_letter_.BindHash(key)
                                     .BindText(l.reason)
                                     .BindText(l.provider_says)
                                     .BindText(l.document_id)
                                     .BindText(l.file)
                                     .BindUnsigned(l.line)
                                     .BindUnsigned(l.begin)
                                     .BindUnsigned(l.end)
                                     .Bind(l.attempts)
                                     .Bind(l.wall_ms)
                                     .Bind(letter.space)
                                     .Bind(letter.run)
                                     .BindUnsigned(letter.checksum())
                                     .RunUnlessTaken();
    EF_RETURN_IF_ERROR(Written(written.status()));
  }
}

Status Copier::CopySources() {
  EF_ASSIGN_OR_RETURN(Statement rows, from_->Prepare("SELECT source, name, checksum FROM sources"));
  EF_ASSIGN_OR_RETURN(
      Statement write,
      to_->Prepare("INSERT OR IGNORE INTO sources(source, name, checksum) VALUES(?, ?, ?)"));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    if (SourceSum(rows.Int(0), rows.Bytes(1)) != rows.Unsigned(2)) continue;
    sources_.insert(rows.Int(0));
    EF_RETURN_IF_ERROR(
        Written(write.Bind(rows.Int(0)).BindText(rows.Bytes(1)).Bind(rows.Int(2)).Run()));
  }
}

Status Copier::CopyMaybePaid() {
  EF_ASSIGN_OR_RETURN(Statement rows,
                      from_->Prepare("SELECT space, text_hash, checksum FROM maybe_paid"));
  EF_ASSIGN_OR_RETURN(
      Statement write,
      to_->Prepare("INSERT OR IGNORE INTO maybe_paid(space, text_hash, checksum) VALUES(?, ?, ?)"));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    ContentHash hash;
    const auto space = static_cast<SpaceId>(std::clamp<std::int64_t>(rows.Int(0), 0, kSpacesMax));
    if (!rows.Hash(1, &hash) || MaybePaidSum(space, hash) != rows.Unsigned(2)) continue;
    if ((SpaceBit(space) & space_bits_) == 0) continue;
    EF_RETURN_IF_ERROR(Written(write.Bind(space).BindHash(hash).Bind(rows.Int(2)).Run()));
  }
}

Status Copier::CopyRuns() {
  EF_ASSIGN_OR_RETURN(Statement runs,
                      from_->Prepare("SELECT run, space, in_flight_max, began_ms, ended_ms,"
                                     " summary, checksum FROM runs"));
  EF_ASSIGN_OR_RETURN(
      Statement write,
      to_->Prepare("INSERT OR IGNORE INTO runs(run, space, in_flight_max, began_ms, ended_ms,"
                   " summary, checksum) VALUES(?, ?, ?, ?, ?, ?, ?)"));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, runs.Step());
    if (!row) return {};
    if (RunSum(runs.Int(0), static_cast<SpaceId>(runs.Int(1)), runs.Unsigned(2), runs.Int(3),
               runs.Int(4), runs.Bytes(5)) != runs.Unsigned(6)) {
      continue;
    }
    write.Bind(runs.Int(0)).Bind(runs.Int(1)).Bind(runs.Int(2)).Bind(runs.Int(3));
    if (runs.IsNull(4)) {
      write.BindNull();
    } else {
      write.Bind(runs.Int(4));
    }
    EF_RETURN_IF_ERROR(Written(write.BindText(runs.Bytes(5)).Bind(runs.Int(6)).Run()));
  }
}

Status Copier::CopySamples() {
  EF_ASSIGN_OR_RETURN(
      Statement samples,
      from_->Prepare("SELECT run, sample, wall_ms, progress, checksum FROM run_samples"));
  EF_ASSIGN_OR_RETURN(
      Statement write,
      to_->Prepare("INSERT OR IGNORE INTO run_samples(run, sample, wall_ms, progress, checksum)"
                   " VALUES(?, ?, ?, ?, ?)"));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, samples.Step());
    if (!row) return {};
    if (SampleSum(samples.Int(0), samples.Int(1), samples.Int(2), samples.Bytes(3)) !=
        samples.Unsigned(4)) {
      continue;
    }
    EF_RETURN_IF_ERROR(Written(write.Bind(samples.Int(0))
                                   .Bind(samples.Int(1))
                                   .Bind(samples.Int(2))
                                   .BindText(samples.Bytes(3))
                                   .Bind(samples.Int(4))
                                   .Run()));
  }
}

// What follows from the rows: spaces, and the totals.
Status Copier::Settle() {
  EF_RETURN_IF_ERROR(
      to_->Execute("DELETE FROM dead_letters WHERE end > begin"
                   " AND document_id NOT IN (SELECT id FROM documents)"));
  for (SpaceRecord& space : spaces_) {
    EF_ASSIGN_OR_RETURN(Statement count,
                        to_->Prepare("SELECT count(*) FROM documents WHERE (spaces & ?) != 0"));
    EF_ASSIGN_OR_RETURN(const bool row, count.BindUnsigned(SpaceBit(space.id)).Step());
    space.documents = row ? count.Unsigned(0) : 0;
    count.Reset();
    EF_RETURN_IF_ERROR(WriteSpace(to_, space));
  }
  // Numbers of runs must never come again: within one run they say which record is the later.
  EF_ASSIGN_OR_RETURN(const std::int64_t runs, to_->QueryInt("SELECT max(run) FROM runs"));
  if (runs < last_run_) {
    EF_ASSIGN_OR_RETURN(
        Statement run,
        to_->Prepare("INSERT INTO runs(run, space, in_flight_max, began_ms, ended_ms, summary,"
                     " checksum) VALUES(?, 0, 0, 0, 0, '{}', ?)"));
    EF_RETURN_IF_ERROR(run.Bind(last_run_).BindUnsigned(RunSum(last_run_, 0, 0, 0, 0, "{}")).Run());
  }
  Totals totals;
  totals.commits = known_.commits + 1;
  const auto sum = [&](const char* sql, std::uint64_t* count, std::uint64_t* sums) -> Status {
    EF_ASSIGN_OR_RETURN(Statement rows, to_->Prepare(sql));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) return {};
      ++*count;
      *sums += rows.Unsigned(0);
    }
  };
  EF_RETURN_IF_ERROR(
      sum("SELECT checksum FROM documents", &totals.documents, &totals.documents_sum));
  EF_RETURN_IF_ERROR(sum("SELECT checksum FROM chunks", &totals.chunks, &totals.chunks_sum));
  EF_RETURN_IF_ERROR(
      sum("SELECT checksum FROM dead_letters", &totals.dead_letters, &totals.letters_sum));
  EF_ASSIGN_OR_RETURN(
      Statement write,
      to_->Prepare("UPDATE totals SET commits = ?, documents = ?, chunks = ?, dead_letters = ?,"
                   " documents_sum = ?, chunks_sum = ?, letters_sum = ?, checksum = ?"
                   " WHERE one = 1"));
  return write.BindUnsigned(totals.commits)
      .BindUnsigned(totals.documents)
      .BindUnsigned(totals.chunks)
      .BindUnsigned(totals.dead_letters)
      .BindUnsigned(totals.documents_sum)
      .BindUnsigned(totals.chunks_sum)
      .BindUnsigned(totals.letters_sum)
      .BindUnsigned(totals.checksum())
      .Run();
}

Result<DatabaseCopy> CopyWhatIsWhole(Database* from, Database* to, const Totals& known) {
  EF_CHECK(to != nullptr);
  return Copier(from, to, known).Run();
}

}  // namespace embedflow
