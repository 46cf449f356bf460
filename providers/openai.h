// The OpenAI dialect: POST {base}/embeddings, spoken by OpenAI, Mistral, Ollama, llama.cpp, vLLM,
// text-embeddings-inference and most others.
#ifndef EMBEDFLOW_PROVIDERS_OPENAI_H_
#define EMBEDFLOW_PROVIDERS_OPENAI_H_

#include <cstdint>
#include <memory>
#include <string>

#include "embedflow/provider.h"

namespace embedflow {

struct OpenAiOptions {
  // Behaviour.
  Space space;
  std::string base_url;    // Must have passed JoinUrl().
  std::string key;         // Empty: no Authorization header is sent.
  std::string key_source;  // For messages: the variable or file that holds the key.
  // Ask for space.dimensions; only for models that can shorten their vectors.
  bool dimensions_are_sent = false;
  // Limits.
  RequestLimits limits;
};

// Errors: kInvalidArgument for a bad base URL, and ("insecure") for a key over plain HTTP to
// another machine.
Result<std::shared_ptr<const Provider>> MakeOpenAi(const OpenAiOptions& options);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_OPENAI_H_
