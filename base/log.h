// One log, to standard error, in logfmt: `level=info msg="..."`. Every line is escaped and passes
// the redactor.
#ifndef EMBEDFLOW_BASE_LOG_H_
#define EMBEDFLOW_BASE_LOG_H_

#include <string>
#include <string_view>

#include "embedflow/log.h"

namespace embedflow {

// Registers a secret: from now on Redact() replaces it by "[key]" wherever it stands, as it is,
// with any of its bytes escaped (%41, \u0041, \", &#65;), in base64 of any alignment and either
// alphabet, in hexadecimal, and cut off after its first 8 bytes if it has 16. Kept until the
// process ends. Threads: any.
void RegisterSecret(std::string_view secret);
// `text` without registered secrets, and without what looks like one: what follows "Bearer ",
// "Basic ", "key=", "token=", "secret=" or "password=" (8 bytes or more), words like "sk-..." and
// "AIza...", and the user and password of an address. Everything that others wrote passes here
// before it is printed or stored. Threads: any.
std::string Redact(std::string_view text);

// Writes one line if `level` is at or above the level in force. Threads: any.
void Log(LogLevel level, std::string_view message);
bool LogEnabled(LogLevel level);

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_LOG_H_
