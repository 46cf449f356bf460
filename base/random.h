// The only source of randomness: seeded, passed by reference, so that every run can be repeated.
#ifndef EMBEDFLOW_BASE_RANDOM_H_
#define EMBEDFLOW_BASE_RANDOM_H_

#include <cstdint>

namespace embedflow {

// SplitMix64 (Steele, Lea, Flood 2014): small, fast, good enough for jitter and tests; not for
// secrets. Threads: not thread-safe.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  // In [0, bound); `bound` must be positive. The bias below 2^-32 for bounds below 2^32 is
  // accepted.
  std::uint64_t Below(std::uint64_t bound) { return Next() % bound; }
  // In [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_BASE_RANDOM_H_
