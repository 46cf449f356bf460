#include "store/fields.h"

#include <algorithm>

namespace embedflow {

Result<std::unique_ptr<Fields>> Fields::Open(Database* database) {
  std::unique_ptr<Fields> fields(new Fields(database));
  EF_ASSIGN_OR_RETURN(
      fields->insert_,
      database->Prepare("INSERT OR IGNORE INTO fields(field, document) VALUES(?, ?)"));
  EF_ASSIGN_OR_RETURN(fields->delete_,
                      database->Prepare("DELETE FROM fields WHERE field = ? AND document = ?"));
  return fields;
}

Status Fields::Change(Statement* statement, std::int64_t document, std::string_view metadata_json) {
  if (metadata_json == "{}") return {};
  Status status;
  const Status parsed =
      VisitMetadata(metadata_json, [&](std::string_view key, std::string_view value) {
        if (status.ok()) status = statement->Bind(FieldNumber(key, value)).Bind(document).Run();
      });
  if (!parsed.ok()) return Damaged(*database_, DocumentName(document), parsed.message());
  return status;
}

Status Fields::Add(std::int64_t document, std::string_view metadata_json) {
  return Change(&insert_, document, metadata_json);
}

Status Fields::Remove(std::int64_t document, std::string_view metadata_json) {
  return Change(&delete_, document, metadata_json);
}

Result<std::vector<std::int64_t>> FindByFields(
    Database* database, const std::vector<std::pair<std::string, std::string>>& pairs) {
  EF_ASSIGN_OR_RETURN(
      Statement find,
      database->Prepare("SELECT document FROM fields WHERE field = ? ORDER BY document"));
  std::vector<std::int64_t> documents;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    std::vector<std::int64_t> with_pair;
    find.Bind(FieldNumber(pairs[i].first, pairs[i].second));
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool row, find.Step());
      if (!row) break;
      with_pair.push_back(find.Int(0));
    }
    std::vector<std::int64_t> both;
    std::set_intersection(documents.begin(), documents.end(), with_pair.begin(), with_pair.end(),
                          std::back_inserter(both));
    documents = i == 0 ? std::move(with_pair) : std::move(both);
  }
  // Two fields may share a number: look at the metadata itself.
  EF_ASSIGN_OR_RETURN(
      Statement read,
      database->Prepare("SELECT t.metadata, d.metadata_sum FROM texts t JOIN documents d"
                        " ON d.document = t.document WHERE t.document = ?"));
  std::vector<std::int64_t> found;
  for (const std::int64_t document : documents) {
    EF_ASSIGN_OR_RETURN(const bool row, read.Bind(document).Step());
    if (!row) return Damaged(*database, DocumentName(document), "it is in fields but not there");
    if (Checksum(read.Bytes(0)) != read.Unsigned(1)) {
      return Damaged(*database, DocumentName(document), "the checksum of its metadata is wrong");
    }
    std::vector<char> has(pairs.size(), 0);
    const Status parsed =
        VisitMetadata(read.Bytes(0), [&](std::string_view key, std::string_view value) {
          for (std::size_t i = 0; i < pairs.size(); ++i) {
            if (pairs[i].first == key && pairs[i].second == value) has[i] = 1;
          }
        });
    if (!parsed.ok()) return Damaged(*database, DocumentName(document), parsed.message());
    read.Reset();
    if (std::find(has.begin(), has.end(), 0) == has.end()) found.push_back(document);
  }
  return found;
}

}  // namespace embedflow
