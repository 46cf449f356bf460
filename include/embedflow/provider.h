// What turns texts into vectors: an Embedder computes in this process, a Dialect speaks HTTP.
//
// A program that brings its own model implements Embedder; one that speaks to its own server
// implements Dialect, and embedflow's transport carries the bytes. Both are pure: they keep no
// time, open no sockets and start no threads; limits, retries and connections are the pipeline's.
#ifndef EMBEDFLOW_PROVIDER_H_
#define EMBEDFLOW_PROVIDER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "embedflow/status.h"
#include "embedflow/types.h"

namespace embedflow {

// What one request may hold. All three caps hold at once; nullopt is no cap.
struct RequestLimits {
  std::size_t inputs_max = 2048;                // Texts in a request, at least 1.
  std::optional<std::size_t> model_tokens_max;  // Sum over a request, by our estimate.
  std::size_t body_bytes_max = 8u << 20;        // Sum of the texts' bytes in a request.
};

class Embedder;
class Dialect;

// Threads: all const members may be called from several threads at once.
class Provider {
 public:
  virtual ~Provider() = default;
  virtual const Space& space() const = 0;
  virtual RequestLimits limits() const = 0;
  // Exactly one of these returns non-null; the object owns itself.
  virtual const Embedder* embedder() const { return nullptr; }
  virtual const Dialect* dialect() const { return nullptr; }
};

// Computes vectors in this process.
// Threads: Embed() runs on compute threads, several at once; it must not wait on anything.
class Embedder : public Provider {
 public:
  const Embedder* embedder() const final { return this; }
  // Writes texts.size() * space().dimensions floats to `vectors`, row by row. Texts are valid UTF-8
  // and not empty. Every vector must be finite and not zero; the pipeline checks it. A failure
  // fails the whole batch.
  virtual Status Embed(std::span<const std::string_view> texts, std::span<float> vectors) const = 0;
};

// A request as it goes over the wire. Keys stand in `headers` only, never in `url`.
struct HttpRequest {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // Sent with POST.
};

// A reply as it came. `status` is 0 when no whole reply came; `transport` then says why. A refusal
// (300 or above) that was cut off keeps its status, the body so far, and a failing `transport`.
struct HttpReply {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // Names in lower case.
  std::string body;
  Status transport;
};

// What became of one attempt. The retry policy decides from this alone.
struct Outcome {
  enum class Kind {
    kOk,
    kThrottled,  // Asked to slow down; the batch is fine.
    kTransient,  // No reply, a broken one, or a server's fault: the same may work again.
    kBadReply,   // Wrong count, index, dimension, or a vector that is not finite or zero: refused
                 // whole.
    kOversize,   // Too much for one request: split.
    kInvalid,    // The provider rejects something in this request: split to find it.
    kRefused,    // Key, access, quota, model: nothing sent this way will work.
    kCancelled,  // We gave up on it ourselves.
  };
  Kind kind = Kind::kTransient;
  Status status;  // OK for kOk; else what happened, the provider's words in it cut, escaped and
                  // redacted.
  std::optional<std::chrono::milliseconds> retry_after;  // As the server asked, not clamped.
  std::optional<std::uint64_t> model_tokens;             // Billed, where the reply says so.
};

// Turns a batch into a request and a reply into vectors.
class Dialect : public Provider {
 public:
  const Dialect* dialect() const final { return this; }
  // `texts` keep the limits() and are valid UTF-8.
  virtual HttpRequest Write(std::span<const std::string_view> texts) const = 0;
  // Reads the reply to a request of `inputs` texts. On kOk `vectors` holds inputs *
  // space().dimensions floats, row i for text i; on anything else its content means nothing and
  // must not be kept.
  virtual Outcome Read(const HttpReply& reply, std::size_t inputs,
                       std::span<float> vectors) const = 0;
  // Bytes a well-formed reply to `inputs` texts cannot exceed; the transport stops reading there.
  virtual std::size_t reply_bytes_max(std::size_t inputs) const = 0;
};

// How a provider of the profile table is made. Unset fields take the profile's value.
struct ProviderOptions {
  // Behaviour.
  std::string name = "builtin";   // See Profiles().
  std::string model;              // Empty: the profile's.
  std::optional<int> dimensions;  // Unset: the model's; for an unknown model it must be given.
  std::string base_url;           // Empty: the profile's.
  // The variable or file that holds the key. "none": send no key. Both empty: the profile's
  // variable.
  std::string api_key_env;
  std::string api_key_file;
  // Limits. Unset: the profile's.
  std::optional<std::size_t> batch_inputs_max;  // At least 1.

  Status Validate() const;
};

// Makes a provider. Errors: kInvalidArgument for an unknown name, a bad URL or key bytes outside
// 0x21 to 0x7E, kRefused where a needed key is not there, kInvalidArgument ("insecure") for a key
// over plain HTTP to another machine.
Result<std::shared_ptr<const Provider>> MakeProvider(const ProviderOptions& options);

// One model of the profile table.
struct ModelProfile {
  std::string model;
  int dimensions = 0;
  std::optional<double> usd_per_million_tokens;  // Unset: unknown, which is not free.
  std::string price_seen;                        // Date, "2026-08-21"; empty without a price.
};

// One row of the profile table. The seed's numbers: docs/providers.md.
struct Profile {
  std::string name;
  std::string base_url;     // Empty for in-process providers and where the user must give one.
  std::string api_key_env;  // Empty: no key.
  RequestLimits limits;
  // Starting values of the pipeline's options.
  std::chrono::seconds timeout{60};
  int retries_max = 3;
  std::chrono::milliseconds retry_delay{1000};
  std::optional<double> requests_per_minute;
  std::optional<double> model_tokens_per_minute;
  bool compression_enabled = false;
  std::size_t connections_max = 10;
  std::vector<ModelProfile> models;  // The first is the default.
};

// The profile table, in the order it is printed. Never empty; built once.
const std::vector<Profile>& Profiles();
// Null when there is no profile of that name.
const Profile* FindProfile(std::string_view name);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDER_H_
