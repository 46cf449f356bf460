// Exit codes, and errors as people and programs read them. Threads: pure functions.
#ifndef EMBEDFLOW_CLI_ERRORS_H_
#define EMBEDFLOW_CLI_ERRORS_H_

#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal.h"
#include "embedflow/status.h"

namespace embedflow::cli {

inline constexpr int kExitComplete = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitPartial = 3;
inline constexpr int kExitBudget = 4;
inline constexpr int kExitRefused = 5;
inline constexpr int kExitInUse = 6;
inline constexpr int kExitIo = 7;
inline constexpr int kExitUnavailable = 8;
inline constexpr int kExitDamaged = 9;
inline constexpr int kExitSignalBase = 128;  // SIGHUP: 129, SIGINT: 130, SIGTERM: 143.

struct ExitCode {
  int code = 0;
  std::string_view short_meaning;  // "provider refuses".
  std::string_view meaning;
};
// Those that this version can end with, ascending.
const std::vector<ExitCode>& ExitCodes();

// The exit code that a failure ends with; 0 for OK. A cancelled run without a signal counts as
// SIGINT.
int ExitCodeOf(const Status& status, int signal = 0);

// A failure as standard error shows it, with line ends: three lines ("embedflow: what", "  kept:",
// "  next:") on a terminal, one in a pipe, a line of JSON with `json`.
std::string ErrorText(const Status& status, int exit_code, bool json, const Stream& stream);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_ERRORS_H_
