// How long a server asks us to wait.
#ifndef EMBEDFLOW_PROVIDERS_RETRY_AFTER_H_
#define EMBEDFLOW_PROVIDERS_RETRY_AFTER_H_

#include <chrono>
#include <cstdint>
#include <optional>

#include "embedflow/provider.h"

namespace embedflow {

// The value of a header by its lower-case name; empty where it is not there.
std::string_view HeaderOf(const HttpReply& reply, std::string_view name);

// From `retry-after-ms` (milliseconds), else `retry-after` (seconds, fractions allowed, or an HTTP
// date). A date counts from the reply's own `date`, so that a wrong clock here does no harm; where
// there is none, from `wall_now_ms`. In [0, 1 year]; nothing for what is negative or no number.
std::optional<std::chrono::milliseconds> ReadRetryAfter(const HttpReply& reply,
                                                        std::int64_t wall_now_ms);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_RETRY_AFTER_H_
