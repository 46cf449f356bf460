// What --fallback and --replica say: "azure,base-url=https://x.openai.azure.com,max-concurrency=4".
// Commas within braces, brackets and the strings there are part of a value.
// Threads: pure functions.
#ifndef EMBEDFLOW_CLI_ENDPOINT_SPEC_H_
#define EMBEDFLOW_CLI_ENDPOINT_SPEC_H_

#include <string>

#include "cli/options.h"
#include "embedflow/pipeline.h"
#include "embedflow/provider.h"

namespace embedflow::cli {

struct EndpointSpec {
  EndpointOptions::Role role = EndpointOptions::Role::kFallback;
  ProviderOptions provider;
  FlowOptions flow;
};

// Reads one value of `option`, "--fallback" or "--replica". Model, parameters and output type that
// it does not give are those of `primary`. Errors: usage.
Result<EndpointSpec> EndpointSpecOf(std::string_view option, const std::string& text,
                                    const ProviderOptions& primary);

// The endpoint, once the space of the run is known.
Result<EndpointOptions> MakeEndpoint(EndpointSpec spec, const Space& space);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_ENDPOINT_SPEC_H_
