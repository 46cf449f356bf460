// Every dialect there is. A new one adds a file and a line here (docs/providers.md).
#ifndef EMBEDFLOW_PROVIDERS_DIALECTS_H_
#define EMBEDFLOW_PROVIDERS_DIALECTS_H_

#include "providers/dialect.h"

namespace embedflow {

// OpenAI, and every server that is compatible with it: vLLM, LM Studio, llama.cpp, and the v1
// addresses of Ollama and text-embeddings-inference.
extern const DialectInfo kOpenAiDialect;
extern const DialectInfo kAzureDialect;
extern const DialectInfo kMistralDialect;
extern const DialectInfo kCohereDialect;
extern const DialectInfo kVoyageDialect;
extern const DialectInfo kGeminiDialect;
extern const DialectInfo kJinaDialect;
extern const DialectInfo kOllamaDialect;
// text-embeddings-inference.
extern const DialectInfo kTeiDialect;

// For the tables of dialects.
inline constexpr OutputDtype kFloatOnly[] = {OutputDtype::kFloat};
inline constexpr OutputDtype kAllDtypes[] = {OutputDtype::kFloat, OutputDtype::kInt8,
                                             OutputDtype::kUint8, OutputDtype::kBinary,
                                             OutputDtype::kUbinary};
inline bool TellsNoSides(std::string_view) { return false; }
inline bool TellsSides(std::string_view) { return true; }
template <typename T>
std::shared_ptr<HttpDialect> NewDialect(DialectOptions options) {
  return std::make_shared<T>(std::move(options));
}

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_DIALECTS_H_
