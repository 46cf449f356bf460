// One experiment on one corpus: runs of the built program, with or without the disk shim, and what
// they have bought, acknowledged and kept.
#ifndef EMBEDFLOW_TESTS_DURABILITY_CRASH_RUN_H_
#define EMBEDFLOW_TESTS_DURABILITY_CRASH_RUN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "embedflow/types.h"
#include "tests/fakes/disk_trace.h"
#include "tests/fakes/program.h"

namespace embedflow {

// What every experiment ingests. Small pages, small batches: each of the requests makes a commit
// group of its own, because the input has long been read when the first reply comes.
struct CrashInput {
  int documents = 240;
  int batch = 48;       // --max-batch-size.
  int concurrency = 2;  // --max-concurrency.
  int dimensions = 8;

  std::string Id(int document) const;
  // Every eighth document has the text of the one before; every fiftieth has several chunks.
  std::string Text(int document) const;
  std::string JsonLines() const;
};

// What `export` shows, by chunk id, and what is wrong with it in itself: a vector that is not its
// text's, a chunk without one, an id twice.
struct ExportedCorpus {
  bool has_corpus = false;  // False: there is none yet, and the program says so.
  std::map<ChunkId, std::string> texts;
  std::set<std::string> Texts() const;
  std::set<std::string> Documents() const { return documents; }
  std::set<std::string> documents;
};

struct VerifyCounts {
  int exit_code = -1;
  bool ok = false;
  std::uint64_t missing_vectors = 0, orphan_vectors = 0, index_missing = 0, index_extra = 0;
  std::uint64_t corrupt = 0;
  std::string text;  // What the program said.
};

class CrashRun {
 public:
  // `folder` must be there; the corpus will be at folder/corpus.
  CrashRun(std::string folder, const CrashInput& input);

  const std::string& folder() const { return folder_; }
  std::string corpus() const { return folder_ + "/corpus"; }
  std::string ack_log() const { return folder_ + "/ack.jsonl"; }
  std::string trace() const { return folder_ + "/trace"; }
  // A shim that acts on this corpus, whose writes to the ack log are recorded if the trace is.
  DiskShimOptions Shim(bool with_trace = false) const;

  struct Ingested {
    ProgramResult program;
    std::set<std::string> bought;    // Texts that the provider answered.
    DiskShimCounts shim;             // Zeros without a shim.
    std::uint64_t bought_twice = 0;  // By the summary.
    std::string outcome;             // By the summary; empty if there is none.
  };
  // Runs `ingest` against a simulator of its own. `shim` may be null.
  Ingested Ingest(const DiskShimOptions* shim = nullptr) const;

  // `export` as it comes, whatever it says.
  ProgramResult TryExport() const;
  // Failures of the test where export or verify fail or show what is wrong.
  ExportedCorpus Export() const;
  VerifyCounts Verify() const;
  // Distinct texts that have a vector in the store, with or without a document. 0 without a corpus.
  std::uint64_t StoredVectors() const;
  // The ids in the ack log's whole lines; `content` in place of the file where it is given.
  std::set<ChunkId> Acknowledged(const std::optional<std::string>& content = std::nullopt) const;

  // Everything that must hold of a corpus that was left behind: what was acknowledged is exported,
  // with its vector. Returns the export.
  ExportedCorpus ExpectKept(const std::set<ChunkId>& acknowledged) const;
  // Runs to the end and checks that all is there, nothing twice and nothing that `before` or the
  // store had is bought again; nor more than the summary says of `paid`, the texts bought so far,
  // where they are known.
  void ExpectCompletes(const ExportedCorpus& before,
                       const std::optional<std::set<std::string>>& paid) const;

 private:
  const std::string folder_;
  const CrashInput input_;
};

// A folder in EMBEDFLOW_DURABILITY_FOLDER, else in memory where there is /dev/shm; removed at the
// end.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& name);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Calls `body(i)` for i in [0, count) on a few threads, since the runs wait for the disk.
void ForEachOnThreads(std::size_t count, const std::function<void(std::size_t)>& body);

// Whether everything is tried (EMBEDFLOW_DURABILITY_ALL=1) or a sample of it.
bool TriesAll();
// `wanted`, or fewer under a sanitizer, where a run takes several times as long.
std::size_t AsManyAs(std::size_t wanted);
// Of 1..count: all if TriesAll(), else about AsManyAs(wanted) of them, evenly spaced from a drawn
// offset that is printed.
std::vector<std::uint64_t> Sample(std::uint64_t count, std::uint64_t wanted, Rng& rng);
// A seed of this test program: EMBEDFLOW_DURABILITY_SEED, or a constant. Printed once.
std::uint64_t DurabilitySeed();

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_DURABILITY_CRASH_RUN_H_
