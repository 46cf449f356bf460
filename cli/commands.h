// The commands: each gets a parsed command line and returns the exit code.
#ifndef EMBEDFLOW_CLI_COMMANDS_H_
#define EMBEDFLOW_CLI_COMMANDS_H_

#include <string>
#include <string_view>
#include <vector>

#include "cli/options.h"
#include "cli/terminal.h"
#include "embedflow/provider.h"
#include "embedflow/status.h"

namespace embedflow::cli {

// What a command knows about how it was called.
struct Invocation {
  Arguments arguments;
  std::vector<std::string> words;  // The whole command line, the program's name first.
  Stream out;                      // Standard output.
  Stream err;                      // Standard error.
  bool json = false;

  // Reports the failure on standard error and returns its exit code. An OK status reports nothing
  // and is 0; a reader of standard output that has gone away is told nothing either.
  int End(const Status& status, int signal = 0) const;
  // Writes results to standard output.
  Status Print(std::string_view text) const;
};

int Ingest(const Invocation& call);
int Search(const Invocation& call);
int ShowStatus(const Invocation& call);
int Verify(const Invocation& call);
int Export(const Invocation& call);
int Backfill(const Invocation& call);
int Remove(const Invocation& call);
int ShowDead(const Invocation& call);
int ShowProviders(const Invocation& call);
int Simulate(const Invocation& call);

// A usage error with the nearest name if there is no profile of this name.
Status CheckProviderName(const std::string& name);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_COMMANDS_H_
