// What the headers of a reply say about the provider's limits, in all the forms they come in.
#ifndef EMBEDFLOW_PROVIDERS_RATE_HEADERS_H_
#define EMBEDFLOW_PROVIDERS_RATE_HEADERS_H_

#include <cstdint>

#include "embedflow/provider.h"

namespace embedflow {

// Reads OpenAI's x-ratelimit-*-requests and -tokens (resets as Go durations), Azure's (whole
// seconds; limits of 0 and -1 mean nothing), Mistral's ratelimitbysize-*,
// x-ratelimitbysize-*-minute and -req-minute, and the plain ratelimit-* and x-ratelimit-*, which
// count requests. A window that stands in the limit ("100;w=10") is scaled to a minute; a plain
// limit without one is of nobody knows what and is left out. A reset that is a time of day
// (Cohere's Unix seconds) counts from the reply's own `date`, else from `wall_now_ms`.
RateHints ReadRateHints(const HttpReply& reply, std::int64_t wall_now_ms);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_RATE_HEADERS_H_
