#include "cli/help.h"

#include <algorithm>
#include <vector>

#include "cli/errors.h"
#include "cli/format.h"
#include "embedflow/provider.h"
#include "embedflow/version.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kNameColumns = 25;  // Of -h, "--format KIND" and the space behind it.
constexpr std::size_t kTextIndent = 6;    // Of --help.

std::string Plain(double value) {
  // The table's bounds are whole numbers but for 0.001.
  if (value < 1 && value > 0) return "0.001";
  return std::to_string(static_cast<std::uint64_t>(value));
}

std::string NameWithValue(const Option& option) {
  std::string text(option.name);
  if (!option.value_name.empty()) text += " " + std::string(option.value_name);
  return text;
}

// "  --text-field NAME      where the text is                              [text]"
std::string ShortRow(const Option& option) {
  std::string row = PadRight("  " + NameWithValue(option), kNameColumns - 1) + " ";
  row += option.line;
  if (!option.default_text.empty()) {
    const std::string bracketed = "[" + std::string(option.default_text) + "]";
    if (row.size() + 1 + bracketed.size() <= kHelpColumns) {
      row += PadLeft(bracketed, kHelpColumns - row.size());
    }
  }
  return row + "\n";
}

std::vector<std::string_view> GroupsOf(const std::vector<const Option*>& options) {
  std::vector<std::string_view> groups;
  for (const Option* option : options) {
    if (std::find(groups.begin(), groups.end(), option->group) == groups.end()) {
      groups.push_back(option->group);
    }
  }
  return groups;
}

std::string Examples(const CommandInfo& info) {
  std::string text;
  for (const std::string_view example : info.examples) text += "  " + std::string(example) + "\n";
  return text;
}

std::string Indented(std::string_view paragraph, std::size_t indent) {
  std::string text;
  for (const std::string& line : Wrap(paragraph, kHelpColumns - indent)) {
    text += std::string(indent, ' ') + line + "\n";
  }
  return text;
}

std::string ExitCodesInShort() {
  std::string all = "Exit: ";
  for (const ExitCode& exit : ExitCodes()) {
    if (all.size() > 6) all += ", ";
    all += std::to_string(exit.code) + " " + std::string(exit.short_meaning);
  }
  std::string text;
  for (const std::string& line : Wrap(all + ".", kHelpColumns)) text += line + "\n";
  return text;
}

}  // namespace

std::string UsageLine(Command command) {
  const CommandInfo& info = InfoOf(command);
  std::string line = "embedflow " + std::string(info.name);
  for (const Positional& positional : info.positionals) {
    std::string name(positional.name);
    if (positional.repeatable) name += "...";
    line += positional.required ? " " + name : " [" + name + "]";
  }
  for (const Option* option : OptionsOf(command)) {
    if (option->required) line += " " + NameWithValue(*option);
  }
  return line + " [options]";
}

std::string FactsOf(const Option& option) {
  std::string facts;
  const auto add = [&facts](const std::string& fact) {
    if (!facts.empty()) facts += ' ';
    facts += fact + ".";
  };
  if (option.required) add("Required");
  if (option.repeatable) add("Repeatable");
  if (!option.unit.empty()) add("Unit: " + std::string(option.unit));
  if (option.kind == Option::Kind::kChoice) {
    std::string all;
    for (const std::string_view choice : option.choices) {
      all += (all.empty() ? "" : ", ") + std::string(choice);
    }
    add("One of: " + all);
  }
  if (option.kind == Option::Kind::kInteger || option.kind == Option::Kind::kNumber) {
    add(option.above_min ? "Above " + Plain(option.min) + ", at most " + Plain(option.max)
                         : "From " + Plain(option.min) + " to " + Plain(option.max));
  }
  if (!option.default_text.empty()) add("Default: " + std::string(option.default_text));
  return facts;
}

std::string Overview() {
  std::string text = "embedflow " + std::string(Version()) +
                     ": embeds large corpora; every vector is bought once.\n\n"
                     "  embedflow ingest notes/ --into corpus          offline and free\n"
                     "  embedflow search corpus \"how do refunds work\"\n\n";
  std::string_view group;
  for (const CommandInfo& info : Commands()) {
    const std::string heading = info.group == group ? "" : std::string(info.group);
    group = info.group;
    text += PadRight(heading, 8) + PadRight(std::string(info.name), 11) + std::string(info.line);
    text += "\n";
  }
  return text +
         "\nembedflow COMMAND -h for its everyday options, --help for all about it.\n"
         "embedflow --version; embedflow --help for exit codes and environment.\n";
}

std::string LongOverview() {
  std::string text = Overview() + "\nExit codes\n";
  for (const ExitCode& exit : ExitCodes()) {
    const std::string head = PadLeft(std::to_string(exit.code), 5) + "  ";
    const std::vector<std::string> lines = Wrap(exit.meaning, kHelpColumns - head.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
      text += (i == 0 ? head : std::string(head.size(), ' ')) + lines[i] + "\n";
    }
  }
  text += "  Other codes may come; take an unknown one for a failure.\n\nEnvironment\n";
  std::string keys;
  for (const Profile& profile : Profiles()) {
    if (profile.api_key_env.empty()) continue;
    keys += (keys.empty() ? "" : ", ") + profile.api_key_env + " (" + profile.name + ")";
  }
  text += Indented(keys +
                       " hold keys. --api-key-env names another variable, --api-key-file a file. "
                       "NO_COLOR and CLICOLOR_FORCE decide about colour.",
                   2);
  return text +
         "\nStandard output carries results, standard error everything else. embedflow\n"
         "never phones home.\n";
}

std::string ShortHelp(Command command) {
  const CommandInfo& info = InfoOf(command);
  std::string text = UsageLine(command) + "\n" + Indented(info.about, 2) + "\n" + Examples(info);
  const std::vector<const Option*> options = OptionsOf(command);
  std::size_t hidden = 0;
  for (const std::string_view group : GroupsOf(options)) {
    bool has_heading = false;
    for (const Option* option : options) {
      if (option->group != group) continue;
      if (!option->everyday) {
        ++hidden;
        continue;
      }
      if (!has_heading) text += "\n" + std::string(group) + "\n";
      has_heading = true;
      text += ShortRow(*option);
    }
  }
  text += "\n";
  if (hidden > 0) text += std::to_string(hidden) + " more: see --help.\n";
  return text + ExitCodesInShort();
}

std::string LongHelp(Command command) {
  const CommandInfo& info = InfoOf(command);
  std::string text = UsageLine(command) + "\n" + Indented(info.about, 2) + "\n" + Examples(info);
  const std::vector<const Option*> options = OptionsOf(command);
  for (const std::string_view group : GroupsOf(options)) {
    text += "\n" + std::string(group) + "\n";
    for (const Option* option : options) {
      if (option->group != group) continue;
      text += "  " + NameWithValue(*option) + "\n";
      // Of a choice, the line for -h lists the choices, which FactsOf tells as well.
      const bool is_told = option->kind == Option::Kind::kChoice && !option->text.empty();
      std::string line(is_told ? option->text : option->line);
      // A choice's name keeps its case, it is to be typed.
      if (!is_told && line[0] >= 'a' && line[0] <= 'z') {
        line[0] = static_cast<char>(line[0] - 'a' + 'A');
      }
      if (!is_told && !option->text.empty()) line += ". " + std::string(option->text);
      if (!line.ends_with('.')) line += '.';
      text += Indented(line, kTextIndent);
      const std::string facts = FactsOf(*option);
      if (!facts.empty()) text += Indented(facts, kTextIndent);
    }
  }
  return text + "\n-- ends the options: what follows stands for itself.\n" + ExitCodesInShort();
}

}  // namespace embedflow::cli
