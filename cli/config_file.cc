#include "cli/config_file.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "cli/suggest.h"
#include "embedflow/config_file.h"
#include "embedflow/optimization.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::string_view kParameters = "model.parameters";
constexpr std::string_view kBreaker = "circuit_breaker_config";
constexpr std::string_view kBreakerOption = "--circuit-breaker";
constexpr std::string_view kSwitch = "--enable-circuit-breaker";

// The fields of ModelConfig whose options have other names.
struct Renamed {
  std::string_view field;
  std::string_view option;
};
constexpr std::array<Renamed, 2> kModelFields = {
    {{"model_name", "--model"}, {"embedding_dimension", "--dimensions"}}};
constexpr std::array<std::string_view, 3> kSameModelFields = {"base_url", "api_endpoint",
                                                              "parameters"};
constexpr std::array<std::string_view, 11> kOptimizationFields = {
    "timeout_seconds",      "max_retries",
    "retry_delay_ms",       "max_batch_size",
    "rate_limit_rpm",       "rate_limit_tpm",
    "compression_enabled",  "compression_threshold_bytes",
    "connection_pool_size", "enable_circuit_breaker",
    "enable_metrics"};
constexpr std::array<std::string_view, 4> kBreakerFields = {
    "failure_threshold", "success_threshold", "timeout_seconds", "half_open_max_attempts"};

std::string OptionName(std::string_view field) {
  std::string name = "--" + std::string(field);
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

template <std::size_t n>
bool Contains(const std::array<std::string_view, n>& fields, std::string_view field) {
  return std::find(fields.begin(), fields.end(), field) != fields.end();
}

// Takes the settings of one file, a setting at a time.
class ConfigAdder {
 public:
  ConfigAdder(Command command, std::string file, Arguments* arguments)
      : command_(command), file_(std::move(file)), given_(*arguments), arguments_(arguments) {}

  Status Add(const ConfigSetting& setting) {
    const std::string_view path = setting.path;
    for (const std::string_view prefix : {"model.optimization.", "optimization."}) {
      if (path.starts_with(prefix)) return AddField(setting, path.substr(prefix.size()));
    }
    if (path.starts_with("model.")) return AddModelField(setting, path.substr(6));
    std::vector<std::string_view> names;
    for (const Option* option : OptionsOf(command_)) {
      const bool is_long = option->name.starts_with("--");
      if (is_long && option->name != "--config") names.push_back(option->name.substr(2));
    }
    const std::string name = OptionName(path).substr(2);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return At(setting, "there is no setting " + setting.path + SimilarOne(name, names));
    }
    return Set(setting, "--" + name);
  }

  // Breakers come in parts and are set once all are known.
  Status Finish() {
    if (has_breaker_) EF_RETURN_IF_ERROR(SetBreaker());
    // The command line wins over the file, and in a file off wins over parameters, which the
    // library writes for a breaker that is off as well.
    const bool is_off = arguments_->Text(kSwitch) == "false";
    if (is_off && given_.Has(kBreakerOption) && !given_.Has(kSwitch)) {
      arguments_->Unset(kSwitch);
    } else if (is_off && !given_.Has(kBreakerOption)) {
      arguments_->Unset(kBreakerOption);
    }
    return {};
  }

 private:
  Status SetBreaker() {
    ConfigSetting setting;
    setting.line = breaker_line_;
    setting.values = {std::to_string(breaker_.failure_threshold) + "/" +
                      std::to_string(breaker_.success_threshold) + "/" +
                      std::to_string(breaker_.timeout_seconds) + "/" +
                      std::to_string(breaker_.half_open_max_attempts)};
    return Set(setting, std::string(kBreakerOption));
  }

  Status At(const ConfigSetting& setting, const std::string& what) const {
    return UsageError(Printable(file_) + ", line " + std::to_string(setting.line) + ": " + what);
  }

  Status Set(const ConfigSetting& setting, const std::string& name) {
    const Option* option = FindOption(command_, name);
    if (option == nullptr) return At(setting, "there is no setting " + setting.path);
    if (const auto [before, is_new] = lines_.emplace(name, setting.line); !is_new) {
      return At(setting, name + " is set by line " + std::to_string(before->second) + " already");
    }
    EF_RETURN_IF_ERROR(CheckKind(setting, *option));
    for (const std::string& value : setting.values) {
      const Status status = CheckValue(*option, value);
      if (!status.ok()) return At(setting, status.message());
    }
    if (!given_.Has(name)) arguments_->Set(name, setting.values);
    return {};
  }

  // A number in quotes or a word without them is more likely a slip than meant.
  Status CheckKind(const ConfigSetting& setting, const Option& option) const {
    const std::string name(option.name);
    if (setting.is_array && !option.repeatable) {
      return At(setting, name + " takes one value, got an array");
    }
    if (setting.values.empty()) return {};
    const bool is_number =
        option.kind == Option::Kind::kInteger || option.kind == Option::Kind::kNumber;
    const bool is_truth = option.kind == Option::Kind::kFlag ||
                          (option.kind == Option::Kind::kChoice && option.choices[0] == "true");
    if (is_number && setting.kind != ConfigSetting::Kind::kNumber) {
      return At(setting, name + " must be a number without quotes");
    }
    if (is_truth && setting.kind != ConfigSetting::Kind::kBool) {
      return At(setting, name + " must be true or false, without quotes");
    }
    const bool is_text =
        setting.kind == ConfigSetting::Kind::kString || setting.kind == ConfigSetting::Kind::kJson;
    if (!is_number && !is_truth && !is_text) return At(setting, name + " must be a string");
    return {};
  }

  Status AddModelField(const ConfigSetting& setting, std::string_view field) {
    for (const Renamed& renamed : kModelFields) {
      if (renamed.field == field) return Set(setting, std::string(renamed.option));
    }
    if (Contains(kSameModelFields, field)) return Set(setting, OptionName(field));
    return At(setting, "there is no field " + setting.path);
  }

  Status AddField(const ConfigSetting& setting, std::string_view field) {
    if (Contains(kOptimizationFields, field)) return Set(setting, OptionName(field));
    if (field == kBreaker) {
      const bool is_none = setting.kind == ConfigSetting::Kind::kString && !setting.is_array &&
                           setting.values[0] == "none";
      return is_none ? Status() : At(setting, setting.path + " must be a table or \"none\"");
    }
    const std::string prefix = std::string(kBreaker) + ".";
    if (field.starts_with(prefix)) return AddBreakerField(setting, field.substr(prefix.size()));
    return At(setting, "there is no field " + setting.path);
  }

  Status AddBreakerField(const ConfigSetting& setting, std::string_view field) {
    if (!Contains(kBreakerFields, field)) {
      return At(setting, "there is no field " + setting.path);
    }
    const bool is_number = setting.kind == ConfigSetting::Kind::kNumber && !setting.is_array;
    // The library's reader knows the ranges.
    const Result<OptimizationConfig> read =
        is_number
            ? OptimizationConfigFromJson("{\"circuit_breaker_config\":{\"" + std::string(field) +
                                         "\":" + setting.values[0] + "}}")
            : Status(Code::kInvalidArgument, std::string(field) + " must be a number");
    if (!read.ok()) return At(setting, read.status().message());
    const CircuitBreakerConfig& part = *read->circuit_breaker_config;
    if (field == "failure_threshold") breaker_.failure_threshold = part.failure_threshold;
    if (field == "success_threshold") breaker_.success_threshold = part.success_threshold;
    if (field == "timeout_seconds") breaker_.timeout_seconds = part.timeout_seconds;
    if (field == "half_open_max_attempts") {
      breaker_.half_open_max_attempts = part.half_open_max_attempts;
    }
    if (!has_breaker_) breaker_line_ = setting.line;
    has_breaker_ = true;
    return {};
  }

  const Command command_;
  const std::string file_;
  const Arguments given_;  // By the command line.
  Arguments* const arguments_;
  std::map<std::string, std::size_t> lines_;  // Where each option was set.
  CircuitBreakerConfig breaker_;
  bool has_breaker_ = false;
  std::size_t breaker_line_ = 0;
};

}  // namespace

Status AddConfigFile(Command command, const std::string& file, Arguments* arguments) {
  constexpr std::array<std::string_view, 1> kWhole = {kParameters};
  const Result<std::vector<ConfigSetting>> settings = ReadConfigFile(file, kWhole);
  if (!settings.ok()) return UsageError(settings.status().message());
  ConfigAdder adder(command, file, arguments);
  for (const ConfigSetting& setting : *settings) EF_RETURN_IF_ERROR(adder.Add(setting));
  return adder.Finish();
}

}  // namespace embedflow::cli
