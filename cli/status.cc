#include <memory>

#include "cli/commands.h"
#include "cli/format.h"
#include "embedflow/corpus.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kLabelColumns = 16;
constexpr std::size_t kNumberColumns = 14;

std::string Row(const std::string& label, const std::string& number, const std::string& more) {
  std::string row = PadRight("  " + label, kLabelColumns) + PadLeft(number, kNumberColumns);
  if (!more.empty()) row += "   " + more;
  return row + "\n";
}

std::string IndexText(const IndexStatus& index) {
  if (index.kind.empty() || index.kind == "none") return "no index";
  if (index.bytes == 0) return index.kind + ", not written yet; search builds it from the store";
  return index.kind + " " + WithCommas(index.vectors) + " entries, " + Bytes(index.bytes) +
         (index.fresh ? ", fresh" : ", stale: search completes it from the store");
}

std::string StatusText(const std::string& directory, const CorpusStatus& status) {
  std::string text = OneLine(directory) + "  " + Bytes(status.bytes) + "\n";
  text += Row("documents", WithCommas(status.documents), "");
  text += Row("chunks", WithCommas(status.chunks), "");
  text += Row("vectors", WithCommas(status.vectors), "one for each distinct text");
  text += Row("dead letters", WithCommas(status.dead_letters),
              status.dead_letters > 0 ? "embedflow dead " + ShellQuoted(directory) : "");
  if (!status.spaces.empty()) text += "  spaces\n";
  // The newest first.
  for (auto space = status.spaces.rbegin(); space != status.spaces.rend(); ++space) {
    text += "    " + OneLine(space->space.name());
    const auto at = static_cast<std::size_t>(status.spaces.rend() - space) - 1;
    if (status.spaces.size() > 1 && at == status.default_space) text += "   default for search";
    text += "\n" + Row("", WithCommas(space->vectors) + " vectors", IndexText(space->index));
    if (!space->is_complete) {
      text += Row("", WithCommas(status.documents - space->documents),
                  "documents have no vectors here:");
      text += "                embedflow backfill " + ShellQuoted(directory) + " --provider " +
              ShellQuoted(space->space.provider) + " --model " + ShellQuoted(space->space.model) +
              " --dimensions " + std::to_string(space->space.dimensions) + "\n";
    }
    if (!space->base_url.empty()) text += "                at " + OneLine(space->base_url) + "\n";
  }
  return text;
}

}  // namespace

int ShowStatus(const Invocation& call) {
  const auto run = [&]() -> Status {
    const std::string& directory = call.arguments.positionals()[0];
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                        Corpus::Open(directory, Corpus::Mode::kRead));
    EF_ASSIGN_OR_RETURN(const CorpusStatus status, corpus->Describe());
    return call.Print(call.json ? ToJson(status) + "\n" : StatusText(directory, status));
  };
  return call.End(run());
}

}  // namespace embedflow::cli
