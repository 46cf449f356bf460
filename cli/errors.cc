#include "cli/errors.h"

#include <csignal>

#include "cli/format.h"
#include "cli/options.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

// "  kept: " and its text, wrapped under itself.
std::string Field(std::string_view name, std::string_view value, std::size_t columns) {
  if (value.empty()) return {};
  const std::string head = "  " + std::string(name) + ": ";
  std::string text;
  const std::size_t width = columns > head.size() + 20 ? columns - head.size() : 20;
  for (const std::string& line : Wrap(Printable(value), width)) {
    text += (text.empty() ? head : std::string(head.size(), ' ')) + line + "\n";
  }
  return text;
}

}  // namespace

const std::vector<ExitCode>& ExitCodes() {
  static const std::vector<ExitCode> kCodes = {
      {kExitComplete, "complete", "complete: everything read is stored, embedded and indexed"},
      {kExitFailed, "failed",
       "failed: an error of this machine or this configuration; nothing acknowledged is lost"},
      {kExitUsage, "usage", "usage: the command line is wrong; nothing was done"},
      {kExitPartial, "some failed", "finished, but something is in the dead letters"},
      {kExitRefused, "refused",
       "the provider refuses: key, access or quota; the same command goes on later"},
      {kExitInUse, "in use", "another process writes the corpus; nothing was sent"},
      {kExitIo, "disk", "disk or other input and output error; goes on once mended"},
      {kExitUnavailable, "provider away",
       "the provider does not answer well; the same command goes on later"},
      {kExitDamaged, "damaged",
       "the store is damaged: verify says where, verify --repair mends what can be derived"},
      {kExitSignalBase + SIGHUP, "hung up", "SIGHUP: as SIGINT"},
      {kExitSignalBase + SIGINT, "interrupt",
       "SIGINT: drained, committed; the same command "
       "goes on"},
      {kExitSignalBase + SIGTERM, "terminated", "SIGTERM: the same"},
  };
  return kCodes;
}

int ExitCodeOf(const Status& status, int signal) {
  if (IsUsageError(status)) return kExitUsage;
  switch (status.code()) {
    case Code::kOk:
      return kExitComplete;
    case Code::kBudget:
      return kExitBudget;
    case Code::kRefused:
      return kExitRefused;
    case Code::kInUse:
      return kExitInUse;
    case Code::kIo:
      return kExitIo;
    case Code::kUnavailable:
      return kExitUnavailable;
    case Code::kCorruption:
      return kExitDamaged;
    case Code::kCancelled:
      return kExitSignalBase + (signal == 0 ? SIGINT : signal);
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kUnsupported:
    case Code::kInternal:
      return kExitFailed;
  }
  return kExitFailed;
}

std::string ErrorText(const Status& status, int exit_code, bool json, const Stream& stream) {
  if (json) return ToJson(status, exit_code) + "\n";
  if (!stream.is_terminal) return "embedflow: " + status.ToString() + "\n";
  const std::size_t columns = ColumnsOf(stream.fd);
  const std::string head = "embedflow: ";
  std::string text;
  const std::size_t width = columns > head.size() + 20 ? columns - head.size() : 20;
  for (const std::string& line : Wrap(Printable(status.message()), width)) {
    text += (text.empty() ? Red(head, stream.colour) : std::string(head.size(), ' ')) + line + "\n";
  }
  return text + Field("kept", status.kept(), columns) + Field("next", status.next(), columns);
}

}  // namespace embedflow::cli
