// The bodies of FlakyServer's replies, right and wrong.
#ifndef EMBEDFLOW_TESTS_FAKES_FLAKY_REPLY_H_
#define EMBEDFLOW_TESTS_FAKES_FLAKY_REPLY_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "base/random.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {

// Fills model, texts, encoding_format and dimensions from the body; leaves them empty where it is
// no embeddings request.
void ReadFlakyBody(FlakyRequest* request);

// The body of a 200 reply with `flaw`.
std::string WriteFlakyBody(const FlakyRequest& request, const FlakyReply& reply, int dimensions,
                           Rng& rng);

std::string ToBase64(std::string_view bytes);

// `bytes` as a gzip stream.
std::string ToGzip(std::string_view bytes);

// A gzip stream that unpacks to `bytes` spaces; its checksum is wrong, so an unpacker that gets to
// the end complains.
std::string GzipBomb(std::size_t bytes);

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_FLAKY_REPLY_H_
