// Packs texts into requests by inputs, model tokens and bytes at once, in the order they come.
// Model tokens are our estimate times a ratio learnt from the bills; caps can be lowered on the
// way. Threads: not thread-safe; the graph runs it in a serial node.
#ifndef EMBEDFLOW_STAGES_PACKER_H_
#define EMBEDFLOW_STAGES_PACKER_H_

#include <cstddef>

#include "embedflow/provider.h"

namespace embedflow {

// What a text adds to a request.
struct PackCost {
  std::size_t model_tokens = 0;
  std::size_t bytes = 0;
};

// Says for each text whether the open request must be closed before it is added. It counts; the
// caller keeps the texts.
class Packer {
 public:
  explicit Packer(const RequestLimits& limits) : limits_(limits) {}

  // True if `text` does not fit into the open request, which must then be closed (Close) first.
  // Never true for an empty request: a text above the caps travels alone, and the provider decides.
  bool MustCloseBefore(const PackCost& text) const;
  // Counts `text` in; returns true if the request is now full and must be closed.
  bool Add(const PackCost& text);
  void Close();
  // Lowers the caps by what an error text has told; caps never rise again. 0 counts as 1. The open
  // request may then be above them; it must be closed before anything else is added.
  void Lower(const LearntCaps& caps);
  // The provider's count by our estimate (TokenCorrection::ratio()), from now on.
  void SetTokenRatio(double ratio);
  const RequestLimits& limits() const { return limits_; }
  std::size_t inputs() const { return inputs_; }
  const PackCost& cost() const { return cost_; }

 private:
  RequestLimits limits_;
  double token_ratio_ = 1;
  std::size_t inputs_ = 0;
  PackCost cost_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_PACKER_H_
