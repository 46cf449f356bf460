#include "embedflow/text.h"

#include <cmath>

#include "base/json_writer.h"
#include "base/utf8.h"
#include "embedflow/optimization.h"
#include "providers/dialects.h"
#include "providers/profiles.h"

namespace embedflow {
namespace {

// Up to here every whole number has a double of its own.
constexpr double kWholeMax = 9007199254740992.0;

void Field(JsonWriter* json, std::string_view key, std::uint64_t value) {
  json->Key(key).Value(value);
}

template <typename T>
void FieldOrNull(JsonWriter* json, std::string_view key, const std::optional<T>& value) {
  json->Key(key);
  if (value) {
    json->Value(*value);
  } else {
    json->Null();
  }
}

// A document without metadata has an empty text in some stores and "{}" in others.
void WriteMetadata(JsonWriter* json, std::string_view metadata_json) {
  json->Key("metadata").Raw(metadata_json.empty() ? "{}" : metadata_json);
}

void WriteHeading(JsonWriter* json, std::string_view heading) {
  if (!heading.empty()) json->Key("heading").Value(heading);
}

void WriteEndpoint(JsonWriter* json, const RunSummary::Endpoint& endpoint) {
  json->BeginObject();
  json->Key("place").Value(endpoint.place);
  json->Key("role").Value(endpoint.role);
  json->Key("admitted").Value(endpoint.admitted);
  Field(json, "requests", endpoint.requests);
  Field(json, "failures", endpoint.failures);
  Field(json, "throttled", endpoint.throttled);
  json->Key("breaker").Value(endpoint.breaker);
  Field(json, "breaker_opened", endpoint.breaker_opened);
  Field(json, "concurrency", endpoint.concurrency);
  FieldOrNull(json, "learnt_inputs_max", endpoint.learnt_inputs_max);
  FieldOrNull(json, "learnt_tokens_max", endpoint.learnt_model_tokens_max);
  if (endpoint.metrics) {
    json->Key("metrics").BeginObject();
    json->Key("latency_p50_ms").Value(endpoint.metrics->latency_p50_ms);
    json->Key("latency_p95_ms").Value(endpoint.metrics->latency_p95_ms);
    json->Key("latency_p99_ms").Value(endpoint.metrics->latency_p99_ms);
    json->Key("allowance_wait_seconds").Value(endpoint.metrics->allowance_wait_seconds);
    json->Key("tokens_per_estimated").Value(endpoint.metrics->tokens_per_estimated);
    json->EndObject();
  }
  json->EndObject();
}

void WriteSpace(JsonWriter* json, const SpaceStatus& space, bool is_default) {
  json->BeginObject();
  json->Key("name").Value(space.space.name());
  json->Key("provider").Value(space.space.provider);
  json->Key("model").Value(space.space.model);
  json->Key("dimensions").Value(space.space.dimensions);
  json->Key("base_url").Value(space.base_url);
  Field(json, "vectors", space.vectors);
  Field(json, "documents", space.documents);
  json->Key("complete").Value(space.is_complete);
  json->Key("default").Value(is_default);
  json->Key("index").BeginObject();
  json->Key("kind").Value(space.index.kind);
  Field(json, "vectors", space.index.vectors);
  Field(json, "bytes", space.index.bytes);
  json->Key("fresh").Value(space.index.fresh);
  json->EndObject().EndObject();
}

const char* RequestGzipName(Profile::RequestGzip gzip) {
  if (gzip == Profile::RequestGzip::kYes) return "yes";
  return gzip == Profile::RequestGzip::kNo ? "no" : "unknown";
}

void WriteModel(JsonWriter* json, const ModelProfile& model) {
  json->BeginObject();
  json->Key("model").Value(model.model);
  json->Key("dimensions").Value(model.dimensions);
  FieldOrNull(json, "dimensions_max",
              model.dimensions_max > 0 ? std::optional<int>(model.dimensions_max) : std::nullopt);
  json->Key("dimensions_list").BeginArray();
  for (const int length : model.dimensions_list) json->Value(length);
  json->EndArray();
  FieldOrNull(json, "text_tokens_max", model.text_tokens_max);
  FieldOrNull(json, "request_tokens_max", model.request_tokens_max);
  FieldOrNull(json, "usd_per_million_tokens", model.usd_per_million_tokens);
  json->Key("price_seen").Value(model.price_seen);
  json->EndObject();
}

// A limit a minute. A whole number is written as one: 1000000, where a double says 1e+06.
void LimitOrNull(JsonWriter* json, std::string_view key, const std::optional<double>& limit) {
  json->Key(key);
  if (!limit) {
    json->Null();
  } else if (*limit >= 0 && *limit < kWholeMax && std::floor(*limit) == *limit) {
    json->Value(static_cast<std::uint64_t>(*limit));
  } else {
    json->Value(*limit);
  }
}

// Null for a provider that takes no key over HTTP.
void WriteKeyHeader(JsonWriter* json, const Profile& profile) {
  const DialectInfo* dialect = FindDialect(profile.name, profile.base_url);
  json->Key("key_header");
  if (dialect == nullptr) {
    json->Null();
  } else {
    json->Value(dialect->key_header);
  }
}

void WriteProfile(JsonWriter* json, const Profile& profile) {
  json->BeginObject();
  json->Key("name").Value(profile.name);
  json->Key("about").Value(profile.about);
  json->Key("base_url").Value(profile.base_url);
  json->Key("api_key_env").Value(profile.api_key_env);
  WriteKeyHeader(json, profile);
  json->Key("api_version").Value(profile.api_version);
  json->Key("is_model_required").Value(profile.is_model_required);
  json->Key("limits").BeginObject();
  Field(json, "inputs_max", profile.limits.inputs_max);
  FieldOrNull(json, "model_tokens_max", profile.limits.model_tokens_max);
  Field(json, "body_bytes_max", profile.limits.body_bytes_max);
  json->EndObject();
  const FlowOptions flow = FlowOptionsFor(profile);
  json->Key("timeout_seconds")
      .Value(std::chrono::duration_cast<std::chrono::seconds>(flow.timeout).count());
  json->Key("retries_max").Value(flow.retries_max);
  json->Key("retry_delay_ms").Value(flow.retry_delay.count());
  LimitOrNull(json, "requests_per_minute", flow.requests_per_minute);
  LimitOrNull(json, "inputs_per_minute", flow.inputs_per_minute);
  json->Key("inputs_count_as_requests").Value(flow.inputs_count_as_requests);
  LimitOrNull(json, "model_tokens_per_minute", flow.model_tokens_per_minute);
  FieldOrNull(json, "requests_in_flight_max", flow.requests_in_flight_max);
  json->Key("request_gzip").Value(RequestGzipName(profile.request_gzip));
  json->Key("compression_enabled").Value(flow.compression_enabled);
  Field(json, "connections_max", flow.connections_max);
  json->Key("optimization").Raw(ToJson(profile.optimization));
  json->Key("models").BeginArray();
  for (const ModelProfile& model : profile.models) WriteModel(json, model);
  json->EndArray().EndObject();
}

}  // namespace

std::string ToJson(const RunSummary& summary) {
  JsonWriter json;
  json.BeginObject();
  json.Key("outcome").Value(RunOutcomeName(summary.outcome));
  json.Key("documents").BeginObject();
  Field(&json, "read", summary.documents.read);
  Field(&json, "unchanged", summary.documents.unchanged);
  Field(&json, "ingested", summary.documents.ingested);
  Field(&json, "replaced", summary.documents.replaced);
  Field(&json, "empty", summary.documents.empty);
  Field(&json, "deleted", summary.documents.deleted);
  Field(&json, "dead", summary.documents.dead);
  Field(&json, "cancelled", summary.documents.cancelled);
  json.EndObject();
  json.Key("chunks").BeginObject();
  Field(&json, "total", summary.chunks.total);
  Field(&json, "embedded", summary.chunks.embedded);
  Field(&json, "reused", summary.chunks.reused);
  Field(&json, "dead", summary.chunks.dead);
  json.EndObject();
  json.Key("cache").BeginObject();
  Field(&json, "hits", summary.cache.hits);
  Field(&json, "misses", summary.cache.misses);
  FieldOrNull(&json, "hit_rate", summary.cache.hit_rate());
  json.EndObject();
  json.Key("provider").BeginObject();
  Field(&json, "requests", summary.provider.requests);
  Field(&json, "retries", summary.provider.retries);
  Field(&json, "throttled", summary.provider.throttled);
  Field(&json, "tokens", summary.provider.model_tokens);
  Field(&json, "vectors_bought_twice", summary.provider.vectors_bought_twice);
  json.Key("endpoints").BeginArray();
  for (const RunSummary::Endpoint& endpoint : summary.endpoints) WriteEndpoint(&json, endpoint);
  json.EndArray().EndObject();
  FieldOrNull(&json, "cost_usd", summary.cost_usd);
  json.Key("seconds").Value(summary.seconds);
  json.Key("chunks_per_second").Value(summary.chunks_per_second);
  Field(&json, "peak_rss_bytes", summary.peak_rss_bytes);
  Field(&json, "dead_letters", summary.dead_letters);
  json.EndObject();
  return json.Take();
}

std::string ToJson(const CorpusStatus& status) {
  JsonWriter json;
  json.BeginObject();
  Field(&json, "documents", status.documents);
  Field(&json, "chunks", status.chunks);
  Field(&json, "vectors", status.vectors);
  Field(&json, "dead_letters", status.dead_letters);
  Field(&json, "bytes", status.bytes);
  json.Key("spaces").BeginArray();
  for (std::size_t i = 0; i < status.spaces.size(); ++i) {
    WriteSpace(&json, status.spaces[i], i == status.default_space);
  }
  json.EndArray().EndObject();
  return json.Take();
}

std::string ToJson(const VerifyReport& report) {
  JsonWriter json;
  json.BeginObject();
  json.Key("ok").Value(report.ok);
  Field(&json, "missing_vectors", report.missing_vectors);
  Field(&json, "orphan_vectors", report.orphan_vectors);
  Field(&json, "index_missing", report.index_missing);
  Field(&json, "index_extra", report.index_extra);
  Field(&json, "corrupt", report.corrupt);
  Field(&json, "documents", report.documents);
  Field(&json, "chunks", report.chunks);
  Field(&json, "vectors", report.vectors);
  json.Key("faults").BeginArray();
  for (const std::string& fault : report.faults) json.Value(fault);
  json.EndArray().Key("to_buy_again").BeginObject();
  Field(&json, "chunks", report.to_buy_again.chunks);
  Field(&json, "documents", report.to_buy_again.documents);
  json.Key("ids").BeginArray();
  for (const std::string& id : report.to_buy_again.ids) json.Value(id);
  json.EndArray().Key("spaces").BeginArray();
  for (const ToBuyAgain::InSpace& space : report.to_buy_again.spaces) {
    json.BeginObject().Key("name").Value(space.space.name());
    Field(&json, "chunks", space.chunks);
    Field(&json, "documents", space.documents);
    json.EndObject();
  }
  json.EndArray().EndObject().Key("repairs").BeginArray();
  for (const std::string& line : report.repairs) json.Value(line);
  json.EndArray();
  Field(&json, "documents_dropped", report.documents_dropped);
  json.Key("dropped_ids").BeginArray();
  for (const std::string& id : report.dropped_ids) json.Value(id);
  json.EndArray();
  Field(&json, "orphans_dropped", report.orphans_dropped);
  json.Key("next").Value(report.next);
  json.EndObject();
  return json.Take();
}

std::string ToJson(const std::vector<SearchHit>& hits, const Space& space) {
  JsonWriter json;
  json.BeginObject();
  json.Key("hits").BeginArray();
  for (const SearchHit& hit : hits) {
    json.BeginObject();
    json.Key("rank").Value(hit.rank);
    json.Key("score").Value(hit.score);
    json.Key("document_id").Value(hit.document_id);
    json.Key("chunk_id").Value(hit.chunk_id);
    json.Key("ordinal").Value(hit.ordinal);
    Field(&json, "begin", hit.begin);
    Field(&json, "end", hit.end);
    json.Key("text").Value(hit.text);
    WriteHeading(&json, hit.heading);
    WriteMetadata(&json, hit.metadata_json);
    json.EndObject();
  }
  json.EndArray();
  json.Key("space").Value(space.name());
  json.EndObject();
  return json.Take();
}

std::string ToJson(const RemoveReport& report) {
  JsonWriter json;
  json.BeginObject();
  Field(&json, "removed", report.documents);
  Field(&json, "chunks", report.chunks);
  json.Key("missing").BeginArray();
  for (const std::string& id : report.missing) json.Value(id);
  json.EndArray().EndObject();
  return json.Take();
}

std::string ToJson(const std::vector<DeadLetter>& letters) {
  JsonWriter json;
  json.BeginObject();
  json.Key("dead_letters").BeginArray();
  for (const DeadLetter& letter : letters) {
    json.BeginObject();
    json.Key("reason").Value(letter.reason);
    json.Key("provider_says").Value(letter.provider_says);
    json.Key("document_id").Value(letter.document_id);
    json.Key("file").Value(letter.file);
    Field(&json, "line", letter.line);
    Field(&json, "begin", letter.begin);
    Field(&json, "end", letter.end);
    json.Key("attempts").Value(letter.attempts);
    json.Key("wall_ms").Value(letter.wall_ms);
    json.Key("space").Value(letter.space);
    json.EndObject();
  }
  json.EndArray().EndObject();
  return json.Take();
}

std::string ToJson(const StoredChunk& chunk) {
  JsonWriter json;
  json.BeginObject();
  json.Key("chunk_id").Value(chunk.id);
  json.Key("document_id").Value(chunk.document_id);
  json.Key("ordinal").Value(chunk.ordinal);
  Field(&json, "begin", chunk.begin);
  Field(&json, "end", chunk.end);
  json.Key("text").Value(chunk.text);
  WriteHeading(&json, chunk.heading);
  WriteMetadata(&json, chunk.metadata_json);
  json.Key("embedding");
  if (chunk.embedding.empty()) {
    // No vector is not a vector of no numbers.
    json.Null();
  } else {
    json.BeginArray();
    for (const float value : chunk.embedding) json.Value(value);
    json.EndArray();
  }
  json.EndObject();
  return json.Take();
}

std::string ToJson(const std::vector<Profile>& profiles) {
  JsonWriter json;
  json.BeginObject();
  json.Key("providers").BeginArray();
  for (const Profile& profile : profiles) WriteProfile(&json, profile);
  json.EndArray().EndObject();
  return json.Take();
}

std::string ToJson(const Status& status, int exit_code) {
  JsonWriter json;
  json.BeginObject();
  json.Key("type").Value("error");
  json.Key("code").Value(status.word());
  json.Key("exit").Value(exit_code);
  json.Key("message").Value(status.message());
  json.Key("kept").Value(status.kept());
  json.Key("next").Value(status.next());
  json.EndObject();
  return json.Take();
}

std::string CommittedToJson(std::span<const ChunkId> committed) {
  JsonWriter json;
  json.BeginObject();
  json.Key("committed").BeginArray();
  for (const ChunkId id : committed) json.Value(id);
  json.EndArray().EndObject();
  return json.Take();
}

std::string Printable(std::string_view text, std::size_t bytes_max) {
  return bytes_max == std::string_view::npos ? EscapeControl(text) : EscapeControl(text, bytes_max);
}

}  // namespace embedflow
