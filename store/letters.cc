#include "store/letters.h"

namespace embedflow {

Result<std::unique_ptr<Letters>> Letters::Open(Writer* writer) {
  std::unique_ptr<Letters> letters(new Letters(writer));
  Database& database = writer->database();
  EF_ASSIGN_OR_RETURN(letters->find_,
                      database.Prepare("SELECT checksum FROM dead_letters WHERE letter = ?"));
  EF_ASSIGN_OR_RETURN(
      letters->insert_,
      database.Prepare("INSERT INTO dead_letters(letter, reason, provider_says, document_id, file,"
                       " line, begin, end, attempts, wall_ms, space, run, checksum)"
                       " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  EF_ASSIGN_OR_RETURN(letters->delete_,
                      database.Prepare("DELETE FROM dead_letters WHERE letter = ?"));
  EF_ASSIGN_OR_RETURN(
      letters->of_document_,
      database.Prepare("SELECT letter FROM dead_letters WHERE document_id = ?1 AND end > begin"
                       " AND (?2 = 0 OR space = ?2)"));
  EF_ASSIGN_OR_RETURN(
      letters->of_file_,
      database.Prepare("SELECT letter FROM dead_letters WHERE file = ? AND end <= begin"
                       " AND run < ?"));
  return letters;
}

Status Letters::Put(const DeadLetter& letter, SpaceId space, std::int64_t run) {
  LetterRow row{letter, IsChunkLetter(letter) ? space : 0, run};
  const ContentHash key = LetterKey(row.letter, row.space);
  EF_RETURN_IF_ERROR(Drop({std::string(key.view())}));
  const std::uint64_t checksum = row.checksum();
  EF_RETURN_IF_ERROR(insert_.BindHash(key)
                         .BindText(letter.reason)
                         .BindText(letter.provider_says)
                         .BindText(letter.document_id)
                         .BindText(letter.file)
                         .BindUnsigned(letter.line)
                         .BindUnsigned(letter.begin)
                         .BindUnsigned(letter.end)
                         .Bind(letter.attempts)
                         .Bind(letter.wall_ms)
                         .Bind(row.space)
                         .Bind(run)
                         .BindUnsigned(checksum)
                         .Run());
  ++writer_->totals().dead_letters;
  writer_->totals().letters_sum += checksum;
  return {};
}

Status Letters::Drop(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    EF_ASSIGN_OR_RETURN(const bool found, find_.BindBlob(key).Step());
    if (!found) continue;
    writer_->totals().letters_sum -= find_.Unsigned(0);
    --writer_->totals().dead_letters;
    find_.Reset();
    EF_RETURN_IF_ERROR(delete_.BindBlob(key).Run());
  }
  return {};
}

namespace {

// The keys that a prepared and bound query yields.
Result<std::vector<std::string>> Keys(Statement* query) {
  std::vector<std::string> keys;
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, query->Step());
    if (!row) return keys;
    keys.emplace_back(query->Bytes(0));
  }
}

}  // namespace

Status Letters::DropOfDocument(std::string_view document_id, SpaceId space) {
  if (writer_->totals().dead_letters == 0) return {};
  of_document_.BindText(document_id).Bind(space);
  EF_ASSIGN_OR_RETURN(const std::vector<std::string> keys, Keys(&of_document_));
  return Drop(keys);
}

Status Letters::DropOfFile(std::string_view file, std::int64_t run) {
  of_file_.BindText(file).Bind(run);
  EF_ASSIGN_OR_RETURN(const std::vector<std::string> keys, Keys(&of_file_));
  return Drop(keys);
}

}  // namespace embedflow
