// The configuration as JSON and TOML. Both go through the same tree, so that a field has one name,
// one type and one message.
#include <string>
#include <utility>

#include "base/config_value.h"
#include "base/json_writer.h"
#include "base/toml_reader.h"
#include "embedflow/optimization.h"

namespace embedflow {
namespace {

// Calls `field(name, value)` for every field of a configuration, in the order of the header. Both
// writers go through it, and so does the reader, so that none of them can forget a field.
template <typename Config, typename F>
void ForEachScalar(Config& config, F field) {
  field("timeout_seconds", config.timeout_seconds);
  field("max_retries", config.max_retries);
  field("retry_delay_ms", config.retry_delay_ms);
  field("max_batch_size", config.max_batch_size);
  field("rate_limit_rpm", config.rate_limit_rpm);
  field("rate_limit_tpm", config.rate_limit_tpm);
  field("compression_enabled", config.compression_enabled);
  field("compression_threshold_bytes", config.compression_threshold_bytes);
  field("connection_pool_size", config.connection_pool_size);
  field("enable_circuit_breaker", config.enable_circuit_breaker);
  field("enable_metrics", config.enable_metrics);
}

template <typename Config, typename F>
void ForEachBreakerField(Config& config, F field) {
  field("failure_threshold", config.failure_threshold);
  field("success_threshold", config.success_threshold);
  field("timeout_seconds", config.timeout_seconds);
  field("half_open_max_attempts", config.half_open_max_attempts);
}

template <typename T>
void Write(JsonWriter* json, const T& value) {
  json->Value(value);
}
template <typename T>
void Write(JsonWriter* json, const std::optional<T>& value) {
  if (value) {
    json->Value(*value);
  } else {
    json->Null();
  }
}

void WriteOptimization(JsonWriter* json, const OptimizationConfig& config) {
  const auto field = [json](const char* name, const auto& value) {
    json->Key(name);
    Write(json, value);
  };
  json->BeginObject();
  ForEachScalar(config, field);
  json->Key("circuit_breaker_config");
  if (config.circuit_breaker_config) {
    json->BeginObject();
    ForEachBreakerField(*config.circuit_breaker_config, field);
    json->EndObject();
  } else {
    json->Null();
  }
  json->EndObject();
}

// A TOML basic string. JSON's escapes are TOML's but for the solidus, which the writer leaves
// alone.
std::string TomlString(std::string_view text) {
  std::string quoted;
  AppendJsonString(&quoted, text);
  return quoted;
}

template <typename T>
std::string TomlValue(const T& value) {
  if constexpr (std::is_same_v<T, bool>)
    return value ? "true" : "false";
  else
    return std::to_string(value);
}

void AppendTomlField(std::string* toml, const char* name, const auto& value) {
  *toml += std::string(name) + " = " + TomlValue(value) + "\n";
}
// TOML has no null: what is unset is left out, and a comment says so.
template <typename T>
void AppendTomlField(std::string* toml, const char* name, const std::optional<T>& value) {
  if (value) {
    AppendTomlField(toml, name, *value);
  } else {
    *toml += "# " + std::string(name) + " is unset\n";
  }
}

// `table` is "" or "optimization": in which table the fields stand.
void AppendToml(std::string* toml, const OptimizationConfig& config, const std::string& table) {
  const auto field = [toml](const char* name, const auto& value) {
    AppendTomlField(toml, name, value);
  };
  ForEachScalar(config, field);
  const std::string breaker = (table.empty() ? "" : table + ".") + "circuit_breaker_config";
  if (config.circuit_breaker_config) {
    *toml += "\n[" + breaker + "]\n";
    ForEachBreakerField(*config.circuit_breaker_config, field);
  } else {
    // Left out it would mean the defaults.
    *toml += "circuit_breaker_config = \"none\"\n";
  }
}

void ReadBreaker(const ConfigValue& value, ConfigTable* outer,
                 std::optional<CircuitBreakerConfig>* out) {
  const bool is_none = value.kind == ConfigValue::Kind::kNull ||
                       (value.kind == ConfigValue::Kind::kString && value.text == "none");
  if (is_none) {
    out->reset();
    return;
  }
  CircuitBreakerConfig breaker;
  ConfigTable table(value, outer->PathOf("circuit_breaker_config"));
  ForEachBreakerField(breaker,
                      [&table](const char* name, auto& field) { table.Read(name, &field); });
  outer->Fail(table.Finish());
  *out = breaker;
}

Result<OptimizationConfig> OptimizationOf(const ConfigValue& value, const std::string& path) {
  OptimizationConfig config;
  ConfigTable table(value, path);
  ForEachScalar(config, [&table](const char* name, auto& field) { table.Read(name, &field); });
  if (const ConfigValue* breaker = table.Take("circuit_breaker_config")) {
    ReadBreaker(*breaker, &table, &config.circuit_breaker_config);
  }
  EF_RETURN_IF_ERROR(table.Finish());
  const Status status = config.Validate();
  if (!status.ok())
    return Status(status.code(), (path.empty() ? "" : path + ".") + status.message());
  return config;
}

// A JSON object, or in TOML a string that holds one, which can say null as well.
void ReadParameters(const ConfigValue& value, ConfigTable* table, std::string* parameters) {
  if (value.kind == ConfigValue::Kind::kTable) {
    parameters->clear();
    AppendConfigAsJson(parameters, value);
  } else if (value.kind == ConfigValue::Kind::kString) {
    *parameters = value.text;
  } else {
    table->Fail("parameters", value, "a table");
  }
}

Result<ModelConfig> ModelOf(const ConfigValue& value) {
  ModelConfig config;
  ConfigTable table(value, "");
  table.Read("model_name", &config.model_name);
  table.Read("embedding_dimension", &config.embedding_dimension);
  table.Read("base_url", &config.base_url);
  table.Read("api_endpoint", &config.api_endpoint);
  if (const ConfigValue* parameters = table.Take("parameters")) {
    ReadParameters(*parameters, &table, &config.parameters);
  }
  if (const ConfigValue* optimization = table.Take("optimization")) {
    Result<OptimizationConfig> read = OptimizationOf(*optimization, "optimization");
    if (!read.ok()) return read.status();
    config.optimization = *std::move(read);
  }
  EF_RETURN_IF_ERROR(table.Finish());
  EF_RETURN_IF_ERROR(config.Validate());
  return config;
}

}  // namespace

std::string ToJson(const OptimizationConfig& config) {
  JsonWriter json;
  WriteOptimization(&json, config);
  return json.Take();
}

std::string ToJson(const ModelConfig& config) {
  JsonWriter json;
  json.BeginObject();
  json.Key("model_name").Value(config.model_name);
  json.Key("embedding_dimension").Value(config.embedding_dimension);
  json.Key("base_url");
  Write(&json, config.base_url);
  json.Key("api_endpoint");
  Write(&json, config.api_endpoint);
  json.Key("optimization");
  WriteOptimization(&json, config.optimization);
  json.Key("parameters").Raw(config.parameters);
  json.EndObject();
  return json.Take();
}

std::string ToToml(const OptimizationConfig& config) {
  std::string toml;
  AppendToml(&toml, config, "");
  return toml;
}

std::string ToToml(const ModelConfig& config) {
  std::string toml = "model_name = " + TomlString(config.model_name) + "\n";
  AppendTomlField(&toml, "embedding_dimension", config.embedding_dimension);
  if (config.base_url) toml += "base_url = " + TomlString(*config.base_url) + "\n";
  if (config.api_endpoint) toml += "api_endpoint = " + TomlString(*config.api_endpoint) + "\n";
  toml += "parameters = " + TomlString(config.parameters) + "\n\n[optimization]\n";
  AppendToml(&toml, config.optimization, "optimization");
  return toml;
}

Result<OptimizationConfig> OptimizationConfigFromJson(std::string_view json) {
  EF_ASSIGN_OR_RETURN(const ConfigValue root, ParseJsonConfig(json, {}));
  return OptimizationOf(root, "");
}

Result<ModelConfig> ModelConfigFromJson(std::string_view json) {
  EF_ASSIGN_OR_RETURN(const ConfigValue root, ParseJsonConfig(json, {}));
  return ModelOf(root);
}

Result<OptimizationConfig> OptimizationConfigFromToml(std::string_view toml) {
  EF_ASSIGN_OR_RETURN(const ConfigValue root, ParseToml(toml, {}));
  return OptimizationOf(root, "");
}

Result<ModelConfig> ModelConfigFromToml(std::string_view toml) {
  EF_ASSIGN_OR_RETURN(const ConfigValue root, ParseToml(toml, {}));
  return ModelOf(root);
}

}  // namespace embedflow
