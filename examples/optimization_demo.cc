// What the configuration of a provider does: the four profiles, three presets of one's own, and
// what follows from them, printed from the objects that a run uses. Needs no network.
//   optimization_demo                   the tables
//   optimization_demo --measure N       and N texts through each profile to a simulated provider
#include <stdlib.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "embedflow/corpus.h"
#include "embedflow/optimization.h"
#include "embedflow/options.h"
#include "embedflow/pipeline.h"
#include "embedflow/provider.h"
#include "embedflow/simulator.h"

using namespace embedflow;

// A configuration with the name that it is printed under.
struct Named {
  const char* name;
  const char* profile;
  ModelConfig model;
};

static std::vector<Named> Providers() {
  return {{"OpenAI", "openai", ModelConfig::OpenAi3Small()},
          {"Mistral", "mistral", ModelConfig::MistralEmbed()},
          {"Azure", "azure",
           ModelConfig::AzureOpenAi("text-embedding-3-small", "example", "2024-10-21", 1536)},
          {"Local", "local", ModelConfig::Custom("all-minilm", 384, "http://localhost:8080/v1")}};
}

static OptimizationConfig HighReliability() {
  OptimizationConfig config = OptimizationConfig::OpenAi();
  config.timeout_seconds = 120;
  config.max_retries = 5;
  config.retry_delay_ms = 2000;
  config.max_batch_size = 500;
  config.rate_limit_rpm = 1000;
  config.rate_limit_tpm = 500'000;
  config.connection_pool_size = 15;
  return config;
}

static OptimizationConfig CostOptimized() {
  OptimizationConfig config = OptimizationConfig::OpenAi();
  config.timeout_seconds = 30;
  config.max_retries = 2;
  config.retry_delay_ms = 500;
  config.connection_pool_size = 10;
  return config;
}

static OptimizationConfig Development() {
  OptimizationConfig config;
  config.timeout_seconds = 10;
  config.max_retries = 1;
  config.retry_delay_ms = 100;
  config.max_batch_size = 10;
  config.connection_pool_size = 2;
  return config;
}

static std::string WithCommas(std::uint64_t value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

template <typename T>
static std::string Limit(const std::optional<T>& value, const char* unit) {
  return value ? WithCommas(static_cast<std::uint64_t>(*value)) + unit : std::string("No limit");
}

static void Heading(const char* text) { std::printf("\n%s\n", text); }

static void Print(const char* label, const std::string& value) {
  std::printf("  %-18s %s\n", label, value.c_str());
}

static void PrintConfig(const OptimizationConfig& config) {
  Print("Timeout:", WithCommas(config.GetTimeoutSeconds()) + " s");
  Print("Max retries:", std::to_string(config.max_retries));
  Print("Retry delay:", WithCommas(config.retry_delay_ms) + " ms");
  Print("Max batch size:", WithCommas(config.GetMaxBatchSize()) + " texts");
  Print("Requests a minute:", Limit(config.rate_limit_rpm, ""));
  Print("Tokens a minute:", Limit(config.rate_limit_tpm, ""));
  Print("Compression:", config.compression_enabled ? "on" : "off");
  Print("Connections:", std::to_string(config.connection_pool_size));
  const FlowOptions flow = FlowOptionsFor(config);
  Print("Circuit breaker:",
        flow.circuit_breaker ? "after " + std::to_string(flow.circuit_breaker->failure_threshold) +
                                   " failures in a row, for " +
                                   std::to_string(flow.circuit_breaker->timeout_seconds) + " s"
                             : std::string("off"));
}

static Status PrintRequests(std::size_t texts) {
  for (const Named& named : Providers()) {
    ProviderOptions options = ProviderOptionsFor(named.model, named.profile);
    options.api_key_env = "none";
    EF_ASSIGN_OR_RETURN(const auto provider, MakeProvider(options));
    const std::size_t in_one = provider->limits().inputs_max;
    std::printf("  %-10s %5s texts a request  %4zu requests\n", named.name,
                WithCommas(in_one).c_str(), (texts + in_one - 1) / in_one);
  }
  return {};
}

// The waits before the retries of one request, without jitter.
static void PrintRetries(const char* name, const OptimizationConfig& config) {
  const FlowOptions flow = FlowOptionsFor(config);
  std::string waits;
  std::chrono::milliseconds wait = flow.retry_delay;
  std::chrono::milliseconds total{0};
  for (int retry = 1; retry <= flow.retries_max; ++retry) {
    waits += (waits.empty() ? "" : ", ") + WithCommas(static_cast<std::uint64_t>(wait.count()));
    total += wait;
    wait *= 2;
  }
  std::printf("  %-17s %-40s total %6s ms\n", name, waits.c_str(),
              WithCommas(static_cast<std::uint64_t>(total.count())).c_str());
}

static void PrintPool(const char* name, const OptimizationConfig& config) {
  const std::size_t connections = FlowOptionsFor(config).connections_max;
  std::printf("  %-17s %3zu connections  %5zu requests/s at 50 ms  %4zu at 200 ms\n", name,
              connections, connections * 20, connections * 5);
}

static Status PrintTables() {
  std::printf("embedflow: what the configuration of a provider does\n");
  Heading("Example 1: the profiles");
  for (const Named& named : Providers()) {
    std::printf("%s\n", named.name);
    PrintConfig(named.model.optimization);
  }
  Heading("Example 2: high reliability");
  PrintConfig(HighReliability());
  Heading("Example 3: cost-optimized");
  PrintConfig(CostOptimized());
  Heading("Example 4: development");
  PrintConfig(Development());
  Heading("Example 5: requests for 5,000 short texts");
  EF_RETURN_IF_ERROR(PrintRequests(5000));
  Heading("Example 6: waits before retries, in ms (full jitter takes a random part of each)");
  PrintRetries("OpenAI", OptimizationConfig::OpenAi());
  PrintRetries("Mistral", OptimizationConfig::Mistral());
  PrintRetries("High reliability", HighReliability());
  PrintRetries("Cost-optimized", CostOptimized());
  Heading("Example 7: pool sizes, and the requests they can carry at most");
  for (const Named& named : Providers()) PrintPool(named.name, named.model.optimization);
  PrintPool("High reliability", HighReliability());
  PrintPool("Cost-optimized", CostOptimized());
  PrintPool("Development", Development());
  Heading("Summary");
  std::printf(
      "  A profile is right until a measurement says otherwise; a field that you set wins\n"
      "  over it. docs/optimization.md says what each one does, and what it cost or won.\n");
  return {};
}

static SimulatorDialect DialectOf(const Named& named) {
  if (std::strcmp(named.profile, "mistral") == 0) return SimulatorDialect::kMistral;
  if (std::strcmp(named.profile, "azure") == 0) return SimulatorDialect::kAzure;
  return SimulatorDialect::kOpenAi;
}

// One run of `texts` texts in `directory`, against a server that takes 50 ms and keeps the limits
// of the profile.
static Status Measure(const Named& named, std::size_t texts, const std::string& directory) {
  const OptimizationConfig& config = named.model.optimization;
  SimulatorOptions server_options;
  server_options.dialect = DialectOf(named);
  server_options.dimensions = named.model.embedding_dimension;
  server_options.latency.first_ms = 50;
  if (config.rate_limit_rpm) server_options.limits.rpm = *config.rate_limit_rpm;
  if (config.rate_limit_tpm) {
    server_options.limits.tpm = static_cast<double>(*config.rate_limit_tpm);
  }
  EF_ASSIGN_OR_RETURN(const auto server, Simulator::Start(server_options));

  ProviderOptions options = ProviderOptionsFor(named.model, named.profile);
  const std::string root = "http://127.0.0.1:" + std::to_string(server->port());
  options.base_url = options.api_endpoint.empty() ? server->base_url() : root;
  options.api_key_env = "none";
  EF_ASSIGN_OR_RETURN(auto provider, MakeProvider(options));
  EF_ASSIGN_OR_RETURN(auto corpus, Corpus::Open(directory, Corpus::Mode::kCreate));
  PipelineOptions run;
  run.flow = FlowOptionsFor(config);
  run.flow.allowance_is_shared = false;  // Every run has the allowance for itself.
  EF_ASSIGN_OR_RETURN(auto pipeline, Pipeline::Open(*corpus, provider, run));
  EF_RETURN_IF_ERROR(pipeline->Start());
  for (std::size_t i = 0; i < texts; ++i) {
    const std::string id = std::to_string(i);
    EF_RETURN_IF_ERROR(pipeline->Push({id, "the short text of number " + id, {}}));
  }
  EF_RETURN_IF_ERROR(pipeline->Finish());
  const RunSummary& summary = pipeline->summary();
  const SimulatorStats stats = server->stats();
  std::printf("  %-10s %6zu texts  %4llu requests  %3llu at once  %3llu throttled  %7.2f s\n",
              named.name, texts, static_cast<unsigned long long>(summary.provider.requests),
              static_cast<unsigned long long>(stats.concurrency_max),
              static_cast<unsigned long long>(summary.provider.throttled), summary.seconds);
  if (summary.chunks.embedded == texts && stats.texts_repeated == 0) return {};
  return {Code::kInternal, "a text is missing or was bought twice"};
}

static Status MeasureAll(std::size_t texts) {
  std::string pattern = (std::filesystem::temp_directory_path() / "embedflow_demo_XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return {Code::kIo, "cannot make " + pattern};
  Heading("Measured: a simulated provider, 50 ms a request, that keeps the profile's limits");
  Status status;
  for (const Named& named : Providers()) {
    if (status.ok()) status = Measure(named, texts, pattern + "/" + named.profile);
  }
  std::error_code ignored;
  std::filesystem::remove_all(pattern, ignored);
  return status;
}

int main(int argc, char** argv) {
  const bool measures = argc == 3 && std::strcmp(argv[1], "--measure") == 0;
  const long texts = measures ? std::strtol(argv[2], nullptr, 10) : 0;
  Status status;
  if (argc != 1 && (!measures || texts < 1 || texts > 1'000'000)) {
    status = {Code::kInvalidArgument, "usage: optimization_demo [--measure N]"};
  } else {
    status = PrintTables();
    if (status.ok() && measures) status = MeasureAll(static_cast<std::size_t>(texts));
  }
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
