// The file of --config: options that a user keeps. Threads: pure functions but for reading the
// file.
#ifndef EMBEDFLOW_CLI_CONFIG_FILE_H_
#define EMBEDFLOW_CLI_CONFIG_FILE_H_

#include <string>

#include "cli/options.h"
#include "embedflow/status.h"

namespace embedflow::cli {

// Adds the settings of `file` to `arguments`, but for options that have a value. At the top stand
// long names of options, with - or _; the tables [optimization] and [model] hold the fields of
// OptimizationConfig and ModelConfig. Errors: usage, with file and line.
Status AddConfigFile(Command command, const std::string& file, Arguments* arguments);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_CONFIG_FILE_H_
