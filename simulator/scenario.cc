#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "base/config_value.h"
#include "base/toml_reader.h"
#include "embedflow/simulator.h"
#include "embedflow/text.h"

namespace embedflow {
namespace {

// A name out of a list, such as a dialect's.
template <typename T, typename Find>
void ReadName(ConfigTable* table, std::string_view name, Find find, T* field) {
  std::optional<std::string> text;
  table->Read(name, &text);
  if (!text) return;
  const std::optional<T> value = find(*text);
  if (value) {
    *field = *value;
  } else {
    table->Fail(Status(Code::kInvalidArgument,
                       table->PathOf(name) + " must not be " + Printable(*text, 80)));
  }
}

// Texts, each read by `parse`.
template <typename T, typename Parse>
void ReadTexts(ConfigTable* table, std::string_view name, Parse parse, std::vector<T>* field) {
  std::vector<std::string> texts;
  table->Read(name, &texts);
  for (const std::string& text : texts) {
    Result<T> value = parse(text);
    if (!value.ok()) {
      table->Fail(value.status().WithContext(table->PathOf(name)));
      return;
    }
    field->push_back(*std::move(value));
  }
}

Status ReadLimits(const ConfigValue& value, const std::string& path, SimulatorLimits* limits) {
  ConfigTable table(value, path);
  table.Read("rpm", &limits->rpm);
  table.Read("tpm", &limits->tpm);
  ReadName(&table, "window", FindSimulatorWindow, &limits->window);
  table.Read("refused_count", &limits->refused_count);
  table.Read("inputs_max", &limits->inputs_max);
  table.Read("request_tokens_max", &limits->request_tokens_max);
  table.Read("input_tokens_max", &limits->input_tokens_max);
  table.Read("body_bytes_max", &limits->body_bytes_max);
  table.Read("capacity", &limits->capacity);
  table.Read("pending_max", &limits->pending_max);
  return table.Finish();
}

Status ReadScenario(const ConfigValue& root, SimulatorOptions* options) {
  ConfigTable table(root, "");
  ReadName(&table, "dialect", FindSimulatorDialect, &options->dialect);
  table.Read("port", &options->port);
  table.Read("dimensions", &options->dimensions);
  table.Read("seed", &options->seed);
  table.Read("requires_key", &options->requires_key);
  ReadName(
      &table, "latency",
      [](std::string_view text) {
        const Result<SimulatorLatency> latency = ParseSimulatorLatency(text);
        return latency.ok() ? std::optional(*latency) : std::nullopt;
      },
      &options->latency);
  ReadTexts(&table, "slow_downs", ParseSimulatorSlowDown, &options->slow_downs);
  ReadTexts(&table, "faults", ParseSimulatorFault, &options->faults);
  table.Read("ledger", &options->ledger_path);
  table.Read("ledger_texts", &options->ledger_texts);
  if (const ConfigValue* limits = table.Take("limits")) {
    table.Fail(ReadLimits(*limits, table.PathOf("limits"), &options->limits));
  }
  return table.Finish();
}

}  // namespace

Status ReadSimulatorScenario(const std::string& path, SimulatorOptions* options) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return {Code::kIo, "cannot open " + Printable(path) + ": " + std::strerror(errno)};
  }
  // One byte more than the reader takes, so that it sees what is too long.
  std::string text(ConfigLimits().bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return {Code::kIo, "cannot read " + Printable(path)};
  text.resize(static_cast<std::size_t>(file.gcount()));
  const Result<ConfigValue> root = ParseToml(text, ConfigLimits());
  if (!root.ok()) return root.status().WithContext(Printable(path));
  SimulatorOptions changed = *options;
  EF_RETURN_IF_ERROR(ReadScenario(*root, &changed).WithContext(Printable(path)));
  *options = std::move(changed);
  return {};
}

}  // namespace embedflow
