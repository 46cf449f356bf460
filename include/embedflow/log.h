// What the library says while it works. Nothing is written below the level in force; the default is
// kWarning.
#ifndef EMBEDFLOW_LOG_H_
#define EMBEDFLOW_LOG_H_

#include <functional>
#include <string_view>

namespace embedflow {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// Threads: any. Takes effect for lines written afterwards.
void SetLogLevel(LogLevel level);

// Where lines go; the default writes `level=... msg="..."` to standard error. The sink gets
// finished lines: keys redacted, control bytes escaped. It may be called from any thread, one call
// at a time. Passing an empty function restores the default.
void SetLogSink(std::function<void(LogLevel level, std::string_view message)> sink);

}  // namespace embedflow

#endif  // EMBEDFLOW_LOG_H_
