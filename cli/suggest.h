// The nearest name to a mistyped one. Threads: pure functions.
#ifndef EMBEDFLOW_CLI_SUGGEST_H_
#define EMBEDFLOW_CLI_SUGGEST_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace embedflow::cli {

// Letters to insert, delete, change or swap with their neighbour to make `b` of `a`.
std::size_t EditDistance(std::string_view a, std::string_view b);

// The name nearest to `word`, or empty if none is near: at most a third of its letters are wrong,
// or one of the two begins with the other. The first of several equally near ones.
std::string_view Nearest(std::string_view word, std::span<const std::string_view> names);

// "; a similar one is NAME", or empty.
std::string SimilarOne(std::string_view word, std::span<const std::string_view> names);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_SUGGEST_H_
