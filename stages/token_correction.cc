#include "stages/token_correction.h"

#include <algorithm>

namespace embedflow {
namespace {

constexpr double kOffMax = 16;
// What a request weighs after each further one: the last hundred or so count.
constexpr double kKept = 0.99;

}  // namespace

void TokenCorrection::Learn(std::size_t estimated, std::uint64_t billed) {
  if (estimated == 0 || billed == 0) return;
  const auto ours = static_cast<double>(estimated);
  const auto theirs = static_cast<double>(billed);
  if (theirs > ours * kOffMax || ours > theirs * kOffMax) return;
  estimated_ = estimated_ * kKept + ours;
  billed_ = billed_ * kKept + theirs;
}

double TokenCorrection::ratio() const {
  if (estimated_ <= 0) return 1;
  return std::clamp(billed_ / estimated_, 1 / kOffMax, kOffMax);
}

double TokenCorrection::Corrected(std::size_t estimated) const {
  return static_cast<double>(estimated) * ratio();
}

}  // namespace embedflow
