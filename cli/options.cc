#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "cli/config_file.h"
#include "cli/suggest.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

// How much of a wrong word a message repeats.
constexpr std::size_t kQuotedBytesMax = 60;

std::string Quoted(std::string_view word) { return Printable(word, kQuotedBytesMax); }

std::string HelpOf(Command command) {
  return "embedflow " + std::string(InfoOf(command).name) + " -h";
}

// A word that begins an option. "-" alone is standard input, and "-5" is a number.
bool LooksLikeOption(std::string_view word) {
  return word.size() > 1 && word[0] == '-' && !(word[1] >= '0' && word[1] <= '9');
}

// "--name" of "--name=value", "-k" of "-k5".
std::string_view NameOf(std::string_view word) {
  if (word.starts_with("--")) return word.substr(0, word.find('='));
  return word.substr(0, 2);
}

std::string NumberText(double value) {
  std::array<char, 64> text;
  if (value == std::floor(value) && std::fabs(value) < 1e15) {
    std::snprintf(text.data(), text.size(), "%.0f", value);
  } else {
    std::snprintf(text.data(), text.size(), "%g", value);
  }
  return text.data();
}

Status OutOfRange(const Option& option, std::string_view value) {
  const std::string low = option.above_min ? "above " + NumberText(option.min) + " and at most "
                                           : "in [" + NumberText(option.min) + ", ";
  const std::string high = NumberText(option.max) + (option.above_min ? "" : "]");
  return UsageError(std::string(option.name) + " must be " + low + high + ", got " + Quoted(value));
}

template <typename T>
std::optional<T> ReadNumber(std::string_view text) {
  T value{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

Status CheckNumber(const Option& option, std::string_view text) {
  std::optional<double> value;
  if (option.kind == Option::Kind::kInteger) {
    const std::optional<std::int64_t> integer = ReadNumber<std::int64_t>(text);
    if (integer) value = static_cast<double>(*integer);
  } else {
    value = ReadNumber<double>(text);
  }
  if (!value || !std::isfinite(*value)) {
    const std::string_view kind =
        option.kind == Option::Kind::kInteger ? " must be a whole number" : " must be a number";
    return UsageError(std::string(option.name) + std::string(kind) + ", got " + Quoted(text));
  }
  const bool is_low = option.above_min ? *value <= option.min : *value < option.min;
  return is_low || *value > option.max ? OutOfRange(option, text) : Status();
}

Status CheckChoice(const Option& option, std::string_view value) {
  if (std::find(option.choices.begin(), option.choices.end(), value) != option.choices.end()) {
    return {};
  }
  std::string all;
  for (const std::string_view choice : option.choices) {
    if (!all.empty()) all += choice == option.choices.back() ? " or " : ", ";
    all += choice;
  }
  return UsageError(std::string(option.name) + " must be " + all + ", got " + Quoted(value) +
                    SimilarOne(value, option.choices));
}

Status UnknownOption(Command command, std::string_view name) {
  std::vector<std::string_view> names;
  for (const Option* option : OptionsOf(command)) names.push_back(option->name);
  return UsageError(std::string(InfoOf(command).name) + " has no option " + Quoted(name) +
                        SimilarOne(name, names),
                    HelpOf(command));
}

struct Split {
  std::vector<std::string> options;  // Options with their values, all well formed.
  std::vector<std::string> positionals;
};

// Tells options from positionals, in the order they stand, and refuses what is wrong about the
// options' form. CLI11 2.1.2 gets the options alone: it reports strays in reverse order, splits a
// positional "[a,b]" at its commas and swallows "++".
Result<Split> SplitWords(Command command, std::span<const std::string> words) {
  Split split;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      split.positionals.insert(split.positionals.end(), words.begin() + i + 1, words.end());
      break;
    }
    if (!LooksLikeOption(word)) {
      split.positionals.push_back(word);
      continue;
    }
    const std::string_view name = NameOf(word);
    const Option* option = FindOption(command, name);
    if (option == nullptr) return UnknownOption(command, word.starts_with("--") ? name : word);
    const bool has_value = word.size() > name.size();
    if (option->kind == Option::Kind::kFlag) {
      if (has_value) return UsageError(std::string(name) + " takes no value", HelpOf(command));
      split.options.push_back(word);
      continue;
    }
    const std::string needs = std::string(name) + " needs a value: " + std::string(name) + " " +
                              std::string(option->value_name);
    if (has_value) {
      if (word.ends_with('=') && word.size() == name.size() + 1) return UsageError(needs);
      split.options.push_back(word);
      continue;
    }
    const bool is_missing =
        i + 1 == words.size() || words[i + 1] == "--" ||
        (LooksLikeOption(words[i + 1]) && FindOption(command, NameOf(words[i + 1])) != nullptr);
    if (is_missing) return UsageError(needs, HelpOf(command));
    split.options.push_back(word);
    split.options.push_back(words[++i]);
  }
  return split;
}

Status CheckPositionals(const CommandInfo& info, const std::vector<std::string>& given) {
  std::size_t required = 0;
  bool is_open = false;
  for (const Positional& positional : info.positionals) {
    required += positional.required ? 1 : 0;
    is_open = is_open || positional.repeatable;
  }
  if (given.size() < required) {
    return UsageError(
        std::string(info.name) + " needs " + std::string(info.positionals[given.size()].name),
        HelpOf(info.command));
  }
  if (!is_open && given.size() > info.positionals.size()) {
    return UsageError(
        std::string(info.name) + " has no use for '" + Quoted(given[info.positionals.size()]) + "'",
        HelpOf(info.command));
  }
  for (const std::string& word : given) {
    if (word.empty()) return UsageError("an argument of " + std::string(info.name) + " is empty");
  }
  return {};
}

}  // namespace

Status CheckValue(const Option& option, std::string_view value) {
  switch (option.kind) {
    case Option::Kind::kInteger:
    case Option::Kind::kNumber:
      return CheckNumber(option, value);
    case Option::Kind::kChoice:
      return CheckChoice(option, value);
    case Option::Kind::kText:
      if (value.empty()) return UsageError(std::string(option.name) + " must not be empty");
      return {};
    case Option::Kind::kFlag:
      return {};
  }
  return {};
}

Status UsageError(std::string message, std::string next) {
  Status status = Status(Code::kInvalidArgument, std::move(message)).WithWord("usage");
  return next.empty() ? status : status.WithNext(std::move(next));
}

bool IsUsageError(const Status& status) { return status.word() == "usage"; }

Status UnknownCommand(std::string_view word) {
  std::vector<std::string_view> names;
  for (const CommandInfo& info : Commands()) names.push_back(info.name);
  if (LooksLikeOption(word)) {
    return UsageError("the command comes first, then its options; got " + Quoted(word),
                      "embedflow -h");
  }
  return UsageError("there is no command " + Quoted(word) + SimilarOne(word, names),
                    "embedflow -h");
}

const CommandInfo* FindCommand(std::string_view name) {
  for (const CommandInfo& info : Commands()) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

const CommandInfo& InfoOf(Command command) {
  for (const CommandInfo& info : Commands()) {
    if (info.command == command) return info;
  }
  return Commands().front();
}

std::vector<const Option*> OptionsOf(Command command) {
  std::vector<const Option*> options;
  for (const Option& option : Options()) {
    if ((option.commands & command) != 0) options.push_back(&option);
  }
  return options;
}

const Option* FindOption(Command command, std::string_view name) {
  for (const Option* option : OptionsOf(command)) {
    if (option->name == name) return option;
  }
  return nullptr;
}

std::string Arguments::Text(std::string_view option, std::string_view otherwise) const {
  const auto found = values_.find(option);
  return found == values_.end() ? std::string(otherwise) : found->second.back();
}

std::optional<std::int64_t> Arguments::Integer(std::string_view option) const {
  return Has(option) ? ReadNumber<std::int64_t>(Text(option)) : std::nullopt;
}

std::optional<double> Arguments::Number(std::string_view option) const {
  return Has(option) ? ReadNumber<double>(Text(option)) : std::nullopt;
}

std::vector<std::string> Arguments::All(std::string_view option) const {
  const auto found = values_.find(option);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

void Arguments::Set(std::string_view option, std::vector<std::string> values) {
  values_[std::string(option)] = std::move(values);
}

HelpWanted FindHelp(Command command, std::span<const std::string> words) {
  for (std::size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    if (words[i] == "-h") return HelpWanted::kShort;
    if (words[i] == "--help") return HelpWanted::kLong;
    const Option* option = FindOption(command, words[i]);
    if (option != nullptr && option->kind != Option::Kind::kFlag) ++i;
  }
  return HelpWanted::kNone;
}

Result<Arguments> Parse(Command command, std::span<const std::string> words) {
  const CommandInfo& info = InfoOf(command);
  EF_ASSIGN_OR_RETURN(Split split, SplitWords(command, words));
  Arguments arguments;
  std::map<std::string_view, std::vector<std::string>> values;
  std::map<std::string_view, std::size_t> flags;
  try {
    CLI::App app;
    app.set_help_flag();
    for (const Option* option : OptionsOf(command)) {
      if (option->kind == Option::Kind::kFlag) {
        app.add_flag(std::string(option->name), flags[option->name]);
      } else {
        app.add_option(std::string(option->name), values[option->name])
            ->expected(1)
            ->allow_extra_args(false)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
      }
    }
    std::reverse(split.options.begin(), split.options.end());  // As CLI11 wants them.
    app.parse(std::move(split.options));
  } catch (const CLI::Error& error) {
    return UsageError(std::string(info.name) + ": " + Quoted(error.what()), HelpOf(command));
  }
  for (const auto& [name, count] : flags) {
    if (count > 0) arguments.values_[std::string(name)] = {"true"};
  }
  for (auto& [name, given] : values) {
    const Option& option = *FindOption(command, name);
    for (const std::string& value : given) EF_RETURN_IF_ERROR(CheckValue(option, value));
    if (!given.empty()) arguments.values_[std::string(name)] = std::move(given);
  }
  EF_RETURN_IF_ERROR(CheckPositionals(info, split.positionals));
  if (arguments.Has("--config")) {
    EF_RETURN_IF_ERROR(AddConfigFile(command, arguments.Text("--config"), &arguments));
  }
  for (const Option* option : OptionsOf(command)) {
    if (option->required && !arguments.Has(option->name)) {
      return UsageError(std::string(info.name) + " needs " + std::string(option->name) + " " +
                            std::string(option->value_name),
                        HelpOf(command));
    }
  }
  arguments.positionals_ = std::move(split.positionals);
  return arguments;
}

}  // namespace embedflow::cli
