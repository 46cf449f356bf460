// Reads TOML into a plain tree. The only toml++ of the project is in toml_reader.cc.
// Threads: a pure function.
#ifndef EMBEDFLOW_BASE_TOML_READER_H_
#define EMBEDFLOW_BASE_TOML_READER_H_

#include <string_view>

#include "base/config_value.h"
#include "embedflow/status.h"

namespace embedflow {

// The tree of `toml`, a whole TOML document; every value knows its line and column. TOML has no
// null, so there is none in the tree. Dates and times are refused: nothing here has a use for them.
// Errors: kInvalidArgument "line 3, column 7: <what>"; longer or deeper than `limits`.
Result<ConfigValue> ParseToml(std::string_view toml, const ConfigLimits& limits);

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_TOML_READER_H_
