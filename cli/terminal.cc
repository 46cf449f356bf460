#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace embedflow::cli {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool LocaleIsUtf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value = Environment(name);
    if (value.empty()) continue;  // POSIX: an empty one does not count.
    std::transform(value.begin(), value.end(), value.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace

Stream Examine(int fd, std::string_view when) {
  Stream stream;
  stream.fd = fd;
  const std::string term = Environment("TERM");
  stream.is_terminal = isatty(fd) == 1 && !term.empty() && term != "dumb";
  stream.utf8 = LocaleIsUtf8();
  if (when == "always" || when == "never") {
    stream.colour = when == "always";
  } else if (!Environment("NO_COLOR").empty()) {
    stream.colour = false;
  } else {
    const std::string force = Environment("CLICOLOR_FORCE");
    stream.colour = (!force.empty() && force != "0") || stream.is_terminal;
  }
  return stream;
}

std::size_t ColumnsOf(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultColumns;
  return size.ws_col;
}

std::string Bold(std::string text, bool colour) {
  return colour ? "\x1b[1m" + std::move(text) + "\x1b[0m" : std::move(text);
}
std::string Red(std::string text, bool colour) {
  return colour ? "\x1b[31m" + std::move(text) + "\x1b[0m" : std::move(text);
}

}  // namespace embedflow::cli
