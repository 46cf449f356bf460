#include "embedflow/config_file.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#include "base/config_value.h"
#include "base/toml_reader.h"
#include "base/utf8.h"

namespace embedflow {
namespace {

constexpr std::size_t kNameBytesMax = 400;

using Kind = ConfigValue::Kind;

Status Bad(const ConfigValue& value, const std::string& what) {
  return {Code::kInvalidArgument, ConfigPlace(value) + what};
}

// The kind of a scalar's setting and its text; false for anything else.
bool TakeScalar(const ConfigValue& value, ConfigSetting* setting) {
  switch (value.kind) {
    case Kind::kBool:
      setting->kind = ConfigSetting::Kind::kBool;
      setting->values.emplace_back(value.boolean ? "true" : "false");
      return true;
    case Kind::kInteger:
    case Kind::kFloat:
      setting->kind = ConfigSetting::Kind::kNumber;
      setting->values.push_back(value.text);
      return true;
    case Kind::kString:
      setting->kind = ConfigSetting::Kind::kString;
      setting->values.push_back(value.text);
      return true;
    default:
      return false;
  }
}

// Walks the tree, whose depth the reader has bounded.
Status Flatten(const ConfigValue& table, const std::string& prefix,
               std::span<const std::string_view> whole, std::vector<ConfigSetting>* out) {
  for (const ConfigMember& member : table.members) {
    ConfigSetting setting;
    setting.path = prefix + EscapeControl(member.name, kNameBytesMax);
    setting.line = member.value.line;
    const bool is_whole = std::find(whole.begin(), whole.end(), setting.path) != whole.end();
    if (member.value.kind == Kind::kTable && is_whole) {
      setting.kind = ConfigSetting::Kind::kJson;
      AppendConfigAsJson(&setting.values.emplace_back(), member.value);
    } else if (member.value.kind == Kind::kTable) {
      EF_RETURN_IF_ERROR(Flatten(member.value, setting.path + ".", whole, out));
      continue;
    } else if (member.value.kind == Kind::kArray) {
      setting.is_array = true;
      for (const ConfigValue& item : member.value.items) {
        const ConfigSetting::Kind before = setting.kind;
        const bool is_first = setting.values.empty();
        if (!TakeScalar(item, &setting) || (!is_first && setting.kind != before)) {
          return Bad(member.value, setting.path + " must be an array of one kind of value");
        }
      }
    } else {
      (void)TakeScalar(member.value, &setting);  // Nothing else is left, as TOML has no null.
    }
    out->push_back(std::move(setting));
  }
  return {};
}

Result<std::string> ReadWhole(const std::string& file, std::size_t bytes_max) {
  std::ifstream stream(file, std::ios::binary);
  std::string text;
  if (stream) {
    text.resize(bytes_max + 1);
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(stream.gcount()));
  }
  // A directory opens and fails to be read.
  if (!stream.is_open() || stream.bad()) {
    return Status(Code::kInvalidArgument,
                  "cannot be read: " + std::generic_category().message(errno == 0 ? EIO : errno));
  }
  return text;
}

Result<std::vector<ConfigSetting>> Read(const std::string& file,
                                        std::span<const std::string_view> whole) {
  const ConfigLimits limits;
  EF_ASSIGN_OR_RETURN(const std::string text, ReadWhole(file, limits.bytes_max));
  EF_ASSIGN_OR_RETURN(const ConfigValue root, ParseToml(text, limits));
  std::vector<ConfigSetting> settings;
  EF_RETURN_IF_ERROR(Flatten(root, "", whole, &settings));
  return settings;
}

}  // namespace

Result<std::vector<ConfigSetting>> ReadConfigFile(const std::string& file,
                                                  std::span<const std::string_view> whole) {
  Result<std::vector<ConfigSetting>> settings = Read(file, whole);
  if (settings.ok()) return settings;
  const std::string& message = settings.status().message();
  const std::string comma = message.starts_with("line ") ? ", " : ": ";
  return Status(Code::kInvalidArgument, EscapeControl(file, kNameBytesMax) + comma + message);
}

}  // namespace embedflow
