// Numbers, times and text for people. Threads: pure functions.
#ifndef EMBEDFLOW_CLI_FORMAT_H_
#define EMBEDFLOW_CLI_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace embedflow::cli {

// "3,045,670".
std::string WithCommas(std::uint64_t value);
// Decimal, with k, M, G: "333.6 M", "910".
std::string Short(double value);
// Decimal bytes: "21.6 GB", "512 B".
std::string Bytes(std::uint64_t bytes);
// "0.4 s", "9 s", "53 min", "1 h 12 min".
std::string Duration(double seconds);
// "$10.42"; four decimals below $1; never "$0.00" for something that cost.
std::string Usd(double usd);
// "1 document", "2 documents".
std::string Count(std::uint64_t count, std::string_view noun);

// Columns that `text` (valid UTF-8 without control bytes) takes on a terminal.
std::size_t Columns(std::string_view text);
// `text` cut to at most `columns`, with "..." or "…" at its end where something was cut.
std::string CutToColumns(std::string_view text, std::size_t columns, bool utf8);
std::string PadRight(std::string text, std::size_t columns);
std::string PadLeft(const std::string& text, std::size_t columns);

// Lines of at most `columns`, broken at spaces; a longer word is broken where it must be.
std::vector<std::string> Wrap(std::string_view text, std::size_t columns);
// Runs of white space as single spaces, and fit for a terminal.
std::string OneLine(std::string_view text);

// `word` as a POSIX shell reads it back: quoted if it must be.
std::string ShellQuoted(std::string_view word);
std::string ShellQuoted(const std::vector<std::string>& words);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_FORMAT_H_
