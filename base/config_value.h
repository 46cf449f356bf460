// A configuration as it was written: JSON and TOML become the same plain tree, and one reader takes
// typed fields out of it, so that both have the same names, ranges and messages.
//   EF_ASSIGN_OR_RETURN(const ConfigValue root, ParseToml(text, {}));
//   ConfigTable table(root, "");
//   table.Read("seed", &seed);
//   if (const ConfigValue* part = table.Take("latency")) ...ConfigTable(*part, table.PathOf(...))
//   EF_RETURN_IF_ERROR(table.Finish());
// Threads: plain values; a ConfigTable belongs to one thread.
#ifndef EMBEDFLOW_BASE_CONFIG_VALUE_H_
#define EMBEDFLOW_BASE_CONFIG_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "embedflow/status.h"

namespace embedflow {

struct ConfigMember;

struct ConfigValue {
  enum class Kind { kNull, kBool, kInteger, kFloat, kString, kArray, kTable };
  Kind kind = Kind::kNull;
  bool boolean = false;
  std::int64_t integer = 0;           // kInteger.
  double number = 0;                  // kInteger and kFloat.
  std::string text;                   // kString: the value. Numbers: as JSON writes them.
  std::vector<ConfigValue> items;     // kArray.
  std::vector<ConfigMember> members;  // kTable, in the order of the text; names are unique.
  // Where it stands in a TOML text, from 1; 0: unknown.
  std::size_t line = 0;
  std::size_t column = 0;

  // Null if there is no such member.
  const ConfigValue* Find(std::string_view name) const;
};

struct ConfigMember {
  std::string name;
  ConfigValue value;
};

// What a text may be; beyond it, it is refused.
struct ConfigLimits {
  std::size_t bytes_max = 1u << 20;
  int depth_max = 32;  // Tables and arrays inside each other, at most 32.
};

// The tree of one JSON object. Errors: kInvalidArgument "not JSON: ..."; a name that comes twice in
// one object; a text that is no object.
Result<ConfigValue> ParseJsonConfig(std::string_view json, const ConfigLimits& limits);

// `value` as compact JSON. Infinities and NaN, which TOML has, become null.
void AppendConfigAsJson(std::string* out, const ConfigValue& value);

// "line 3, column 7: " in front of a message, or "" where the place is unknown.
std::string ConfigPlace(const ConfigValue& value);

// Takes the fields of one table. The first error is kept and ends the reading: what comes after it
// changes nothing.
class ConfigTable {
 public:
  // `value` must outlive the reader. `path` names it in messages: "" or "optimization".
  ConfigTable(const ConfigValue& value, std::string path);

  // Each leaves `field` as it is when there is no member of that name. Errors: another type, a
  // whole number that does not fit `field`; null, unless `field` is optional, which it then unsets.
  template <typename T>
  void Read(std::string_view name, T* field) {
    const ConfigValue* value = Take(name);
    if (value != nullptr) Convert(name, *value, field);
  }
  template <typename T>
  void Read(std::string_view name, std::optional<T>* field) {
    const ConfigValue* value = Take(name);
    if (value == nullptr) return;
    if (value->kind == ConfigValue::Kind::kNull) {
      field->reset();
      return;
    }
    T read{};
    Convert(name, *value, &read);
    if (status_.ok()) *field = std::move(read);
  }

  // The member, which counts as known from then on; null when there is none or after an error.
  const ConfigValue* Take(std::string_view name);
  // "optimization.timeout_seconds".
  std::string PathOf(std::string_view name) const;
  // Keeps `status` as the error of this table, if it is one and the first.
  void Fail(const Status& status);
  // An error about a member: its place, its path, what it must be.
  void Fail(std::string_view name, const ConfigValue& value, std::string_view must);

  // The first error, else one for a member that nobody took.
  Status Finish();

 private:
  void Convert(std::string_view name, const ConfigValue& value, bool* field);
  void Convert(std::string_view name, const ConfigValue& value, double* field);
  void Convert(std::string_view name, const ConfigValue& value, std::string* field);
  void Convert(std::string_view name, const ConfigValue& value, std::vector<std::string>* field);
  template <typename T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)  //
      void Convert(std::string_view name, const ConfigValue& value, T* field) {
    std::int64_t read = 0;
    constexpr std::int64_t kMost = sizeof(T) < 8
                                       ? static_cast<std::int64_t>(std::numeric_limits<T>::max())
                                       : std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t kLeast =
        std::is_signed_v<T> ? static_cast<std::int64_t>(std::numeric_limits<T>::min()) : 0;
    if (Whole(name, value, kLeast, kMost, &read)) *field = static_cast<T>(read);
  }
  bool Whole(std::string_view name, const ConfigValue& value, std::int64_t least, std::int64_t most,
             std::int64_t* field);

  const ConfigValue& value_;
  const std::string path_;
  std::set<std::string, std::less<>> taken_;
  Status status_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_CONFIG_VALUE_H_
