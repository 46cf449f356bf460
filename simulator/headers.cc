#include "simulator/headers.h"

#include <cmath>

namespace embedflow {
namespace {

std::int64_t MillisUp(Duration time) {
  return std::chrono::ceil<std::chrono::milliseconds>(time).count();
}
std::int64_t SecondsUp(Duration time) {
  return std::chrono::ceil<std::chrono::seconds>(time).count();
}
std::string Whole(double value) { return std::to_string(static_cast<std::int64_t>(value)); }

// Adds headers to one reply.
class HeaderWriter {
 public:
  HeaderWriter(const SimulatorRequest& request, const SimulatorHeaderFacts& facts,
               SimulatorReply* reply)
      : request_(request), facts_(facts), reply_(reply) {}

  void Write() {
    switch (request_.dialect) {
      case SimulatorDialect::kOpenAi:
        Add("x-request-id", "req_" + std::to_string(request_.number));
        Add("openai-processing-ms", std::to_string(MillisUp(facts_.service)));
        AddLimits(/*as_go_duration=*/true);
        AddRetryAfter(/*also_millis=*/true);
        break;
      case SimulatorDialect::kAzure:
        Add("apim-request-id", std::to_string(request_.number));
        Add("x-ms-region", "Simulated");
        AddLimits(/*as_go_duration=*/false);
        AddRetryAfter(/*also_millis=*/true);
        break;
      case SimulatorDialect::kMistral:
        AddMistral();
        AddRetryAfter(/*also_millis=*/false);
        break;
      case SimulatorDialect::kTei:
        AddTei();
        break;
      case SimulatorDialect::kGemini:  // In the body.
      case SimulatorDialect::kOllama:
      case SimulatorDialect::kLlamaCpp:
        break;
      case SimulatorDialect::kCohere:
      case SimulatorDialect::kVoyage:
      case SimulatorDialect::kJina:
        AddRetryAfter(/*also_millis=*/false);
        break;
    }
  }

 private:
  void Add(const char* name, std::string value) {
    reply_->headers.emplace_back(name, std::move(value));
  }

  void AddLimits(bool as_go_duration) {
    const auto add = [&](const char* what, const SimulatorRateLimiter::State& state) {
      const std::string name = what;
      Add(("x-ratelimit-limit-" + name).c_str(), Whole(state.limit));
      Add(("x-ratelimit-remaining-" + name).c_str(), Whole(state.remaining));
      Add(("x-ratelimit-reset-" + name).c_str(),
          as_go_duration ? GoDuration(state.reset) : std::to_string(SecondsUp(state.reset)));
    };
    if (facts_.requests) add("requests", *facts_.requests);
    if (facts_.tokens) add("tokens", *facts_.tokens);
  }

  void AddRetryAfter(bool also_millis) {
    if (!facts_.retry_after) return;
    Add("retry-after", std::to_string(SecondsUp(*facts_.retry_after)));
    if (also_millis) Add("retry-after-ms", std::to_string(MillisUp(*facts_.retry_after)));
  }

  void AddMistral() {
    if (!facts_.tokens) return;
    Add("ratelimitbysize-limit", Whole(facts_.tokens->limit));
    Add("ratelimitbysize-remaining", Whole(facts_.tokens->remaining));
    Add("ratelimitbysize-reset", std::to_string(SecondsUp(facts_.tokens->reset)));
    Add("ratelimitbysize-query-cost", std::to_string(facts_.request_tokens));
    Add("x-ratelimitbysize-limit-minute", Whole(facts_.tokens->limit));
    Add("x-ratelimitbysize-remaining-minute", Whole(facts_.tokens->remaining));
  }

  void AddTei() {
    if (reply_->status != 200) return;
    const std::string millis = std::to_string(MillisUp(facts_.service));
    Add("x-compute-tokens", std::to_string(facts_.request_tokens));
    Add("x-total-time", millis);
    Add("x-inference-time", millis);
    Add("x-queue-time", "0");
  }

  const SimulatorRequest& request_;
  const SimulatorHeaderFacts& facts_;
  SimulatorReply* const reply_;
};

}  // namespace

std::string GoDuration(Duration time) {
  const std::int64_t millis = MillisUp(time);
  if (millis == 0) return "0s";
  if (millis < 1000) return std::to_string(millis) + "ms";
  const std::int64_t minutes = millis / 60'000;
  std::string text;
  if (minutes >= 60) text += std::to_string(minutes / 60) + "h";
  if (minutes > 0) text += std::to_string(minutes % 60) + "m";
  text += std::to_string(millis / 1000 % 60);
  if (const std::int64_t rest = millis % 1000; rest > 0) {
    std::string digits = std::to_string(1000 + rest).substr(1);
    digits.erase(digits.find_last_not_of('0') + 1);
    text += "." + digits;
  }
  return text + "s";
}

void AddSimulatorHeaders(const SimulatorRequest& request, const SimulatorHeaderFacts& facts,
                         SimulatorReply* reply) {
  HeaderWriter(request, facts, reply).Write();
}

}  // namespace embedflow
