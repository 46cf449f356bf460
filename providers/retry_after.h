// How long a server asks us to wait.
#ifndef EMBEDFLOW_PROVIDERS_RETRY_AFTER_H_
#define EMBEDFLOW_PROVIDERS_RETRY_AFTER_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "embedflow/provider.h"

namespace embedflow {

// The value of a header by its lower-case name; empty where it is not there.
std::string_view HeaderOf(const HttpReply& reply, std::string_view name);

// The time at the server, by the reply's `date`; without one `wall_now_ms`.
std::int64_t ServerNowMs(const HttpReply& reply, std::int64_t wall_now_ms);

// A span of time: seconds ("7", "1.5") or a Go duration ("6m0s", "12ms", "1h2m3.5s"). In [0, 1
// year]; nothing for what is negative or neither.
std::optional<std::chrono::milliseconds> ReadWait(std::string_view text);

// From `retry-after-ms` (milliseconds), else `retry-after` (as ReadWait(), or an HTTP date). A date
// counts from the reply's own `date`, so that a wrong clock here does no harm; where there is none,
// from `wall_now_ms`. In [0, 1 year]; nothing for what is negative or no number.
std::optional<std::chrono::milliseconds> ReadRetryAfter(const HttpReply& reply,
                                                        std::int64_t wall_now_ms);

// From a provider's words in lower case: "please retry after 7 seconds" (Azure), "please try again
// in 1.2s" (OpenAI), "please retry in 46s" (Gemini). Nothing where they say nothing of the kind.
std::optional<std::chrono::milliseconds> ReadRetryWords(std::string_view words);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_RETRY_AFTER_H_
