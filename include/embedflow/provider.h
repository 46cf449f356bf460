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

#include "embedflow/optimization.h"
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
  // The body is gzip, and the headers say so.
  bool is_compressed = false;
};

// A reply as it came. `status` is 0 when no whole reply came; `transport` then says why. A refusal
// (300 or above) that was cut off keeps its status, the body so far, and a failing `transport`.
struct HttpReply {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // Names in lower case.
  std::string body;
  Status transport;
};

// What a provider says about its limits in the headers of a reply. Unset where it says nothing.
struct RateHint {
  std::optional<double> limit;                     // A minute; only values above 0 count.
  std::optional<double> remaining;                 // At least 0.
  std::optional<std::chrono::milliseconds> reset;  // Until all of it is there again.
  bool operator==(const RateHint&) const = default;
};
struct RateHints {
  RateHint requests;
  RateHint model_tokens;
  bool operator==(const RateHints&) const = default;
};

// A cap of one request that an error text has told. Unset where it has not.
struct LearntCaps {
  std::optional<std::size_t> inputs_max;
  std::optional<std::size_t> model_tokens_max;  // By the provider's count.
  bool operator==(const LearntCaps&) const = default;
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
  // kThrottled: we grow too fast (OpenAI's slow_down), whatever the limits say.
  bool is_ramp_too_fast = false;
  // The server said whether the same request may be sent again (x-should-retry). Honoured for
  // kThrottled, kTransient and kInvalid, within the limits of the retry policy.
  std::optional<bool> should_retry;
  RateHints hints;
  LearntCaps caps;
};

// Reads one reply while it arrives.
// Threads: one at a time.
class ReplyReader {
 public:
  virtual ~ReplyReader() = default;
  // The next bytes of the body of a reply of 2xx, cut anywhere. Quick: it runs on the transport's
  // thread.
  virtual void Take(std::string_view piece) = 0;
  // As Dialect::Read() of the whole reply. The body of a reply of 2xx has gone through Take() and
  // is empty here; other bodies are there.
  virtual Outcome Finish(const HttpReply& reply) = 0;
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
  // What reads the reply to a request of `inputs` texts into `vectors` while it arrives, so that
  // its bytes need no room; the dialect and `vectors` outlive it. Null: the body is kept, and read
  // with Read().
  virtual std::unique_ptr<ReplyReader> NewReader(std::size_t /*inputs*/,
                                                 std::span<float> /*vectors*/) const {
    return nullptr;
  }
  // Bytes a well-formed reply to `inputs` texts cannot exceed; the transport stops reading there.
  virtual std::size_t reply_bytes_max(std::size_t inputs) const = 0;
  // Names the allowance that requests use up, the same in every process with the same key at the
  // same place: a hash from which the key cannot be told. Empty: the allowance is not shared.
  virtual std::string allowance_id() const { return {}; }
  // Host and port, for messages: "api.openai.com:443".
  virtual std::string place() const { return {}; }
};

// How a provider of the profile table is made. Unset fields take the profile's value.
struct ProviderOptions {
  // Which side of a search the texts are on. Some providers embed queries and documents apart; both
  // are of one space.
  enum class Side { kDocument, kQuery };
  enum class Authentication { kProfile, kBearer };

  // Behaviour.
  std::string name = "builtin";     // See Profiles().
  std::string model = {};           // Empty: the profile's. Azure: the deployment.
  std::optional<int> dimensions{};  // Unset: the model's; for an unknown model it must be given.
  std::string base_url = {};        // Empty: the profile's.
  std::string api_endpoint = {};    // Path after base_url. Empty: the dialect's.
  std::string api_version = {};     // Azure's classic deployments. Empty: the profile's.
  std::string output_dtype = {};    // "float", "int8", ... where the model has it. Empty: float.
  std::string parameters = {};      // A JSON object added to every request body. Empty: none.
  Side side = Side::kDocument;
  // kBearer: the key goes as "Authorization: Bearer", as Azure wants for Entra tokens.
  Authentication authentication = Authentication::kProfile;
  // The variable or file that holds the key. "none": send no key. Both empty: the profile's
  // variable.
  std::string api_key_env = {};
  std::string api_key_file = {};
  // Limits. Unset: the profile's.
  std::optional<std::size_t> batch_inputs_max{};  // At least 1.

  Status Validate() const;
};

// Makes a provider. Errors: kInvalidArgument for an unknown name, a bad URL or key bytes outside
// 0x21 to 0x7E, kRefused where a needed key is not there, kInvalidArgument ("insecure") for a key
// over plain HTTP to another machine.
Result<std::shared_ptr<const Provider>> MakeProvider(const ProviderOptions& options);

// The provider that a model's configuration describes, spoken to in the dialect of `profile`.
ProviderOptions ProviderOptionsFor(const ModelConfig& config, std::string profile);

// One model of the profile table.
struct ModelProfile {
  std::string model;
  int dimensions = 0;
  std::optional<double> usd_per_million_tokens = {};  // Unset: unknown, which is not free.
  std::string price_seen = {};                        // "2026-08-21"; empty without a price.
  std::optional<std::size_t> text_tokens_max = {};    // Of one text. Unset: unknown.
  // Tokens of a request where the model has a cap of its own.
  std::optional<std::size_t> request_tokens_max = {};
  // Other lengths the model can be asked for: any in [1, dimensions_max], or one of the list.
  int dimensions_max = 0;  // 0: none but the list.
  std::vector<int> dimensions_list = {};
};

// One row of the profile table. The seed's numbers and all others: docs/providers.md.
struct Profile {
  std::string name;
  std::string about;        // A few words: what it speaks to.
  std::string base_url;     // Empty for in-process providers and where the user must give one.
  std::string api_key_env;  // Empty: no key.
  std::string api_version;  // Empty: none.
  RequestLimits limits;
  OptimizationConfig optimization;
  std::optional<double> inputs_per_minute;            // Unset: not limited.
  bool inputs_count_as_requests = false;              // In the limit of requests a minute.
  std::optional<std::size_t> requests_in_flight_max;  // Unset: the connection pool's size.
  // Whether gzip request bodies are read. kUnknown: tried when asked for, with a way back.
  enum class RequestGzip { kUnknown, kYes, kNo };
  RequestGzip request_gzip = RequestGzip::kUnknown;
  bool is_model_required = false;    // There is no default model.
  std::vector<ModelProfile> models;  // The first is the default.
};

// The profile table, in the order it is printed. Never empty; built once.
const std::vector<Profile>& Profiles();
// Null when there is no profile of that name.
const Profile* FindProfile(std::string_view name);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDER_H_
