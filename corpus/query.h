// Embeds one text now, for a search.
#ifndef EMBEDFLOW_CORPUS_QUERY_H_
#define EMBEDFLOW_CORPUS_QUERY_H_

#include <string_view>
#include <vector>

#include "embedflow/provider.h"
#include "embedflow/status.h"

namespace embedflow {

// Blocks: for a remote provider it sends a request, and up to two retries. `text` is valid UTF-8
// and not blank. Errors: the provider's outcome (kRefused, kUnavailable), kInvalidArgument if it
// refuses the text.
Result<std::vector<float>> EmbedQuery(const Provider& provider, std::string_view text);

}  // namespace embedflow

#endif  // EMBEDFLOW_CORPUS_QUERY_H_
