// What the standard streams are: terminal or pipe, how wide, which letters, colour or not.
// Threads: values; the functions read the environment and may be called by one thread.
#ifndef EMBEDFLOW_CLI_TERMINAL_H_
#define EMBEDFLOW_CLI_TERMINAL_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace embedflow::cli {

inline constexpr std::size_t kDefaultColumns = 80;

struct Stream {
  int fd = 2;
  bool is_terminal = false;  // And one that understands ESC: TERM is neither empty nor "dumb".
  bool utf8 = false;
  bool colour = false;
};

// `when` is "auto", "always" or "never". Order: `when`, NO_COLOR, CLICOLOR_FORCE, the terminal.
Stream Examine(int fd, std::string_view when);

// Columns of the terminal at `fd`; 80 when it does not say or says 0.
std::size_t ColumnsOf(int fd);

std::string Bold(std::string text, bool colour);
std::string Red(std::string text, bool colour);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_TERMINAL_H_
