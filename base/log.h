// One log, to standard error, in logfmt: `level=info msg="..."`. Every line is escaped and passes
// the redactor.
#ifndef EMBEDFLOW_BASE_LOG_H_
#define EMBEDFLOW_BASE_LOG_H_

#include <string>
#include <string_view>

#include "embedflow/log.h"

namespace embedflow {

// Registers a secret: from now on its bytes, and their base64, URL- and JSON-escaped forms, are
// replaced by "[key]" in everything that passes Redact(). Threads: any.
void RegisterSecret(std::string_view secret);
// `text` without registered secrets and without what follows "Bearer ".
std::string Redact(std::string_view text);

// Writes one line if `level` is at or above the level in force. Threads: any.
void Log(LogLevel level, std::string_view message);
bool LogEnabled(LogLevel level);

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_LOG_H_
