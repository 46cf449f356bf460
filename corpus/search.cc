#include "embedflow/search.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/utf8.h"
#include "corpus/access.h"
#include "corpus/index_keeper.h"
#include "corpus/provider_record.h"
#include "corpus/query.h"

namespace embedflow {

struct Searcher::Rep {
  StoreReader& reader;
  std::shared_ptr<const Provider> provider;
  SpaceRecord space;
  std::unique_ptr<Index> index;
};

namespace {

constexpr std::size_t kHitsMax = 10000;
constexpr std::size_t kQueryBytesMax = 1u << 20;

// The space that `provider` makes.
Result<SpaceRecord> SpaceOf(StoreReader& reader, const Provider& provider) {
  EF_ASSIGN_OR_RETURN(const std::vector<SpaceRecord> spaces, reader.Spaces());
  std::string known;
  for (const SpaceRecord& record : spaces) {
    if (record.space == provider.space()) return record;
    known += (known.empty() ? "" : ", ") + record.space.name();
  }
  return Status(Code::kNotFound, "the corpus has no vectors of " + provider.space().name() +
                                     (known.empty() ? "" : "; it has those of " + known))
      .WithWord("space_unknown")
      .WithNext("search without provider options, or ingest or backfill with this provider first");
}

Result<std::shared_ptr<const Provider>> MakeQueryProvider(const SpaceRecord& record) {
  EF_ASSIGN_OR_RETURN(ProviderOptions options, RecordedProvider(record));
  options.side = ProviderOptions::Side::kQuery;
  EF_ASSIGN_OR_RETURN(std::shared_ptr<const Provider> provider, MakeProvider(options));
  if (!(provider->space() == record.space)) {
    return Status(Code::kUnsupported, "this program makes vectors of " + provider->space().name() +
                                          ", the corpus holds " + record.space.name())
        .WithNext("search with the provider options that it was ingested with, --parameters too");
  }
  return provider;
}

}  // namespace

Searcher::Searcher(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
Searcher::~Searcher() = default;
const Space& Searcher::space() const { return rep_->space.space; }
std::uint64_t Searcher::size() const { return rep_->index->size(); }

Result<std::unique_ptr<Searcher>> Searcher::Open(Corpus& corpus,
                                                 std::shared_ptr<const Provider> provider,
                                                 const std::string& space_name) {
  StoreReader& reader = CorpusAccess::reader(corpus);
  EF_ASSIGN_OR_RETURN(SpaceRecord space,
                      provider ? SpaceOf(reader, *provider) : PickSpace(reader, space_name));
  if (!provider) {
    EF_ASSIGN_OR_RETURN(provider, MakeQueryProvider(space));
  }
  EF_ASSIGN_OR_RETURN(std::unique_ptr<Index> index, OpenIndex(reader, corpus.directory(), space));
  return std::unique_ptr<Searcher>(new Searcher(
      std::make_unique<Rep>(Rep{reader, std::move(provider), std::move(space), std::move(index)})));
}

Result<std::vector<SearchHit>> Searcher::Search(std::string_view query,
                                                const SearchOptions& options) {
  if (options.hits_max < 1 || options.hits_max > kHitsMax) {
    return Status(Code::kInvalidArgument,
                  "hits_max must be in [1, 10000], got " + std::to_string(options.hits_max));
  }
  if (query.size() > kQueryBytesMax) {
    return Status(Code::kInvalidArgument,
                  "the query is longer than " + std::to_string(kQueryBytesMax) + " bytes");
  }
  if (!IsValidUtf8(query)) return Status(Code::kInvalidArgument, "the query is not valid UTF-8");
  if (IsBlank(query)) return Status(Code::kInvalidArgument, "the query is empty");

  std::vector<ChunkId> allowed;
  if (!options.filters.empty()) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const SearchFilter& filter : options.filters) pairs.emplace_back(filter.key, filter.value);
    EF_ASSIGN_OR_RETURN(allowed, rep_->reader.FilterChunks(pairs));
    std::sort(allowed.begin(), allowed.end());
    // Nothing can be found, so nothing is bought to look for it.
    if (allowed.empty()) return std::vector<SearchHit>();
  }
  EF_ASSIGN_OR_RETURN(const std::vector<float> vector, EmbedQuery(*rep_->provider, query));
  EF_ASSIGN_OR_RETURN(
      const std::vector<IndexHit> found,
      rep_->index->Search(vector, options.hits_max, options.filters.empty() ? nullptr : &allowed));
  std::vector<SearchHit> hits;
  for (const IndexHit& entry : found) {
    EF_ASSIGN_OR_RETURN(std::optional<ChunkText> chunk, rep_->reader.FindChunk(entry.id));
    if (!chunk) {
      Log(LogLevel::kWarning,
          "chunk " + std::to_string(entry.id) + " is in the index and not in the store any more");
      continue;
    }
    SearchHit hit;
    hit.rank = static_cast<int>(hits.size()) + 1;
    hit.score = static_cast<double>(entry.score);
    hit.document_id = std::move(chunk->document_id);
    hit.chunk_id = entry.id;
    hit.ordinal = chunk->ordinal;
    hit.begin = chunk->begin;
    hit.end = chunk->end;
    hit.text = std::move(chunk->text);
    hit.heading = std::move(chunk->heading);
    hit.metadata_json = std::move(chunk->metadata_json);
    hits.push_back(std::move(hit));
  }
  return hits;
}

}  // namespace embedflow
