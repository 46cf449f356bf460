// Embeds a few texts now, outside of a run: for a search, or to compare endpoints.
#ifndef EMBEDFLOW_CORPUS_QUERY_H_
#define EMBEDFLOW_CORPUS_QUERY_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "embedflow/provider.h"
#include "embedflow/status.h"

namespace embedflow {

// Row i for texts[i]. As EmbedQuery below, in one request; the texts must keep the limits of one.
// `spent`, unless null, gets what was sent and billed added.
struct EmbedNowOptions {
  std::chrono::milliseconds timeout{30000};  // Of each attempt.
  // Asked ten times a second; once true, all is given up with kCancelled. Empty: never.
  std::function<bool()> is_stopped = {};
};
struct EmbedNowCost {
  std::uint64_t requests = 0;
  std::uint64_t model_tokens = 0;
};
Result<std::vector<float>> EmbedNow(const Provider& provider,
                                    std::span<const std::string_view> texts,
                                    const EmbedNowOptions& options = {},
                                    EmbedNowCost* spent = nullptr);

// Blocks: for a remote provider it sends a request, and up to two retries. `text` is valid UTF-8
// and not blank. Errors: the provider's outcome (kRefused, kUnavailable), kInvalidArgument if it
// refuses the text.
Result<std::vector<float>> EmbedQuery(const Provider& provider, std::string_view text);

}  // namespace embedflow

#endif  // EMBEDFLOW_CORPUS_QUERY_H_
