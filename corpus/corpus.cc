#include "embedflow/corpus.h"

#include <filesystem>
#include <vector>

#include "base/clock.h"
#include "base/utf8.h"
#include "corpus/access.h"
#include "corpus/index_keeper.h"
#include "corpus/provider_record.h"
#include "store/directory.h"

namespace embedflow {
namespace {

std::uint64_t DirectoryBytes(const std::string& directory) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code gone;  // A temporary file may vanish meanwhile.
    const std::uintmax_t size = entry->file_size(gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

}  // namespace

Corpus::Corpus(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
Corpus::~Corpus() = default;

const std::string& Corpus::directory() const { return rep_->directory; }

Result<std::unique_ptr<Corpus>> Corpus::Open(const std::string& directory, Mode mode) {
  auto rep = std::make_unique<Rep>();
  rep->directory = directory;
  if (mode == Mode::kRead) {
    EF_ASSIGN_OR_RETURN(rep->reader, OpenStoreReader(directory));
  } else {
    StoreOptions options;
    options.create = mode == Mode::kCreate;
    EF_ASSIGN_OR_RETURN(rep->store, OpenStore(directory, options, SystemClock()));
    EF_ASSIGN_OR_RETURN(rep->reader, rep->store->NewReader());
  }
  return CorpusAccess::Make(std::move(rep));
}

Result<CorpusStatus> Corpus::Describe() {
  CorpusStatus status;
  EF_ASSIGN_OR_RETURN(const StoreView view, StoreView::Hold(rep_->reader.get()));
  EF_ASSIGN_OR_RETURN(const StoreCounts counts, rep_->reader->Counts());
  status.documents = counts.documents;
  status.chunks = counts.chunks;
  status.dead_letters = counts.dead_letters;
  status.bytes = DirectoryBytes(rep_->directory);
  EF_ASSIGN_OR_RETURN(const std::vector<SpaceRecord> spaces, rep_->reader->Spaces());
  for (const SpaceRecord& record : spaces) {
    SpaceStatus space;
    space.space = record.space;
    space.base_url = record.base_url;
    space.documents = record.documents;
    space.is_complete = record.documents == counts.documents;
    EF_ASSIGN_OR_RETURN(space.vectors, rep_->reader->VectorCount(record.id));
    status.vectors += space.vectors;
    space.index.kind = record.index_kind;
    if (const Result<IndexFileInfo> info = PeekIndex(IndexPath(rep_->directory, record.id));
        info.ok()) {
      space.index.vectors = info->vectors;
      space.index.bytes = info->bytes;
      space.index.fresh = info->stamp == StampOf(record);
    }
    status.spaces.push_back(std::move(space));
  }
  if (!spaces.empty()) status.default_space = DefaultSpace(spaces, counts.documents);
  return status;
}

Status Corpus::ForEachChunk(const std::string& space,
                            const std::function<Status(const StoredChunk&)>& visit) {
  EF_ASSIGN_OR_RETURN(const std::vector<SpaceRecord> spaces, rep_->reader->Spaces());
  // A corpus may hold documents without any vector yet, but not chunks: then there is nothing to
  // visit.
  if (spaces.empty() && space.empty()) return {};
  EF_ASSIGN_OR_RETURN(const SpaceRecord record, PickSpace(*rep_->reader, space));
  std::vector<float> vector(static_cast<std::size_t>(record.space.dimensions));
  return rep_->reader->ScanChunks(
      true,
      [&](const ChunkScan& scan, std::string_view text, std::string_view metadata_json) -> Status {
        StoredChunk chunk;
        chunk.id = scan.id;
        chunk.document_id = scan.document_id;
        chunk.ordinal = scan.ordinal;
        chunk.begin = scan.begin;
        chunk.end = scan.end;
        chunk.text = text;
        chunk.heading = scan.heading;
        chunk.metadata_json = metadata_json;
        if (HasVectorIn(scan, record.id)) {
          EF_ASSIGN_OR_RETURN(const bool found,
                              rep_->reader->ReadVector(record.id, scan.text_hash, vector));
          if (!found) {
            return Status(Code::kCorruption, "chunk " + std::to_string(scan.id) + " of document " +
                                                 EscapeControl(scan.document_id, 200) +
                                                 " has no vector")
                .WithNext(RepairCommand(rep_->directory));
          }
          chunk.embedding = vector;
        }
        return visit(chunk);
      });
}

Result<std::vector<DeadLetter>> Corpus::DeadLetters() { return rep_->reader->DeadLetters(); }

Result<ProviderOptions> Corpus::ProviderOf(const std::string& space) {
  EF_ASSIGN_OR_RETURN(const SpaceRecord record, PickSpace(*rep_->reader, space));
  return RecordedProvider(record);
}

}  // namespace embedflow
