// One run of a pipeline as a command shows it: signals, progress, acknowledgements, the summary and
// the exit code. `ingest`, `backfill` and `dead --retry` say what is to be run.
#ifndef EMBEDFLOW_CLI_RUN_DRIVER_H_
#define EMBEDFLOW_CLI_RUN_DRIVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/endpoint_spec.h"
#include "embedflow/corpus.h"
#include "embedflow/pipeline.h"

namespace embedflow::cli {

// What the commands have in common.
struct RunOptions {
  std::string directory;
  ProviderOptions provider;
  PipelineOptions pipeline;  // Without the further endpoints, which are made for the run.
  std::vector<EndpointSpec> endpoints;
  std::string summary_file;         // Empty: none.
  std::string ack_log_file;         // Empty: none.
  std::vector<std::string> inputs;  // Files that nothing may be written over.
};

// What is to be done; both are called once, on the calling thread.
struct RunSteps {
  // Before the provider and the corpus are opened; may change the options. Empty: nothing.
  std::function<Status(RunOptions*)> prepare;
  std::function<Status(Pipeline&)> run;
  Corpus::Mode mode = Corpus::Mode::kWrite;
};

// Runs, prints everything but the results that `steps` print, and returns the exit code.
int DriveRun(const Invocation& call, RunOptions options, const RunSteps& steps);

// Sets the level of the log as --log-level says.
void SetLogLevelOf(const Arguments& arguments);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_RUN_DRIVER_H_
