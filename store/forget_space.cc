#include "store/forget_space.h"

#include <algorithm>
#include <memory>

#include "store/database.h"
#include "store/records.h"

namespace embedflow {
namespace {

constexpr std::size_t kDocumentsAtOnce = 1000;

Status ClearBits(Writer* writer, SpaceRecord* space, std::span<const std::int64_t> documents) {
  Database& database = writer->database();
  EF_ASSIGN_OR_RETURN(Statement find, database.Prepare(kDocumentByNumber));
  EF_ASSIGN_OR_RETURN(
      Statement update,
      database.Prepare("UPDATE documents SET spaces = ?, checksum = ? WHERE document = ?"));
  for (const std::int64_t number : documents) {
    EF_ASSIGN_OR_RETURN(const bool found, find.Bind(number).Step());
    if (!found) return Damaged(database, DocumentName(number), "it is not there");
    DocumentRow row;
    const Status status = ReadDocument(database, find, &row);
    find.Reset();
    EF_RETURN_IF_ERROR(status);
    writer->totals().documents_sum -= row.checksum();
    row.state.spaces &= ~SpaceBit(space->id);
    writer->totals().documents_sum += row.checksum();
    EF_RETURN_IF_ERROR(
        update.BindUnsigned(row.state.spaces).BindUnsigned(row.checksum()).Bind(number).Run());
    --space->documents;
  }
  ++space->generation;
  return WriteSpace(&database, *space);
}

Result<SpaceRecord> LoadSpace(Database* database, SpaceId id) {
  EF_ASSIGN_OR_RETURN(Statement rows, database->Prepare(kAllSpaces));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return Status(Code::kInternal, "there is no space " + std::to_string(id));
    SpaceRecord space;
    EF_RETURN_IF_ERROR(ReadSpace(*database, rows, &space));
    if (space.id == id) return space;
  }
}

}  // namespace

Result<SpaceNeedy> FindNeedy(Database* database, SpaceId space,
                             std::span<const ContentHash> texts) {
  static_assert(kOrdinalBits == 26);
  EF_ASSIGN_OR_RETURN(
      Statement rows,
      database->Prepare("SELECT c.place, c.text_hash, d.id FROM chunks c JOIN documents d"
                        " ON d.document = c.place >> 26"
                        " WHERE (d.spaces & ?1) != 0 AND (c.dead_spaces & ?1) = 0"
                        " ORDER BY c.place"));
  rows.BindUnsigned(SpaceBit(space));
  SpaceNeedy needy;
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return needy;
    ContentHash hash;
    if (!rows.Hash(1, &hash) || !std::binary_search(texts.begin(), texts.end(), hash)) continue;
    ++needy.chunks;
    const std::int64_t document = DocumentOf(rows.Int(0));
    if (!needy.documents.empty() && needy.documents.back() == document) continue;
    needy.documents.push_back(document);
    if (needy.ids.size() < kIdsTold) needy.ids.emplace_back(rows.Bytes(2));
  }
}

void AddNeedy(const Space& space, const SpaceNeedy& needy, std::set<std::int64_t>* counted,
              ToBuyAgain* to_buy_again) {
  if (needy.documents.empty()) return;
  to_buy_again->spaces.push_back({space, needy.chunks, needy.documents.size()});
  to_buy_again->chunks += needy.chunks;
  for (std::size_t i = 0; i < needy.documents.size(); ++i) {
    if (!counted->insert(needy.documents[i]).second) continue;
    ++to_buy_again->documents;
    const bool told = i < needy.ids.size() && to_buy_again->ids.size() < kIdsTold;
    if (told) to_buy_again->ids.push_back(needy.ids[i]);
  }
}

Status AddHomeless(Database* database, const std::set<std::int64_t>& counted,
                   ToBuyAgain* to_buy_again) {
  EF_ASSIGN_OR_RETURN(Statement rows, database->Prepare("SELECT document, id, chunks FROM documents"
                                                        " WHERE spaces = 0 ORDER BY document"));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    if (counted.contains(rows.Int(0))) continue;
    ++to_buy_again->documents;
    to_buy_again->chunks += rows.Unsigned(2);
    if (to_buy_again->ids.size() < kIdsTold) to_buy_again->ids.emplace_back(rows.Bytes(1));
  }
}

Result<SpaceNeedy> ForgetSpace(const std::string& directory, SpaceId id,
                               std::span<const ContentHash> texts) {
  EF_ASSIGN_OR_RETURN(OpenedDatabase opened, OpenForWriting(directory));
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Writer> writer,
                      Writer::Open(directory, std::move(opened.database)));
  EF_ASSIGN_OR_RETURN(SpaceNeedy needy, FindNeedy(&writer->database(), id, texts));
  EF_ASSIGN_OR_RETURN(SpaceRecord space, LoadSpace(&writer->database(), id));
  const std::span<const std::int64_t> documents = needy.documents;
  for (std::size_t i = 0; i < documents.size(); i += kDocumentsAtOnce) {
    const std::size_t count = std::min(kDocumentsAtOnce, documents.size() - i);
    EF_RETURN_IF_ERROR(writer->Begin());
    EF_RETURN_IF_ERROR(writer->End(ClearBits(writer.get(), &space, documents.subspan(i, count))));
  }
  return needy;
}

}  // namespace embedflow
