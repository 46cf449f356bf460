#include "store/sources.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "store/records.h"

namespace embedflow {
namespace {

// Reads whole documents, text and chunks included.
class DocumentLoader {
 public:
  explicit DocumentLoader(Database* database) : database_(database) {}
  Status Prepare() {
    EF_ASSIGN_OR_RETURN(texts_,
                        database_->Prepare("SELECT metadata, text FROM texts WHERE document = ?"));
    EF_ASSIGN_OR_RETURN(chunks_, database_->Prepare(kChunksByPlace));
    return {};
  }

  Result<StoredDocument> Load(const DocumentRow& row) {
    StoredDocument loaded;
    loaded.document.id = row.id;
    loaded.origin = row.origin;
    loaded.state = row.state;
    loaded.sequence = row.sequence;
    EF_ASSIGN_OR_RETURN(const bool has_text, texts_.Bind(row.number).Step());
    if (!has_text) return Damaged(*database_, DocumentName(row.number), "its text is missing");
    const std::string metadata(texts_.Bytes(0));
    loaded.document.text = texts_.Bytes(1);
    texts_.Reset();
    if (loaded.document.text.size() != row.text_bytes ||
        Checksum(loaded.document.text) != row.text_sum || Checksum(metadata) != row.metadata_sum) {
      return Damaged(*database_, DocumentName(row.number),
                     "the checksum of its text or metadata is wrong");
    }
    EF_ASSIGN_OR_RETURN(loaded.document.metadata, ReadMetadata(metadata));
    EF_RETURN_IF_ERROR(LoadChunks(row, &loaded));
    return loaded;
  }

 private:
  Status LoadChunks(const DocumentRow& row, StoredDocument* loaded) {
    loaded->chunks.reserve(row.chunks);
    chunks_.Bind(PlaceOf(row.number, 0)).Bind(PlaceOf(row.number, kOrdinalsMax - 1));
    StoredChunkRow stored;
    for (;;) {
      EF_ASSIGN_OR_RETURN(const bool more, chunks_.Step());
      if (!more) break;
      EF_RETURN_IF_ERROR(ReadChunk(*database_, chunks_, &stored));
      const std::uint32_t ordinal = OrdinalOf(stored.place);
      const std::string_view text = loaded->document.text;
      if (ordinal != loaded->chunks.size() || stored.begin >= stored.end ||
          stored.end > text.size() ||
          HashContent(text.substr(stored.begin, stored.end - stored.begin)) != stored.text_hash) {
        return Damaged(*database_, ChunkName(stored.place), "it is not what was embedded");
      }
      ChunkRow& chunk = loaded->chunks.emplace_back();
      chunk.key = ChunkKey(row.id, ordinal, stored.text_hash);
      chunk.text_hash = stored.text_hash;
      chunk.begin = stored.begin;
      chunk.end = stored.end;
      chunk.heading = std::move(stored.heading);
    }
    if (loaded->chunks.size() == row.chunks) return {};
    return Damaged(*database_, DocumentName(row.number), "some of its chunks are missing");
  }

  Database* const database_;
  Statement texts_;
  Statement chunks_;
};

// Loads the documents that `rows` selects, as far as the limits allow.
Result<std::vector<StoredDocument>> LoadSome(Database* database, Statement* rows,
                                             std::size_t documents_max, std::size_t bytes_max) {
  DocumentLoader loader(database);
  EF_RETURN_IF_ERROR(loader.Prepare());
  std::vector<StoredDocument> documents;
  std::size_t bytes = 0;
  DocumentRow row;
  while (documents.size() < documents_max && bytes < bytes_max) {
    EF_ASSIGN_OR_RETURN(const bool more, rows->Step());
    if (!more) break;
    EF_RETURN_IF_ERROR(ReadDocument(*database, *rows, &row));
    EF_ASSIGN_OR_RETURN(StoredDocument loaded, loader.Load(row));
    bytes += loaded.document.text.size();
    documents.push_back(std::move(loaded));
  }
  return documents;
}

}  // namespace

Result<std::vector<std::int64_t>> ReadSources(Database* database,
                                              std::span<const std::string> names) {
  std::vector<std::int64_t> numbers;
  EF_ASSIGN_OR_RETURN(Statement find,
                      database->Prepare("SELECT source, checksum FROM sources WHERE name = ?"));
  for (const std::string& name : names) {
    EF_ASSIGN_OR_RETURN(const bool found, find.BindText(name).Step());
    numbers.push_back(found ? find.Int(0) : 0);
    if (found && find.Unsigned(1) != SourceSum(numbers.back(), name)) {
      return Damaged(*database, "source " + std::to_string(numbers.back()),
                     "its checksum is wrong");
    }
    find.Reset();
  }
  return numbers;
}

Result<std::vector<std::int64_t>> ReadDocumentsOfSources(
    Database* database, std::span<const std::int64_t> sources, std::int64_t run, std::int64_t after,
    std::size_t documents_max, const std::function<bool(std::int64_t number)>& keep) {
  EF_ASSIGN_OR_RETURN(Statement rows, database->Prepare(kAllDocumentsAfter));
  rows.Bind(after);
  std::vector<std::int64_t> numbers;
  DocumentRow row;
  while (numbers.size() < documents_max) {
    EF_ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) break;
    // The whole row, because only with its checksum it is known to be what it says.
    EF_RETURN_IF_ERROR(ReadDocument(*database, rows, &row));
    if (row.state.source == 0 || row.state.run == run || keep(row.number)) continue;
    if (std::find(sources.begin(), sources.end(), row.state.source) == sources.end()) continue;
    numbers.push_back(row.number);
  }
  return numbers;
}

Result<std::vector<StoredDocument>> ReadDocumentsWithout(Database* database, SpaceId space,
                                                         std::int64_t after,
                                                         std::size_t documents_max,
                                                         std::size_t bytes_max) {
  EF_ASSIGN_OR_RETURN(Statement rows, database->Prepare(kDocumentsWithout));
  rows.Bind(after).BindUnsigned(SpaceBit(space));
  return LoadSome(database, &rows, documents_max, bytes_max);
}

Result<std::vector<StoredDocument>> ReadDocumentsWithLetters(Database* database, SpaceId space,
                                                             std::string_view after,
                                                             std::size_t documents_max,
                                                             std::size_t bytes_max) {
  EF_ASSIGN_OR_RETURN(Statement rows, database->Prepare(kDocumentsWithLetters));
  rows.BindText(after).Bind(space);
  return LoadSome(database, &rows, documents_max, bytes_max);
}

}  // namespace embedflow
