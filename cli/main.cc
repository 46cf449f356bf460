// The program `embedflow`: finds the command, parses its options, runs it.
#include <CLI/Version.hpp>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/display.h"
#include "cli/errors.h"
#include "cli/help.h"
#include "cli/process.h"
#include "embedflow/version.h"

namespace embedflow::cli {
namespace {

int Run(Command command, const Invocation& call) {
  switch (command) {
    case kIngest:
      return Ingest(call);
    case kSearch:
      return Search(call);
    case kStatus:
      return ShowStatus(call);
    case kVerify:
      return Verify(call);
    case kExport:
      return Export(call);
    case kBackfill:
      return Backfill(call);
    case kRemove:
      return Remove(call);
    case kDead:
      return ShowDead(call);
    case kProviders:
      return ShowProviders(call);
    case kSimulate:
      return Simulate(call);
  }
  return kExitFailed;
}

std::string VersionText() {
  std::string text = "embedflow " + std::string(Version()) + "\n" + LibraryVersions();
  if (!text.ends_with('\n')) text += '\n';
  return text + "CLI11 " + CLI11_VERSION + "\n";
}

// What --color and --json say, before it is known whether the command line is right: its errors
// obey them too.
void Examine(std::span<const std::string> words, Invocation* call) {
  std::string colour = "auto";
  for (std::size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    if (words[i] == "--json") call->json = true;
    if (words[i] == "--color" && i + 1 < words.size()) colour = words[i + 1];
    if (words[i].starts_with("--color=")) colour = words[i].substr(8);
  }
  call->out = cli::Examine(1, colour);
  call->err = cli::Examine(2, colour);
}

int RunCommand(const CommandInfo& info, std::span<const std::string> words, Invocation* call) {
  switch (FindHelp(info.command, words)) {
    case HelpWanted::kShort:
      return call->End(call->Print(ShortHelp(info.command)));
    case HelpWanted::kLong:
      return call->End(call->Print(LongHelp(info.command)));
    case HelpWanted::kNone:
      break;
  }
  Result<Arguments> arguments = Parse(info.command, words);
  if (!arguments.ok()) return call->End(arguments.status());
  call->arguments = *std::move(arguments);
  return Run(info.command, *call);
}

int Main(std::vector<std::string> words) {
  Invocation call;
  call.words = words;
  const std::span<const std::string> rest =
      std::span<const std::string>(words).subspan(words.empty() ? 0 : 1);
  Examine(rest, &call);
  if (rest.empty()) {
    WriteToStderr(Overview());
    return kExitUsage;
  }
  const std::string& first = rest[0];
  if (first == "-h") return call.End(call.Print(Overview()));
  if (first == "--help") return call.End(call.Print(LongOverview()));
  if (first == "--version") return call.End(call.Print(VersionText()));
  const CommandInfo* info = FindCommand(first);
  if (info == nullptr) return call.End(UnknownCommand(first));
  return RunCommand(*info, rest.subspan(1), &call);
}

}  // namespace
}  // namespace embedflow::cli

int main(int argc, char** argv) {
  embedflow::cli::PrepareProcess();
  try {
    return embedflow::cli::Main(std::vector<std::string>(argv, argv + argc));
  } catch (const std::exception& error) {
    // Ours do not throw; memory may end all the same.
    embedflow::cli::WriteToStderr("embedflow: " + std::string(error.what()) + "\n");
    return embedflow::cli::kExitFailed;
  }
}
