// What an ingest would do, without doing it.
#include <optional>
#include <string>

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

}  // namespace

Result<Comparison> Corpus::Compare(Source& source, const ChunkerOptions& chunker,
                                   const Provider& provider) {
  StoreReader& reader = *rep_->reader;
  EF_ASSIGN_OR_RETURN(const SpaceId space, FindSpace(reader, provider.space()));
  const ContentHash chunking = ChunkingFingerprint(chunker);
  Comparison comparison;
  SeenDocuments seen;
  for (;;) {
    Record record;
    EF_ASSIGN_OR_RETURN(const bool more, source.Next(&record));
    if (!more) break;
    ++comparison.read;
    if (record.bad) {
      ++comparison.bad;
      continue;
    }
    Document& document = record.document;
    if (IsBlank(document.text)) {
      ++comparison.empty;
      continue;
    }
    const ContentHash text_hash = HashContent(document.text);
    if (document.id.empty()) document.id = text_hash.hex();
    EF_ASSIGN_OR_RETURN(const std::optional<DocumentState> stored,
                        reader.FindDocument(document.id));
    if (stored) seen.Add(stored->number);
    if (!stored) {
      ++comparison.fresh;
    } else if (IsUnchanged(*stored, text_hash, HashContent(MetadataJson(document.metadata)),
                           chunking, space)) {
      ++comparison.unchanged;
    } else {
      ++comparison.changed;
    }
  }
  const std::vector<std::string> inputs = source.inputs();
  if (comparison.bad > 0 || inputs.empty()) return comparison;
  EF_ASSIGN_OR_RETURN(const std::vector<std::int64_t> sources, reader.FindSources(inputs));
  EF_ASSIGN_OR_RETURN(comparison.gone, CountGone(reader, sources, seen));
  return comparison;
}

}  // namespace embedflow
