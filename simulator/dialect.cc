#include "simulator/dialect.h"

#include <array>
#include <utility>

namespace embedflow {
namespace {

// In the order of SimulatorDialect. Name, header of the key, inputs, tokens a request, tokens an
// input, bytes a body, cuts, needs input_type.
constexpr std::array<SimulatorDialectFacts, 10> kFacts = {{
    {"openai", "authorization", 2048, 300'000, 8192, 0, false, false},
    {"azure", "api-key", 2048, 300'000, 8192, 0, false, false},
    {"mistral", "authorization", 512, 16'384, 8192, 0, false, false},
    {"cohere", "authorization", 96, 0, 128'000, 0, true, true},
    {"voyage", "authorization", 1000, 320'000, 32'000, 0, true, false},
    {"gemini", "x-goog-api-key", 100, 0, 2048, 4'194'304, false, false},
    {"jina", "authorization", 512, 0, 8192, 0, false, false},
    {"ollama", "", 0, 0, 2048, 0, true, false},
    {"tei", "authorization", 32, 0, 512, 2'000'000, true, false},
    {"llamacpp", "authorization", 0, 0, 512, 0, false, false},
}};

// Those of `embedflow providers`; a test compares them.
constexpr std::array<std::pair<std::string_view, int>, 32> kModels = {{
    {"text-embedding-3-large", 3072},
    {"text-embedding-3-small", 1536},
    {"text-embedding-ada-002", 1536},
    {"mistral-embed", 1024},
    {"codestral-embed", 1536},
    {"embed-v4.0", 1536},
    {"embed-english-v3.0", 1024},
    {"embed-multilingual-v3.0", 1024},
    {"embed-english-light-v3.0", 384},
    {"embed-multilingual-light-v3.0", 384},
    {"voyage-4", 1024},
    {"voyage-4-large", 1024},
    {"voyage-4-lite", 1024},
    {"voyage-3-large", 1024},
    {"voyage-3.5", 1024},
    {"voyage-3.5-lite", 1024},
    {"voyage-code-3", 1024},
    {"voyage-finance-2", 1024},
    {"voyage-law-2", 1024},
    {"gemini-embedding-001", 3072},
    {"gemini-embedding-2", 3072},
    {"jina-embeddings-v3", 1024},
    {"jina-embeddings-v4", 2048},
    {"sentence-transformers/all-MiniLM-L6-v2", 384},
    {"all-minilm", 384},
    {"nomic-embed-text", 768},
    {"mxbai-embed-large", 1024},
    {"bge-m3", 1024},
    {"BAAI/bge-m3", 1024},
    {"BAAI/bge-small-en-v1.5", 384},
    {"BAAI/bge-base-en-v1.5", 768},
    {"BAAI/bge-large-en-v1.5", 1024},
}};

}  // namespace

const std::vector<std::string_view>& SimulatorDialectNames() {
  static const std::vector<std::string_view> kNames = [] {
    std::vector<std::string_view> names;
    names.reserve(kFacts.size());
    for (const SimulatorDialectFacts& facts : kFacts) names.push_back(facts.name);
    return names;
  }();
  return kNames;
}

std::optional<SimulatorDialect> FindSimulatorDialect(std::string_view name) {
  for (std::size_t i = 0; i < kFacts.size(); ++i) {
    if (kFacts[i].name == name) return static_cast<SimulatorDialect>(i);
  }
  return std::nullopt;
}

const SimulatorDialectFacts& FactsOf(SimulatorDialect dialect) {
  return kFacts[static_cast<std::size_t>(dialect)];
}

void RouteSimulatorRequest(SimulatorDialect otherwise, SimulatorRequest* request) {
  const std::string_view path = request->path();
  const auto is = [request](SimulatorDialect dialect, SimulatorShape shape) {
    request->dialect = dialect;
    request->shape = shape;
    request->is_embeddings = true;
  };
  if (path.ends_with(":batchEmbedContents")) {
    is(SimulatorDialect::kGemini, SimulatorShape::kGemini);
  } else if (path.ends_with(":embedContent")) {
    is(SimulatorDialect::kGemini, SimulatorShape::kGeminiSingle);
  } else if (path.ends_with("/v2/embed") ||
             (path.ends_with("/embed") && otherwise == SimulatorDialect::kCohere)) {
    is(SimulatorDialect::kCohere, SimulatorShape::kCohere);
  } else if (path.ends_with("/api/embed")) {
    is(SimulatorDialect::kOllama, SimulatorShape::kOllama);
  } else if (path.ends_with("/embed")) {
    is(SimulatorDialect::kTei, SimulatorShape::kTei);
  } else if (path.ends_with("/embedding")) {
    is(SimulatorDialect::kLlamaCpp, SimulatorShape::kLlamaCpp);
  } else if (path.starts_with("/openai/") && path.ends_with("/embeddings")) {
    is(SimulatorDialect::kAzure, SimulatorShape::kOpenAi);
  } else if (path.ends_with("/embeddings")) {
    is(otherwise, SimulatorShape::kOpenAi);
  } else {
    request->dialect = otherwise;
    request->shape = SimulatorShape::kOpenAi;
    request->is_embeddings = false;
  }
}

int DimensionsOfModel(std::string_view model) {
  if (model.starts_with("models/")) model.remove_prefix(7);
  for (const auto& [name, dimensions] : kModels) {
    if (name == model) return dimensions;
  }
  return 0;
}

}  // namespace embedflow
