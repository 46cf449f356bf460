#include "cli/suggest.h"

#include <algorithm>
#include <vector>

namespace embedflow::cli {
namespace {

// Longer words are no typing errors, and the table below is quadratic.
constexpr std::size_t kWordBytesMax = 64;
// What two words must share at their beginning to be taken for one another.
constexpr std::size_t kPrefixBytesMin = 3;

std::string_view WithoutDashes(std::string_view name) {
  const std::size_t begin = name.find_first_not_of('-');
  return begin == std::string_view::npos ? std::string_view() : name.substr(begin);
}

bool SharesPrefix(std::string_view a, std::string_view b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  return shorter >= kPrefixBytesMin && a.substr(0, shorter) == b.substr(0, shorter);
}

}  // namespace

std::size_t EditDistance(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> table((a.size() + 1) * width);
  const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& {
    return table[i * width + j];
  };
  for (std::size_t i = 0; i <= a.size(); ++i) at(i, 0) = i;
  for (std::size_t j = 0; j <= b.size(); ++j) at(0, j) = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = at(i - 1, j - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
      }
    }
  }
  return at(a.size(), b.size());
}

std::string_view Nearest(std::string_view word, std::span<const std::string_view> names) {
  const std::string_view bare = WithoutDashes(word);
  if (bare.empty() || bare.size() > kWordBytesMax) return {};
  std::string_view nearest;
  std::size_t least = kWordBytesMax * 2;
  for (const std::string_view name : names) {
    const std::string_view candidate = WithoutDashes(name);
    const std::size_t distance = EditDistance(bare, candidate);
    const bool is_near =
        distance * 3 <= std::max(bare.size(), candidate.size()) || SharesPrefix(bare, candidate);
    if (is_near && distance < least) {
      least = distance;
      nearest = name;
    }
  }
  return nearest;
}

std::string SimilarOne(std::string_view word, std::span<const std::string_view> names) {
  const std::string_view nearest = Nearest(word, names);
  return nearest.empty() ? std::string() : "; a similar one is " + std::string(nearest);
}

}  // namespace embedflow::cli
