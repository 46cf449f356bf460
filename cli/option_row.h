// How a row of the option table is written. Threads: plain values.
#ifndef EMBEDFLOW_CLI_OPTION_ROW_H_
#define EMBEDFLOW_CLI_OPTION_ROW_H_

#include <string_view>
#include <utility>
#include <vector>

#include "cli/options.h"

namespace embedflow::cli {

// An Option under construction; what most rows do not need is said behind the row.
class Row {
 public:
  explicit Row(Option option) : option_(std::move(option)) {}
  Row More(std::string_view text) && {
    return With([&](Option* o) { o->text = text; });
  }
  Row Unit(std::string_view unit) && {
    return With([&](Option* o) { o->unit = unit; });
  }
  Row Default(std::string_view text) && {
    return With([&](Option* o) { o->default_text = text; });
  }
  Row AboveMin() && {
    return With([](Option* o) { o->above_min = true; });
  }
  Row Required() && {
    return With([](Option* o) { o->required = true; });
  }
  Row Repeatable() && {
    return With([](Option* o) { o->repeatable = true; });
  }
  Row Everyday() && {
    return With([](Option* o) { o->everyday = true; });
  }
  const Option& option() const { return option_; }

 private:
  template <typename F>
  Row With(F change) {
    change(&option_);
    return std::move(*this);
  }
  Option option_;
};

inline Row Text(std::string_view name, std::string_view value_name, unsigned commands,
                std::string_view group, std::string_view line) {
  Option option;
  option.name = name;
  option.value_name = value_name;
  option.commands = commands;
  option.group = group;
  option.line = line;
  return Row(std::move(option));
}

inline Row Flag(std::string_view name, unsigned commands, std::string_view group,
                std::string_view line) {
  Option option = Text(name, {}, commands, group, line).option();
  option.kind = Option::Kind::kFlag;
  return Row(std::move(option));
}

inline Row Choice(std::string_view name, std::string_view value_name, unsigned commands,
                  std::string_view group, std::string_view line,
                  std::vector<std::string_view> choices) {
  Option option = Text(name, value_name, commands, group, line).option();
  option.kind = Option::Kind::kChoice;
  option.choices = std::move(choices);
  return Row(std::move(option));
}

inline Row Number(std::string_view name, std::string_view value_name, unsigned commands,
                  std::string_view group, std::string_view line, double min, double max) {
  Option option = Text(name, value_name, commands, group, line).option();
  option.kind = Option::Kind::kNumber;
  option.min = min;
  option.max = max;
  return Row(std::move(option));
}

inline Row Integer(std::string_view name, std::string_view value_name, unsigned commands,
                   std::string_view group, std::string_view line, double min, double max) {
  Option option = Number(name, value_name, commands, group, line, min, max).option();
  option.kind = Option::Kind::kInteger;
  return Row(std::move(option));
}

// The rows about providers, limits, retries, connections and further endpoints.
std::vector<Row> ProviderRows();
// The rows about the simulator.
std::vector<Row> SimulateRows();

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_OPTION_ROW_H_
