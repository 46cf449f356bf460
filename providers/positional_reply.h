// Reads replies that hold their vectors in the order of the texts, without an index: Cohere,
// Gemini, Ollama, text-embeddings-inference. As strict as
// embeddings_reply.h.
#ifndef EMBEDFLOW_PROVIDERS_POSITIONAL_REPLY_H_
#define EMBEDFLOW_PROVIDERS_POSITIONAL_REPLY_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "providers/output_dtype.h"
#include "providers/vectors_reader.h"

namespace embedflow {

// Where things stand in a reply: names of members from the outside in.
struct PositionalShape {
  // To the array of the vectors; {} where the reply is that array. Of several ways a reply takes
  // one.
  std::vector<std::vector<std::string_view>> rows;
  // The member of an entry that holds its numbers. Empty: the entry is the vector.
  std::string_view row = {};
  // To the count of tokens billed. Empty: the reply has none.
  std::vector<std::string_view> model_tokens = {};
  OutputDtype dtype = OutputDtype::kFloat;
};

// Reads a reply into `vectors`, which holds `inputs` rows of `dimensions` floats, row i for text i.
// A vector is an array of numbers, or, for floats, base64 of little-endian float32.
std::unique_ptr<VectorsHandler> NewPositionalHandler(PositionalShape shape, std::size_t inputs,
                                                     int dimensions, std::span<float> vectors);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_POSITIONAL_REPLY_H_
