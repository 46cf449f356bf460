#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "cli/commands.h"
#include "cli/errors.h"
#include "cli/format.h"
#include "cli/ingest_options.h"
#include "cli/run_driver.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

std::string ComparisonText(const Comparison& comparison, bool sync) {
  std::string text = "Nothing was sent or written. An ingest would read " +
                     Count(comparison.read, "record") + ":\n";
  const auto add = [&](std::uint64_t count, const char* what) {
    text += PadLeft(WithCommas(count), 14) + "  " + what + "\n";
  };
  add(comparison.fresh, "new");
  add(comparison.changed, "changed");
  add(comparison.unchanged, "unchanged");
  if (comparison.empty > 0) add(comparison.empty, "empty");
  if (comparison.bad > 0) add(comparison.bad, "bad, for the dead letters");
  if (!sync) return text;
  if (comparison.gone) {
    add(*comparison.gone, "gone from the inputs, to be deleted");
  } else {
    text += "Bad records forbid to delete anything: what they stood for may still be there.\n";
  }
  return text;
}

// Says what an ingest would do.
Status DryRun(const Invocation& call, const IngestOptions& options) {
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Source> source,
                      OpenFiles(options.inputs, options.source));
  // Only its space is asked for.
  ProviderOptions keyless = options.run.provider;
  keyless.api_key_env = "none";
  keyless.api_key_file = {};
  EF_ASSIGN_OR_RETURN(const std::shared_ptr<const Provider> provider, MakeProvider(keyless));
  EF_ASSIGN_OR_RETURN(
      const Comparison comparison,
      Corpus::Compare(options.run.directory, *source, options.run.pipeline.chunker, *provider));
  return call.Print(ComparisonText(comparison, options.run.pipeline.sync));
}

}  // namespace

int Ingest(const Invocation& call) {
  Result<IngestOptions> options = IngestOptionsOf(call.arguments);
  if (!options.ok()) return call.End(options.status());
  for (const std::string& input : options->inputs) {
    if (input == "-" && isatty(STDIN_FILENO) == 1) {
      return call.End(UsageError(
          "- reads JSON Lines from standard input, which is this terminal",
          "cat FILE.jsonl | embedflow ingest - --into " + ShellQuoted(options->run.directory)));
    }
  }
  const bool reads_a_pipe =
      std::find(options->inputs.begin(), options->inputs.end(), "-") != options->inputs.end();
  if (call.arguments.Has("--sync") && reads_a_pipe) {
    return call.End(UsageError(
        "--sync cannot tell whether standard input ended or broke off, so it deletes nothing by it",
        "write the records to a file and ingest that with --sync"));
  }
  SetLogLevelOf(call.arguments);
  if (call.arguments.Has("--dry-run")) return call.End(DryRun(call, *options));
  std::unique_ptr<Source> source;
  RunSteps steps;
  steps.mode = Corpus::Mode::kCreate;
  steps.prepare = [&](RunOptions*) -> Status {
    EF_ASSIGN_OR_RETURN(source, OpenFiles(options->inputs, options->source));
    return {};
  };
  steps.run = [&](Pipeline& pipeline) { return pipeline.Run(*source); };
  return DriveRun(call, std::move(options->run), steps);
}

}  // namespace embedflow::cli
