// What can be set, with defaults in place. Every struct says with Validate() which field is out of
// range.
#ifndef EMBEDFLOW_OPTIONS_H_
#define EMBEDFLOW_OPTIONS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "embedflow/optimization.h"
#include "embedflow/status.h"

namespace embedflow {

// How a document's text is cut. Sizes are model tokens by an estimate that needs no tokenizer
// (docs/chunking.md says which and how far off it is).
struct ChunkerOptions {
  enum class Kind { kRecursive, kSentence, kMarkdown, kFixed, kNone };
  // Behaviour. A change makes documents that are read again change their chunks.
  Kind kind = Kind::kRecursive;
  int size_tokens = 256;    // In [1, 1,000,000]. Upper bound of a chunk.
  int overlap_tokens = 32;  // In [0, size_tokens / 2]. Repeated at the start of the next chunk.

  Status Validate() const;
};

enum class Metric { kCosine, kInnerProduct, kL2 };

struct IndexOptions {
  // Behaviour.
  // "auto", "flat" or "none". auto is what the space has, flat for a new one.
  std::string kind = "auto";
  std::optional<Metric> metric;  // Unset: what the space has, cosine for a new one.

  Status Validate() const;
};

// How requests are sent. FlowOptionsFor() takes the values of a profile or of an
// OptimizationConfig.
struct FlowOptions {
  enum class Jitter { kFull, kNone };

  // Behaviour.
  std::chrono::milliseconds timeout{60000};          // Whole request, in [1 ms, 1 h].
  std::chrono::milliseconds connect_timeout{10000};  // Of it, to connect, in [1 ms, 10 min].
  // A reply that comes slower than 1 byte a second for so long is given up, in [1 ms, 1 h]. Unset:
  // the whole timeout decides. It must be longer than the provider honestly thinks.
  std::optional<std::chrono::milliseconds> stall_timeout;
  int retries_max = 3;  // After the first attempt, in [0, 100].
  // Before the first retry; doubles, up to 60 s. In [0, 60 s].
  std::chrono::milliseconds retry_delay{1000};
  Jitter jitter = Jitter::kFull;
  // From a text's first attempt to its last over all endpoints, backoffs included, in [1 ms, 24 h].
  // Waits for limits of our own, or that a throttle asks for, do not count. Unset: the time that
  // all attempts and all backoffs take at most.
  std::optional<std::chrono::milliseconds> item_deadline;
  bool compression_enabled = false;  // Ask for compressed replies.
  // Compress requests with gzip; a server that refuses one gets plain ones from then on.
  bool request_gzip_enabled = false;
  std::size_t request_gzip_bytes_min = 1024;  // Smaller bodies stay plain.
  bool http2_enabled = false;
  std::optional<CircuitBreakerConfig> circuit_breaker = CircuitBreakerConfig{};  // Unset: none.
  bool metrics_enabled = true;
  // Performance.
  std::size_t connections_max = 10;  // Connections to the provider kept open, in [1, 1,024].
  // Requests in flight at once, in [1, 1,024]. Unset: connections_max for a server, the cores for
  // an embedder. More than connections_max open as many connections.
  std::optional<std::size_t> requests_in_flight_max;
  // Find how many requests in flight the server takes best, up to that maximum. Off: always as
  // many.
  bool adaptive_concurrency_enabled = true;
  // Limits. Requests leave evenly spaced, never in a burst.
  std::optional<double> requests_per_minute;      // Above 0.
  std::optional<double> inputs_per_minute;        // Above 0.
  std::optional<double> model_tokens_per_minute;  // Above 0.
  bool inputs_count_as_requests = false;          // In requests_per_minute.
  // Share these limits with other processes of this machine that use the same key. The files are in
  // `allowance_directory`; empty: $XDG_RUNTIME_DIR/embedflow, else /tmp/embedflow-<uid>.
  bool allowance_is_shared = true;
  std::string allowance_directory;
  // Bytes admitted and not yet settled: texts, their vectors and bookkeeping. In [1 MiB, 64 GiB].
  std::size_t admitted_bytes_max = 32u << 20;

  Status Validate() const;
};

struct Profile;
// FlowOptions with the configuration's timeout, retries, limits, breaker and pool.
FlowOptions FlowOptionsFor(const OptimizationConfig& config);
// The same of a profile, with the limits that only profiles have.
FlowOptions FlowOptionsFor(const Profile& profile);

}  // namespace embedflow

#endif  // EMBEDFLOW_OPTIONS_H_
