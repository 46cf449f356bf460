// Help texts, made of the option table. Nothing is wider than 80 columns.
// Threads: pure functions.
#ifndef EMBEDFLOW_CLI_HELP_H_
#define EMBEDFLOW_CLI_HELP_H_

#include <cstddef>
#include <string>

#include "cli/options.h"

namespace embedflow::cli {

inline constexpr std::size_t kHelpColumns = 80;

// What `embedflow` alone says.
std::string Overview();
// `embedflow --help`: the overview, exit codes and environment.
std::string LongOverview();
// `embedflow COMMAND -h`: one screen, examples first, everyday options.
std::string ShortHelp(Command command);
// `embedflow COMMAND --help`: all about it.
std::string LongHelp(Command command);
// "embedflow ingest INPUT... --into DIR [options]".
std::string UsageLine(Command command);
// "[tokens; 1 to 1000000; default 256]" in words, for --help and docs/cli.md: one sentence a fact.
std::string FactsOf(const Option& option);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_HELP_H_
