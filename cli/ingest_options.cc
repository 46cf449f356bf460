#include "cli/ingest_options.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "cli/commands.h"

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

Result<ChunkerOptions> ChunkerOptionsOf(const Arguments& arguments) {
  ChunkerOptions chunker;
  chunker.kind = ChunkerOf(arguments.Text("--chunker"));
  Override(&chunker.size_tokens, arguments.Integer("--chunk-size"));
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

FlowOptions FlowOptionsOf(const Arguments& arguments, const Profile& profile) {
  FlowOptions flow = FlowOptionsFor(profile);
  if (const std::optional<double> seconds = arguments.Number("--timeout-seconds")) {
    flow.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * 1000));
  }
  Override(&flow.retries_max, arguments.Integer("--max-retries"));
  if (const auto delay = arguments.Integer("--retry-delay-ms")) {
    flow.retry_delay = std::chrono::milliseconds(*delay);
  }
  if (arguments.Has("--compression-enabled")) {
    flow.compression_enabled = arguments.Text("--compression-enabled") == "true";
  }
  Override(&flow.connections_max, arguments.Integer("--connection-pool-size"));
  if (const auto in_flight = arguments.Integer("--max-concurrency")) {
    flow.requests_in_flight_max = static_cast<std::size_t>(*in_flight);
  }
  if (const auto rpm = arguments.Number("--rate-limit-rpm")) flow.requests_per_minute = rpm;
  if (const auto tpm = arguments.Number("--rate-limit-tpm")) flow.model_tokens_per_minute = tpm;
  return flow;
}

ProviderOptions ProviderOptionsOf(const Arguments& arguments) {
  ProviderOptions provider;
  provider.name = arguments.Text("--provider", provider.name);
  provider.model = arguments.Text("--model");
  if (const auto dimensions = arguments.Integer("--dimensions")) {
    provider.dimensions = static_cast<int>(*dimensions);
  }
  provider.base_url = arguments.Text("--base-url");
  provider.api_key_env = arguments.Text("--api-key-env");
  provider.api_key_file = arguments.Text("--api-key-file");
  if (const auto inputs = arguments.Integer("--max-batch-size")) {
    provider.batch_inputs_max = static_cast<std::size_t>(*inputs);
  }
  return provider;
}

}  // namespace

Result<IngestOptions> IngestOptionsOf(const Arguments& arguments) {
  IngestOptions options;
  options.directory = arguments.Text("--into");
  options.inputs = arguments.positionals();
  options.summary_file = arguments.Text("--summary");
  options.ack_log_file = arguments.Text("--ack-log");

  options.source.format = FormatOf(arguments.Text("--format"));
  options.source.id_field = arguments.Text("--id-field", options.source.id_field);
  options.source.text_field = arguments.Text("--text-field", options.source.text_field);
  Override(&options.source.document_bytes_max, arguments.Integer("--max-document-bytes"));

  options.provider = ProviderOptionsOf(arguments);
  EF_RETURN_IF_ERROR(CheckProviderName(options.provider.name));
  const Profile& profile = *FindProfile(options.provider.name);

  EF_ASSIGN_OR_RETURN(options.pipeline.chunker, ChunkerOptionsOf(arguments));
  options.pipeline.index.kind = arguments.Text("--index", options.pipeline.index.kind);
  options.pipeline.index.metric = MetricOf(arguments.Text("--metric"));
  options.pipeline.flow = FlowOptionsOf(arguments, profile);
  options.pipeline.base_url =
      options.provider.base_url.empty() ? profile.base_url : options.provider.base_url;
  options.pipeline.api_key_env =
      options.provider.api_key_env.empty() ? profile.api_key_env : options.provider.api_key_env;
  return options;
}

}  // namespace embedflow::cli
