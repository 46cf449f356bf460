#include "stages/packer.h"

namespace embedflow {

bool Packer::MustCloseBefore(const PackCost& text) const {
  if (inputs_ == 0) return false;
  if (inputs_ + 1 > limits_.inputs_max) return true;
  if (limits_.model_tokens_max &&
      cost_.model_tokens + text.model_tokens > *limits_.model_tokens_max) {
    return true;
  }
  return cost_.bytes + text.bytes > limits_.body_bytes_max;
}

bool Packer::Add(const PackCost& text) {
  ++inputs_;
  cost_.model_tokens += text.model_tokens;
  cost_.bytes += text.bytes;
  return inputs_ >= limits_.inputs_max;
}

void Packer::Close() {
  inputs_ = 0;
  cost_ = {};
}

}  // namespace embedflow
