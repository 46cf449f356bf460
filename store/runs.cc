#include "store/runs.h"

#include "base/json_writer.h"

namespace embedflow {
namespace {

constexpr std::uint64_t kRunKind = 8;
constexpr std::uint64_t kSampleKind = 9;
// What stands for a summary of a run that was killed.
constexpr const char* kKilled = R"({"outcome":"killed"})";

// The counters that both a sample and a summary have.
void AppendCounters(JsonWriter* json, const RunSummary& summary) {
  const RunSummary::Documents& documents = summary.documents;
  json->Key("documents").BeginObject();
  json->Key("read").Value(documents.read).Key("unchanged").Value(documents.unchanged);
  json->Key("ingested").Value(documents.ingested).Key("replaced").Value(documents.replaced);
  json->Key("empty").Value(documents.empty).Key("deleted").Value(documents.deleted);
  json->Key("dead").Value(documents.dead).Key("cancelled").Value(documents.cancelled);
  json->EndObject().Key("chunks").BeginObject();
  json->Key("total").Value(summary.chunks.total).Key("embedded").Value(summary.chunks.embedded);
  json->Key("reused").Value(summary.chunks.reused).Key("dead").Value(summary.chunks.dead);
  const RunSummary::Provider& provider = summary.provider;
  json->EndObject().Key("provider").BeginObject();
  json->Key("requests").Value(provider.requests).Key("retries").Value(provider.retries);
  json->Key("throttled").Value(provider.throttled).Key("tokens").Value(provider.model_tokens);
  json->Key("vectors_bought_twice").Value(provider.vectors_bought_twice).EndObject();
  json->Key("cost_usd");
  summary.cost_usd ? json->Value(*summary.cost_usd) : json->Null();
  json->Key("seconds").Value(summary.seconds);
}

const char* OutcomeWord(RunOutcome outcome) {
  switch (outcome) {
    case RunOutcome::kComplete:
      return "complete";
    case RunOutcome::kPartial:
      return "partial";
    case RunOutcome::kBudget:
      return "budget";
    case RunOutcome::kRefused:
      return "refused";
    case RunOutcome::kInterrupted:
      return "interrupted";
    case RunOutcome::kFailed:
      return "failed";
  }
  return "failed";
}

std::string SummaryJson(const RunSummary& summary) {
  JsonWriter json;
  json.BeginObject().Key("outcome").Value(OutcomeWord(summary.outcome));
  AppendCounters(&json, summary);
  json.Key("chunks_per_second").Value(summary.chunks_per_second);
  json.Key("peak_rss_bytes").Value(summary.peak_rss_bytes);
  json.Key("dead_letters").Value(summary.dead_letters).EndObject();
  return json.Take();
}

std::string ProgressJson(const Progress& progress) {
  JsonWriter json;
  json.BeginObject();
  AppendCounters(&json, progress.so_far);
  json.Key("bytes_read").Value(progress.source.bytes_read).Key("bytes_total");
  progress.source.bytes_total ? json.Value(*progress.source.bytes_total) : json.Null();
  json.Key("requests_in_flight").Value(progress.requests_in_flight);
  json.Key("requests_in_flight_max").Value(progress.requests_in_flight_max);
  json.Key("admitted_bytes").Value(progress.admitted_bytes);
  json.Key("admitted_bytes_max").Value(progress.admitted_bytes_max);
  json.Key("stopping").Value(progress.stopping).Key("indexing").Value(progress.indexing);
  json.EndObject();
  return json.Take();
}

}  // namespace

std::uint64_t RunSum(std::int64_t run, SpaceId space, std::uint64_t in_flight_max,
                     std::int64_t began_ms, std::int64_t ended_ms, std::string_view summary) {
  return RecordSum(kRunKind)
      .Add(static_cast<std::uint64_t>(run))
      .Add(static_cast<std::uint64_t>(space))
      .Add(in_flight_max)
      .Add(static_cast<std::uint64_t>(began_ms))
      .Add(static_cast<std::uint64_t>(ended_ms))
      .Add(summary)
      .value();
}

std::uint64_t SampleSum(std::int64_t run, std::int64_t sample, std::int64_t wall_ms,
                        std::string_view progress) {
  return RecordSum(kSampleKind)
      .Add(static_cast<std::uint64_t>(run))
      .Add(static_cast<std::uint64_t>(sample))
      .Add(static_cast<std::uint64_t>(wall_ms))
      .Add(progress)
      .value();
}

Result<std::unique_ptr<Runs>> Runs::Open(Writer* writer, const Clock& clock) {
  return std::unique_ptr<Runs>(new Runs(writer, clock));
}

Result<Store::RunBegin> Runs::Begin(SpaceId space, std::uint64_t in_flight_max) {
  Database& database = writer_->database();
  Store::RunBegin begin;
  EF_ASSIGN_OR_RETURN(Statement open,
                      // A run that buys nothing leaves those that did to the next one that does:
                      // what they may have bought twice is told by that.
                      database.Prepare("SELECT run, in_flight_max FROM runs WHERE ended_ms IS NULL"
                                       " AND (?1 > 0 OR in_flight_max = 0) LIMIT 1"));
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool found, open.BindUnsigned(in_flight_max).Step());
    if (!found) break;
    const std::int64_t killed = open.Int(0);
    begin.killed_before = true;
    begin.killed_in_flight_max += open.Unsigned(1);
    open.Reset();
    EF_RETURN_IF_ERROR(Close(killed, kKilled));
  }
  EF_ASSIGN_OR_RETURN(begin.maybe_paid, MaybePaid(space));
  // They say what is later within one run only.
  EF_RETURN_IF_ERROR(database.Execute("DELETE FROM empty_records"));
  EF_ASSIGN_OR_RETURN(const std::int64_t last, database.QueryInt("SELECT max(run) FROM runs"));
  begin.run = last + 1;
  const std::int64_t now = clock_.WallMillis();
  EF_ASSIGN_OR_RETURN(
      Statement insert,
      database.Prepare("INSERT INTO runs(run, space, in_flight_max, began_ms, ended_ms, summary,"
                       " checksum) VALUES(?, ?, ?, ?, NULL, '', ?)"));
  EF_RETURN_IF_ERROR(insert.Bind(begin.run)
                         .Bind(space)
                         .BindUnsigned(in_flight_max)
                         .Bind(now)
                         .BindUnsigned(RunSum(begin.run, space, in_flight_max, now, 0, ""))
                         .Run());
  run_ = begin.run;
  offered_ = 0;
  kept_ = 0;
  stride_ = 1;
  return begin;
}

Result<std::vector<ContentHash>> Runs::MaybePaid(SpaceId space) {
  Database& database = writer_->database();
  EF_ASSIGN_OR_RETURN(
      Statement rows,
      database.Prepare("SELECT text_hash, checksum FROM maybe_paid WHERE space = ?"));
  rows.Bind(space);
  std::vector<ContentHash> hashes;
  for (;;) {
    EF_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return hashes;
    ContentHash hash;
    if (!rows.Hash(0, &hash) || rows.Unsigned(1) != MaybePaidSum(space, hash)) {
      return Damaged(database, "maybe_paid " + hash.hex(), "its checksum is wrong");
    }
    hashes.push_back(hash);
  }
}

Status Runs::RememberMaybePaid(SpaceId space, std::span<const ContentHash> texts) {
  EF_ASSIGN_OR_RETURN(Statement insert,
                      writer_->database().Prepare("INSERT OR IGNORE INTO maybe_paid(space,"
                                                  " text_hash, checksum) VALUES(?, ?, ?)"));
  for (const ContentHash& text : texts) {
    EF_RETURN_IF_ERROR(
        insert.Bind(space).BindHash(text).BindUnsigned(MaybePaidSum(space, text)).Run());
  }
  return {};
}

Status Runs::ForgetMaybePaid(SpaceId space, std::span<const ContentHash> texts) {
  EF_ASSIGN_OR_RETURN(
      Statement forget,
      writer_->database().Prepare("DELETE FROM maybe_paid WHERE space = ? AND text_hash = ?"));
  for (const ContentHash& text : texts) {
    EF_RETURN_IF_ERROR(forget.Bind(space).BindHash(text).Run());
  }
  return {};
}

bool Runs::wants_sample(std::int64_t run) const { return run != run_ || offered_ % stride_ == 0; }

Status Runs::AddSample(std::int64_t run, const Progress& progress) {
  if (run != run_) {
    return Status(Code::kInvalidArgument, "run " + std::to_string(run) + " has not begun");
  }
  if (kept_ == kRunSamplesMax) {
    EF_RETURN_IF_ERROR(HalveSamples(run));
    kept_ = (kept_ + 1) / 2;
    stride_ *= 2;
  }
  const std::string json = ProgressJson(progress);
  const std::int64_t now = clock_.WallMillis();
  const std::int64_t sample = offered_++;
  EF_ASSIGN_OR_RETURN(
      Statement insert,
      writer_->database().Prepare("INSERT INTO run_samples(run, sample, wall_ms, progress,"
                                  " checksum) VALUES(?, ?, ?, ?, ?)"));
  ++kept_;
  return insert.Bind(run)
      .Bind(sample)
      .Bind(now)
      .BindText(json)
      .BindUnsigned(SampleSum(run, sample, now, json))
      .Run();
}

// Samples are numbered as they were offered, so what stays are the multiples of the next stride.
Status Runs::HalveSamples(std::int64_t run) {
  EF_ASSIGN_OR_RETURN(
      Statement halve,
      writer_->database().Prepare("DELETE FROM run_samples WHERE run = ? AND sample % ? != 0"));
  return halve.Bind(run).Bind(stride_ * 2).Run();
}

Status Runs::End(std::int64_t run, const RunSummary& summary) {
  return Close(run, SummaryJson(summary));
}

Status Runs::Close(std::int64_t run, std::string_view summary) {
  Database& database = writer_->database();
  EF_ASSIGN_OR_RETURN(
      Statement find,
      database.Prepare("SELECT space, in_flight_max, began_ms FROM runs WHERE run = ?"));
  EF_ASSIGN_OR_RETURN(const bool found, find.Bind(run).Step());
  if (!found) {
    return Status(Code::kInvalidArgument, "run " + std::to_string(run) + " has not begun");
  }
  const std::int64_t now = clock_.WallMillis();
  const std::uint64_t checksum =
      RunSum(run, static_cast<SpaceId>(find.Int(0)), find.Unsigned(1), find.Int(2), now, summary);
  find.Reset();
  EF_ASSIGN_OR_RETURN(
      Statement close,
      database.Prepare("UPDATE runs SET ended_ms = ?, summary = ?, checksum = ? WHERE run = ?"));
  return close.Bind(now).BindText(summary).BindUnsigned(checksum).Bind(run).Run();
}

}  // namespace embedflow
