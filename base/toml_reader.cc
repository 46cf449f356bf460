#include "base/toml_reader.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <string>
#include <utility>

#include "base/json_writer.h"
#include "base/utf8.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 32
#include <toml++/toml.h>

namespace embedflow {
namespace {

using Kind = ConfigValue::Kind;

// Parts of one dotted key.
constexpr int kKeyPartsMax = 32;
constexpr std::size_t kMessageBytesMax = 200;

Status At(std::size_t line, std::size_t column, const std::string& what) {
  return {Code::kInvalidArgument,
          "line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + what};
}

// toml++ bounds the depth of values, not of dotted keys, and frees its tables by recursion: "a.a.a"
// of a megabyte would overflow the stack. Counts the parts of what may be a dotted key, in strings
// and comments as well, where so many without a comma or colon between them are rare.
Status CheckDottedKeys(std::string_view toml) {
  std::size_t line = 1;
  int parts = 0;
  bool has_part = false;
  for (const char c : toml) {
    const bool is_key_character = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                  (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '"' ||
                                  c == '\'' || (c & 0x80) != 0;
    if (is_key_character) {
      has_part = true;
    } else if (c == '.' && has_part) {
      has_part = false;
      if (++parts > kKeyPartsMax) {
        return At(line, 1, "a key has more than " + std::to_string(kKeyPartsMax) + " parts");
      }
    } else if (c != ' ' && c != '\t') {
      parts = 0;
      has_part = false;
      if (c == '\n') ++line;
    }
  }
  return {};
}

// A tree of toml++ to one of ours.
class Conversion {
 public:
  explicit Conversion(int depth_max) : depth_max_(depth_max) {}

  Status Convert(const toml::node& node, int depth, ConfigValue* out) {
    out->line = node.source().begin.line;
    out->column = node.source().begin.column;
    if (const toml::table* table = node.as_table()) return Table(*table, depth, out);
    if (const toml::array* array = node.as_array()) return Array(*array, depth, out);
    if (const auto* text = node.as_string()) {
      out->kind = Kind::kString;
      out->text = text->get();
    } else if (const auto* boolean = node.as_boolean()) {
      out->kind = Kind::kBool;
      out->boolean = boolean->get();
    } else if (const auto* integer = node.as_integer()) {
      out->kind = Kind::kInteger;
      out->integer = integer->get();
      out->number = static_cast<double>(out->integer);
      out->text = std::to_string(out->integer);
    } else if (const auto* real = node.as_floating_point()) {
      out->kind = Kind::kFloat;
      out->number = real->get();
      AppendJsonNumber(&out->text, out->number);
    } else {
      return At(out->line, out->column, "dates and times have no use here");
    }
    return {};
  }

 private:
  Status CheckDepth(int depth, const ConfigValue& value) const {
    if (depth < depth_max_) return {};
    return At(value.line, value.column,
              "nested deeper than " + std::to_string(depth_max_) + " levels");
  }

  Status Table(const toml::table& table, int depth, ConfigValue* out) {
    EF_RETURN_IF_ERROR(CheckDepth(depth, *out));
    out->kind = Kind::kTable;
    for (const auto& [key, node] : table) {
      ConfigMember& member = out->members.emplace_back();
      member.name = key.str();
      EF_RETURN_IF_ERROR(Convert(node, depth + 1, &member.value));
      // A name is a better place than what stands behind it.
      member.value.line = key.source().begin.line;
      member.value.column = key.source().begin.column;
    }
    const auto earlier = [](const ConfigMember& a, const ConfigMember& b) {
      return std::pair(a.value.line, a.value.column) < std::pair(b.value.line, b.value.column);
    };
    std::stable_sort(out->members.begin(), out->members.end(), earlier);
    return {};
  }

  Status Array(const toml::array& array, int depth, ConfigValue* out) {
    EF_RETURN_IF_ERROR(CheckDepth(depth, *out));
    out->kind = Kind::kArray;
    for (const toml::node& node : array) {
      EF_RETURN_IF_ERROR(Convert(node, depth + 1, &out->items.emplace_back()));
    }
    return {};
  }

  const int depth_max_;
};

}  // namespace

Result<ConfigValue> ParseToml(std::string_view toml, const ConfigLimits& limits) {
  if (toml.size() > limits.bytes_max) {
    return Status(Code::kInvalidArgument,
                  "longer than " + std::to_string(limits.bytes_max) + " bytes");
  }
  EF_RETURN_IF_ERROR(CheckDottedKeys(toml));
  try {
    const toml::parse_result parsed = toml::parse(toml);
    if (!parsed) {
      const toml::parse_error& error = parsed.error();
      return At(error.source().begin.line, error.source().begin.column,
                EscapeControl(error.description(), kMessageBytesMax));
    }
    ConfigValue root;
    EF_RETURN_IF_ERROR(Conversion(limits.depth_max).Convert(parsed.table(), 0, &root));
    root.line = 0;
    return root;
  } catch (const std::exception& error) {
    return Status(Code::kInvalidArgument,
                  "not TOML: " + EscapeControl(error.what(), kMessageBytesMax));
  }
}

}  // namespace embedflow
