#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <string>

#include "base/json_writer.h"
#include "base/mutex.h"
#include "base/utf8.h"

namespace embedflow {
namespace {

std::atomic<int> level_in_force{static_cast<int>(LogLevel::kWarning)};

struct Shared {
  Mutex mu;
  std::function<void(LogLevel, std::string_view)> sink EF_GUARDED_BY(mu);
};
Shared& TheLog() {
  static Shared shared;
  return shared;
}

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      return "off";
  }
  return "off";
}

}  // namespace

void SetLogLevel(LogLevel level) { level_in_force = static_cast<int>(level); }

bool LogEnabled(LogLevel level) {
  return static_cast<int>(level) >= level_in_force.load(std::memory_order_relaxed);
}

void SetLogSink(std::function<void(LogLevel, std::string_view)> sink) {
  Shared& log = TheLog();
  MutexLock lock(log.mu);
  log.sink = std::move(sink);
}

void Log(LogLevel level, std::string_view message) {
  if (!LogEnabled(level) || level == LogLevel::kOff) return;
  const std::string line = EscapeControl(Redact(message));
  Shared& log = TheLog();
  MutexLock lock(log.mu);
  if (log.sink) {
    log.sink(level, line);
    return;
  }
  std::string out = std::string("level=") + LevelName(level) + " msg=";
  AppendJsonString(&out, line);
  out += '\n';
  std::fwrite(out.data(), 1, out.size(), stderr);
}

}  // namespace embedflow
