#include "stages/packer.h"

#include <algorithm>
#include <cmath>

namespace embedflow {

bool Packer::MustCloseBefore(const PackCost& text) const {
  if (inputs_ == 0) return false;
  if (inputs_ + 1 > limits_.inputs_max) return true;
  if (limits_.model_tokens_max &&
      static_cast<double>(cost_.model_tokens + text.model_tokens) * token_ratio_ >
          static_cast<double>(*limits_.model_tokens_max)) {
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

void Packer::Lower(const LearntCaps& caps) {
  if (caps.inputs_max) {
    limits_.inputs_max = std::min(limits_.inputs_max, std::max<std::size_t>(1, *caps.inputs_max));
  }
  if (caps.model_tokens_max) {
    const std::size_t learnt = std::max<std::size_t>(1, *caps.model_tokens_max);
    limits_.model_tokens_max = std::min(limits_.model_tokens_max.value_or(learnt), learnt);
  }
}

void Packer::SetTokenRatio(double ratio) {
  if (std::isfinite(ratio) && ratio > 0) token_ratio_ = ratio;
}

}  // namespace embedflow
