// Reads the reply every OpenAI-shaped server gives: {"data":[{"index":0,"embedding":...}],
// "usage":{...}}. An embedding is an array of numbers or base64 of little-endian float32; its JSON
// type decides, whatever was asked for.
#ifndef EMBEDFLOW_PROVIDERS_EMBEDDINGS_REPLY_H_
#define EMBEDFLOW_PROVIDERS_EMBEDDINGS_REPLY_H_

#include <cstddef>
#include <memory>
#include <span>

#include "providers/output_dtype.h"
#include "providers/vectors_reader.h"

namespace embedflow {

// Reads a reply into `vectors`, which holds `inputs` rows of `dimensions` floats, row i for text i.
// Rows are placed by `index`; where no entry has one, by position. Numbers are read as `dtype`;
// base64 is float32 and nothing else.
std::unique_ptr<VectorsHandler> NewEmbeddingsHandler(std::size_t inputs, int dimensions,
                                                     std::span<float> vectors,
                                                     OutputDtype dtype = OutputDtype::kFloat);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_EMBEDDINGS_REPLY_H_
