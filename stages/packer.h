// Packs texts into requests by inputs, model tokens and bytes at once, in the order they come.
// Threads: not thread-safe; the graph runs it in a serial node.
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
  std::size_t inputs() const { return inputs_; }
  const PackCost& cost() const { return cost_; }

 private:
  const RequestLimits limits_;
  std::size_t inputs_ = 0;
  PackCost cost_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_PACKER_H_
