#include "cli/corpus_provider.h"

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

Result<ProviderOptions> ProviderOptionsFor(const Arguments& arguments, Corpus& corpus) {
  EF_ASSIGN_OR_RETURN(const CorpusStatus status, corpus.Describe());
  const ProviderOptions given = ProviderOptionsOf(arguments);
  for (auto space = status.spaces.rbegin(); space != status.spaces.rend(); ++space) {
    const Space& known = space->space;
    if (arguments.Has("--provider") && known.provider != given.name) continue;
    if (!given.model.empty() && known.model != given.model) continue;
    if (given.dimensions && known.dimensions != *given.dimensions) continue;
    EF_ASSIGN_OR_RETURN(ProviderOptions options, corpus.ProviderOf(known.name()));
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
  EF_RETURN_IF_ERROR(CheckProviderName(given.name));
  return given;
}

}  // namespace embedflow::cli
