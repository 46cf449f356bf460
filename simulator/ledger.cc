#include "simulator/ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/hash.h"
#include "base/json_writer.h"
#include "embedflow/text.h"
#include "simulator/faults.h"

namespace embedflow {
namespace {

// Over less time a share of a minute's allowance says nothing.
constexpr double kShareMinutesMin = 1.0 / 60;

Status LedgerFailed(const std::string& path, const char* what) {
  return Status(Code::kIo, std::string("cannot ") + what + " the ledger " + Printable(path) + ": " +
                               std::strerror(errno));
}

bool HasKey(const SimulatorRequest& request) {
  return !request.header("authorization").empty() || !request.header("api-key").empty() ||
         !request.header("x-goog-api-key").empty();
}

double InSeconds(Duration time) { return std::chrono::duration<double>(time).count(); }

std::uint64_t KeyOf(const SimulatorRequest& request, const std::string& text) {
  const auto dimensions = static_cast<std::uint64_t>(request.dimensions.value_or(0));
  return Checksum(text, Checksum(request.model, dimensions));
}

// Status 0 where nothing of a reply was sent.
int StatusSent(const SimulatorReply& reply, const SimulatorSent& sent) {
  return sent.has_begun ? reply.status : 0;
}

}  // namespace

Result<std::unique_ptr<SimulatorLedger>> SimulatorLedger::Open(const SimulatorOptions& options) {
  FileDescriptor file;
  if (!options.ledger_path.empty()) {
    file = FileDescriptor(
        ::open(options.ledger_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!file.ok()) return LedgerFailed(options.ledger_path, "open");
  }
  return std::unique_ptr<SimulatorLedger>(new SimulatorLedger(options, std::move(file)));
}

SimulatorLedger::SimulatorLedger(const SimulatorOptions& options, FileDescriptor file)
    : limits_(options.limits),
      has_texts_(options.ledger_texts),
      path_(options.ledger_path),
      file_(std::move(file)) {}

void SimulatorLedger::Arrived(const SimulatorRequest& request, bool is_admitted) {
  const std::uint64_t tokens = SimulatedTokens(request);
  MutexLock lock(mu_);
  stats_.connections = std::max(stats_.connections, request.connection);
  if (stats_.requests++ == 0) first_ = request.arrived;
  last_ = std::max(last_, request.arrived);
  stats_.texts_received += request.texts.size();
  stats_.tokens_received += tokens;
  stats_.concurrency_max = std::max(stats_.concurrency_max, ++inside_);
  for (const std::string& text : request.texts) texts_.try_emplace(KeyOf(request, text));
  if (!is_admitted) return;
  if (admitted_++ == 0) first_admitted_ = request.arrived;
  last_admitted_ = std::max(last_admitted_, request.arrived);
  admitted_tokens_ += tokens;
  last_tokens_ = tokens;
}

std::string SimulatorLedger::LineFor(const SimulatorRequest& request, const SimulatorReply& reply,
                                     const SimulatorSent& sent, bool is_right) const {
  JsonWriter json;
  json.BeginObject().Key("time_ms").Value(SystemClock().WallMillis());
  json.Key("request").Value(request.number).Key("connection").Value(request.connection);
  json.Key("path").Value(request.path());
  json.Key("dialect").Value(SimulatorDialectNames()[static_cast<std::size_t>(request.dialect)]);
  json.Key("model").Value(request.model).Key("has_key").Value(HasKey(request));
  json.Key("status").Value(StatusSent(reply, sent)).Key("note");
  if (reply.note.empty()) {
    json.Null();
  } else {
    json.Value(reply.note);
  }
  json.Key("whole").Value(sent.is_whole).Key("answered").Value(is_right);
  json.Key("seconds").Value(InSeconds(SystemClock().Now() - request.arrived));
  json.Key("inputs").Value(request.texts.size()).Key("tokens").Value(SimulatedTokens(request));
  json.Key(has_texts_ ? "texts" : "sha256").BeginArray();
  for (const std::string& text : request.texts) json.Value(has_texts_ ? text : Sha256Hex(text));
  json.EndArray().EndObject();
  return json.Take() + "\n";
}

void SimulatorLedger::Count(const SimulatorRequest& request, const SimulatorReply& reply,
                            const SimulatorSent& sent, bool is_right) {
  ++stats_.statuses[StatusSent(reply, sent)];
  --inside_;
  if (is_right) {
    ++stats_.answered;
    stats_.texts_answered += request.texts.size();
    stats_.tokens_answered += SimulatedTokens(request);
    for (const std::string& text : request.texts) {
      if (++texts_[KeyOf(request, text)].answered == 2) ++stats_.texts_repeated;
    }
  }
  if (reply.note == "rate") {
    ++stats_.throttled;
  } else if (reply.note == "overload") {
    ++stats_.overloaded;
  } else if (reply.note == "refused") {
    ++stats_.refused;
  } else if (!reply.note.empty()) {
    ++stats_.faults[reply.note];
  }
}

void SimulatorLedger::Done(const SimulatorRequest& request, const SimulatorReply& reply,
                           const SimulatorSent& sent) {
  const bool is_right = sent.is_whole && IsRightReply(reply);
  const std::string line = file_.ok() ? LineFor(request, reply, sent, is_right) : "";
  MutexLock lock(mu_);
  Count(request, reply, sent, is_right);
  std::string_view rest = line;
  while (!rest.empty() && status_.ok()) {
    const ssize_t n = ::write(file_.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      status_ = LedgerFailed(path_, "write");
      break;
    }
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}

SimulatorStats SimulatorLedger::stats() const {
  MutexLock lock(mu_);
  SimulatorStats stats = stats_;
  stats.texts_distinct = texts_.size();
  stats.busy_seconds = InSeconds(last_ - first_);
  // The last one opens a time of its own, so it is not counted against the time before it.
  const double minutes = InSeconds(last_admitted_ - first_admitted_) / 60;
  if (minutes < kShareMinutesMin) return stats;
  if (limits_.rpm) {
    stats.requests_allowance_used = static_cast<double>(admitted_ - 1) / (*limits_.rpm * minutes);
  }
  if (limits_.tpm) {
    stats.tokens_allowance_used =
        static_cast<double>(admitted_tokens_ - last_tokens_) / (*limits_.tpm * minutes);
  }
  return stats;
}

Status SimulatorLedger::status() const {
  MutexLock lock(mu_);
  return status_;
}

std::string SimulatorStats::ToJson() const {
  JsonWriter json;
  json.BeginObject().Key("requests").Value(requests).Key("answered").Value(answered);
  json.Key("connections").Value(connections);
  json.Key("texts").BeginObject().Key("received").Value(texts_received);
  json.Key("answered").Value(texts_answered).Key("distinct").Value(texts_distinct);
  json.Key("answered_more_than_once").Value(texts_repeated).EndObject();
  json.Key("tokens").BeginObject().Key("received").Value(tokens_received);
  json.Key("answered").Value(tokens_answered).EndObject();
  json.Key("throttled").Value(throttled).Key("overloaded").Value(overloaded);
  json.Key("refused").Value(refused).Key("faults").BeginObject();
  for (const auto& [kind, count] : faults) json.Key(kind).Value(count);
  json.EndObject().Key("statuses").BeginObject();
  for (const auto& [status, count] : statuses) json.Key(std::to_string(status)).Value(count);
  json.EndObject().Key("concurrency_max").Value(concurrency_max);
  json.Key("busy_seconds").Value(busy_seconds);
  const auto share = [&json](const char* name, const std::optional<double>& value) {
    json.Key(name);
    if (value) {
      json.Value(*value);
    } else {
      json.Null();
    }
  };
  json.Key("allowance_used").BeginObject();
  share("requests", requests_allowance_used);
  share("tokens", tokens_allowance_used);
  json.EndObject().EndObject();
  return json.Take();
}

}  // namespace embedflow
