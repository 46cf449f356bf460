// A TOML file of settings, flattened to names and values, for programs whose options a user may
// keep in a file.
// Threads: a pure function but for reading the file.
#ifndef EMBEDFLOW_CONFIG_FILE_H_
#define EMBEDFLOW_CONFIG_FILE_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "embedflow/status.h"

namespace embedflow {

struct ConfigSetting {
  enum class Kind { kBool, kNumber, kString, kJson };
  std::string path;  // "optimization.max_retries".
  Kind kind = Kind::kString;
  // As text: "true", "1.5", the string, the JSON object. One; of an array, one an item of `kind`.
  std::vector<std::string> values;
  bool is_array = false;
  std::size_t line = 0;  // From 1.
};

// The settings of the file, at most 1 MiB, in the order of the text. Tables become paths; those
// named in `whole` stay whole, as JSON. Errors: kInvalidArgument "FILE, line 3, column 7: ...",
// also for a file that cannot be read, and for arrays of tables, of arrays or of mixed types.
Result<std::vector<ConfigSetting>> ReadConfigFile(const std::string& file,
                                                  std::span<const std::string_view> whole);

}  // namespace embedflow

#endif  // EMBEDFLOW_CONFIG_FILE_H_
