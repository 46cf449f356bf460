#include "corpus/provider_record.h"

#include <charconv>

#include "store/records.h"

namespace embedflow {
namespace {

constexpr const char* kBearer = "bearer";

}  // namespace

void RecordProvider(const ProviderOptions& options, SpaceRecord* space) {
  space->base_url = options.base_url;
  space->api_key_env = options.api_key_env;
  Metadata fields;
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) fields.push_back({key, MetadataValue::String(value)});
  };
  add("api_endpoint", options.api_endpoint);
  add("api_version", options.api_version);
  add("output_dtype", options.output_dtype);
  add("parameters", options.parameters);
  if (options.authentication == ProviderOptions::Authentication::kBearer) {
    add("authentication", kBearer);
  }
  if (options.batch_inputs_max) {
    fields.push_back({"batch_inputs_max",
                      MetadataValue::Number(static_cast<std::int64_t>(*options.batch_inputs_max))});
  }
  space->options = MetadataJson(fields);
}

Result<ProviderOptions> RecordedProvider(const SpaceRecord& space) {
  ProviderOptions options;
  options.name = space.space.provider;
  options.model = space.space.model;
  options.dimensions = space.space.dimensions;
  options.base_url = space.base_url;
  options.api_key_env = space.api_key_env;
  if (space.options.empty()) {
    // Of format version 1. A revision is the type of the numbers, "parameters-" and a hash, or both
    // with a comma between.
    const std::string dtype = space.space.revision.substr(0, space.space.revision.find(','));
    if (!dtype.starts_with("parameters-")) options.output_dtype = dtype;
    return options;
  }
  EF_ASSIGN_OR_RETURN(const Metadata fields, ReadMetadata(space.options));
  for (const MetadataField& field : fields) {
    const std::string& value = field.value.text;
    if (field.key == "api_endpoint") options.api_endpoint = value;
    if (field.key == "api_version") options.api_version = value;
    if (field.key == "output_dtype") options.output_dtype = value;
    if (field.key == "parameters") options.parameters = value;
    if (field.key == "authentication" && value == kBearer) {
      options.authentication = ProviderOptions::Authentication::kBearer;
    }
    std::size_t inputs = 0;
    if (field.key == "batch_inputs_max" &&
        std::from_chars(value.data(), value.data() + value.size(), inputs).ec == std::errc()) {
      options.batch_inputs_max = inputs;
    }
  }
  return options;
}

std::size_t DefaultSpace(const std::vector<SpaceRecord>& spaces, std::uint64_t documents) {
  std::size_t best = spaces.size() - 1;
  for (std::size_t i = spaces.size(); i-- > 0;) {
    if (spaces[i].documents == documents) return i;
    if (spaces[i].documents > spaces[best].documents) best = i;
  }
  return best;
}

Result<SpaceRecord> PickSpace(StoreReader& reader, const std::string& name) {
  // Spaces and counts of one instant: a commit between them would make a complete space look
  // incomplete.
  EF_ASSIGN_OR_RETURN(const StoreView view, StoreView::Hold(&reader));
  EF_ASSIGN_OR_RETURN(std::vector<SpaceRecord> spaces, reader.Spaces());
  if (spaces.empty()) {
    return Status(Code::kNotFound, "the corpus holds no vectors yet")
        .WithNext("embedflow ingest INPUT --into DIR");
  }
  if (name.empty()) {
    EF_ASSIGN_OR_RETURN(const StoreCounts counts, reader.Counts());
    return std::move(spaces[DefaultSpace(spaces, counts.documents)]);
  }
  std::string known;
  for (SpaceRecord& space : spaces) {
    if (space.space.name() == name) return std::move(space);
    known += (known.empty() ? "" : ", ") + space.space.name();
  }
  return Status(Code::kNotFound, "the corpus has no space " + name + "; it has " + known)
      .WithWord("space_unknown");
}

}  // namespace embedflow
