// The rows of the option table, in the order of help.
#include "cli/option_row.h"
#include "cli/options.h"

namespace embedflow::cli {
namespace {

constexpr unsigned kEvery = kIngest | kSearch | kStatus | kVerify | kExport | kDead | kBackfill |
                            kRemove | kProviders | kSimulate;

std::vector<Row> CommonAndInput() {
  return {
      Text("--into", "DIR", kIngest, "Common", "corpus; made on first use, continued after")
          .More("Holds documents, chunks, vectors and the index. A "
                "second run over the same input sends nothing; over a changed input it "
                "sends what is new. One process writes at a time.")
          .Required()
          .Everyday(),
      Text("--provider", "NAME", kIngest, "Common", "who makes vectors; see embedflow providers")
          .More("builtin works in this process, offline and free: it finds shared words, "
                "not shared meaning.")
          .Default("builtin")
          .Everyday(),
      Text("--model", "NAME", kIngest, "Common", "model at the provider")
          .Default("the profile's")
          .Everyday(),
      Text("--base-url", "URL", kIngest, "Common", "where an OpenAI-compatible server is")
          .More("E.g. http://127.0.0.1:8080/v1. A key goes over plain HTTP to this "
                "machine only; --api-key-env none sends no key.")
          .Default("the profile's")
          .Everyday(),
      Choice("--format", "KIND", kIngest, "Input", "jsonl, csv, tsv, text or markdown",
             {"auto", "jsonl", "csv", "tsv", "text", "markdown"})
          .More("What the inputs hold. auto goes by extension, under a further .gz or "
                ".zst; standard input is JSON Lines.")
          .Default("auto")
          .Everyday(),
      Text("--id-field", "NAME", kIngest, "Input", "where the id is")
          .More("A string or an integer. A record without one gets an id from the hash "
                "of its text. Of two records with one id the later counts.")
          .Default("id")
          .Everyday(),
      Text("--text-field", "NAME", kIngest, "Input", "where the text is")
          .More("Every other scalar field becomes metadata that search can filter by.")
          .Default("text")
          .Everyday(),
      Flag("--sync", kIngest, "Input", "delete documents that the inputs no longer hold")
          .More("Those that an earlier run read from one of these inputs, and that this run did "
                "not find there: after a complete scan without a bad record, with their number "
                "printed first. Documents of other inputs stay.")
          .Everyday(),
      Flag("--dry-run", kIngest, "Input", "say what is new, changed and gone; send nothing")
          .More("Reads the inputs and compares them with the corpus; writes nothing either."),
      Integer("--max-document-bytes", "N", kIngest, "Input", "longer records become dead letters",
              1, 1073741824)
          .Unit("bytes")
          .Default("67108864"),
  };
}

std::vector<Row> ChunkingAndIndex() {
  return {
      Choice("--chunker", "KIND", kIngest, "Chunking",
             "recursive, sentence, markdown, fixed or none",
             {"recursive", "sentence", "markdown", "fixed", "none"})
          .More("recursive cuts at paragraphs, then lines, sentences, words; sentence "
                "only between sentences; markdown never across a heading of the same "
                "level; fixed by size alone; none embeds whole documents.")
          .Default("recursive"),
      Integer("--chunk-size", "N", kIngest, "Chunking", "most tokens of a chunk", 1, 1'000'000)
          .More("By an estimate that needs no tokenizer. A change makes documents that "
                "are read again change their chunks.")
          .Unit("tokens")
          .Default("256"),
      Integer("--chunk-overlap", "N", kIngest, "Chunking",
              "repeated at the start of the next chunk", 0, 500'000)
          .More("At most half of --chunk-size.")
          .Unit("tokens")
          .Default("32, or half of a smaller size"),
      Choice("--index", "KIND", kIngest | kBackfill, "Index", "auto, flat or none",
             {"auto", "flat", "none"})
          .More("flat compares with every vector and is exact; none stores vectors without an "
                "index. auto is what the space has, flat for a new one.")
          .Default("auto"),
      Choice("--metric", "KIND", kIngest | kBackfill, "Index", "cosine, ip or l2",
             {"cosine", "ip", "l2"})
          .More("What near means: the angle, the inner product or the distance.")
          .Default("the space's, cosine for a new one"),
  };
}

std::vector<Row> Cache() {
  return {
      Text("--cache", "DIR", kRuns, "Cache", "vectors that corpora and processes share")
          .More("What another corpus has bought of the same model at the same address "
                "is taken from there; what is bought is kept there. Made on first use. "
                "It holds vectors of private texts: see docs/cache.md.")
          .Default("none"),
      Integer("--cache-bytes", "N", kRuns, "Cache", "how large it may grow", 16'777'216,
              1'099'511'627'776)
          .More("What was used longest ago leaves first.")
          .Unit("bytes")
          .Default("8589934592"),
  };
}

std::vector<Row> SearchAndExport() {
  return {
      Integer("-k", "N", kSearch, "Search", "most hits", 1, 10'000).Default("10").Everyday(),
      Choice("--mode", "KIND", kSearch, "Search", "vector: by nearness of vectors", {"vector"})
          .Default("vector")
          .Everyday(),
      Text("--filter", "KEY=VALUE", kSearch, "Search", "only documents with this; repeatable")
          .More("All filters must hold. Booleans are true and false. A key that nobody "
                "has finds nothing.")
          .Repeatable()
          .Everyday(),
      Text("--provider", "NAME", kSearch | kBackfill | kDead, "Provider", "who makes vectors")
          .Default("the corpus's")
          .Everyday(),
      Text("--model", "NAME", kSearch | kBackfill | kDead, "Provider", "model at the provider")
          .Default("the corpus's")
          .Everyday(),
      Text("--base-url", "URL", kSearch | kBackfill | kDead, "Provider", "where the server is")
          .Default("the corpus's")
          .Everyday(),
      Text("--api-key-env", "NAME", kSearch | kBackfill | kDead, "Provider",
           "variable that holds the key, or none")
          .More("A key is never an argument, and appears in no log, error or file.")
          .Default("the corpus's")
          .Everyday(),
      Text("--api-key-file", "FILE", kSearch | kBackfill | kDead, "Provider",
           "file that holds the key")
          .Everyday(),
      Text("--space", "NAME", kSearch | kExport, "Space", "which space, as status names it")
          .More("A corpus may hold vectors of several models side by side.")
          .Default("the newest complete one"),
      Text("--id", "ID", kRemove, "Remove", "of a document; more may follow")
          .Required()
          .Repeatable()
          .Everyday(),
      Flag("--retry", kDead, "Retry", "send refused texts again")
          .More("With the provider that refused them, unless told otherwise. What succeeds "
                "leaves the dead letters. Records that could not be read stay: mend the inputs "
                "and ingest them again.")
          .Everyday(),
      Flag("--repair", kVerify, "Verify", "mend what can be mended")
          .More("Keeps every document and vector that is whole, makes the index anew, "
                "and says what the next ingest or backfill buys again. Damaged files "
                "are kept under another name. Buys nothing.")
          .Everyday(),
      Flag("--drop-orphans", kVerify, "Verify", "with --repair: delete unused vectors")
          .More("Vectors that belong to no chunk are bought, and kept for the text's "
                "return; this deletes them. Not where the repair lost documents."),
      Choice("--format", "KIND", kExport, "Export", "jsonl or npy", {"jsonl", "npy"})
          .More("jsonl is one object a chunk. npy is a float32 matrix of one row a "
                "chunk, in the order of jsonl without the chunks that have no vector; "
                "the chunk ids of its rows go to FILE.ids.npy (int64).")
          .Default("jsonl")
          .Everyday(),
      Text("-o", "FILE", kExport, "Export", "where to; npy needs it")
          .More("Written under a temporary name and renamed when it is whole.")
          .Default("standard output")
          .Everyday(),
  };
}

std::vector<Row> Output() {
  return {
      Choice("--progress", "WHEN", kRuns, "Output", "auto, bar, plain or none",
             {"auto", "bar", "plain", "none"})
          .More("bar redraws four lines on a terminal; plain is one line at 10 seconds, "
                "then each minute and when something changes; auto takes the one that "
                "fits. No control byte ever goes into a pipe.")
          .Default("auto")
          .Everyday(),
      Text("--summary", "FILE", kRuns, "Output", "what the run did, as JSON")
          .More("Written at the end, also of a run that failed; docs/json.md has its "
                "fields.")
          .Everyday(),
      Text("--ack-log", "FILE", kRuns, "Output", "the ids of committed chunks, as JSON Lines")
          .More("A line {\"committed\":[...]} is appended after each durable commit, "
                "never before it."),
      Flag("--json", kSearch | kStatus | kVerify | kDead | kRemove | kProviders | kSimulate,
           "Output", "one line of JSON; docs/json.md has its fields")
          .More("Errors are a line of JSON too, on standard error.")
          .Everyday(),
      Choice("--log-level", "LEVEL", kRuns | kSearch | kVerify | kExport, "Output",
             "debug, info, warning or error", {"debug", "info", "warning", "error"})
          .Default("warning"),
      Choice("--color", "WHEN", kEvery, "Output", "auto, always or never",
             {"auto", "always", "never"})
          .More("Nothing is told by colour alone. auto obeys NO_COLOR, then "
                "CLICOLOR_FORCE, then asks whether the stream is a terminal.")
          .Default("auto"),
  };
}

}  // namespace

const std::vector<Option>& Options() {
  static const std::vector<Option> kOptions = [] {
    std::vector<Option> all;
    for (const auto& rows : {CommonAndInput(), ChunkingAndIndex(), ProviderRows(), Cache(),
                             SearchAndExport(), SimulateRows(), Output()}) {
      for (const Row& row : rows) all.push_back(row.option());
    }
    return all;
  }();
  return kOptions;
}

}  // namespace embedflow::cli
