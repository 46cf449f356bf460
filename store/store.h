// What is kept. SQLite holds documents, chunks, spaces, runs and dead letters; LMDB holds vectors
// by (space, text).
//
// Order of durability, which is the crash protocol: PutVectors (LMDB, synced), then Commit (one
// SQLite transaction, WAL, synchronous FULL), then the caller acknowledges. No row ever needs a
// vector that is not durable; a vector without a row is bought and waits for its text.
//
// Store is the writer; a StoreReader is a view of what is committed. docs/formats.md draws the
// schema.
#ifndef EMBEDFLOW_STORE_STORE_H_
#define EMBEDFLOW_STORE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "embedflow/corpus.h"
#include "embedflow/pipeline.h"
#include "embedflow/source.h"
#include "embedflow/status.h"
#include "embedflow/types.h"

namespace embedflow {

// A space as the store knows it. Ids count from 1, at most kSpacesMax of them.
using SpaceId = int;
inline constexpr int kSpacesMax = 60;

struct SpaceRecord {
  SpaceId id = 0;
  Space space;
  std::string base_url;
  std::string api_key_env;
  // Which index the space has: "flat" or "none"; metric as a word: "cosine", "ip", "l2". A new
  // space has "flat" and "cosine" unless told otherwise.
  std::string index_kind;
  std::string metric;
  // What else is needed to make the provider again, as the caller wrote it. Empty: nothing.
  std::string options;
  // Documents that have the space's bit. The store keeps it.
  std::uint64_t documents = 0;
  // Changes with every commit that adds or removes chunks of the space. An index file saved at
  // another generation is stale.
  std::uint64_t generation = 0;
};

// What decides whether a document that is read again has changed.
struct DocumentState {
  ContentHash text_hash;
  ContentHash metadata_hash;
  ContentHash chunking;
  std::uint64_t spaces =
      0;  // Bit SpaceId is set when all its chunks have a vector there, or are dead letters.
  std::int64_t run = 0;  // The run that committed it.
  std::uint32_t chunks_dead = 0;
  std::int64_t number = 0;  // Of the document, from 1; never given to another.
  // The input it came from, see Store::AddSources; 0: none or unknown; kSeveralSources.
  std::int64_t source = 0;
};
// A document that was read from more than one input. Which of them still hold it is not known, so
// none of them can take it along.
inline constexpr std::int64_t kSeveralSources = -1;

struct ChunkRow {
  ContentHash key;  // Hash of (document id, ordinal, text hash); the chunk id is its top 63 bits.
  ContentHash text_hash;  // HashContent of the chunk's text: the vector's key inside a space.
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string heading;
  bool dead = false;  // No vector; a dead letter says why.
};

// One document with all its chunks, to be committed whole. Pointers are borrowed for the call.
struct DocumentCommit {
  const Document* document = nullptr;
  Origin origin;
  ContentHash text_hash;
  ContentHash metadata_hash;
  ContentHash chunking;
  std::int64_t source = 0;
  std::uint64_t sequence =
      0;  // Order of reading within the run; the later of two with one id wins.
  const std::vector<ChunkRow>* chunks =
      nullptr;  // Empty for an empty document: an older version is deleted.
};

// A document that is as it was and was read from an input that it was not known to be of.
struct MovedDocument {
  std::int64_t number = 0;
  std::int64_t source = 0;
  Origin origin;
};

// Everything one transaction does.
struct CommitGroup {
  std::int64_t run = 0;
  SpaceId space = 0;
  std::vector<DocumentCommit> documents;  // In any order.
  std::vector<DeadLetter> dead_letters;   // Of documents in this group, and bad records.
  // Those that are gone meanwhile are passed over.
  std::vector<MovedDocument> moved;
  // Texts that were bought, of those that BeginRun called maybe paid: they are no longer.
  std::vector<ContentHash> bought_again;
};

struct CommitResult {
  enum class Fate { kIngested, kReplacedOther, kSuperseded, kEmpty };
  // One for each document of the group, in its order. kReplacedOther: ingested, and an earlier
  // record of this run with the same id, of an earlier group, gave way. kSuperseded: a later record
  // of this run is already in or is in this group; nothing was written. kEmpty: no chunks.
  std::vector<Fate> fates;
  // One list for each document: the chunk ids in ordinal order, 0 for dead chunks. Empty unless
  // ingested.
  std::vector<std::vector<ChunkId>> chunk_ids;
  // Beside chunk_ids: 1 where the index of the group's space does not hold the chunk yet, because
  // the chunk is new or because its document is new to this space. 0 for dead chunks, and for those
  // whose text and place are as before: they keep their id and need nothing.
  std::vector<std::vector<char>> chunk_is_new;
  // One for each document: 1 if an earlier record of this run with the same id, committed by an
  // earlier group, gave way. True for kReplacedOther, and for kEmpty that deleted such a record.
  std::vector<char> replaced_other;
  // Chunk ids that are to leave every index: of replaced and deleted versions. Ids that are kept
  // are not among them; an id may have been in no index.
  std::vector<ChunkId> removed;
  // Of the group's space, after this commit. Other spaces' generations change too where a document
  // leaves them.
  std::uint64_t generation = 0;
};

// A chunk as stored, for scans. Views are valid during the visit.
struct ChunkScan {
  ChunkId id = 0;
  std::string_view document_id;
  std::uint32_t ordinal = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string_view heading;
  ContentHash text_hash;
  bool dead = false;              // In every space of its document.
  std::uint64_t spaces = 0;       // Of its document.
  std::uint64_t dead_spaces = 0;  // Bits of the spaces in which the chunk is a dead letter.
};

// A document as stored, to be taken through the pipeline again.
struct StoredDocument {
  Document document;
  Origin origin;
  DocumentState state;
  std::uint64_t sequence = 0;
  std::vector<ChunkRow> chunks;  // `dead` is not set.
};

// One chunk looked up for a search hit.
struct ChunkText {
  std::string document_id;
  std::uint32_t ordinal = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string text;
  std::string heading;
  std::string metadata_json;
};

struct StoreCounts {
  std::uint64_t documents = 0;
  std::uint64_t chunks = 0;
  std::uint64_t dead_letters = 0;
};

// What Check() found. A damaged vector is corrupt and not also missing. `faults` holds one line
// each, file and record named, at most 100; counters go on.
struct StoreCheck {
  std::uint64_t documents = 0;
  std::uint64_t chunks = 0;
  std::uint64_t vectors = 0;
  std::uint64_t missing_vectors = 0;
  std::uint64_t orphan_vectors = 0;
  std::uint64_t corrupt = 0;
  std::vector<std::string> faults;
  ToBuyAgain to_buy_again;  // Missing and damaged vectors that chunks need.
};

// A consistent view, opened without a lock; never blocks a writer nor is blocked by it. Every
// method sees what was committed when it was called, or when HoldView was. Every record's checksum
// is checked when it is read: kCorruption names file and record. Threads: one thread at a time.
class StoreReader {
 public:
  virtual ~StoreReader() = default;

  // Until ReleaseView all methods see one state of documents and chunks, committed no earlier than
  // this call, and single lookups cost about half, for they lock nothing. While a view is held the
  // WAL cannot begin anew: hold it for moments, never over a wait. No effect when one is held.
  virtual Status HoldView() = 0;
  virtual void ReleaseView() = 0;

  virtual Result<std::vector<SpaceRecord>> Spaces() = 0;
  virtual Result<StoreCounts> Counts() = 0;
  // Nullopt if there is no such document.
  virtual Result<std::optional<DocumentState>> FindDocument(std::string_view id) = 0;
  // Vectors in a space: distinct texts.
  virtual Result<std::uint64_t> VectorCount(SpaceId space) = 0;
  // Fills `vector`, whose size is the space's dimensions. False if there is none.
  virtual Result<bool> ReadVector(SpaceId space, const ContentHash& text_hash,
                                  std::span<float> vector) = 0;
  // All chunks, by document as committed, then ordinal. `visit` gets `text` and `metadata_json`
  // only if `with_text`. Holds one read transaction for the scan.
  virtual Status ScanChunks(bool with_text,
                            const std::function<Status(const ChunkScan&, std::string_view text,
                                                       std::string_view metadata_json)>& visit) = 0;
  // Nullopt if the chunk is gone.
  virtual Result<std::optional<ChunkText>> FindChunk(ChunkId id) = 0;
  // The ids of all chunks whose document has metadata `key` = `value` (see SearchFilter), for all
  // pairs.
  virtual Result<std::vector<ChunkId>> FilterChunks(
      const std::vector<std::pair<std::string, std::string>>& pairs) = 0;
  virtual Result<std::vector<DeadLetter>> DeadLetters() = 0;
  // Documents by number, above `after`, that lack the space's bit: at most `documents_max`, and no
  // more once their texts have reached `bytes_max`. Empty: there is none.
  virtual Result<std::vector<StoredDocument>> DocumentsWithout(SpaceId space, std::int64_t after,
                                                               std::size_t documents_max,
                                                               std::size_t bytes_max) = 0;
  // The same by id, above `after`, of documents with dead letters in the space.
  virtual Result<std::vector<StoredDocument>> DocumentsWithLetters(SpaceId space,
                                                                   std::string_view after,
                                                                   std::size_t documents_max,
                                                                   std::size_t bytes_max) = 0;
  // Documents by number, above `after`, that came from one of `sources` (0 is none of them) and
  // from no other, and that a run other than `run` committed: at most `documents_max` for which
  // `keep` is false. Empty: there is none.
  virtual Result<std::vector<std::int64_t>> DocumentsOfSources(
      std::span<const std::int64_t> sources, std::int64_t run, std::int64_t after,
      std::size_t documents_max, const std::function<bool(std::int64_t number)>& keep) = 0;
  // The numbers of the sources of these names; 0 for those that no run has read.
  virtual Result<std::vector<std::int64_t>> FindSources(std::span<const std::string> names) = 0;
  // Reads everything; faults are counted, not returned as errors.
  virtual Result<StoreCheck> Check() = 0;
};

// Holds a view of a reader while it lives.
class StoreView {
 public:
  // `reader` must outlive it and hold none.
  static Result<StoreView> Hold(StoreReader* reader) {
    EF_RETURN_IF_ERROR(reader->HoldView());
    return StoreView(reader);
  }
  StoreView(StoreView&& other) noexcept : reader_(other.reader_) { other.reader_ = nullptr; }
  ~StoreView() {
    if (reader_ != nullptr) reader_->ReleaseView();
  }

 private:
  explicit StoreView(StoreReader* reader) : reader_(reader) {}
  StoreReader* reader_;
};

// Opens a view of the corpus in `directory`. Errors: kNotFound, kUnsupported (newer format),
// kCorruption (a file is too short or not ours; checked before LMDB maps it, because it crashes on
// a truncated file).
Result<std::unique_ptr<StoreReader>> OpenStoreReader(const std::string& directory);

// The one writer. Holds DIR/LOCK by flock for life.
// Threads: HasVectors may be called from any thread, once AddSpace has returned. PutVectors may run
// on one thread while Commit runs on another: they share no file. Everything else from the writer's
// thread (whoever that is, one at a time).
class Store {
 public:
  virtual ~Store() = default;

  // Finds or makes the space; records what of base_url, key variable, options, index kind and
  // metric is not empty.
  virtual Result<SpaceRecord> AddSpace(const SpaceRecord& wanted) = 0;

  // Sets found[i] to 1 if the space has a vector for hashes[i], else 0. A damaged record counts as
  // not there and is logged. Reads mapped memory only.
  virtual Status HasVectors(SpaceId space, std::span<const ContentHash> hashes,
                            std::span<char> found) = 0;

  struct VectorPut {
    ContentHash text_hash;
    std::span<const float> vector;  // Of the space's dimensions.
  };
  // One synced LMDB transaction of at most 65,536 vectors. Returns how many were already there with
  // a good checksum (and were left alone). Errors: kIo; nothing of the group is then in. The map is
  // grown between transactions as needed.
  virtual Result<std::uint64_t> PutVectors(SpaceId space, std::span<const VectorPut> vectors) = 0;

  // One SQLite transaction, synced when it returns. Errors: kIo; nothing of the group is then in.
  // After an error the store refuses all further writes: a failed sync is never tried again.
  virtual Result<CommitResult> Commit(const CommitGroup& group) = 0;

  // Runs: what was done when, for reports. A run that was begun and never ended was killed.
  struct RunBegin {
    std::int64_t run = 0;
    bool killed_before = false;  // An earlier run has no end.
    // Sum of in_flight_max over those runs, which count as ended from now on.
    std::uint64_t killed_in_flight_max = 0;
    // Texts of the space that earlier runs sent and whose vectors are not there: this run may buy
    // them a second time.
    std::vector<ContentHash> maybe_paid;
    // How many more it may buy a second time, of which nobody knows the texts: what did not fit
    // into DIR/in_flight, and all of killed_in_flight_max if that file cannot be believed.
    std::uint64_t maybe_paid_unnamed = 0;
  };
  // `in_flight_max`: how many vectors this run can have bought and not yet stored; what a power cut
  // may cost. Takes over what the last run left in DIR/in_flight (store/in_flight.h); a caller that
  // buys makes that file anew before it sends anything.
  virtual Result<RunBegin> BeginRun(SpaceId space, std::uint64_t in_flight_max) = 0;
  virtual Status AddRunSample(std::int64_t run, const Progress& progress) = 0;
  virtual Status EndRun(std::int64_t run, const RunSummary& summary) = 0;
  // Finds or makes the sources of these names, and returns their numbers, from 1.
  virtual Result<std::vector<std::int64_t>> AddSources(std::span<const std::string> names) = 0;

  struct Removed {
    std::uint64_t documents = 0;
    std::vector<ChunkId> chunks;  // They are to leave every index.
  };
  // Deletes the documents of these numbers, as far as they are there, in one transaction. Their
  // vectors stay. At most kRemoveMax.
  static constexpr std::size_t kRemoveMax = 1000;
  virtual Result<Removed> RemoveDocuments(std::span<const std::int64_t> numbers) = 0;

  // Forgets the dead letters of bad records in `files` that runs before `run` wrote.
  virtual Status ForgetDeadRecords(std::int64_t run, const std::vector<std::string>& files) = 0;

  // Deletes vectors that belong to no chunk. Returns how many.
  virtual Result<std::uint64_t> DropOrphanVectors() = 0;

  // A reader of this store, for another thread.
  virtual Result<std::unique_ptr<StoreReader>> NewReader() = 0;
};

struct StoreOptions {
  bool create = false;               // Make the directory and the files if they are not there.
  std::size_t map_bytes = 1u << 30;  // First size of the LMDB map; grows by doubling. For tests.
};
// Errors: kNotFound without `create`; kInUse with the holder's pid; kUnsupported for a newer format
// or a network file system; kIo for a read-only or foreign directory; kCorruption. `clock` must
// outlive the store.
Result<std::unique_ptr<Store>> OpenStore(const std::string& directory, const StoreOptions& options,
                                         Clock& clock);

// A document's metadata as the JSON object that is stored and exported, and its hash.
std::string MetadataJson(const Metadata& metadata);

// The key of a chunk: see ChunkRow.
ContentHash ChunkKey(std::string_view document_id, std::uint32_t ordinal,
                     const ContentHash& text_hash);
inline ChunkId ChunkIdOf(const ContentHash& key) { return static_cast<ChunkId>(key.high64() >> 1); }

// Names and versions of the libraries that keep things, a line each.
std::string StoreVersion();

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_STORE_H_
