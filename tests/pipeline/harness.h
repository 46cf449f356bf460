// What the pipeline's tests share: a corpus in a fresh directory, a provider that speaks to a
// function, and documents from a list.
#ifndef EMBEDFLOW_TESTS_PIPELINE_HARNESS_H_
#define EMBEDFLOW_TESTS_PIPELINE_HARNESS_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "embedflow/corpus.h"
#include "embedflow/pipeline.h"
#include "embedflow/source.h"
#include "pipeline/session.h"
#include "tests/fakes/fake_transport.h"
#include "tests/fakes/flaky_reply.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {

inline constexpr int kTestDimensions = 8;

// A directory that is gone with the test.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string pattern = testing::TempDir() + "embedflow_XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  std::string corpus() const { return path_ + "/corpus"; }

 private:
  std::string path_;
};

// Hands out records from a list and remembers what was committed.
class ListSource : public Source {
 public:
  explicit ListSource(std::vector<Record> records) : records_(std::move(records)) {
    for (std::size_t i = 0; i < records_.size(); ++i) records_[i].token = i + 1;
  }
  Result<bool> Next(Record* record) override {
    if (next_ == records_.size() || stopped_) return false;
    *record = records_[next_++];
    if (after_) after_(next_);
    return true;
  }
  void Committed(std::span<const std::uint64_t> tokens) override {
    MutexLock lock(mu_);
    for (const std::uint64_t token : tokens) EXPECT_TRUE(committed_.insert(token).second) << token;
  }
  void Stop() override { stopped_ = true; }
  std::size_t committed() {
    MutexLock lock(mu_);
    return committed_.size();
  }
  // Called after the n-th record was handed out, on the source's thread.
  void CallAfter(std::function<void(std::size_t)> after) { after_ = std::move(after); }

 private:
  std::vector<Record> records_;
  std::size_t next_ = 0;
  std::atomic<bool> stopped_{false};
  std::function<void(std::size_t)> after_;
  Mutex mu_;
  std::set<std::uint64_t> committed_ EF_GUARDED_BY(mu_);
};

inline Record DocumentRecord(std::string id, std::string text, Metadata metadata = {}) {
  Record record;
  record.document = {std::move(id), std::move(text), std::move(metadata)};
  return record;
}

// `count` documents "d0", "d1", ... whose texts differ.
inline std::vector<Record> Documents(std::size_t count,
                                     const std::string& words = "text of document") {
  std::vector<Record> records;
  for (std::size_t i = 0; i < count; ++i) {
    records.push_back(DocumentRecord("d" + std::to_string(i), words + " " + std::to_string(i)));
  }
  return records;
}

inline std::shared_ptr<const Provider> WireProvider(std::size_t inputs_max = 16) {
  ProviderOptions options;
  options.name = "local";
  options.model = "test-model";
  options.dimensions = kTestDimensions;
  options.base_url = "http://127.0.0.1:9/v1";
  options.batch_inputs_max = inputs_max;
  Result<std::shared_ptr<const Provider>> provider = MakeProvider(options);
  EXPECT_TRUE(provider.ok()) << provider.status().ToString();
  return std::move(provider).value();
}

// The texts of a request in the OpenAI shape.
inline FlakyRequest ParseRequest(const HttpRequest& request) {
  FlakyRequest parsed;
  parsed.body = request.body;
  ReadFlakyBody(&parsed);
  return parsed;
}

// A right reply.
inline HttpReply GoodReply(const HttpRequest& request, FlakyFlaw flaw = FlakyFlaw::kNone) {
  const FlakyRequest parsed = ParseRequest(request);
  FlakyReply shape;
  shape.flaw = flaw;
  Rng rng(parsed.body.size());
  HttpReply reply;
  reply.status = 200;
  reply.body = WriteFlakyBody(parsed, shape, kTestDimensions, rng);
  return reply;
}

inline HttpReply ErrorReply(int status, std::string body = "{\"error\":{\"message\":\"no\"}}") {
  HttpReply reply;
  reply.status = status;
  reply.body = std::move(body);
  return reply;
}

// A fake transport whose timers run in real time: requests leap over their waits, while the
// pipeline's ticks keep the pace they have in production.
class TickingTransport : public FakeTransport {
 public:
  using FakeTransport::FakeTransport;
  ~TickingTransport() override {
    {
      MutexLock lock(mu_);
      is_stopping_ = true;
      changed_.SignalAll();
    }
    timers_.join();
  }
  void CallAt(TimePoint when, std::function<void()> f) override {
    MutexLock lock(mu_);
    calls_.emplace(when, std::move(f));
    changed_.SignalAll();
  }

 private:
  void RunTimers() {
    while (true) {
      std::function<void()> call;
      {
        MutexLock lock(mu_);
        if (is_stopping_) return;
        const TimePoint now = SystemClock().Now();
        if (calls_.empty() || calls_.begin()->first > now) {
          changed_.WaitFor(mu_, calls_.empty() ? Duration(std::chrono::seconds(1))
                                               : calls_.begin()->first - now);
          continue;
        }
        call = std::move(calls_.begin()->second);
        calls_.erase(calls_.begin());
      }
      call();
    }
  }
  Mutex mu_;
  CondVar changed_;
  std::multimap<TimePoint, std::function<void()>> calls_ EF_GUARDED_BY(mu_);
  bool is_stopping_ EF_GUARDED_BY(mu_) = false;
  std::thread timers_{[this] { RunTimers(); }};
};

// One run over a fake transport. Conservation is checked inside Session::End.
struct TestRun {
  Status status;
  RunSummary summary;
  std::map<std::string, std::uint64_t> answered;  // Texts that got a good reply, how often.
  std::uint64_t sends = 0;                        // Probes included.
  std::uint64_t probes = 0;
};

inline PipelineOptions TestOptions() {
  PipelineOptions options;
  options.flow.requests_in_flight_max = 4;
  options.flow.retry_delay = std::chrono::milliseconds(2);
  // Faults at random now and then come five in a row.
  options.flow.circuit_breaker = std::nullopt;
  return options;
}

// What EmbedNow would bring of one attempt at `server`.
inline Result<std::vector<float>> ProbeAt(const FakeTransport::Server& server,
                                          const Provider& provider,
                                          std::span<const std::string_view> texts,
                                          EmbedNowCost* cost) {
  const Dialect& dialect = *provider.dialect();
  std::vector<float> vectors(texts.size() * kTestDimensions);
  const Outcome outcome =
      dialect.Read(server(dialect.Write(texts), 1), texts.size(), std::span<float>(vectors));
  ++cost->requests;
  cost->model_tokens += outcome.model_tokens.value_or(0);
  switch (outcome.kind) {
    case Outcome::Kind::kOk:
      return vectors;
    case Outcome::Kind::kRefused:
      return outcome.status;
    case Outcome::Kind::kInvalid:
    case Outcome::Kind::kOversize:
      return Status(Code::kInvalidArgument, outcome.status.message());
    default:
      return Status(Code::kUnavailable, outcome.status.message());
  }
}

// Probes go to `server` too, unless `send_probe` is given.
inline TestRun RunOver(const std::string& directory, Source& source, FakeTransport::Server server,
                       PipelineOptions options = TestOptions(),
                       std::shared_ptr<const Provider> provider = WireProvider(),
                       std::uint64_t seed = 1, std::function<void(Session&)> started = {},
                       ProbeSender send_probe = {}) {
  TestRun run;
  Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(directory, Corpus::Mode::kCreate);
  if (!corpus.ok()) {
    run.status = corpus.status();
    return run;
  }
  FakeTransport* transport = nullptr;
  Mutex mu;
  Mutex serving;
  const auto serve = [&](const HttpRequest& request, std::uint64_t attempt) {
    MutexLock lock(serving);
    return server(request, attempt);
  };
  const bool is_wire = provider->dialect() != nullptr;
  Session session(
      **corpus, std::move(provider), std::move(options),
      [&](const ReactorOptions&, Clock&, TransportSink sink) -> Result<std::unique_ptr<Transport>> {
        auto fake = std::make_unique<TickingTransport>(
            [&](const HttpRequest& request, std::uint64_t attempt) {
              HttpReply reply = serve(request, attempt);
              MutexLock lock(mu);
              ++run.sends;
              if (reply.status == 200) {
                for (const std::string& text : ParseRequest(request).texts) ++run.answered[text];
              }
              return reply;
            },
            seed, std::move(sink));
        transport = fake.get();
        return std::unique_ptr<Transport>(std::move(fake));
      });
  session.SetProbeSender([&](const Provider& asked, std::span<const std::string_view> texts,
                             const EmbedNowOptions& how, EmbedNowCost* cost) {
    {
      MutexLock lock(mu);
      ++run.probes;
      run.sends += is_wire ? 1 : 0;
    }
    if (send_probe) return send_probe(asked, texts, how, cost);
    return is_wire ? ProbeAt(serve, asked, texts, cost) : EmbedNow(asked, texts, how, cost);
  });
  run.status = session.Begin(source);
  if (!run.status.ok()) return run;
  if (started) started(session);
  run.status = session.End();
  run.summary = session.summary();
  return run;
}

// Every chunk of the corpus: document id and text, and whether its vector is the server's for that
// text.
struct Stored {
  std::map<std::string, std::string> text_of;  // Of one-chunk documents.
  std::size_t chunks = 0;
  std::size_t without_vector = 0;
  std::size_t wrong = 0;
};

inline Stored ReadBack(const std::string& directory) {
  Stored stored;
  Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(directory, Corpus::Mode::kRead);
  EXPECT_TRUE(corpus.ok()) << corpus.status().ToString();
  const Status status = (*corpus)->ForEachChunk("", [&](const StoredChunk& chunk) {
    ++stored.chunks;
    stored.text_of[std::string(chunk.document_id)] = std::string(chunk.text);
    if (chunk.embedding.empty()) {
      ++stored.without_vector;
    } else if (FlakyVector(chunk.text, kTestDimensions) !=
               std::vector<float>(chunk.embedding.begin(), chunk.embedding.end())) {
      ++stored.wrong;
    }
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  Result<VerifyReport> report = (*corpus)->Verify({});
  EXPECT_TRUE(report.ok() && report->ok)
      << (report.ok() && !report->faults.empty() ? report->faults[0] : "");
  return stored;
}

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_PIPELINE_HARNESS_H_
