#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <string>
#include <vector>

#include "base/json_writer.h"
#include "base/mutex.h"
#include "base/utf8.h"

namespace embedflow {
namespace {

std::string Base64(std::string_view text) {
  static const char* kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    unsigned value = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      value = (value << 8) | (i + j < text.size() ? static_cast<unsigned char>(text[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j <= text.size() ? kAlphabet[(value >> (18 - 6 * j)) & 63u] : '=';
    }
  }
  return out;
}

std::string UrlEscape(std::string_view text) {
  static const char* kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kDigits[static_cast<unsigned char>(c) >> 4];
      out += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

void ReplaceAll(std::string* text, std::string_view from, std::string_view to) {
  for (std::size_t at = text->find(from); at != std::string::npos;
       at = text->find(from, at + to.size())) {
    text->replace(at, from.size(), to);
  }
}

std::atomic<int> level_in_force{static_cast<int>(LogLevel::kWarning)};

struct Shared {
  Mutex mu;
  std::vector<std::string> secrets EF_GUARDED_BY(mu);
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

void RegisterSecret(std::string_view secret) {
  if (secret.empty()) return;
  std::string json;
  AppendJsonString(&json, secret);
  std::vector<std::string> forms = {std::string(secret), Base64(secret), UrlEscape(secret),
                                    json.substr(1, json.size() - 2)};
  // Providers echo keys cut short: the first part is a secret too, if it is long enough to mean
  // this key.
  if (secret.size() >= 16) forms.emplace_back(secret.substr(0, 8));
  Shared& log = TheLog();
  MutexLock lock(log.mu);
  for (std::string& form : forms) log.secrets.push_back(std::move(form));
}

std::string Redact(std::string_view text) {
  std::string out(text);
  {
    Shared& log = TheLog();
    MutexLock lock(log.mu);
    for (const std::string& secret : log.secrets) ReplaceAll(&out, secret, "[key]");
  }
  constexpr std::string_view kBearer = "Bearer ";
  for (std::size_t at = out.find(kBearer); at != std::string::npos; at = out.find(kBearer, at)) {
    at += kBearer.size();
    std::size_t end = at;
    while (end < out.size() && out[end] > ' ' && out[end] != '"' && out[end] != '\'') ++end;
    out.replace(at, end - at, "[key]");
  }
  return out;
}

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
