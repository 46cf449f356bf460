// A corpus: one directory that holds documents, chunks, vectors and their index.
//
// Layout of the directory: docs/formats.md. One process writes at a time; readers never wait and
// see what is committed.
#ifndef EMBEDFLOW_CORPUS_H_
#define EMBEDFLOW_CORPUS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "embedflow/options.h"
#include "embedflow/provider.h"
#include "embedflow/source.h"
#include "embedflow/status.h"
#include "embedflow/types.h"

namespace embedflow {

struct IndexStatus {
  std::string kind;           // "flat", or "none".
  std::uint64_t vectors = 0;  // Entries: one a chunk.
  std::uint64_t bytes = 0;    // Size of the index file.
  bool fresh = false;  // False: it will be rebuilt from the store, which costs nothing but time.
};

struct SpaceStatus {
  Space space;
  std::string base_url;       // Of the provider that made it; empty for in-process providers.
  std::uint64_t vectors = 0;  // Distinct texts that have a vector.
  // Documents whose chunks all have a vector here, or are dead letters. The space is complete when
  // that is all of them; Pipeline::Backfill makes it so.
  std::uint64_t documents = 0;
  bool is_complete = false;
  IndexStatus index;
};

struct CorpusStatus {
  std::uint64_t documents = 0;
  std::uint64_t chunks = 0;
  std::uint64_t vectors = 0;  // Sum over the spaces.
  std::uint64_t dead_letters = 0;
  std::uint64_t bytes = 0;          // All files of the directory.
  std::vector<SpaceStatus> spaces;  // From the oldest to the newest.
  // In `spaces`: the newest complete one; if there is none, the one with most documents.
  std::size_t default_space = 0;
};

// What Corpus::Remove did.
struct RemoveReport {
  std::uint64_t documents = 0;
  std::uint64_t chunks = 0;
  std::vector<std::string> missing;  // Ids that no document has.
};

// What an ingest of a source would do.
struct Comparison {
  std::uint64_t read = 0;     // The sum of the next five.
  std::uint64_t fresh = 0;    // Not in the corpus.
  std::uint64_t changed = 0;  // In text, metadata or chunking, or without vectors in the space.
  std::uint64_t unchanged = 0;
  std::uint64_t empty = 0;
  std::uint64_t bad = 0;  // Records that would become dead letters.
  // Documents that an earlier run read from one of the inputs and that are no longer there. Nullopt
  // if bad records or the lack of named inputs forbid to say.
  std::optional<std::uint64_t> gone;
};

// What was refused, and why.
struct DeadLetter {
  std::string reason;         // Our words.
  std::string provider_says;  // The provider's, cut and escaped; may be empty.
  std::string document_id;    // May be empty for a record that could not be read.
  std::string file;           // Input file of a bad record; may be empty.
  std::uint64_t line = 0;
  std::uint64_t begin = 0;  // Byte span in the document's text; 0, 0 for a bad record.
  std::uint64_t end = 0;
  int attempts = 0;
  std::int64_t wall_ms = 0;  // When, milliseconds since 1970.
  std::string space;  // Name of the space in which the provider refused it; empty: a bad record.
};

struct VerifyOptions {
  // Mends what can be mended and makes anew what is derived; buys nothing and deletes nothing that
  // can be read. Takes the writer's lock. For Corpus::Verify(directory, options) only.
  bool repair = false;
  // With `repair`: deletes vectors that belong to no chunk. They are bought, so they stay unless
  // this asks for it; they also stay where the same repair lost documents that may need them.
  bool drop_orphans = false;
};

// What has no vector and is bought by the next ingest or backfill.
struct ToBuyAgain {
  struct InSpace {
    Space space;
    std::uint64_t chunks = 0;
    std::uint64_t documents = 0;
  };
  std::uint64_t chunks = 0;      // Sum over the spaces.
  std::uint64_t documents = 0;   // Each counted once.
  std::vector<std::string> ids;  // Of the first 100 of these documents.
  std::vector<InSpace> spaces;   // Those where something is missing.
};

struct VerifyReport {
  // True if nothing is missing, extra or corrupt. Orphan vectors are no fault: they are bought and
  // wait for their text to come again.
  bool ok = false;
  std::uint64_t documents = 0;
  std::uint64_t chunks = 0;
  std::uint64_t vectors = 0;
  std::uint64_t missing_vectors = 0;  // Chunks without a vector that are no dead letters.
  std::uint64_t orphan_vectors = 0;   // Vectors without a chunk.
  std::uint64_t index_missing = 0;    // Chunks with a vector that the index does not hold.
  std::uint64_t index_extra = 0;      // Index entries without a chunk.
  std::uint64_t corrupt = 0;          // Records or files whose checksum, span or content is wrong.
  // One line a fault with file and record, the first 100. After a repair: what is left.
  std::vector<std::string> faults;
  // Missing and damaged vectors; after a repair also those of which it found out.
  ToBuyAgain to_buy_again;

  // What a repair did, one line each, and documents that it could not keep: their ids, the first
  // 100, as far as they could be read. Their vectors are kept, so reading them again buys nothing.
  std::vector<std::string> repairs;
  std::uint64_t documents_dropped = 0;
  std::vector<std::string> dropped_ids;
  std::uint64_t orphans_dropped = 0;
  // What to do next, a command where there is one; empty if nothing is to be done.
  std::string next;
};

// A chunk with its vector, as it leaves in exports. Views are valid during the callback.
struct StoredChunk {
  ChunkId id = 0;
  std::string_view document_id;
  std::uint32_t ordinal = 0;
  std::uint64_t begin = 0;  // Byte offsets into the document's text.
  std::uint64_t end = 0;
  std::string_view text;
  std::string_view heading;          // Empty unless the markdown chunker found one.
  std::string_view metadata_json;    // The document's, a JSON object.
  std::span<const float> embedding;  // As the provider sent it; empty for a dead chunk.
};

// Threads: not thread-safe; open one Corpus a thread.
class Corpus {
 public:
  enum class Mode {
    kRead,    // Must exist.
    kWrite,   // Must exist; takes the lock.
    kCreate,  // As kWrite, made if it is not there.
  };
  // Errors: kNotFound; kInUse with the writer's process id; kCorruption; kUnsupported for a newer
  // format or a network file system; kIo.
  static Result<std::unique_ptr<Corpus>> Open(const std::string& directory, Mode mode);
  ~Corpus();

  const std::string& directory() const;

  Result<CorpusStatus> Describe();
  // Reads everything. Faults of the data are in the report; a Status means that reading itself
  // failed. kInvalidArgument with `options.repair`: an open corpus cannot be mended.
  Result<VerifyReport> Verify(const VerifyOptions& options);
  // The same for a corpus that is not open, also one that is too damaged to be opened: that is a
  // fault of the report. With `options.repair` it is mended first, and the report is about what it
  // is then. Errors: kNotFound, kInUse, kIo, kUnsupported.
  static Result<VerifyReport> Verify(const std::string& directory, const VerifyOptions& options);
  // Calls `visit` for every chunk, ordered by document as committed and ordinal, with its vector in
  // the space of that name (empty: the default). Stops at the first error, `visit`'s included.
  // Damage is reported, never handed out.
  Status ForEachChunk(const std::string& space,
                      const std::function<Status(const StoredChunk&)>& visit);
  Result<std::vector<DeadLetter>> DeadLetters();
  // Deletes documents, their chunks and their entries in the indexes: they leave search at once.
  // Their vectors stay, because they are bought. Must be open for writing. At most 1,000 documents
  // are deleted in one transaction; after an error those of earlier ones are gone.
  Result<RemoveReport> Remove(std::span<const std::string> ids);
  // Reads the source to its end and says what an ingest into `directory` and the space of
  // `provider` would do. Sends and writes nothing. A corpus that is not there yet is an empty one.
  // Memory: a bit for each document of the corpus.
  static Result<Comparison> Compare(const std::string& directory, Source& source,
                                    const ChunkerOptions& chunker, const Provider& provider);
  // How the provider of the space of that name was made (empty: the default space), but for its
  // key. Errors: kNotFound, kCorruption.
  Result<ProviderOptions> ProviderOf(const std::string& space);

 private:
  friend class CorpusAccess;
  struct Rep;
  explicit Corpus(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_CORPUS_H_
