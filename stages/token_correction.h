// What the bill says, by our estimate of model tokens: learnt from the `usage` of replies, so that
// packing and limits go by the provider's count. Threads: not thread-safe.
#ifndef EMBEDFLOW_STAGES_TOKEN_CORRECTION_H_
#define EMBEDFLOW_STAGES_TOKEN_CORRECTION_H_

#include <cstddef>
#include <cstdint>

namespace embedflow {

class TokenCorrection {
 public:
  // A request of `estimated` tokens was billed as `billed`. Both above 0 to count; a bill more than
  // 16 times off is not believed.
  void Learn(std::size_t estimated, std::uint64_t billed);
  // In [1/16, 16]; 1 before anything was learnt. An average weighted by tokens that forgets: the
  // last 100 requests or so count.
  double ratio() const;
  double Corrected(std::size_t estimated) const;

 private:
  double estimated_ = 0;
  double billed_ = 0;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_TOKEN_CORRECTION_H_
