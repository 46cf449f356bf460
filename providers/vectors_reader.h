// Reads the body of a reply into vectors while it arrives. What kind of reply it is, a handler
// knows: embeddings_reply.h for those that tell vectors by index, positional_reply.h for the
// others.
#ifndef EMBEDFLOW_PROVIDERS_VECTORS_READER_H_
#define EMBEDFLOW_PROVIDERS_VECTORS_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json_reader.h"
#include "embedflow/status.h"

namespace embedflow {

// Puts the events of a reply into the rows it was made with.
class VectorsHandler : public JsonHandler {
 public:
  // Why an event was refused; empty unless one was.
  virtual const std::string& refusal() const = 0;
  // The reply holds an error where its vectors should be.
  virtual bool has_error() const = 0;
  virtual std::optional<std::uint64_t> model_tokens() const = 0;
  // How long a vector of this reply is in base64.
  virtual std::size_t base64_bytes() const = 0;
  // After the last event: what is wrong with the reply as a whole; empty if every row now stands in
  // its place.
  virtual std::string Finish() = 0;
};

// Holds, besides the vectors, at most one string of the reply, of at most a vector's base64 or
// 1 MiB, and its first kHeadBytes.
// Threads: not thread-safe.
class VectorsReader {
 public:
  explicit VectorsReader(std::unique_ptr<VectorsHandler> handler);
  // The next bytes, cut anywhere.
  void Take(std::string_view piece);
  // After the last. `model_tokens` is set where the reply says what was billed. Errors:
  // kUnavailable
  // ("bad_reply") for anything that is not exactly the vectors asked for.
  Status Finish(std::optional<std::uint64_t>* model_tokens);

 private:
  // Of the body: enough for the words of an error that came with a status of 2xx.
  static constexpr std::size_t kHeadBytes = 16u << 10;

  const std::unique_ptr<VectorsHandler> handler_;
  JsonParser parser_;
  std::string head_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_VECTORS_READER_H_
