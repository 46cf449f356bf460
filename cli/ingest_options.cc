#include "cli/ingest_options.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cli/commands.h"
#include "cli/flow_options.h"

namespace embedflow::cli {
namespace {

template <typename T>
void Override(T* field, const std::optional<std::int64_t>& given) {
  if (given) *field = static_cast<T>(*given);
}

FileSourceOptions::Format FormatOf(const std::string& name) {
  using Format = FileSourceOptions::Format;
  if (name == "jsonl") return Format::kJsonLines;
  if (name == "csv") return Format::kCsv;
  if (name == "tsv") return Format::kTsv;
  if (name == "text") return Format::kText;
  if (name == "markdown") return Format::kMarkdown;
  return Format::kAuto;
}

ChunkerOptions::Kind ChunkerOf(const std::string& name) {
  using Kind = ChunkerOptions::Kind;
  if (name == "sentence") return Kind::kSentence;
  if (name == "markdown") return Kind::kMarkdown;
  if (name == "fixed") return Kind::kFixed;
  if (name == "none") return Kind::kNone;
  return Kind::kRecursive;
}

Metric MetricOf(const std::string& name) {
  if (name == "ip") return Metric::kInnerProduct;
  return name == "l2" ? Metric::kL2 : Metric::kCosine;
}

// A chunk above `tokens_max`, what the model takes, would only become a dead letter.
Result<ChunkerOptions> ChunkerOptionsOf(const Arguments& arguments,
                                        std::optional<std::size_t> tokens_max) {
  ChunkerOptions chunker;
  chunker.kind = ChunkerOf(arguments.Text("--chunker"));
  Override(&chunker.size_tokens, arguments.Integer("--chunk-size"));
  const bool is_above = tokens_max && static_cast<std::size_t>(chunker.size_tokens) > *tokens_max &&
                        chunker.kind != ChunkerOptions::Kind::kNone;
  if (is_above && arguments.Has("--chunk-size")) {
    return UsageError("--chunk-size must be at most " + std::to_string(*tokens_max) +
                      ", which is what the model takes, got " +
                      std::to_string(chunker.size_tokens));
  }
  if (is_above) chunker.size_tokens = static_cast<int>(*tokens_max);
  const int overlap_max = chunker.size_tokens / 2;
  chunker.overlap_tokens = std::min(chunker.overlap_tokens, overlap_max);
  Override(&chunker.overlap_tokens, arguments.Integer("--chunk-overlap"));
  if (chunker.overlap_tokens > overlap_max) {
    return UsageError("--chunk-overlap must be at most half of --chunk-size " +
                      std::to_string(chunker.size_tokens) + ", got " +
                      std::to_string(chunker.overlap_tokens));
  }
  return chunker;
}

// What the model takes, if the table knows it.
std::optional<std::size_t> TextTokensMax(const Profile& profile, const std::string& model) {
  for (const ModelProfile& known : profile.models) {
    const bool is_default = model.empty() && !profile.is_model_required;
    if (is_default || known.model == model) return known.text_tokens_max;
  }
  return std::nullopt;
}

}  // namespace

Result<RunOptions> RunOptionsOf(const Arguments& arguments, const ProviderOptions& provider) {
  RunOptions options;
  options.provider = provider;
  EF_RETURN_IF_ERROR(CheckProviderName(provider.name));
  const Profile& profile = *FindProfile(provider.name);
  options.summary_file = arguments.Text("--summary");
  options.ack_log_file = arguments.Text("--ack-log");
  options.pipeline.index.kind = arguments.Text("--index", options.pipeline.index.kind);
  if (arguments.Has("--metric")) {
    options.pipeline.index.metric = MetricOf(arguments.Text("--metric"));
  }
  options.pipeline.cache_directory = arguments.Text("--cache");
  Override(&options.pipeline.cache_bytes_max, arguments.Integer("--cache-bytes"));
  EF_ASSIGN_OR_RETURN(options.pipeline.flow, FlowOptionsOf(arguments, profile));
  for (const std::string_view name : {"--replica", "--fallback"}) {
    for (const std::string& text : arguments.All(name)) {
      EF_ASSIGN_OR_RETURN(EndpointSpec spec, EndpointSpecOf(name, text, provider));
      options.endpoints.push_back(std::move(spec));
    }
  }
  options.pipeline.recorded = provider;
  if (provider.base_url.empty()) options.pipeline.recorded.base_url = profile.base_url;
  if (provider.api_key_env.empty()) options.pipeline.recorded.api_key_env = profile.api_key_env;
  return options;
}

Result<IngestOptions> IngestOptionsOf(const Arguments& arguments) {
  IngestOptions options;
  EF_ASSIGN_OR_RETURN(options.run, RunOptionsOf(arguments, ProviderOptionsOf(arguments)));
  options.run.directory = arguments.Text("--into");
  options.inputs = options.run.inputs = arguments.positionals();

  options.source.format = FormatOf(arguments.Text("--format"));
  options.source.id_field = arguments.Text("--id-field", options.source.id_field);
  options.source.text_field = arguments.Text("--text-field", options.source.text_field);
  Override(&options.source.document_bytes_max, arguments.Integer("--max-document-bytes"));

  const ProviderOptions& provider = options.run.provider;
  EF_ASSIGN_OR_RETURN(
      options.run.pipeline.chunker,
      ChunkerOptionsOf(arguments, TextTokensMax(*FindProfile(provider.name), provider.model)));
  options.run.pipeline.sync = arguments.Has("--sync");
  return options;
}

}  // namespace embedflow::cli
