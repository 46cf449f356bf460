// What can be set, with defaults in place. Every struct says with Validate() which field is out of
// range.
#ifndef EMBEDFLOW_OPTIONS_H_
#define EMBEDFLOW_OPTIONS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

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
  std::string kind = "auto";  // "auto", "flat" or "none". auto is flat.
  Metric metric = Metric::kCosine;

  Status Validate() const;
};

// How requests are sent. The defaults are the seed's for an unknown provider; FlowOptionsFor()
// takes a profile's.
struct FlowOptions {
  // Behaviour.
  std::chrono::milliseconds timeout{60000};  // Whole request, in [1 ms, 1 h].
  int retries_max = 3;                       // After the first attempt, in [0, 100].
  std::chrono::milliseconds retry_delay{
      1000};                         // Before the first retry; doubles, up to 60 s. In [0, 60 s].
  bool compression_enabled = false;  // Ask for compressed replies.
  // Performance.
  std::size_t connections_max = 10;  // Connections kept open to the provider, in [1, 1,024].
  // Requests in flight at once, in [1, 1,024]. Unset: connections_max for a server, the cores for
  // an embedder.
  std::optional<std::size_t> requests_in_flight_max;
  // Limits. Requests leave evenly spaced, never in a burst.
  std::optional<double> requests_per_minute;      // Above 0.
  std::optional<double> model_tokens_per_minute;  // Above 0.
  // Bytes admitted and not yet settled: texts, their vectors and bookkeeping. In [1 MiB, 64 GiB].
  std::size_t admitted_bytes_max = 32u << 20;

  Status Validate() const;
};

struct Profile;
// FlowOptions with the profile's timeout, retries, limits and pool.
FlowOptions FlowOptionsFor(const Profile& profile);

}  // namespace embedflow

#endif  // EMBEDFLOW_OPTIONS_H_
