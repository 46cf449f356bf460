// The table of providers, and how one is made from options. Where the numbers come from:
// docs/providers.md.
#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "embedflow/provider.h"
#include "providers/builtin.h"
#include "providers/key.h"
#include "providers/openai.h"

namespace embedflow {
namespace {

constexpr int kDimensionsMax = 65536;
constexpr std::size_t kNameBytesMax = 200;
constexpr const char* kPriceSeen = "2026-08-21";

// The in-process provider with a batch size of the user's. The work itself is the inner one's.
class Resized final : public Embedder {
 public:
  Resized(std::shared_ptr<const Provider> inner, std::size_t inputs_max)
      : inner_(std::move(inner)) {
    limits_ = inner_->limits();
    limits_.inputs_max = inputs_max;
  }
  const Space& space() const override { return inner_->space(); }
  RequestLimits limits() const override { return limits_; }
  Status Embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    return inner_->embedder()->Embed(texts, vectors);
  }

 private:
  const std::shared_ptr<const Provider> inner_;
  RequestLimits limits_;
};

Profile BuiltinProfile() {
  const std::shared_ptr<const Provider> builtin = MakeBuiltin(kBuiltinDimensions);
  EF_CHECK(builtin != nullptr);
  Profile profile;
  profile.name = "builtin";
  profile.limits = builtin->limits();
  profile.about = "in this process, offline";
  profile.optimization.max_retries = 0;
  profile.optimization.enable_circuit_breaker = false;
  profile.optimization.circuit_breaker_config = std::nullopt;
  profile.models = {{builtin->space().model, builtin->space().dimensions, 0.0, {}}};
  return profile;
}

Profile OpenAiProfile() {
  Profile profile;
  profile.optimization = OptimizationConfig::OpenAi();
  profile.name = "openai";
  profile.base_url = "https://api.openai.com/v1";
  profile.api_key_env = "OPENAI_API_KEY";
  profile.limits.inputs_max = 2048;
  profile.limits.model_tokens_max = 300'000;
  // The server's cap counts a quarter of a token a byte, whatever a tokenizer would say (pgai's
  // measurement): 300,000 tokens are 1.2 MB.
  profile.limits.body_bytes_max = 1'200'000;
  profile.models = {{"text-embedding-3-small", 1536, 0.02, kPriceSeen},
                    {"text-embedding-3-large", 3072, 0.13, kPriceSeen},
                    {"text-embedding-ada-002", 1536, 0.10, kPriceSeen}};
  return profile;
}

Profile MistralProfile() {
  Profile profile;
  profile.optimization = OptimizationConfig::Mistral();
  profile.name = "mistral";
  profile.base_url = "https://api.mistral.ai/v1";
  profile.api_key_env = "MISTRAL_API_KEY";
  profile.limits.inputs_max = 128;
  profile.limits.model_tokens_max = 16'384;
  profile.models = {{"mistral-embed", 1024, 0.10, kPriceSeen},
                    {"codestral-embed", 1536, 0.15, kPriceSeen}};
  return profile;
}

Profile LocalProfile() {
  Profile profile;
  profile.optimization = OptimizationConfig::Local();
  profile.name = "local";
  profile.is_model_required = true;
  profile.limits.inputs_max = 32;
  // text-embeddings-inference takes bodies of 2 MB; escapes make texts longer.
  profile.limits.body_bytes_max = 1u << 20;
  // Their dimensions are known; which one a server runs is not, so the user names it.
  profile.models = {{"sentence-transformers/all-MiniLM-L6-v2", 384, {}, {}},
                    {"all-minilm", 384, {}, {}},
                    {"nomic-embed-text", 768, {}, {}},
                    {"mxbai-embed-large", 1024, {}, {}},
                    {"bge-m3", 1024, {}, {}},
                    {"BAAI/bge-m3", 1024, {}, {}},
                    {"BAAI/bge-small-en-v1.5", 384, {}, {}},
                    {"BAAI/bge-base-en-v1.5", 768, {}, {}},
                    {"BAAI/bge-large-en-v1.5", 1024, {}, {}}};
  return profile;
}

Status BadOption(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

std::string KnownNames() {
  std::string names;
  for (const Profile& profile : Profiles()) names += (names.empty() ? "" : ", ") + profile.name;
  return names;
}

// Only OpenAI's third generation cuts its vectors to a length asked for.
bool CanShorten(const Profile& profile, const std::string& model) {
  return profile.name == "openai" && model.starts_with("text-embedding-3-");
}

struct Choice {
  std::string model;
  int dimensions = 0;
  bool shortened = false;
};

Result<Choice> Choose(const Profile& profile, const ProviderOptions& options) {
  Choice choice;
  choice.model = options.model;
  if (choice.model.empty()) {
    if (profile.is_model_required) {
      return Status(Code::kInvalidArgument,
                    "the provider " + profile.name + " has no default model")
          .WithNext("name the model that the server runs with --model");
    }
    choice.model = profile.models.front().model;
  }
  const auto known =
      std::find_if(profile.models.begin(), profile.models.end(),
                   [&](const ModelProfile& model) { return model.model == choice.model; });
  if (known == profile.models.end()) {
    if (!options.dimensions) {
      return Status(Code::kInvalidArgument, "the model " + EscapeControl(choice.model) + " of " +
                                                profile.name + " is not in the table of models")
          .WithNext("say how long its vectors are with --dimensions");
    }
    choice.dimensions = *options.dimensions;
    choice.shortened = CanShorten(profile, choice.model);
    return choice;
  }
  choice.dimensions = options.dimensions.value_or(known->dimensions);
  if (choice.dimensions == known->dimensions) return choice;
  if (!CanShorten(profile, choice.model)) {
    return BadOption("dimensions must be " + std::to_string(known->dimensions) + " for the model " +
                     choice.model + ", got " + std::to_string(choice.dimensions));
  }
  if (choice.dimensions > known->dimensions) {
    return BadOption("dimensions must be in [1, " + std::to_string(known->dimensions) +
                     "] for the model " + choice.model + ", got " +
                     std::to_string(choice.dimensions));
  }
  choice.shortened = true;
  return choice;
}

Status ReadKey(const Profile& profile, const ProviderOptions& options, OpenAiOptions* out) {
  if (!options.api_key_file.empty()) {
    EF_ASSIGN_OR_RETURN(out->key, ReadKeyFromFile(options.api_key_file));
    out->key_source = EscapeControl(options.api_key_file, 400);
    return {};
  }
  const std::string& variable =
      options.api_key_env.empty() ? profile.api_key_env : options.api_key_env;
  if (variable.empty() || variable == "none") return {};
  EF_ASSIGN_OR_RETURN(out->key, ReadKeyFromEnvironment(variable));
  out->key_source = EscapeControl(variable, 100);
  return {};
}

Result<std::shared_ptr<const Provider>> MakeInProcess(const ProviderOptions& options) {
  if (!options.base_url.empty() || !options.api_key_file.empty() ||
      !(options.api_key_env.empty() || options.api_key_env == "none")) {
    return BadOption("the provider builtin works in this process: it takes no base_url and no key");
  }
  const std::shared_ptr<const Provider> builtin =
      MakeBuiltin(options.dimensions.value_or(kBuiltinDimensions));
  EF_CHECK(builtin != nullptr);
  const std::string& model = builtin->space().model;
  if (!options.model.empty() && options.model != model) {
    return BadOption("the model of the provider builtin is " + model + ", got " +
                     EscapeControl(options.model));
  }
  if (!options.batch_inputs_max) return builtin;
  return std::shared_ptr<const Provider>(
      std::make_shared<Resized>(builtin, *options.batch_inputs_max));
}

}  // namespace

const std::vector<Profile>& Profiles() {
  static const std::vector<Profile> profiles = {BuiltinProfile(), OpenAiProfile(), MistralProfile(),
                                                LocalProfile()};
  return profiles;
}

const Profile* FindProfile(std::string_view name) {
  for (const Profile& profile : Profiles()) {
    if (profile.name == name) return &profile;
  }
  return nullptr;
}

Status ProviderOptions::Validate() const {
  if (FindProfile(name) == nullptr) {
    return Status(Code::kInvalidArgument, "there is no provider " + EscapeControl(name, 100))
        .WithWord("provider_unknown")
        .WithNext("choose one of: " + KnownNames());
  }
  if (model.size() > kNameBytesMax || !IsValidUtf8(model)) {
    return BadOption("model must be UTF-8 of at most " + std::to_string(kNameBytesMax) + " bytes");
  }
  if (dimensions && (*dimensions < 1 || *dimensions > kDimensionsMax)) {
    return BadOption("dimensions must be in [1, " + std::to_string(kDimensionsMax) + "], got " +
                     std::to_string(*dimensions));
  }
  if (!api_key_env.empty() && !api_key_file.empty())
    return BadOption("api_key_env and api_key_file must not both be given");
  if (batch_inputs_max && *batch_inputs_max == 0)
    return BadOption("batch_inputs_max must be at least 1, got 0");
  return {};
}

Result<std::shared_ptr<const Provider>> MakeProvider(const ProviderOptions& options) {
  EF_RETURN_IF_ERROR(options.Validate());
  const Profile& profile = *FindProfile(options.name);
  if (profile.name == "builtin") return MakeInProcess(options);

  OpenAiOptions dialect;
  EF_ASSIGN_OR_RETURN(Choice choice, Choose(profile, options));
  dialect.base_url = options.base_url.empty() ? profile.base_url : options.base_url;
  if (dialect.base_url.empty()) {
    return Status(Code::kInvalidArgument, "the provider " + profile.name + " needs a base URL")
        .WithNext(
            "give the server's address with --base-url, for example http://localhost:8080/v1");
  }
  EF_RETURN_IF_ERROR(ReadKey(profile, options, &dialect));
  dialect.space.provider = profile.name;
  dialect.space.model = std::move(choice.model);
  dialect.space.dimensions = choice.dimensions;
  dialect.dimensions_are_sent = choice.shortened;
  dialect.limits = profile.limits;
  if (options.batch_inputs_max) dialect.limits.inputs_max = *options.batch_inputs_max;
  return MakeOpenAi(dialect);
}

}  // namespace embedflow
