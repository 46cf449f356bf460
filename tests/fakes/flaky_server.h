// An embeddings server in this process, on loopback, that can go wrong in every way we know.
//
//   FlakyServer server({.dimensions = 8}, [](const FlakyRequest& request) {
//     FlakyReply reply;
//     if (request.number == 2) reply.status = 503;
//     return reply;
//   });
//   options.base_url = server.base_url();
//
// The vector of a text is a function of the text and the dimensions alone, so a test knows what
// must have been stored. A ledger keeps what arrived.
//
// Owns its threads: one that accepts, one a connection. Delays wait on a condition that the
// destructor ends, so no test waits for them.
// Threads: the public functions may be called from any; the script runs on connection threads, one
// call at a time.
#ifndef EMBEDFLOW_TESTS_FAKES_FLAKY_SERVER_H_
#define EMBEDFLOW_TESTS_FAKES_FLAKY_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace embedflow {

// The unit vector this server gives for `text`.
std::vector<float> FlakyVector(std::string_view text, int dimensions);

struct FlakyRequest {
  std::uint64_t number = 0;         // From 1, in order of arrival.
  std::uint64_t connection = 0;     // From 1.
  std::uint64_t on_connection = 0;  // From 1: which request of its connection.
  std::string method, target;
  std::vector<std::pair<std::string, std::string>> headers;  // Names in lower case.
  std::string body;
  // Read from the body where it is an embeddings request.
  std::string model, encoding_format;
  std::vector<std::string> texts;
  std::optional<std::int64_t> dimensions;

  // Empty where the header is not there.
  std::string header(std::string_view name) const;
};

// What is wrong with the vectors of a right-looking reply.
enum class FlakyFlaw {
  kNone,
  kShuffled,       // Right: entries in another order, told by `index`.
  kNoIndex,        // Right: no entry has an index.
  kNoUsage,        // Right: nothing is said about tokens.
  kSomeIndexes,    // The first has none.
  kRepeatedIndex,  // The last repeats the first.
  kNegativeIndex,
  kFractionalIndex,
  kTextIndex,
  kLargeIndex,  // One behind the last.
  kHugeIndex,   // 2^64.
  kTooFew,
  kTooMany,
  kShortVector,
  kLongVector,
  kMissingVector,  // An entry without an embedding.
  kNan,            // Bits in base64, the bare word in JSON.
  kInfinity,       // Bits in base64, 1e999 in JSON.
  kNull,           // A null among the numbers; forces floats.
  kStrings,        // Numbers as strings; forces floats.
  kZero,
  kHuge,  // Finite, but its length overflows.
  kDenormal,
  kBadBase64,     // A byte outside the alphabet; forces base64.
  kUrlBase64,     // The URL alphabet; forces base64.
  kSpacedBase64,  // A line break inside; forces base64.
  kErrorInside,   // Status 200 with an error object.
  kEmptyData,
  kNullData,
  kNoData,
  kEmptyBody,
  kHtml,
  kTruncatedJson,  // With a right Content-Length.
  kNested,         // 200,000 brackets.
  kBadUtf8,        // An unfinished character at the end.
};

// How a reply goes over the wire.
enum class FlakyWire {
  kWhole,
  kSlices,           // One byte a write.
  kDrip,             // One byte every `delay`.
  kChunked,          // Right, in chunks.
  kNoLength,         // Right: ended by closing.
  kGzip,             // Right, compressed.
  kTruncatedLength,  // Content-Length promises more than comes before the close.
  kResetMidBody,
  kResetMidHead,
  kCloseNoReply,  // The request is read, nothing is answered.
  kGarbage,       // Not HTTP.
  kGiant,         // `giant_bytes` of chunks, or until the client has enough.
  kGzipBomb,      // The same, as a small gzip.
  kHeaderFlood,   // 20 MB of headers.
};

struct FlakyReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers{};
  // Unset: the right vectors, spoilt by `flaw`.
  std::optional<std::string> body{};
  FlakyFlaw flaw = FlakyFlaw::kNone;
  FlakyWire wire = FlakyWire::kWhole;
  // Before the first byte of the reply, and between those of kDrip.
  std::chrono::milliseconds delay{0};
  // Closes the connection after a whole reply, without having said so.
  bool closes_after = false;
  // Unset: as the request asks.
  std::optional<bool> is_base64{};
  std::size_t giant_bytes = 64u << 20;
};

struct FlakyOptions {
  int dimensions = 8;      // Where a request does not ask for others.
  std::uint16_t port = 0;  // 0: any free one.
  std::uint64_t seed = 1;  // Of kShuffled.
};

class FlakyServer {
 public:
  using Script = std::function<FlakyReply(const FlakyRequest&)>;

  // Listens at once; ends the process if it cannot. Without a script every reply is right.
  explicit FlakyServer(const FlakyOptions& options = {}, Script script = {});
  ~FlakyServer();
  FlakyServer(const FlakyServer&) = delete;
  FlakyServer& operator=(const FlakyServer&) = delete;

  int port() const;
  std::string base_url() const;  // "http://127.0.0.1:PORT/v1".

  // Requests whose every byte arrived.
  std::uint64_t requests() const;
  std::uint64_t connections() const;
  // How often each text arrived, and how often it was answered whole with status 200.
  std::map<std::string, std::uint64_t> texts_received() const;
  std::map<std::string, std::uint64_t> texts_answered() const;
  // All requests, in order of arrival.
  std::vector<FlakyRequest> ledger() const;

  // Closes every connection on which no request is under way.
  void CloseIdleConnections();
  // Blocks until `count` requests have arrived; false after 60 s.
  bool WaitForRequests(std::uint64_t count) const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_FLAKY_SERVER_H_
