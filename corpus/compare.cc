// What an ingest would do, without doing it.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "corpus/access.h"
#include "corpus/change.h"
#include "stages/chunker.h"

namespace embedflow {
namespace {

// Documents that are gone are counted in slices.
constexpr std::size_t kSliceDocuments = 4096;

// 0 if the corpus has no such space yet: then no document has its vectors there.
Result<SpaceId> FindSpace(StoreReader& reader, const Space& space) {
  EF_ASSIGN_OR_RETURN(const std::vector<SpaceRecord> spaces, reader.Spaces());
  for (const SpaceRecord& record : spaces) {
    if (record.space == space) return record.id;
  }
  return SpaceId{0};
}

Result<std::uint64_t> CountGone(StoreReader& reader, const std::vector<std::int64_t>& sources,
                                const SeenDocuments& seen) {
  std::uint64_t gone = 0;
  for (std::int64_t after = 0;;) {
    EF_ASSIGN_OR_RETURN(
        const std::vector<std::int64_t> numbers,
        reader.DocumentsOfSources(sources, 0, after, kSliceDocuments,
                                  [&](std::int64_t number) { return seen.Has(number); }));
    if (numbers.empty()) return gone;
    gone += numbers.size();
    after = numbers.back();
  }
}

// What the documents of a source are compared with; null for nothing.
class Comparer {
 public:
  Comparer(StoreReader* reader, SpaceId space, const ContentHash& chunking)
      : reader_(reader), space_(space), chunking_(chunking) {}

  Status Take(Record* record) {
    ++comparison_.read;
    if (record->bad) {
      ++comparison_.bad;
      return {};
    }
    Document& document = record->document;
    const bool is_blank = IsBlank(document.text);
    const ContentHash text_hash = HashContent(is_blank ? std::string_view() : document.text);
    if (document.id.empty()) document.id = text_hash.hex();
    std::optional<DocumentState> stored;
    if (reader_ != nullptr) {
      EF_ASSIGN_OR_RETURN(stored, reader_->FindDocument(document.id));
    }
    if (stored) seen_.Add(stored->number);
    if (is_blank) {
      ++comparison_.empty;
      return {};
    }
    if (!stored) {
      ++comparison_.fresh;
    } else if (IsUnchanged(*stored, text_hash, HashContent(MetadataJson(document.metadata)),
                           chunking_, space_)) {
      ++comparison_.unchanged;
    } else {
      ++comparison_.changed;
    }
    return {};
  }

  Result<Comparison> Finish(const Source& source) {
    const std::vector<std::string> inputs = source.inputs();
    if (comparison_.bad > 0 || inputs.empty() || !source.is_complete()) return comparison_;
    comparison_.gone = 0;
    if (reader_ == nullptr) return comparison_;
    EF_ASSIGN_OR_RETURN(const std::vector<std::int64_t> sources, reader_->FindSources(inputs));
    EF_ASSIGN_OR_RETURN(comparison_.gone, CountGone(*reader_, sources, seen_));
    return comparison_;
  }

 private:
  StoreReader* const reader_;
  const SpaceId space_;
  const ContentHash chunking_;
  Comparison comparison_;
  SeenDocuments seen_;
};

}  // namespace

Result<Comparison> Corpus::Compare(const std::string& directory, Source& source,
                                   const ChunkerOptions& chunker, const Provider& provider) {
  Result<std::unique_ptr<StoreReader>> opened = OpenStoreReader(directory);
  if (!opened.ok() && opened.status().code() != Code::kNotFound) return opened.status();
  StoreReader* const reader = opened.ok() ? opened->get() : nullptr;
  SpaceId space = 0;
  if (reader != nullptr) {
    EF_ASSIGN_OR_RETURN(space, FindSpace(*reader, provider.space()));
  }
  Comparer comparer(reader, space, ChunkingFingerprint(chunker));
  for (;;) {
    Record record;
    EF_ASSIGN_OR_RETURN(const bool more, source.Next(&record));
    if (!more) return comparer.Finish(source);
    EF_RETURN_IF_ERROR(comparer.Take(&record));
  }
}

}  // namespace embedflow
