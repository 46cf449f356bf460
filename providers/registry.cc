// How a provider is made from a profile and options.
#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "embedflow/provider.h"
#include "providers/builtin.h"
#include "providers/key.h"
#include "providers/profiles.h"

namespace embedflow {
namespace {

constexpr int kDimensionsMax = 65536;
constexpr std::size_t kNameBytesMax = 200;

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

Status BadOption(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

std::string KnownNames() {
  std::string names;
  for (const Profile& profile : Profiles()) names += (names.empty() ? "" : ", ") + profile.name;
  return names;
}

bool HasLength(const ModelProfile& model, int dimensions) {
  if (dimensions == model.dimensions) return true;
  const std::vector<int>& list = model.dimensions_list;
  return (dimensions >= 1 && dimensions <= model.dimensions_max) ||
         std::find(list.begin(), list.end(), dimensions) != list.end();
}

// "1536", "in [1, 1536]" or "one of 256, 512".
std::string LengthsOf(const ModelProfile& model) {
  if (model.dimensions_max > 0) return "in [1, " + std::to_string(model.dimensions_max) + "]";
  if (model.dimensions_list.empty()) return std::to_string(model.dimensions);
  std::string text;
  for (const int length : model.dimensions_list) {
    text += (text.empty() ? "one of " : ", ") + std::to_string(length);
  }
  return text;
}

// Whether a model that is not in the table can be asked for a length.
bool TakesLength(const Profile& profile, const std::string& model, int dimensions) {
  if (profile.name == "openai") return model.starts_with("text-embedding-3-");
  if (profile.name == "gemini") return true;
  // The name is the deployment's. A model whose own length is 1,536 may be too old to be asked, and
  // need not be.
  return profile.name == "azure" && dimensions != 1536;
}

struct Choice {
  std::string model;
  const ModelProfile* known = nullptr;  // Null for a model that is not in the table.
  int dimensions = 0;
  bool dimensions_are_sent = false;
};

Result<Choice> Choose(const Profile& profile, const ProviderOptions& options) {
  Choice choice;
  choice.model = options.model;
  if (choice.model.empty()) {
    if (profile.is_model_required) {
      return Status(Code::kInvalidArgument,
                    "the provider " + profile.name + " has no default model")
          .WithNext(profile.name == "azure" ? "name the deployment with --model"
                                            : "name the model that the server runs with --model");
    }
    choice.model = profile.models.front().model;
  }
  for (const ModelProfile& model : profile.models) {
    if (model.model == choice.model) choice.known = &model;
  }
  if (choice.known == nullptr) {
    if (!options.dimensions) {
      return Status(Code::kInvalidArgument, "the model " + EscapeControl(choice.model) + " of " +
                                                profile.name + " is not in the table of models")
          .WithNext("say how long its vectors are with --dimensions");
    }
    choice.dimensions = *options.dimensions;
    choice.dimensions_are_sent = TakesLength(profile, choice.model, choice.dimensions);
    return choice;
  }
  choice.dimensions = options.dimensions.value_or(choice.known->dimensions);
  if (!HasLength(*choice.known, choice.dimensions)) {
    return BadOption("dimensions must be " + LengthsOf(*choice.known) + " for the model " +
                     choice.model + ", got " + std::to_string(choice.dimensions));
  }
  choice.dimensions_are_sent = choice.dimensions != choice.known->dimensions;
  return choice;
}

Result<OutputDtype> ChooseDtype(const DialectInfo& dialect, const std::string& name,
                                const Choice& choice) {
  if (name.empty()) return OutputDtype::kFloat;
  const std::optional<OutputDtype> dtype = OutputDtypeOf(name);
  if (!dtype || std::find(dialect.output_dtypes.begin(), dialect.output_dtypes.end(), *dtype) ==
                    dialect.output_dtypes.end()) {
    std::string known;
    for (const OutputDtype candidate : dialect.output_dtypes) {
      known += (known.empty() ? "" : ", ") + std::string(OutputDtypeName(candidate));
    }
    return BadOption("output_dtype must be one of " + known + ", got " + EscapeControl(name, 60));
  }
  if (choice.dimensions % static_cast<int>(FloatsPerNumber(*dtype)) != 0) {
    return BadOption("dimensions must be a multiple of 8 for output_dtype " + name + ", got " +
                     std::to_string(choice.dimensions));
  }
  return *dtype;
}

// What else makes the vectors what they are, for the space's identity.
std::string RevisionOf(OutputDtype dtype, const std::string& extra_members) {
  std::string revision;
  if (dtype != OutputDtype::kFloat) revision = OutputDtypeName(dtype);
  if (extra_members.empty()) return revision;
  return revision + (revision.empty() ? "" : ",") + "parameters-" +
         HashContent(extra_members).hex().substr(0, 16);
}

Status ReadKey(const Profile& profile, const ProviderOptions& options, DialectOptions* out) {
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
  if (!options.api_endpoint.empty() || !options.api_version.empty() ||
      !(options.output_dtype.empty() || options.output_dtype == "float")) {
    return BadOption(
        "the provider builtin sends no requests: it takes no api_endpoint, no api_version and no "
        "output_dtype");
  }
  EF_ASSIGN_OR_RETURN(const std::string members, ExtraMembers(options.parameters));
  if (!members.empty()) return BadOption("the provider builtin takes no parameters");
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
  static const std::vector<Profile> profiles = MakeProfiles();
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

  DialectOptions made;
  EF_ASSIGN_OR_RETURN(Choice choice, Choose(profile, options));
  made.base_url = options.base_url.empty() ? profile.base_url : options.base_url;
  if (made.base_url.empty()) {
    const bool is_azure = profile.name == "azure";
    return Status(Code::kInvalidArgument, "the provider " + profile.name + " needs a base URL")
        .WithNext(std::string("give the ") + (is_azure ? "resource" : "server") +
                  "'s address with --base-url, for example " +
                  (is_azure ? "https://RESOURCE.openai.azure.com" : "http://localhost:8080/v1"));
  }
  const DialectInfo* const dialect = FindDialect(profile.name, made.base_url);
  EF_CHECK(dialect != nullptr);
  if (!options.api_version.empty() && profile.api_version.empty()) {
    return BadOption("the provider " + profile.name + " takes no api_version");
  }
  EF_ASSIGN_OR_RETURN(made.output_dtype, ChooseDtype(*dialect, options.output_dtype, choice));
  EF_ASSIGN_OR_RETURN(made.extra_members, ExtraMembers(options.parameters));
  EF_RETURN_IF_ERROR(ReadKey(profile, options, &made));
  made.endpoint = options.api_endpoint;
  made.is_api_version_given = !options.api_version.empty();
  made.api_version = made.is_api_version_given ? options.api_version : profile.api_version;
  made.is_bearer = options.authentication == ProviderOptions::Authentication::kBearer;
  made.side = options.side;
  made.dimensions_are_sent = choice.dimensions_are_sent;
  made.space.provider = profile.name;
  made.space.model = std::move(choice.model);
  made.space.revision = RevisionOf(made.output_dtype, made.extra_members);
  made.space.dimensions = choice.dimensions;
  if (dialect->tells_sides(made.space.model)) made.space.input_type = "document";
  made.limits = profile.limits;
  if (choice.known != nullptr && choice.known->request_tokens_max) {
    made.limits.model_tokens_max = choice.known->request_tokens_max;
  }
  if (options.batch_inputs_max) made.limits.inputs_max = *options.batch_inputs_max;
  return MakeDialect(*dialect, std::move(made));
}

}  // namespace embedflow
