// Where documents come from. A Source is pulled by one thread of its own, which may wait on it.
#ifndef EMBEDFLOW_SOURCE_H_
#define EMBEDFLOW_SOURCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "embedflow/status.h"
#include "embedflow/types.h"

namespace embedflow {

// Where in the input a record stood.
struct Origin {
  std::string file;  // As the user gave it, "-" for standard input; empty for pushed documents.
  std::uint64_t line =
      0;  // 1-based line on which the record begins; 0 when the file is one document.
  std::uint32_t input = 0;  // Which of Source::inputs().
};

// A record that is no document: what the dead letters keep of it.
struct BadRecord {
  std::string id;      // The document id if it could be read, else empty.
  std::string reason;  // E.g. "not JSON: ends inside a string, byte 211". Never document text.
};

// One record of the input: a document, or what was wrong with it.
struct Record {
  Document document;
  std::optional<BadRecord> bad;  // When set, `document` is to be ignored.
  Origin origin;
  std::uint64_t bytes = 0;  // Input bytes this record took, for progress.
  std::uint64_t token = 0;  // Opaque; comes back in Committed().
};

// How far a source has come, for progress. `bytes_total` is empty when unknown (standard input).
struct SourceProgress {
  std::uint64_t bytes_read = 0;
  std::optional<std::uint64_t> bytes_total;
};

// Threads: Next() is called by one thread at a time and may block. Committed() and progress() are
// called by other threads, possibly while Next() runs, and must return quickly. Stop() comes from
// any thread.
class Source {
 public:
  virtual ~Source() = default;

  // Fills `*record` with the next record and returns true; returns false at the end of the input.
  // Errors: an unreadable input ends the run; records handed out before stay valid.
  virtual Result<bool> Next(Record* record) = 0;

  // The documents with these tokens are durable in the corpus, or durably in its dead letters. Each
  // token comes back at most once, in no particular order.
  virtual void Committed(std::span<const std::uint64_t> tokens) { (void)tokens; }

  virtual SourceProgress progress() const { return {}; }

  // What the inputs are called in every run that reads them: absolute paths, "-" for standard
  // input. Known before the first Next() and constant. Documents are remembered with the input they
  // came from; what an input no longer holds can be deleted (PipelineOptions::sync). Empty: they
  // come from none.
  virtual std::vector<std::string> inputs() const { return {}; }

  // False if something was passed over, or changed while it was read: then what was not seen may be
  // there all the same. Called after Next() has returned false.
  virtual bool is_complete() const { return true; }

  // The inputs read from beginning to end so far, as named in Origin::file: their older dead
  // letters are obsolete. Called after Next() has returned false.
  virtual std::vector<std::string> completed_inputs() const { return {}; }

  // Wakes a Next() that waits; it and all later calls return false soon. Called at most once, when
  // the run is asked to stop.
  virtual void Stop() {}
};

// How files become documents.
struct FileSourceOptions {
  // Behaviour.
  enum class Format { kAuto, kJsonLines, kCsv, kTsv, kText, kMarkdown };
  // kAuto: by extension (.jsonl .ndjson .csv .tsv .txt .md .rst and the like), under a further .gz
  // or .zst.
  Format format = Format::kAuto;
  std::string id_field = "id";
  std::string text_field = "text";

  // Limits.
  // Bytes of one record or one file's text; larger ones are bad records, skipped in constant
  // memory.
  std::uint64_t document_bytes_max = 64ull << 20;

  Status Validate() const;
};

// Streams files, directories (recursive, in byte order of their paths, symbolic links not followed)
// or "-" (JSON Lines on standard input) in constant memory: one record at a time and a read buffer
// of 256 KiB. Errors: kInvalidArgument for an input that cannot be read as any format, kNotFound
// for one that is not there; both before anything is read, naming the input.
Result<std::unique_ptr<Source>> OpenFiles(const std::vector<std::string>& inputs,
                                          const FileSourceOptions& options);

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCE_H_
