#include "store/records.h"

#include <array>

#include "base/json_reader.h"
#include "base/json_writer.h"
#include "base/utf8.h"
#include "store/directory.h"

namespace embedflow {
namespace {

// Seeds of RecordSum, one a table. On disk for ever.
constexpr std::uint64_t kTotalsKind = 1;
constexpr std::uint64_t kDocumentKind = 2;
constexpr std::uint64_t kChunkKind = 3;
constexpr std::uint64_t kLetterKind = 4;
constexpr std::uint64_t kSpaceKind = 5;
constexpr std::uint64_t kFieldKind = 6;
constexpr std::uint64_t kMaybePaidKind = 10;
constexpr std::uint64_t kSourceKind = 11;

constexpr int kMetadataDepthMax = 2;

constexpr const char* kSumWrong = "its checksum does not fit its content";

using MetadataVisitor =
    std::function<void(std::string_view key, MetadataValue::Kind kind, std::string_view value)>;

// Hands the fields of a flat object to `visit`, with their values as text; null as "null".
class FieldReader : public JsonHandler {
 public:
  explicit FieldReader(const MetadataVisitor& visit) : visit_(visit) {}
  bool Null() override { return Add(MetadataValue::Kind::kNull, "null"); }
  bool Bool(bool value) override {
    return Add(MetadataValue::Kind::kBoolean, value ? "true" : "false");
  }
  bool Number(std::string_view text) override { return Add(MetadataValue::Kind::kNumber, text); }
  bool String(std::string_view value) override { return Add(MetadataValue::Kind::kString, value); }
  bool StartObject() override { return depth_++ == 0; }
  bool Key(std::string_view name) override {
    key_ = name;
    return true;
  }
  bool EndObject() override { return true; }
  bool StartArray() override { return false; }
  bool EndArray() override { return false; }

 private:
  bool Add(MetadataValue::Kind kind, std::string_view value) {
    if (depth_ == 0) return false;
    visit_(key_, kind, value);
    return true;
  }
  const MetadataVisitor& visit_;
  std::string key_;
  int depth_ = 0;
};

// Accepts a number and nothing else.
class NumberOnly : public JsonHandler {
 public:
  bool Null() override { return false; }
  bool Bool(bool) override { return false; }
  bool Number(std::string_view value) override {
    text = value;
    return true;
  }
  bool String(std::string_view) override { return false; }
  bool StartObject() override { return false; }
  bool Key(std::string_view) override { return false; }
  bool EndObject() override { return false; }
  bool StartArray() override { return false; }
  bool EndArray() override { return false; }
  std::string text;
};

}  // namespace

std::uint64_t Totals::checksum() const {
  return RecordSum(kTotalsKind)
      .Add(commits)
      .Add(documents)
      .Add(chunks)
      .Add(dead_letters)
      .Add(documents_sum)
      .Add(chunks_sum)
      .Add(letters_sum)
      .value();
}

std::uint64_t DocumentRow::checksum() const {
  RecordSum sum(kDocumentKind);
  sum.Add(static_cast<std::uint64_t>(number))
      .Add(id)
      .Add(state.text_hash)
      .Add(state.metadata_hash)
      .Add(state.chunking)
      .Add(state.spaces)
      .Add(static_cast<std::uint64_t>(state.run))
      .Add(sequence)
      .Add(chunks)
      .Add(state.chunks_dead)
      .Add(origin.file)
      .Add(origin.line)
      .Add(text_bytes)
      .Add(text_sum)
      .Add(metadata_sum);
  if (state.source != 0) sum.Add(static_cast<std::uint64_t>(state.source));
  return sum.value();
}

std::uint64_t StoredChunkRow::checksum() const {
  return RecordSum(kChunkKind)
      .Add(static_cast<std::uint64_t>(place))
      .Add(static_cast<std::uint64_t>(id))
      .Add(begin)
      .Add(end)
      .Add(heading)
      .Add(text_hash)
      .Add(dead_spaces)
      .value();
}

std::uint64_t LetterRow::checksum() const {
  return RecordSum(kLetterKind)
      .Add(letter.reason)
      .Add(letter.provider_says)
      .Add(letter.document_id)
      .Add(letter.file)
      .Add(letter.line)
      .Add(letter.begin)
      .Add(letter.end)
      .Add(static_cast<std::uint64_t>(letter.attempts))
      .Add(static_cast<std::uint64_t>(letter.wall_ms))
      .Add(static_cast<std::uint64_t>(space))
      .Add(static_cast<std::uint64_t>(run))
      .value();
}

std::uint64_t SpaceSum1(const SpaceRecord& space) {
  return RecordSum(kSpaceKind)
      .Add(static_cast<std::uint64_t>(space.id))
      .Add(space.space.provider)
      .Add(space.space.model)
      .Add(space.space.revision)
      .Add(static_cast<std::uint64_t>(space.space.dimensions))
      .Add(space.space.input_type)
      .Add(space.space.digest)
      .Add(space.base_url)
      .Add(space.api_key_env)
      .Add(space.index_kind)
      .Add(space.metric)
      .Add(space.generation)
      .value();
}

std::uint64_t SpaceSum(const SpaceRecord& space) {
  return RecordSum(SpaceSum1(space)).Add(space.documents).Add(space.options).value();
}

std::uint64_t SourceSum(std::int64_t source, std::string_view name) {
  return RecordSum(kSourceKind).Add(static_cast<std::uint64_t>(source)).Add(name).value();
}

std::uint64_t MaybePaidSum(SpaceId space, const ContentHash& text_hash) {
  return RecordSum(kMaybePaidKind).Add(static_cast<std::uint64_t>(space)).Add(text_hash).value();
}

ContentHash SpaceKey(const Space& space) {
  const std::string dimensions = std::to_string(space.dimensions);
  const std::array<std::string_view, 6> parts = {space.provider, space.model,      space.revision,
                                                 dimensions,     space.input_type, space.digest};
  return HashContent(parts);
}

ContentHash LetterKey(const DeadLetter& letter, SpaceId space) {
  if (IsChunkLetter(letter)) {
    const std::string begin = std::to_string(letter.begin);
    const std::string end = std::to_string(letter.end);
    const std::string where = std::to_string(space);
    const std::array<std::string_view, 5> parts = {"chunk", letter.document_id, begin, end, where};
    return HashContent(parts);
  }
  const std::string line = std::to_string(letter.line);
  // A pushed record has no place in a file; its id is all that tells it from others.
  const std::string_view id = letter.file.empty() ? std::string_view(letter.document_id) : "";
  const std::array<std::string_view, 4> parts = {"record", letter.file, line, id};
  return HashContent(parts);
}

Status Damaged(const Database& database, std::string_view record, std::string_view what) {
  return Damage(database.path(), std::string(record) + ": " + std::string(what));
}

std::string DocumentName(std::int64_t number) { return "document " + std::to_string(number); }
std::string ChunkName(std::int64_t place) {
  return "chunk " + std::to_string(OrdinalOf(place)) + " of document " +
         std::to_string(DocumentOf(place));
}

Status ReadTotals(Database* database, Totals* totals) {
  EF_ASSIGN_OR_RETURN(
      Statement row,
      database->Prepare("SELECT commits, documents, chunks, dead_letters, documents_sum,"
                        " chunks_sum, letters_sum, checksum FROM totals WHERE one = 1"));
  EF_ASSIGN_OR_RETURN(const bool found, row.Step());
  if (!found) return Damaged(*database, "totals", "the row is not there");
  *totals = {row.Unsigned(0), row.Unsigned(1), row.Unsigned(2), row.Unsigned(3),
             row.Unsigned(4), row.Unsigned(5), row.Unsigned(6)};
  if (row.Unsigned(7) != totals->checksum()) return Damaged(*database, "totals", kSumWrong);
  return {};
}

Status ReadDocument(const Database& database, const Statement& row, DocumentRow* document) {
  document->number = row.Int(0);
  document->id = row.Bytes(1);
  DocumentState& state = document->state;
  const bool hashes = row.Hash(2, &state.text_hash) && row.Hash(3, &state.metadata_hash) &&
                      row.Hash(4, &state.chunking);
  state.spaces = row.Unsigned(5);
  state.run = row.Int(6);
  document->sequence = row.Unsigned(7);
  document->chunks = row.Unsigned(8);
  state.chunks_dead = static_cast<std::uint32_t>(row.Unsigned(9));
  document->origin.file = row.Bytes(10);
  document->origin.line = row.Unsigned(11);
  document->text_bytes = row.Unsigned(12);
  document->text_sum = row.Unsigned(13);
  document->metadata_sum = row.Unsigned(14);
  state.number = document->number;
  state.source = row.Int(16);
  if (!hashes || row.Unsigned(15) != document->checksum()) {
    return Damaged(database, DocumentName(document->number), kSumWrong);
  }
  return {};
}

Status ReadChunk(const Database& database, const Statement& row, StoredChunkRow* chunk) {
  chunk->place = row.Int(0);
  chunk->id = row.Int(1);
  chunk->begin = row.Unsigned(2);
  chunk->end = row.Unsigned(3);
  chunk->heading = row.Bytes(4);
  const bool hash = row.Hash(5, &chunk->text_hash);
  chunk->dead_spaces = row.Unsigned(6);
  if (!hash || row.Unsigned(7) != chunk->checksum()) {
    return Damaged(database, ChunkName(chunk->place), kSumWrong);
  }
  return {};
}

Status ReadLetter(const Database& database, const Statement& row, LetterRow* letter) {
  DeadLetter& out = letter->letter;
  ContentHash key;
  const bool has_key = row.Hash(0, &key);
  out.reason = row.Bytes(1);
  out.provider_says = row.Bytes(2);
  out.document_id = row.Bytes(3);
  out.file = row.Bytes(4);
  out.line = row.Unsigned(5);
  out.begin = row.Unsigned(6);
  out.end = row.Unsigned(7);
  out.attempts = static_cast<int>(row.Int(8));
  out.wall_ms = row.Int(9);
  letter->space = static_cast<SpaceId>(row.Int(10));
  letter->run = row.Int(11);
  if (!has_key || row.Unsigned(12) != letter->checksum() || key != LetterKey(out, letter->space)) {
    return Damaged(database, "dead letter " + key.hex(), kSumWrong);
  }
  return {};
}

Status ReadSpace(const Database& database, const Statement& row, SpaceRecord* space) {
  space->id = static_cast<SpaceId>(row.Int(0));
  space->space.provider = row.Bytes(1);
  space->space.model = row.Bytes(2);
  space->space.revision = row.Bytes(3);
  space->space.dimensions = static_cast<int>(row.Int(4));
  space->space.input_type = row.Bytes(5);
  space->space.digest = row.Bytes(6);
  space->base_url = row.Bytes(7);
  space->api_key_env = row.Bytes(8);
  space->index_kind = row.Bytes(9);
  space->metric = row.Bytes(10);
  space->generation = row.Unsigned(11);
  space->documents = row.Unsigned(12);
  space->options = row.Bytes(13);
  if (row.Unsigned(14) != SpaceSum(*space) || space->id < 1 || space->id > kSpacesMax) {
    return Damaged(database, "space " + std::to_string(row.Int(0)), kSumWrong);
  }
  return {};
}

Status WriteSpace(Database* database, const SpaceRecord& space) {
  EF_ASSIGN_OR_RETURN(
      Statement write,
      database->Prepare(
          "INSERT OR REPLACE INTO spaces(space, provider, model, revision, dimensions, input_type,"
          " digest, base_url, api_key_env, index_kind, metric, generation, documents, options,"
          " checksum) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  return write.Bind(space.id)
      .BindText(space.space.provider)
      .BindText(space.space.model)
      .BindText(space.space.revision)
      .Bind(space.space.dimensions)
      .BindText(space.space.input_type)
      .BindText(space.space.digest)
      .BindText(space.base_url)
      .BindText(space.api_key_env)
      .BindText(space.index_kind)
      .BindText(space.metric)
      .BindUnsigned(space.generation)
      .BindUnsigned(space.documents)
      .BindText(space.options)
      .BindUnsigned(SpaceSum(space))
      .Run();
}

namespace {

Status VisitFields(std::string_view json, const MetadataVisitor& visit) {
  FieldReader reader(visit);
  const Status status = ParseJson(json, kMetadataDepthMax, &reader);
  if (status.ok()) return {};
  return Status(Code::kCorruption, "metadata is not a flat JSON object");
}

}  // namespace

Status VisitMetadata(
    std::string_view json,
    const std::function<void(std::string_view key, std::string_view value)>& visit) {
  return VisitFields(json, [&](std::string_view key, MetadataValue::Kind, std::string_view value) {
    visit(key, value);
  });
}

Result<Metadata> ReadMetadata(std::string_view json) {
  Metadata metadata;
  EF_RETURN_IF_ERROR(VisitFields(
      json, [&](std::string_view key, MetadataValue::Kind kind, std::string_view value) {
        const bool is_null = kind == MetadataValue::Kind::kNull;
        metadata.push_back({std::string(key), {kind, is_null ? "" : std::string(value)}});
      }));
  return metadata;
}

std::int64_t FieldNumber(std::string_view key, std::string_view value) {
  return static_cast<std::int64_t>(RecordSum(kFieldKind).Add(key).Add(value).value());
}

std::string MetadataJson(const Metadata& metadata) {
  // A number that is none, which only a program can hand in, must not spoil the whole object.
  const auto is_number = [](std::string_view text) {
    NumberOnly number;
    return ParseJson(text, 1, &number).ok() && number.text == text;
  };
  JsonWriter writer;
  writer.BeginObject();
  for (const MetadataField& field : metadata) {
    writer.Key(field.key);
    switch (field.value.kind) {
      case MetadataValue::Kind::kNull:
        writer.Null();
        break;
      case MetadataValue::Kind::kBoolean:
        writer.Value(field.value.text == "true");
        break;
      case MetadataValue::Kind::kNumber:
        if (is_number(field.value.text)) {
          writer.Raw(field.value.text);
        } else {
          writer.Value(std::string_view(field.value.text));
        }
        break;
      case MetadataValue::Kind::kString:
        writer.Value(std::string_view(field.value.text));
        break;
    }
  }
  writer.EndObject();
  return writer.Take();
}

ContentHash ChunkKey(std::string_view document_id, std::uint32_t ordinal,
                     const ContentHash& text_hash) {
  // Little endian on every machine, because ids must agree between machines.
  std::array<char, 4> number;
  for (std::size_t i = 0; i < number.size(); ++i) {
    number[i] = static_cast<char>(ordinal >> (8 * i));
  }
  const std::array<std::string_view, 3> parts = {
      document_id, std::string_view(number.data(), number.size()), text_hash.view()};
  return HashContent(parts);
}

}  // namespace embedflow
