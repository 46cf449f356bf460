#include <memory>

#include "cli/commands.h"
#include "cli/corpus_provider.h"
#include "cli/format.h"
#include "cli/ingest_options.h"
#include "cli/run_driver.h"

namespace embedflow::cli {

int Backfill(const Invocation& call) {
  SetLogLevelOf(call.arguments);
  const std::string& directory = call.arguments.positionals()[0];
  const auto options = [&]() -> Result<RunOptions> {
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                        Corpus::Open(directory, Corpus::Mode::kRead));
    EF_ASSIGN_OR_RETURN(const ProviderOptions provider,
                        ProviderOptionsFor(call.arguments, *corpus));
    EF_ASSIGN_OR_RETURN(RunOptions run, RunOptionsOf(call.arguments, provider));
    run.directory = directory;
    return run;
  };
  Result<RunOptions> run = options();
  if (!run.ok()) return call.End(run.status());
  RunSteps steps;
  steps.run = [](Pipeline& pipeline) { return pipeline.Backfill(); };
  return DriveRun(call, *std::move(run), steps);
}

}  // namespace embedflow::cli
