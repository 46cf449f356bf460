#include "simulator/policy.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "simulator/dialect.h"
#include "simulator/error_body.h"
#include "simulator/headers.h"

namespace embedflow {
namespace {

using Error = SimulatorError;

constexpr int kDimensionsMax = 65536;
constexpr int kDimensionsOtherwise = 1536;
constexpr std::size_t kBytesPerToken = 4;
constexpr std::string_view kBearer = "bearer ";

// 0: no limit.
std::uint64_t LimitOf(const std::optional<std::uint64_t>& chosen, std::uint64_t documented) {
  return chosen.value_or(documented);
}

SimulatorReply Refusal(const SimulatorRequest& request, Error error,
                       const SimulatorErrorDetails& details = {}) {
  SimulatorReply reply = MakeSimulatorError(request, error, details);
  reply.note = "refused";
  return reply;
}

// What servers say to a compressed body that they do not take.
SimulatorReply RefuseCompressed(const SimulatorRequest& request) {
  if (request.dialect == SimulatorDialect::kOllama) {
    return Refusal(request, Error::kBadRequest,
                   {.text = "invalid character '\\x1f' looking for beginning of value"});
  }
  if (request.dialect == SimulatorDialect::kLlamaCpp) {
    return Refusal(request, Error::kBadRequest,
                   {.status = 415, .text = "Unsupported Content-Encoding"});
  }
  return Refusal(request, Error::kBadRequest, {.text = "JSON decode error"});
}

// A server that has no keys asks for none.
bool HasKey(const SimulatorRequest& request, const SimulatorDialectFacts& facts) {
  if (facts.key_header.empty() || !request.header(facts.key_header).empty()) return true;
  // Azure takes an Entra token as well as a key.
  const std::string token = request.header("authorization");
  return request.dialect == SimulatorDialect::kAzure && token.size() > kBearer.size() &&
         LowerAscii(token.substr(0, kBearer.size())) == kBearer;
}

}  // namespace

SimulatorPolicy::SimulatorPolicy(const SimulatorOptions& options)
    : options_(options),
      faults_(options.faults, options.seed),
      limiter_(options.limits),
      timing_(options) {}

int SimulatorPolicy::DimensionsFor(const SimulatorRequest& request) const {
  if (options_.dimensions) return *options_.dimensions;
  const int known = DimensionsOfModel(request.model);
  return known > 0 ? known : kDimensionsOtherwise;
}

std::optional<SimulatorReply> SimulatorPolicy::CheckForm(const SimulatorRequest& request) const {
  if (!request.is_embeddings) return Refusal(request, Error::kNoPath);
  if (request.method != "POST") {
    return Refusal(request, Error::kNoPath,
                   {.status = 405, .text = "Not allowed to " + request.method + " here."});
  }
  const SimulatorDialectFacts& facts = FactsOf(request.dialect);
  if (options_.requires_key && !HasKey(request, facts)) {
    return Refusal(request, Error::kBadKey);
  }
  const std::uint64_t body_max = LimitOf(options_.limits.body_bytes_max, facts.body_bytes_max);
  if (body_max > 0 && request.body.size() > body_max) {
    return Refusal(request, Error::kBodyTooLarge, {.limit = body_max});
  }
  if (!request.header("content-encoding").empty()) return RefuseCompressed(request);
  if (!request.body_error.empty()) {
    return Refusal(request, Error::kBadRequest, {.text = request.body_error});
  }
  if (request.has_token_ids) {
    return Refusal(request, Error::kBadRequest,
                   {.text = "Token ids are not simulated; send texts."});
  }
  if (!request.has_input) {
    return Refusal(request, Error::kBadRequest, {.text = "Missing required parameter: 'input'."});
  }
  if (facts.needs_input_type && request.shape == SimulatorShape::kCohere &&
      !request.has_input_type) {
    return Refusal(request, Error::kBadRequest,
                   {.text = "invalid request: a value must be provided for 'input_type'"});
  }
  if (request.dimensions && (*request.dimensions < 1 || *request.dimensions > kDimensionsMax)) {
    return Refusal(request, Error::kBadRequest, {.text = "Invalid value for 'dimensions'."});
  }
  return std::nullopt;
}

std::optional<SimulatorReply> SimulatorPolicy::CheckSize(const SimulatorRequest& request,
                                                         std::size_t* cut_bytes) const {
  const SimulatorDialectFacts& facts = FactsOf(request.dialect);
  const SimulatorLimits& limits = options_.limits;
  const std::uint64_t inputs_max = LimitOf(limits.inputs_max, facts.inputs_max);
  if (inputs_max > 0 && request.texts.size() > inputs_max) {
    return Refusal(request, Error::kTooManyInputs,
                   {.got = request.texts.size(), .limit = inputs_max});
  }
  // Ollama takes an empty list as a wish to load the model.
  if (request.texts.empty() && request.dialect != SimulatorDialect::kOllama) {
    return Refusal(request, Error::kBadRequest, {.text = "'$.input' is invalid: it is empty."});
  }
  const std::uint64_t input_max = LimitOf(limits.input_tokens_max, facts.input_tokens_max);
  for (const std::string& text : request.texts) {
    if (text.empty()) {
      return Refusal(request, Error::kBadRequest, {.text = "'$.input' is invalid: empty string."});
    }
    const std::uint64_t tokens = SimulatedTokens(text.size());
    if (input_max == 0 || tokens <= input_max) continue;
    if (!request.truncates.value_or(facts.cuts_by_default)) {
      return Refusal(request, Error::kContextLength, {.got = tokens, .limit = input_max});
    }
    *cut_bytes = input_max * kBytesPerToken;
  }
  const std::uint64_t request_max = LimitOf(limits.request_tokens_max, facts.request_tokens_max);
  const std::uint64_t tokens = SimulatedTokens(request);
  if (request_max > 0 && tokens > request_max) {
    return Refusal(request, Error::kTooManyTokens, {.got = tokens, .limit = request_max});
  }
  return std::nullopt;
}

SimulatorReply SimulatorPolicy::RefuseForRate(const SimulatorRequest& request,
                                              const SimulatorRateLimiter::Verdict& verdict) const {
  const std::uint64_t tokens = SimulatedTokens(request);
  Error error = verdict.is_for_tokens ? Error::kTokenRate : Error::kRequestRate;
  if (verdict.can_never_pass) error = Error::kOverTokenRate;
  const double limit = error == Error::kRequestRate ? options_.limits.rpm.value_or(0)
                                                    : options_.limits.tpm.value_or(0);
  SimulatorReply reply = MakeSimulatorError(request, error,
                                            {.status = 429,
                                             .got = tokens,
                                             .limit = static_cast<std::uint64_t>(limit),
                                             .retry_after = verdict.retry_after});
  reply.note = "rate";
  return reply;
}

SimulatorPolicy::Decision SimulatorPolicy::Decide(const SimulatorRequest& request) {
  now_ = std::max(now_, request.arrived);
  if (!begin_) begin_ = now_;
  Decision decision;
  std::size_t cut_bytes = 0;
  std::optional<SimulatorReply> refusal = CheckForm(request);
  if (!refusal) refusal = CheckSize(request, &cut_bytes);
  if (refusal) {
    decision.reply = *std::move(refusal);
    return decision;
  }
  SimulatorHeaderFacts facts;
  facts.request_tokens = SimulatedTokens(request);
  const SimulatorRateLimiter::Verdict verdict = limiter_.Admit(facts.request_tokens, now_);
  decision.is_admitted = verdict.is_admitted;
  facts.requests = limiter_.RequestState(now_);
  facts.tokens = limiter_.TokenState(now_);
  SimulatorReply& reply = decision.reply;
  if (!verdict.is_admitted) {
    reply = RefuseForRate(request, verdict);
    if (!verdict.can_never_pass) facts.retry_after = verdict.retry_after;
    AddSimulatorHeaders(request, facts, &reply);
    return decision;
  }
  const std::uint64_t number = ++admitted_;
  const std::optional<Duration> time = timing_.Plan(number, facts.request_tokens, *begin_, now_);
  if (!time) {
    reply = MakeSimulatorError(request, Error::kOverload);
    reply.note = "overload";
    AddSimulatorHeaders(request, facts, &reply);
    return decision;
  }
  reply.latency = facts.service = *time;
  reply.cut_bytes = cut_bytes;
  reply.dimensions = DimensionsFor(request);
  const SimulatorFault* fault = faults_.Choose(request, number, now_ - *begin_);
  if (fault != nullptr) ApplySimulatorFault(*fault, request, &reply);
  AddSimulatorHeaders(request, facts, &reply);
  return decision;
}

}  // namespace embedflow
