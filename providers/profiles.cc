#include "providers/profiles.h"

#include <array>
#include <string>
#include <utility>

#include "base/check.h"
#include "providers/builtin.h"
#include "providers/dialects.h"

namespace embedflow {
namespace {

// Lengths a model can be asked for.
struct Lengths {
  int max = 0;
  std::vector<int> list = {};
};

ModelProfile Priced(std::string model, int dimensions, double usd, std::string seen,
                    std::size_t text_tokens_max, Lengths lengths = {},
                    std::optional<std::size_t> request_tokens_max = std::nullopt) {
  return {std::move(model), dimensions,         usd,         std::move(seen),
          text_tokens_max,  request_tokens_max, lengths.max, std::move(lengths.list)};
}

// Of a server of the user's own, or of a price that is not known.
ModelProfile Unpriced(std::string model, int dimensions,
                      std::optional<std::size_t> text_tokens_max = std::nullopt,
                      Lengths lengths = {}) {
  ModelProfile profile;
  profile.model = std::move(model);
  profile.dimensions = dimensions;
  profile.text_tokens_max = text_tokens_max;
  profile.dimensions_max = lengths.max;
  profile.dimensions_list = std::move(lengths.list);
  return profile;
}

Profile Hosted(std::string name, std::string about, std::string base_url, std::string api_key_env,
               const OptimizationConfig& optimization) {
  Profile profile;
  profile.name = std::move(name);
  profile.about = std::move(about);
  profile.base_url = std::move(base_url);
  profile.api_key_env = std::move(api_key_env);
  profile.limits.inputs_max = optimization.GetMaxBatchSize();
  profile.optimization = optimization;
  return profile;
}

Profile Builtin() {
  const std::shared_ptr<const Provider> builtin = MakeBuiltin(kBuiltinDimensions);
  EF_CHECK(builtin != nullptr);
  Profile profile;
  profile.name = "builtin";
  profile.about = "in this process, offline";
  profile.limits = builtin->limits();
  profile.optimization.max_retries = 0;
  profile.optimization.enable_circuit_breaker = false;
  profile.optimization.circuit_breaker_config = std::nullopt;
  profile.models = {Unpriced(builtin->space().model, builtin->space().dimensions)};
  profile.models[0].usd_per_million_tokens = 0;
  return profile;
}

// The specification takes 8,192 tokens of a text, older servers one less.
std::vector<ModelProfile> OpenAiModels() {
  const char* const seen = "2026-08-21";
  return {Priced("text-embedding-3-small", 1536, 0.02, seen, 8191, {1536}),
          Priced("text-embedding-3-large", 3072, 0.13, seen, 8191, {3072}),
          Priced("text-embedding-ada-002", 1536, 0.10, seen, 8191)};
}

// A request holds 300,000 tokens, of which the server's cap counts a quarter a byte, whatever a
// tokenizer would say (pgai's measurement): 1.2 MB.
void LimitAsOpenAi(RequestLimits* limits) {
  limits->model_tokens_max = 300'000;
  limits->body_bytes_max = 1'200'000;
}

Profile OpenAiProfile() {
  Profile profile = Hosted("openai", "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY",
                           OptimizationConfig::OpenAi());
  LimitAsOpenAi(&profile.limits);
  profile.models = OpenAiModels();
  return profile;
}

Profile AzureProfile() {
  Profile profile = Hosted("azure", "Azure OpenAI; the model is a deployment's name", "",
                           "AZURE_OPENAI_API_KEY", OptimizationConfig::Azure());
  profile.api_version = "2024-10-21";
  profile.is_model_required = true;
  LimitAsOpenAi(&profile.limits);
  profile.models = OpenAiModels();
  return profile;
}

Profile MistralProfile() {
  Profile profile = Hosted("mistral", "Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY",
                           OptimizationConfig::Mistral());
  profile.limits.model_tokens_max = 16'384;
  profile.models = {Priced("mistral-embed", 1024, 0.10, "2026-08-21", 8192),
                    Priced("codestral-embed", 1536, 0.15, "2026-08-21", 8192, {3072})};
  return profile;
}

Profile CohereProfile() {
  OptimizationConfig config = OptimizationConfig::OpenAi();
  config.max_batch_size = 96;
  config.rate_limit_rpm.reset();
  config.rate_limit_tpm.reset();
  config.connection_pool_size = 10;
  Profile profile =
      Hosted("cohere", "Cohere, version 2", "https://api.cohere.com", "COHERE_API_KEY", config);
  profile.inputs_per_minute = 2000;
  // Its replies hold the texts again.
  profile.limits.body_bytes_max = 1u << 20;
  const char* const seen = "2025-12";
  profile.models = {Priced("embed-v4.0", 1536, 0.12, seen, 128'000, {0, {256, 512, 1024, 1536}}),
                    Priced("embed-english-v3.0", 1024, 0.10, seen, 512),
                    Priced("embed-multilingual-v3.0", 1024, 0.10, seen, 512),
                    Priced("embed-english-light-v3.0", 384, 0.10, seen, 512),
                    Priced("embed-multilingual-light-v3.0", 384, 0.10, seen, 512)};
  return profile;
}

Profile VoyageProfile() {
  OptimizationConfig config = OptimizationConfig::OpenAi();
  config.max_batch_size = 1000;
  config.rate_limit_rpm = 2000;
  config.rate_limit_tpm = 3'000'000;
  Profile profile =
      Hosted("voyage", "Voyage AI", "https://api.voyageai.com/v1", "VOYAGE_API_KEY", config);
  // Of the models that take least.
  profile.limits.model_tokens_max = 120'000;
  const char* const seen = "2026-06-18";
  const Lengths lengths = {0, {256, 512, 1024, 2048}};
  profile.models = {Priced("voyage-4", 1024, 0.06, seen, 32'000, lengths, 320'000),
                    Priced("voyage-4-large", 1024, 0.12, seen, 32'000, lengths, 120'000),
                    Priced("voyage-4-lite", 1024, 0.02, seen, 32'000, lengths, 1'000'000),
                    Priced("voyage-3-large", 1024, 0.18, seen, 32'000, lengths, 120'000),
                    Priced("voyage-3.5", 1024, 0.06, seen, 32'000, lengths, 320'000),
                    Priced("voyage-3.5-lite", 1024, 0.02, seen, 32'000, lengths, 1'000'000),
                    Priced("voyage-code-3", 1024, 0.18, seen, 32'000, lengths, 120'000),
                    Unpriced("voyage-finance-2", 1024),
                    Unpriced("voyage-law-2", 1024, 16'000)};
  return profile;
}

Profile GeminiProfile() {
  OptimizationConfig config = OptimizationConfig::OpenAi();
  config.max_batch_size = 100;
  Profile profile =
      Hosted("gemini", "Google Gemini", "https://generativelanguage.googleapis.com/v1beta",
             "GEMINI_API_KEY", config);
  profile.inputs_count_as_requests = true;
  // A body has at most 4,194,304 bytes; escapes and the model's name make texts longer.
  profile.limits.body_bytes_max = 3u << 20;
  profile.models = {Priced("gemini-embedding-001", 3072, 0.15, "2026-07", 2048, {3072}),
                    Priced("gemini-embedding-2", 3072, 0.20, "2026-07", 8192, {3072})};
  return profile;
}

Profile JinaProfile() {
  OptimizationConfig config = OptimizationConfig::OpenAi();
  config.max_batch_size = 512;
  // A free account's, where the sources say least.
  config.rate_limit_rpm = 100;
  config.rate_limit_tpm = 100'000;
  config.connection_pool_size = 5;
  Profile profile = Hosted("jina", "Jina AI", "https://api.jina.ai/v1", "JINA_API_KEY", config);
  profile.requests_in_flight_max = 2;
  profile.models = {Unpriced("jina-embeddings-v3", 1024, 8192, {1024}),
                    Unpriced("jina-embeddings-v4", 2048, 32'000, {2048})};
  return profile;
}

// Models whose lengths are known; which one a server runs is not, so the user names it.
std::vector<ModelProfile> OpenModels() {
  return {Unpriced("sentence-transformers/all-MiniLM-L6-v2", 384),
          Unpriced("all-minilm", 384),
          Unpriced("nomic-embed-text", 768),
          Unpriced("mxbai-embed-large", 1024),
          Unpriced("bge-m3", 1024),
          Unpriced("BAAI/bge-m3", 1024),
          Unpriced("BAAI/bge-small-en-v1.5", 384),
          Unpriced("BAAI/bge-base-en-v1.5", 768),
          Unpriced("BAAI/bge-large-en-v1.5", 1024)};
}

Profile OwnServer(std::string name, std::string about, std::string base_url,
                  std::uint64_t timeout_seconds, Profile::RequestGzip gzip) {
  OptimizationConfig config = OptimizationConfig::Local();
  config.timeout_seconds = timeout_seconds;
  Profile profile = Hosted(std::move(name), std::move(about), std::move(base_url), "", config);
  profile.is_model_required = true;
  // text-embeddings-inference takes bodies of 2 MB; escapes make texts longer.
  profile.limits.body_bytes_max = 1u << 20;
  profile.request_gzip = gzip;
  profile.models = OpenModels();
  return profile;
}

// The first request may load the model.
constexpr std::uint64_t kLoadSeconds = 120;

struct Spoken {
  std::string_view name;
  const DialectInfo* dialect;
  bool is_openai_at_v1;
};
constexpr std::array<Spoken, 13> kSpoken = {{{"openai", &kOpenAiDialect, false},
                                             {"azure", &kAzureDialect, false},
                                             {"mistral", &kMistralDialect, false},
                                             {"cohere", &kCohereDialect, false},
                                             {"voyage", &kVoyageDialect, false},
                                             {"gemini", &kGeminiDialect, false},
                                             {"jina", &kJinaDialect, false},
                                             {"ollama", &kOllamaDialect, true},
                                             {"llamacpp", &kOpenAiDialect, false},
                                             {"tei", &kTeiDialect, true},
                                             {"vllm", &kOpenAiDialect, false},
                                             {"lmstudio", &kOpenAiDialect, false},
                                             {"local", &kOpenAiDialect, false}}};

}  // namespace

std::vector<Profile> MakeProfiles() {
  using Gzip = Profile::RequestGzip;
  return {
      Builtin(),
      OpenAiProfile(),
      AzureProfile(),
      MistralProfile(),
      CohereProfile(),
      VoyageProfile(),
      GeminiProfile(),
      JinaProfile(),
      OwnServer("ollama", "Ollama", "http://localhost:11434", kLoadSeconds, Gzip::kNo),
      OwnServer("llamacpp", "llama.cpp's server", "http://localhost:8080/v1", kLoadSeconds,
                Gzip::kNo),
      OwnServer("tei", "text-embeddings-inference", "http://localhost:8080", 60, Gzip::kNo),
      OwnServer("vllm", "vLLM", "http://localhost:8000/v1", 60, Gzip::kNo),
      OwnServer("lmstudio", "LM Studio", "http://localhost:1234/v1", kLoadSeconds, Gzip::kUnknown),
      OwnServer("local", "any other server that speaks as OpenAI", "", 10, Gzip::kUnknown)};
}

const DialectInfo* FindDialect(std::string_view name, std::string_view base_url) {
  while (base_url.ends_with('/')) base_url.remove_suffix(1);
  for (const Spoken& spoken : kSpoken) {
    if (spoken.name != name) continue;
    return spoken.is_openai_at_v1 && base_url.ends_with("/v1") ? &kOpenAiDialect : spoken.dialect;
  }
  return nullptr;
}

}  // namespace embedflow
