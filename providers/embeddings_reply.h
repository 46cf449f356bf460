// Reads the reply every OpenAI-shaped server gives: {"data":[{"index":0,"embedding":...}],
// "usage":{...}}. An embedding is an array of numbers or base64 of little-endian float32; its JSON
// type decides, whatever was asked for.
#ifndef EMBEDFLOW_PROVIDERS_EMBEDDINGS_REPLY_H_
#define EMBEDFLOW_PROVIDERS_EMBEDDINGS_REPLY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "embedflow/status.h"
#include "providers/output_dtype.h"

namespace embedflow {

// Reads `body` into `vectors`, which holds `inputs` rows of `dimensions` floats, row i for text i.
// Rows are placed by `index`; where no entry has one, by position. `model_tokens` is set where the
// reply says what was billed. Numbers are read as `dtype`; base64 is float32 and nothing else.
// Errors: kUnavailable ("bad_reply") for anything that is not exactly
// `inputs` usable vectors; `vectors` means nothing then.
Status ReadEmbeddings(std::string_view body, std::size_t inputs, int dimensions,
                      std::span<float> vectors, std::optional<std::uint64_t>* model_tokens,
                      OutputDtype dtype = OutputDtype::kFloat);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_EMBEDDINGS_REPLY_H_
