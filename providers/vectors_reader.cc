#include "providers/vectors_reader.h"

#include <algorithm>
#include <utility>

#include "providers/error_reply.h"

namespace embedflow {
namespace {

constexpr int kDepthMax = 64;
// Of any string that is not a vector. A run's memory is reckoned by what replies may hold.
constexpr std::size_t kStringBytesMax = 1u << 20;

Status NotVectors(std::string message) {
  return Status(Code::kUnavailable, std::move(message)).WithWord("bad_reply");
}

}  // namespace

VectorsReader::VectorsReader(std::unique_ptr<VectorsHandler> handler)
    : handler_(std::move(handler)),
      parser_(kDepthMax, std::max(kStringBytesMax, handler_->base64_bytes()), handler_.get()) {}

void VectorsReader::Take(std::string_view piece) {
  if (head_.size() < kHeadBytes) {
    head_ += piece.substr(0, std::min(piece.size(), kHeadBytes - head_.size()));
  }
  // What follows a fault is not read; Finish() tells of it.
  (void)parser_.Feed(piece);
}

Status VectorsReader::Finish(std::optional<std::uint64_t>* model_tokens) {
  const Status parsed = parser_.Finish();
  if (!handler_->refusal().empty()) return NotVectors(handler_->refusal());
  if (!parsed.ok()) return NotVectors("the reply is " + parsed.message());
  if (handler_->has_error()) {
    return NotVectors("the reply holds an error: " + DescribeError(head_));
  }
  if (std::string why = handler_->Finish(); !why.empty()) return NotVectors(std::move(why));
  *model_tokens = handler_->model_tokens();
  return {};
}

}  // namespace embedflow
