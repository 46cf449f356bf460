// The options of the commands that run a pipeline, as the library takes them: a profile's values,
// overridden by what was given. Threads: pure functions.
#ifndef EMBEDFLOW_CLI_INGEST_OPTIONS_H_
#define EMBEDFLOW_CLI_INGEST_OPTIONS_H_

#include <string>
#include <vector>

#include "cli/endpoint_spec.h"
#include "cli/options.h"
#include "cli/run_driver.h"
#include "embedflow/pipeline.h"
#include "embedflow/provider.h"
#include "embedflow/source.h"

namespace embedflow::cli {

struct IngestOptions {
  std::vector<std::string> inputs;
  FileSourceOptions source;
  RunOptions run;
};

// Errors: a usage error that names the option.
Result<IngestOptions> IngestOptionsOf(const Arguments& arguments);

// What every command that runs a pipeline takes, for `provider`. Errors: usage.
Result<RunOptions> RunOptionsOf(const Arguments& arguments, const ProviderOptions& provider);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_INGEST_OPTIONS_H_
