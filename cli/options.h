// The one table of commands and options. It feeds the parser, `-h`, `--help` and docs/cli.md; what
// is not in it does not exist.
//
// Threads: tables are constant after first use; Arguments are values.
#ifndef EMBEDFLOW_CLI_OPTIONS_H_
#define EMBEDFLOW_CLI_OPTIONS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "embedflow/status.h"

namespace embedflow::cli {

// Bits, so that an option can belong to several commands.
enum Command : unsigned {
  kIngest = 1u << 0,
  kSearch = 1u << 1,
  kStatus = 1u << 2,
  kVerify = 1u << 3,
  kExport = 1u << 4,
  kDead = 1u << 5,
  kProviders = 1u << 6,
  kSimulate = 1u << 7,
  kBackfill = 1u << 8,
  kRemove = 1u << 9,
};
// Those that run a pipeline.
inline constexpr unsigned kRuns = kIngest | kBackfill | kDead;

// A word of the command line that stands for itself.
struct Positional {
  std::string_view name = {};  // "DIR".
  bool required = true;
  bool repeatable = false;  // Only the last one.
};

struct CommandInfo {
  Command command = kIngest;
  std::string_view name = {};   // "ingest".
  std::string_view group = {};  // Heading in the overview: "Start".
  std::string_view line = {};   // What it does, in the overview.
  std::vector<Positional> positionals;
  std::string_view about;  // One or two lines under the usage line.
  // One command a row, with what it does where that is not plain.
  std::vector<std::string_view> examples;
};

struct Option {
  enum class Kind { kFlag, kText, kChoice, kInteger, kNumber };

  std::string_view name = {};        // "--chunk-size", or "-k".
  std::string_view value_name = {};  // "N"; empty for a flag.
  Kind kind = Kind::kText;
  unsigned commands = 0;
  std::string_view group = {};
  std::string_view line = {};  // One line, for -h.
  std::string_view text = {};  // More, for --help; may be empty.
  std::string_view unit = {};  // "tokens"; may be empty.
  // What holds when the option is not given, as help prints it; empty when nothing is to be said.
  std::string_view default_text = {};
  std::vector<std::string_view> choices = {};  // kChoice.
  double min = 0;                              // kInteger, kNumber.
  double max = 0;
  bool above_min = false;  // kNumber: min itself is out of range.
  bool required = false;
  bool repeatable = false;
  bool everyday = false;  // Shown by -h.
};

// In the order of the overview.
const std::vector<CommandInfo>& Commands();
// Null if there is no such command.
const CommandInfo* FindCommand(std::string_view name);
const CommandInfo& InfoOf(Command command);
// In the order of help.
const std::vector<Option>& Options();
std::vector<const Option*> OptionsOf(Command command);
// Null if the command has no such option.
const Option* FindOption(Command command, std::string_view name);

// A command line that has passed: every option exists, every value is in range.
class Arguments {
 public:
  bool Has(std::string_view option) const { return values_.contains(option); }
  // The value given last, or `otherwise`.
  std::string Text(std::string_view option, std::string_view otherwise = {}) const;
  std::optional<std::int64_t> Integer(std::string_view option) const;
  std::optional<double> Number(std::string_view option) const;
  // All values of a repeatable option, in order.
  std::vector<std::string> All(std::string_view option) const;
  const std::vector<std::string>& positionals() const { return positionals_; }
  // Gives an option values that have passed CheckValue(), in place of those it has.
  void Set(std::string_view option, std::vector<std::string> values);
  void Unset(std::string_view option) { values_.erase(std::string(option)); }

 private:
  friend Result<Arguments> Parse(Command command, std::span<const std::string> words);
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> positionals_;
};

// A usage error unless `value` is one that `option` can have.
Status CheckValue(const Option& option, std::string_view value);

// Parses the words after the command. `--` ends the options; of an option given twice the last
// counts, unless it is repeatable. A file named by --config is read, and gives what the words do
// not. Errors: kInvalidArgument with the word "usage", naming the first wrong option and the
// nearest right one.
Result<Arguments> Parse(Command command, std::span<const std::string> words);

// Which help the words after the command ask for, if any.
enum class HelpWanted { kNone, kShort, kLong };
HelpWanted FindHelp(Command command, std::span<const std::string> words);

// A usage error: exit code 2.
Status UsageError(std::string message, std::string next = {});
bool IsUsageError(const Status& status);
// For a word that is no command.
Status UnknownCommand(std::string_view word);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_OPTIONS_H_
