#include "cli/endpoint_spec.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/flow_options.h"
#include "cli/suggest.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kQuotedBytesMax = 60;
constexpr std::array<std::string_view, 4> kGroups = {"Provider", "Limits", "Retries",
                                                     "Connections"};

// The options that a further endpoint can have. Its dimensions are the space's.
std::vector<std::string_view> Names() {
  std::vector<std::string_view> names;
  for (const Option* option : OptionsOf(kIngest)) {
    const bool is_of_group =
        std::find(kGroups.begin(), kGroups.end(), option->group) != kGroups.end();
    const bool is_common = option->name == "--base-url" || option->name == "--model";
    if ((is_of_group && option->name != "--dimensions") || is_common) {
      names.push_back(option->name.substr(2));
    }
  }
  return names;
}

// Where the part that begins at `from` ends: at a comma that is not within JSON.
std::size_t PartEnd(std::string_view text, std::size_t from) {
  int depth = 0;
  bool is_string = false;
  for (std::size_t at = from; at < text.size(); ++at) {
    const char c = text[at];
    if (is_string) {
      if (c == '\\') ++at;
      is_string = c != '"';
    } else if (c == '"') {
      is_string = depth > 0;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      depth = std::max(0, depth - 1);
    } else if (c == ',' && depth == 0) {
      return at;
    }
  }
  return text.size();
}

Status AddPart(std::string_view part, Arguments* arguments) {
  const std::size_t equals = part.find('=');
  const std::string name(part.substr(0, equals));
  const std::vector<std::string_view> names = Names();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return UsageError("an endpoint has no option " + Printable(name, kQuotedBytesMax) +
                      SimilarOne(name, names));
  }
  if (equals == std::string_view::npos)
    return UsageError(name + " needs a value: " + name + "=...");
  const std::string value(part.substr(equals + 1));
  const std::string option = "--" + name;
  if (arguments->Has(option)) return UsageError(name + " comes twice");
  EF_RETURN_IF_ERROR(CheckValue(*FindOption(kIngest, option), value));
  arguments->Set(option, {value});
  return {};
}

Result<EndpointSpec> Read(const std::string& text, const ProviderOptions& primary) {
  Arguments arguments;
  std::size_t comma = PartEnd(text, 0);
  arguments.Set("--provider", {text.substr(0, comma)});
  while (comma < text.size()) {
    const std::size_t begin = comma + 1;
    comma = PartEnd(text, begin);
    EF_RETURN_IF_ERROR(AddPart(std::string_view(text).substr(begin, comma - begin), &arguments));
  }
  EndpointSpec spec;
  spec.provider = ProviderOptionsOf(arguments);
  EF_RETURN_IF_ERROR(CheckProviderName(spec.provider.name));
  const Profile& profile = *FindProfile(spec.provider.name);
  if (spec.provider.name == "builtin" || primary.name == "builtin") {
    return UsageError("builtin works in this process and has no endpoints");
  }
  if (spec.provider.model.empty()) spec.provider.model = primary.model;
  if (spec.provider.parameters.empty()) spec.provider.parameters = primary.parameters;
  if (spec.provider.output_dtype.empty()) spec.provider.output_dtype = primary.output_dtype;
  EF_ASSIGN_OR_RETURN(spec.flow, FlowOptionsOf(arguments, profile));
  return spec;
}

}  // namespace

Result<EndpointSpec> EndpointSpecOf(std::string_view option, const std::string& text,
                                    const ProviderOptions& primary) {
  Result<EndpointSpec> spec = Read(text, primary);
  if (!spec.ok()) {
    return UsageError(std::string(option) + " " + Printable(text, kQuotedBytesMax) + ": " +
                          spec.status().message(),
                      spec.status().next());
  }
  if (option == "--replica") spec->role = EndpointOptions::Role::kReplica;
  return spec;
}

Result<EndpointOptions> MakeEndpoint(EndpointSpec spec, const Space& space) {
  // An unset model is the first provider's, which only the space knows when it took its profile's.
  if (spec.provider.model.empty()) spec.provider.model = space.model;
  spec.provider.dimensions = space.dimensions;
  EndpointOptions endpoint;
  endpoint.role = spec.role;
  endpoint.flow = std::move(spec.flow);
  Result<std::shared_ptr<const Provider>> provider = MakeProvider(spec.provider);
  if (!provider.ok()) {
    const bool is_replica = spec.role == EndpointOptions::Role::kReplica;
    return provider.status().WithContext((is_replica ? "--replica " : "--fallback ") +
                                         spec.provider.name);
  }
  endpoint.provider = *std::move(provider);
  return endpoint;
}

}  // namespace embedflow::cli
