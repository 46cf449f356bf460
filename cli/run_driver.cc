#include "cli/run_driver.h"

#include <unistd.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "cli/display.h"
#include "cli/errors.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/process.h"
#include "cli/summary.h"
#include "embedflow/log.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

// Passes signals on to the run, whatever stage it is in.
// Threads: OnSignal on the signal thread, the rest on the main thread.
class StopRelay {
 public:
  // Null pointers end the relation; nothing is called on them afterwards. Stops at once what was
  // asked to stop before it began.
  void Attach(Pipeline* pipeline, Display* display) {
    const std::lock_guard<std::mutex> lock(mu_);
    pipeline_ = pipeline;
    display_ = display;
    if (pipeline_ != nullptr && signals_ > 0) Pass();
  }

  void OnSignal(int signal, int count) {
    const std::lock_guard<std::mutex> lock(mu_);
    signals_ = count;
    if (pipeline_ != nullptr) {
      Pass();
      return;
    }
    WriteToStderr("Stopping.\n");
    // Nothing runs that could be lost: it is not worth a third signal.
    if (count > 1) _exit(kExitSignalBase + signal);
  }

 private:
  void Pass() {
    const std::uint64_t out = display_->latest().requests_in_flight;
    if (signals_ > 1) {
      pipeline_->Abort();
      display_->Say("Stopping now; what has arrived is committed.\n");
      return;
    }
    pipeline_->RequestStop();
    std::string text = "Stopping. ";
    if (out > 0) {
      text += Count(out, "request") + (out == 1 ? " is" : " are") +
              " out; waiting, because sent is paid for.\n";
    } else {
      text += "What has been read is committed first.\n";
    }
    display_->Say(text + "The same signal again stops now.\n");
  }

  std::mutex mu_;
  Pipeline* pipeline_ = nullptr;  // Guarded by mu_, as all below.
  Display* display_ = nullptr;
  int signals_ = 0;
};

LogLevel LevelOf(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  return name == "error" ? LogLevel::kError : LogLevel::kWarning;
}

const char* WordOf(LogLevel level) {
  if (level == LogLevel::kDebug) return "debug: ";
  if (level == LogLevel::kInfo) return "info: ";
  return level == LogLevel::kError ? "error: " : "warning: ";
}

// While it lives, log lines stand above the bar instead of tearing it.
class LogAboveBar {
 public:
  explicit LogAboveBar(Display* display) {
    SetLogSink([display](LogLevel level, std::string_view message) {
      display->Say("embedflow: " + std::string(WordOf(level)) + std::string(message) + "\n");
    });
  }
  LogAboveBar(const LogAboveBar&) = delete;
  LogAboveBar& operator=(const LogAboveBar&) = delete;
  ~LogAboveBar() { SetLogSink({}); }
};

RunOutcome OutcomeOfFailure(const Status& status) {
  switch (status.code()) {
    case Code::kBudget:
      return RunOutcome::kBudget;
    case Code::kRefused:
      return RunOutcome::kRefused;
    case Code::kCancelled:
      return RunOutcome::kInterrupted;
    default:
      return RunOutcome::kFailed;
  }
}

// One run, from options to summary.
class RunDriver {
 public:
  RunDriver(const Invocation& call, RunOptions options, const RunSteps& steps)
      : call_(call),
        options_(std::move(options)),
        steps_(steps),
        signals_([this](int signal, int count) { relay_.OnSignal(signal, count); }) {}

  int Execute() {
    const auto begin = std::chrono::steady_clock::now();
    const Status status = Run();
    if (!has_run_) {
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
      summary_.seconds = passed.count();
      summary_.peak_rss_bytes = PeakRssBytes();
    }
    const bool is_told = summary_.outcome == RunOutcome::kBudget ||
                         summary_.outcome == RunOutcome::kRefused ||
                         summary_.outcome == RunOutcome::kInterrupted;
    if (!status.ok() && !is_told) summary_.outcome = OutcomeOfFailure(status);
    return Report(status);
  }

 private:
  Status Run() {
    if (!options_.summary_file.empty()) {
      EF_RETURN_IF_ERROR(CheckWritable(options_.summary_file));
    }
    if (steps_.prepare) EF_RETURN_IF_ERROR(steps_.prepare(&options_));
    // Before a key is read; the builtin provider has none.
    if (options_.provider.name != "builtin") ForbidCoreFiles();
    EF_ASSIGN_OR_RETURN(std::shared_ptr<const Provider> provider, MakeProvider(options_.provider));
    is_remote_ = provider->embedder() == nullptr;
    for (const EndpointSpec& spec : options_.endpoints) {
      EF_ASSIGN_OR_RETURN(EndpointOptions endpoint, MakeEndpoint(spec, provider->space()));
      options_.pipeline.endpoints.push_back(std::move(endpoint));
    }
    std::unique_ptr<AppendLog> acknowledged;
    if (!options_.ack_log_file.empty()) {
      EF_ASSIGN_OR_RETURN(acknowledged, AppendLog::Open(options_.ack_log_file));
      options_.pipeline.on_commit = [&acknowledged](std::span<const ChunkId> committed) {
        return acknowledged->Append(CommittedToJson(committed));
      };
    }
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                        Corpus::Open(options_.directory, steps_.mode));
    return RunPipeline(*corpus, std::move(provider));
  }

  Status RunPipeline(Corpus& corpus, std::shared_ptr<const Provider> provider) {
    ProgressContext context;
    context.corpus = options_.directory;
    context.space = provider->space().name();
    context.is_remote = is_remote_;
    context.requests_per_minute = options_.pipeline.flow.requests_per_minute;
    context.model_tokens_per_minute = options_.pipeline.flow.model_tokens_per_minute;
    const Display::Mode mode =
        Display::ModeFor(call_.arguments.Text("--progress", "auto"), call_.err);
    Display display(mode, context, call_.err);
    std::optional<LogAboveBar> logs;
    if (mode == Display::Mode::kBar) logs.emplace(&display);
    options_.pipeline.on_progress = [&display](const Progress& snapshot) {
      display.Update(snapshot);
    };
    if (options_.pipeline.sync) {
      options_.pipeline.before_deleting = [&display](std::uint64_t gone) {
        display.Say("Deleting " + Count(gone, "document") + " that the inputs no longer hold.\n");
        return Status();
      };
    }
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Pipeline> pipeline,
                        Pipeline::Open(corpus, std::move(provider), options_.pipeline));
    relay_.Attach(pipeline.get(), &display);
    Status status = steps_.run(*pipeline);
    relay_.Attach(nullptr, nullptr);
    display.Finish();
    summary_ = pipeline->summary();
    has_run_ = true;
    return status;
  }

  // Summary file, summary for people, error; in this order, so that the most important stands last.
  int Report(const Status& status) {
    int code = ExitCodeOf(status, signals_.first());
    if (code == kExitComplete && summary_.outcome == RunOutcome::kPartial) code = kExitPartial;
    Status written;
    if (!options_.summary_file.empty()) {
      written = WriteWhole(options_.summary_file, ToJson(summary_) + "\n");
      if (code == kExitComplete || code == kExitPartial) {
        code = written.ok() ? code : ExitCodeOf(written);
      }
    }
    const bool has_table = has_run_ && (status.ok() || summary_.documents.read > 0);
    if (has_table) {
      SummaryContext context;
      context.corpus = options_.directory;
      context.command = ShellQuoted(call_.words);
      context.is_remote = is_remote_;
      context.reads_corpus = steps_.mode == Corpus::Mode::kWrite;
      context.has_index = options_.pipeline.index.kind != "none";
      context.exit_code = code;
      WriteToStderr(SummaryText(summary_, context));
    }
    // An interrupted run has said so already.
    if (status.code() != Code::kCancelled || !has_table) (void)call_.End(status, signals_.first());
    if (written.code() != status.code()) (void)call_.End(written);
    return code;
  }

  const Invocation& call_;
  RunOptions options_;
  const RunSteps& steps_;
  RunSummary summary_;
  bool has_run_ = false;  // The pipeline has, so that summary_ is its.
  bool is_remote_ = false;
  StopRelay relay_;
  StopSignals signals_;  // Last, as its thread calls relay_.
};

}  // namespace

int DriveRun(const Invocation& call, RunOptions options, const RunSteps& steps) {
  // Before anything is made: a summary that may not be written there is not written there either.
  for (const auto& [option, path] : {std::pair("--summary", &options.summary_file),
                                     std::pair("--ack-log", &options.ack_log_file)}) {
    const Status apart = CheckApart(option, *path, options.directory, options.inputs);
    if (!apart.ok()) return call.End(apart);
  }
  return RunDriver(call, std::move(options), steps).Execute();
}

void SetLogLevelOf(const Arguments& arguments) {
  SetLogLevel(LevelOf(arguments.Text("--log-level", "warning")));
}

}  // namespace embedflow::cli
