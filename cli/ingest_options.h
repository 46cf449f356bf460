// The options of `ingest` as the library takes them: a profile's values, overridden by what was
// given. Threads: pure functions.
#ifndef EMBEDFLOW_CLI_INGEST_OPTIONS_H_
#define EMBEDFLOW_CLI_INGEST_OPTIONS_H_

#include <string>
#include <vector>

#include "cli/endpoint_spec.h"
#include "cli/options.h"
#include "embedflow/pipeline.h"
#include "embedflow/provider.h"
#include "embedflow/source.h"

namespace embedflow::cli {

struct IngestOptions {
  std::string directory;
  std::vector<std::string> inputs;
  FileSourceOptions source;
  ProviderOptions provider;
  PipelineOptions pipeline;  // Without the further endpoints, which are made for the run.
  std::vector<EndpointSpec> endpoints;
  std::string summary_file;  // Empty: none.
  std::string ack_log_file;  // Empty: none.
};

// Errors: a usage error that names the option.
Result<IngestOptions> IngestOptionsOf(const Arguments& arguments);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_INGEST_OPTIONS_H_
