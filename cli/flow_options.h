// Options about the far side of the wire, as the library takes them. Threads: pure functions.
#ifndef EMBEDFLOW_CLI_FLOW_OPTIONS_H_
#define EMBEDFLOW_CLI_FLOW_OPTIONS_H_

#include "cli/options.h"
#include "embedflow/options.h"
#include "embedflow/provider.h"

namespace embedflow::cli {

// The provider, its model and its key.
ProviderOptions ProviderOptionsOf(const Arguments& arguments);

// The values of `profile`, overridden by what was given. Errors: usage.
Result<FlowOptions> FlowOptionsOf(const Arguments& arguments, const Profile& profile);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_FLOW_OPTIONS_H_
