// The caps of one request that an error's words tell.
#ifndef EMBEDFLOW_PROVIDERS_LEARNT_CAPS_H_
#define EMBEDFLOW_PROVIDERS_LEARNT_CAPS_H_

#include <string_view>

#include "embedflow/provider.h"

namespace embedflow {

// From a provider's words in lower case: "max 300000 tokens per request", "maximum allowed batch
// size 32", "at most 100 requests" and the like. Unset where they tell none; never 0.
LearntCaps ReadLearntCaps(std::string_view words);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_LEARNT_CAPS_H_
