// A request as it came and a reply as it shall go: what a script of SimulatorServer sees.
// Threads: plain values.
#ifndef EMBEDFLOW_SIMULATOR_EXCHANGE_H_
#define EMBEDFLOW_SIMULATOR_EXCHANGE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "embedflow/simulator.h"

namespace embedflow {

// The forms a right reply can have.
enum class SimulatorShape { kOpenAi, kCohere, kGemini, kGeminiSingle, kOllama, kTei, kLlamaCpp };

struct SimulatorRequest {
  std::uint64_t number = 0;         // From 1, in order of arrival.
  std::uint64_t connection = 0;     // From 1.
  std::uint64_t on_connection = 0;  // From 1: which request of its connection.
  TimePoint arrived{};              // When its last byte had come.
  std::string method, target;
  std::vector<std::pair<std::string, std::string>> headers;  // Names in lower case.
  std::string body;

  // From the target.
  SimulatorDialect dialect = SimulatorDialect::kOpenAi;
  SimulatorShape shape = SimulatorShape::kOpenAi;
  bool is_embeddings = false;  // Whether the path is one that embeds.

  // Read from the body where it is an embeddings request.
  std::string model, encoding_format;
  std::vector<std::string> texts;
  std::optional<std::int64_t> dimensions;
  std::optional<bool> truncates;  // Whether too long texts shall be cut.
  bool has_input = false;         // The member for texts is there, under the shape's name.
  bool has_input_type = false;    // Cohere needs one.
  bool has_token_ids = false;     // Numbers in place of texts.
  std::string body_error;         // Why the body could not be read; empty if it could.

  // Empty where the header is not there.
  std::string header(std::string_view name) const;
  // The target without what follows its question mark, which may hold a key.
  std::string_view path() const;
};

// What is wrong with the vectors of a right-looking reply.
enum class SimulatorFlaw {
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
  kOddBase64,      // A character is missing; forces base64.
  kOverflow,       // 1e300, which no float holds; forces floats.
  kOtherModel,     // Right vectors under another model's name.
  kAbsurdUsage,    // Right vectors, and -1 tokens.
};

// How a reply goes over the wire.
enum class SimulatorWire {
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
  kResetNoReply,  // The request is read, the connection is reset.
  kStall,         // Nothing, until the client goes.
};

struct SimulatorReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers{};
  // Unset: the right vectors, spoilt by `flaw`.
  std::optional<std::string> body{};
  SimulatorFlaw flaw = SimulatorFlaw::kNone;
  SimulatorWire wire = SimulatorWire::kWhole;
  // Before the first byte of the reply, and between those of kDrip.
  std::chrono::milliseconds delay{0};
  // Closes the connection after a whole reply, without having said so.
  bool closes_after = false;
  // Unset: as the request asks.
  std::optional<bool> is_base64{};
  std::size_t giant_bytes = 64u << 20;
  // Where the request does not ask for dimensions. Unset: the server's.
  std::optional<int> dimensions{};
  // Further time before the first byte, finer than `delay`.
  Duration latency{0};
  // Between the bytes of kDrip, in place of `delay`.
  std::optional<std::chrono::microseconds> drip{};
  // Above 0: texts are cut after so many bytes before they are embedded.
  std::size_t cut_bytes = 0;
  // Why it is as it is, for records: a fault's kind, "rate", "overload", "refused", or nothing.
  std::string note{};
};

// `text` with its ASCII letters small.
std::string LowerAscii(std::string text);

// What a provider counts for `bytes` of text: a quarter, rounded up.
constexpr std::uint64_t SimulatedTokens(std::uint64_t bytes) { return (bytes + 3) / 4; }
std::uint64_t SimulatedTokens(const SimulatorRequest& request);

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_EXCHANGE_H_
