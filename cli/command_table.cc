// The commands, in the order of the overview.
#include "cli/options.h"

namespace embedflow::cli {
namespace {

std::vector<CommandInfo> MakeCommands() {
  return {
      {kIngest,
       "ingest",
       "Start",
       "stream files, CSV, JSON Lines into a corpus",
       {{"INPUT", true, true}},
       "INPUT is files, directories, or - for JSON Lines on standard input.",
       {"embedflow ingest notes/ --into corpus",
        "zcat log.jsonl.gz | embedflow ingest - --into corpus --text-field body",
        "embedflow ingest tickets/ --into corpus --provider openai"}},
      {kSearch,
       "search",
       "Start",
       "ask a corpus",
       {{"DIR"}, {"QUERY"}},
       "Prints the chunks nearest to QUERY, best first.",
       {"embedflow search corpus \"how do refunds work\"",
        "embedflow search corpus \"refunds\" -k 3 --filter lang=en --json"}},
      {kStatus,
       "status",
       "Look",
       "what is in it",
       {{"DIR"}},
       "Prints counts, spaces, index and sizes.",
       {"embedflow status corpus"}},
      {kDead,
       "dead",
       "Look",
       "what failed, and why",
       {{"DIR"}},
       "Lists the dead letters: records and chunks that could not be taken in.",
       {"embedflow dead corpus", "embedflow dead corpus --retry"}},
      {kExport,
       "export",
       "Look",
       "chunks and vectors as jsonl or npy",
       {{"DIR"}},
       "Writes every chunk with its vector as the provider sent it.",
       {"embedflow export corpus | head -1",
        "embedflow export corpus --format npy -o vectors.npy"}},
      {kBackfill,
       "backfill",
       "Mend",
       "embed what has no vector in a space",
       {{"DIR"}},
       "Sends the chunks of DIR that lack a vector of the provider's model: after a run that was "
       "cut "
       "short, or to move to another model. Without a provider, for the newest space.",
       {"embedflow backfill corpus --provider openai", "embedflow backfill corpus"}},
      {kRemove,
       "remove",
       "Mend",
       "delete documents",
       {{"DIR"}, {"ID", false, true}},
       "Deletes documents and their chunks; they leave search at once. Their vectors are kept.",
       {"embedflow remove corpus --id readme.md old.md"}},
      {kVerify,
       "verify",
       "Mend",
       "prove that all is in; --repair",
       {{"DIR"}},
       "Reads everything and reconciles documents, chunks, vectors and index.",
       {"embedflow verify corpus", "embedflow verify corpus --repair"}},
      {kProviders,
       "providers",
       "Tools",
       "models, limits and prices",
       {{"NAME", false}},
       "Prints the profile table, or the one profile of that name.",
       {"embedflow providers", "embedflow providers openai"}},
      {kSimulate,
       "simulate",
       "Tools",
       "a provider on loopback that fails on demand",
       {},
       "Answers embeddings requests on 127.0.0.1 until it is stopped.",
       {"embedflow simulate --port 8080 --limit-rpm 600 --latency 50ms",
        "embedflow simulate --fault 503:random=5% --fault nan:every=10"}},
  };
}

}  // namespace

const std::vector<CommandInfo>& Commands() {
  static const std::vector<CommandInfo> kCommands = MakeCommands();
  return kCommands;
}

}  // namespace embedflow::cli
