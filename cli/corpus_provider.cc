#include "cli/corpus_provider.h"

#include <algorithm>
#include <utility>

#include "cli/commands.h"
#include "cli/flow_options.h"

namespace embedflow::cli {

bool SpeaksOfProvider(const Arguments& arguments) {
  for (const char* option :
       {"--provider", "--model", "--dimensions", "--base-url", "--api-key-env", "--api-key-file",
        "--auth", "--api-endpoint", "--api-version", "--output-dtype", "--parameters"}) {
    if (arguments.Has(option)) return true;
  }
  return false;
}

namespace {

// Whether the space is of what the arguments name.
bool Fits(const Arguments& arguments, const ProviderOptions& given, const Space& space) {
  if (arguments.Has("--provider") && space.provider != given.name) return false;
  if (!given.model.empty() && space.model != given.model) return false;
  return !given.dimensions || space.dimensions == *given.dimensions;
}

// `given` over `options`.
ProviderOptions Override(const Arguments& arguments, const ProviderOptions& given,
                         ProviderOptions options) {
  const auto take = [](std::string* field, const std::string& value) {
    if (!value.empty()) *field = value;
  };
  take(&options.base_url, given.base_url);
  take(&options.api_endpoint, given.api_endpoint);
  take(&options.api_version, given.api_version);
  take(&options.output_dtype, given.output_dtype);
  take(&options.parameters, given.parameters);
  if (arguments.Has("--auth")) options.authentication = given.authentication;
  // A key has one place.
  if (!given.api_key_env.empty() || !given.api_key_file.empty()) {
    options.api_key_env = given.api_key_env;
    options.api_key_file = given.api_key_file;
  }
  if (given.batch_inputs_max) options.batch_inputs_max = given.batch_inputs_max;
  return options;
}

// Another model of a known provider: its address and key, but nothing that is of the old model.
ProviderOptions OtherModel(const ProviderOptions& given, ProviderOptions known) {
  known.model = given.model;
  known.dimensions = given.dimensions;
  known.output_dtype = {};
  known.parameters = {};
  return known;
}

}  // namespace

Result<ProviderOptions> ProviderOptionsFor(const Arguments& arguments, Corpus& corpus) {
  EF_ASSIGN_OR_RETURN(const CorpusStatus status, corpus.Describe());
  const ProviderOptions given = ProviderOptionsOf(arguments);
  for (auto space = status.spaces.rbegin(); space != status.spaces.rend(); ++space) {
    if (!Fits(arguments, given, space->space)) continue;
    EF_ASSIGN_OR_RETURN(ProviderOptions known, corpus.ProviderOf(space->space.name()));
    return Override(arguments, given, std::move(known));
  }
  for (auto space = status.spaces.rbegin(); space != status.spaces.rend(); ++space) {
    if (arguments.Has("--provider") && space->space.provider != given.name) continue;
    EF_ASSIGN_OR_RETURN(ProviderOptions known, corpus.ProviderOf(space->space.name()));
    return Override(arguments, given, OtherModel(given, std::move(known)));
  }
  EF_RETURN_IF_ERROR(CheckProviderName(given.name));
  return given;
}

Result<ProviderOptions> ProviderOptionsAmong(const Arguments& arguments, Corpus& corpus,
                                             const std::vector<std::string>& spaces) {
  EF_ASSIGN_OR_RETURN(const CorpusStatus status, corpus.Describe());
  const ProviderOptions given = ProviderOptionsOf(arguments);
  std::string names;
  for (auto space = status.spaces.rbegin(); space != status.spaces.rend(); ++space) {
    const std::string name = space->space.name();
    if (std::find(spaces.begin(), spaces.end(), name) == spaces.end()) continue;
    names += (names.empty() ? "" : ", ") + name;
    if (!Fits(arguments, given, space->space)) continue;
    EF_ASSIGN_OR_RETURN(ProviderOptions known, corpus.ProviderOf(name));
    return Override(arguments, given, std::move(known));
  }
  return Status(Code::kNotFound, "no dead letter is of the provider that is named" +
                                     (names.empty() ? "" : "; they are in " + names))
      .WithWord("space_unknown")
      .WithNext("leave out the provider options, or name one of these");
}

}  // namespace embedflow::cli
