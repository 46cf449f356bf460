#include "base/config_value.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "base/json_reader.h"
#include "base/json_writer.h"
#include "base/utf8.h"

namespace embedflow {
namespace {

constexpr std::size_t kQuotedBytesMax = 60;

using Kind = ConfigValue::Kind;

const char* KindName(Kind kind) {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return "a boolean";
    case Kind::kInteger:
      return "a whole number";
    case Kind::kFloat:
      return "a number";
    case Kind::kString:
      return "a string";
    case Kind::kArray:
      return "an array";
    case Kind::kTable:
      return "a table";
  }
  return "";
}

// What a message repeats of a wrong value. Strings stay out: one might be a key in the wrong place.
std::string Shown(const ConfigValue& value) {
  if (value.kind == Kind::kBool) return value.boolean ? "true" : "false";
  if (value.kind == Kind::kInteger || value.kind == Kind::kFloat) {
    return EscapeControl(value.text, kQuotedBytesMax);
  }
  return KindName(value.kind);
}

// Builds the tree from the events of the parser, which bounds its depth.
class TreeBuilder final : public JsonHandler {
 public:
  bool Null() override { return Put({}); }
  bool Bool(bool value) override {
    ConfigValue made;
    made.kind = Kind::kBool;
    made.boolean = value;
    return Put(std::move(made));
  }
  bool Number(std::string_view text) override {
    ConfigValue made;
    made.text = text;
    const char* end = text.data() + text.size();
    const auto whole = std::from_chars(text.data(), end, made.integer);
    if (whole.ec == std::errc() && whole.ptr == end) {
      made.kind = Kind::kInteger;
      made.number = static_cast<double>(made.integer);
      return Put(std::move(made));
    }
    made.kind = Kind::kFloat;
    const auto real = std::from_chars(text.data(), end, made.number);
    if (real.ec != std::errc()) made.number = std::numeric_limits<double>::infinity();
    return Put(std::move(made));
  }
  bool String(std::string_view value) override {
    ConfigValue made;
    made.kind = Kind::kString;
    made.text = value;
    return Put(std::move(made));
  }
  bool StartObject() override { return Start(Kind::kTable); }
  bool Key(std::string_view name) override {
    if (open_.back().Find(name) != nullptr) {
      error_ = "the name " + EscapeControl(name, kQuotedBytesMax) + " comes twice";
      return false;
    }
    names_.back() = name;
    return true;
  }
  bool EndObject() override { return End(); }
  bool StartArray() override { return Start(Kind::kArray); }
  bool EndArray() override { return End(); }

  ConfigValue Take() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  bool Start(Kind kind) {
    open_.emplace_back().kind = kind;
    names_.emplace_back();
    return true;
  }
  bool End() {
    ConfigValue made = std::move(open_.back());
    open_.pop_back();
    names_.pop_back();
    return Put(std::move(made));
  }
  bool Put(ConfigValue made) {
    if (open_.empty()) {
      root_ = std::move(made);
    } else if (open_.back().kind == Kind::kArray) {
      open_.back().items.push_back(std::move(made));
    } else {
      open_.back().members.push_back({names_.back(), std::move(made)});
    }
    return true;
  }

  ConfigValue root_;
  std::vector<ConfigValue> open_;   // From the outermost to the innermost.
  std::vector<std::string> names_;  // The member under way of each.
  std::string error_;
};

}  // namespace

const ConfigValue* ConfigValue::Find(std::string_view name) const {
  for (const ConfigMember& member : members) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

Result<ConfigValue> ParseJsonConfig(std::string_view json, const ConfigLimits& limits) {
  if (json.size() > limits.bytes_max) {
    return Status(Code::kInvalidArgument,
                  "not JSON: longer than " + std::to_string(limits.bytes_max) + " bytes");
  }
  if (!IsValidUtf8(json)) return Status(Code::kInvalidArgument, "not JSON: not UTF-8");
  TreeBuilder builder;
  const Status status = ParseJson(json, limits.depth_max, &builder);
  if (!builder.error().empty()) return Status(Code::kInvalidArgument, builder.error());
  EF_RETURN_IF_ERROR(status);
  ConfigValue root = builder.Take();
  if (root.kind != Kind::kTable) {
    return Status(Code::kInvalidArgument,
                  "must be a JSON object, got " + std::string(KindName(root.kind)));
  }
  return root;
}

void AppendConfigAsJson(std::string* out, const ConfigValue& value) {
  const char* comma = "";
  switch (value.kind) {
    case Kind::kNull:
      *out += "null";
      return;
    case Kind::kBool:
      *out += value.boolean ? "true" : "false";
      return;
    case Kind::kInteger:
    case Kind::kFloat:
      *out += value.text;
      return;
    case Kind::kString:
      AppendJsonString(out, value.text);
      return;
    case Kind::kArray:
      *out += '[';
      for (const ConfigValue& item : value.items) {
        *out += std::exchange(comma, ",");
        AppendConfigAsJson(out, item);
      }
      *out += ']';
      return;
    case Kind::kTable:
      *out += '{';
      for (const ConfigMember& member : value.members) {
        *out += std::exchange(comma, ",");
        AppendJsonString(out, member.name);
        *out += ':';
        AppendConfigAsJson(out, member.value);
      }
      *out += '}';
      return;
  }
}

std::string ConfigPlace(const ConfigValue& value) {
  if (value.line == 0) return {};
  return "line " + std::to_string(value.line) + ", column " + std::to_string(value.column) + ": ";
}

ConfigTable::ConfigTable(const ConfigValue& value, std::string path)
    : value_(value), path_(std::move(path)) {
  if (value_.kind == Kind::kTable) return;
  status_ = Status(Code::kInvalidArgument, ConfigPlace(value_) +
                                               (path_.empty() ? "the configuration" : path_) +
                                               " must be a table of fields, got " + Shown(value_));
}

const ConfigValue* ConfigTable::Take(std::string_view name) {
  taken_.emplace(name);
  return status_.ok() ? value_.Find(name) : nullptr;
}

std::string ConfigTable::PathOf(std::string_view name) const {
  const std::string shown = EscapeControl(name, kQuotedBytesMax);
  return path_.empty() ? shown : path_ + "." + shown;
}

void ConfigTable::Fail(const Status& status) {
  if (status_.ok()) status_ = status;
}

void ConfigTable::Fail(std::string_view name, const ConfigValue& value, std::string_view must) {
  Fail(Status(Code::kInvalidArgument, ConfigPlace(value) + PathOf(name) + " must be " +
                                          std::string(must) + ", got " + Shown(value)));
}

Status ConfigTable::Finish() {
  EF_RETURN_IF_ERROR(status_);
  for (const ConfigMember& member : value_.members) {
    if (taken_.contains(member.name)) continue;
    return {Code::kInvalidArgument,
            ConfigPlace(member.value) + "there is no field " + PathOf(member.name)};
  }
  return {};
}

void ConfigTable::Convert(std::string_view name, const ConfigValue& value, bool* field) {
  if (value.kind != Kind::kBool) return Fail(name, value, "true or false");
  *field = value.boolean;
}

void ConfigTable::Convert(std::string_view name, const ConfigValue& value, double* field) {
  const bool is_number = value.kind == Kind::kInteger || value.kind == Kind::kFloat;
  if (!is_number || !std::isfinite(value.number)) return Fail(name, value, "a number");
  *field = value.number;
}

void ConfigTable::Convert(std::string_view name, const ConfigValue& value, std::string* field) {
  if (value.kind != Kind::kString) return Fail(name, value, "a string");
  *field = value.text;
}

void ConfigTable::Convert(std::string_view name, const ConfigValue& value,
                          std::vector<std::string>* field) {
  std::vector<std::string> read;
  bool all = value.kind == Kind::kArray;
  for (const ConfigValue& item : value.items) {
    all = all && item.kind == Kind::kString;
    read.push_back(item.text);
  }
  if (!all) return Fail(name, value, "an array of strings");
  *field = std::move(read);
}

bool ConfigTable::Whole(std::string_view name, const ConfigValue& value, std::int64_t least,
                        std::int64_t most, std::int64_t* field) {
  if (value.kind != Kind::kInteger) {
    Fail(name, value, "a whole number");
    return false;
  }
  if (value.integer < least || value.integer > most) {
    Fail(name, value, "in [" + std::to_string(least) + ", " + std::to_string(most) + "]");
    return false;
  }
  *field = value.integer;
  return true;
}

}  // namespace embedflow
