#include "providers/http_outcome.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/utf8.h"
#include "providers/error_reply.h"
#include "providers/learnt_caps.h"
#include "providers/rate_headers.h"
#include "providers/retry_after.h"
#include "providers/url.h"

namespace embedflow {
namespace {

using Kind = Outcome::Kind;

constexpr std::size_t kRequestIdBytesMax = 100;
constexpr std::size_t kCodeBytesMax = 100;

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

template <std::size_t N>
bool HoldsAny(std::string_view text, const std::array<std::string_view, N>& phrases) {
  return std::any_of(phrases.begin(), phrases.end(), [&](std::string_view phrase) {
    return text.find(phrase) != std::string_view::npos;
  });
}

// Money, not haste: OpenAI's codes, old and new.
constexpr std::array<std::string_view, 6> kQuotaCodes = {"insufficient_quota",
                                                         "credit_balance_exhausted",
                                                         "project_spend_limit_exceeded",
                                                         "organization_spend_limit_exceeded",
                                                         "organization_usage_limit_exceeded",
                                                         "billing_hard_limit_reached"};

// In lower case. OpenAI twice, Mistral (code 3210) four times, text-embeddings-inference, Gemini
// twice, Jina, Cohere, Azure twice, Voyage twice.
constexpr std::array<std::string_view, 14> kBatchTooLarge = {
    "max_tokens_per_request",         "array too long",
    "split into more batches",        "too many tokens in batch",
    "too many tokens overall",        "too many inputs",
    "maximum allowed batch size",     "requests can be in one batch",
    "payload size exceeds the limit", "total number of texts must be",
    "tokens_limits_reached",          "tokens per request",
    "tokens per submitted batch",     "batch size limit"};

// One text is too long; splitting finds it. OpenAI and vLLM, llama.cpp twice, Ollama,
// text-embeddings-inference, Voyage.
constexpr std::array<std::string_view, 6> kTextTooLong = {
    "maximum context length",     "context_length_exceeded",     "exceed_context_size_error",
    "exceeds the context length", "inputs` must have less than", "context window"};

// What servers say about a body that they took for JSON and that was gzip.
constexpr std::array<std::string_view, 9> kNotReadable = {"\\x1f",
                                                          "0x1f",
                                                          "\\u001f",
                                                          "invalid json",
                                                          "json decode",
                                                          "not valid utf-8",
                                                          "codec can't decode",
                                                          "parse error",
                                                          "looking for beginning of value"};

struct Facts {
  int status = 0;
  ErrorReply error;
  std::string words;  // Everything the provider said, in lower case, for the phrases above.

  bool Says(std::string_view value) const { return error.code == value || error.type == value; }
  bool Holds(std::string_view phrase) const { return words.find(phrase) != std::string::npos; }
  bool IsQuota() const;
};

// Gemini's "limit: 0" is a model outside the tier; "limit: 0.5" would be one.
bool HoldsLimitZero(std::string_view words) {
  constexpr std::string_view kPhrase = "limit: 0";
  for (std::size_t at = words.find(kPhrase); at != std::string_view::npos;
       at = words.find(kPhrase, at + 1)) {
    const std::string_view behind = words.substr(at + kPhrase.size());
    const bool goes_on = !behind.empty() && behind.front() >= '0' && behind.front() <= '9';
    const bool is_fraction =
        behind.size() > 1 && behind[0] == '.' && behind[1] >= '0' && behind[1] <= '9';
    if (!goes_on && !is_fraction) return true;
  }
  return false;
}

bool Facts::IsQuota() const {
  // Gemini: a day's allowance comes back tomorrow, which no retry waits for. Jina: no balance.
  return std::any_of(kQuotaCodes.begin(), kQuotaCodes.end(),
                     [&](std::string_view code) { return Says(code); }) ||
         error.quota_ids.find("PerDay") != std::string::npos || HoldsLimitZero(words) ||
         Holds("insufficient_balance");
}

struct Reading {
  Kind kind = Kind::kInvalid;
  Code code = Code::kRefused;
  std::string word;
  std::string next;
};

std::string CheckKey(const ProviderNames& names) {
  return names.key_source.empty() ? "give a key with --api-key-env or --api-key-file"
                                  : "check the key in " + names.key_source;
}

Reading ReadQuota() {
  return {Kind::kRefused, Code::kRefused, "quota",
          "add credit or raise the limit at the provider, then run the same command"};
}

Reading KeyRefused(const ProviderNames& names) {
  return {Kind::kRefused, Code::kRefused, "key_refused", CheckKey(names)};
}
Reading Oversize() { return {Kind::kOversize, Code::kRefused, "oversize", {}}; }
Reading Transient() { return {Kind::kTransient, Code::kUnavailable, "provider_error", {}}; }
Reading Throttled() { return {Kind::kThrottled, Code::kUnavailable, "throttled", {}}; }

Reading ReadThrottle(const Facts& facts) {
  if (facts.IsQuota()) return ReadQuota();
  // More than a whole minute's allowance in one request: waiting does not help.
  if (facts.Holds("request too large")) return Oversize();
  return Throttled();
}

// What only the words tell: 400, 422 and whatever else is new.
Reading ReadBadRequest(const Facts& facts, const ProviderNames& names) {
  // Gemini answers 400 to a wrong key.
  if (facts.error.reason == "API_KEY_INVALID" || facts.Holds("api key not valid")) {
    return KeyRefused(names);
  }
  const bool is_too_long = HoldsAny(facts.words, kTextTooLong);
  const bool is_batch_too_large = facts.Says("max_tokens_per_request") || facts.Says("3210") ||
                                  HoldsAny(facts.words, kBatchTooLarge) ||
                                  ReadLearntCaps(facts.words) != LearntCaps();
  if (is_batch_too_large && !is_too_long) {
    return Oversize();
  }
  return {Kind::kInvalid, Code::kRefused, is_too_long ? "text_too_long" : "invalid_input", {}};
}

Reading ReadClientError(const Facts& facts, const ProviderNames& names) {
  switch (facts.status) {
    case 401:
    case 498:  // Cohere: the key is not valid, or blocked.
      return KeyRefused(names);
    case 402:
      return ReadQuota();
    case 403:
      if (facts.IsQuota()) return ReadQuota();
      return {Kind::kRefused, Code::kRefused, "access_refused",
              "check that the key may use " + names.model};
    case 404:
      if (facts.Holds("model") || facts.Holds("deployment")) {
        return {Kind::kRefused, Code::kRefused, "model_unknown",
                "check --model, and that " + names.place + " serves it"};
      }
      return {Kind::kRefused, Code::kRefused, "not_found", "check --base-url"};
    case 405:
    case 407:
    case 410:
    case 426:
    case 428:
    case 431:
    case 451:
      return {Kind::kRefused, Code::kRefused, "request_refused", "check --base-url and the proxy"};
    case 408:
    case 409:
    case 424:  // text-embeddings-inference: its backend failed.
    case 425:
    case 499:  // Cohere: cancelled at its side.
      return Transient();
    case 413:
      return Oversize();
    case 429:
      return ReadThrottle(facts);
    default:
      return ReadBadRequest(facts, names);
  }
}

Reading ReadServerError(const Facts& facts) {
  // llama.cpp answers 500 whenever a text is longer than its physical batch: the same every time.
  if (facts.Holds("too large to process"))
    return {Kind::kOversize, Code::kRefused, "text_too_long", {}};
  if (facts.status == 501 || facts.status == 505) {
    return {Kind::kRefused, Code::kRefused, "request_refused", "check --base-url"};
  }
  // OpenAI said 503 before it said 429.
  if (facts.Says("slow_down")) return Throttled();
  return Transient();
}

// A redirect may lead to a stranger, who would get the key and the texts.
std::string RedirectTarget(const HttpReply& reply) {
  const std::string_view location = HeaderOf(reply, "location");
  if (location.empty()) return "nowhere";
  if (location.find("://") == std::string_view::npos) return "another path of the same host";
  const Result<Url> url = ParseUrl(location);
  return url.ok() ? (url->encrypted ? "https://" : "http://") + url->place
                  : "what is no web address";
}

Outcome ReadTransport(const HttpReply& reply, const ProviderNames& names) {
  Outcome outcome;
  outcome.status = reply.transport.ok() ? Status(Code::kUnavailable, "no reply")
                                        : reply.transport.WithContext(names.provider);
  if (reply.transport.code() == Code::kCancelled) {
    outcome.kind = Kind::kCancelled;
  } else if (reply.transport.word() == "reply_too_large") {
    outcome.kind = Kind::kBadReply;
  } else if (reply.transport.code() == Code::kRefused ||
             reply.transport.code() == Code::kInvalidArgument) {
    outcome.kind = Kind::kRefused;
  } else {
    outcome.kind = Kind::kTransient;
  }
  return outcome;
}

std::string Message(const HttpReply& reply, const Facts& facts, const ProviderNames& names) {
  std::string message =
      names.provider + " at " + names.place + " answered " + std::to_string(facts.status);
  if (facts.status >= 300 && facts.status < 400) {
    message += ", a redirect to " + Wording(RedirectTarget(reply)) + ", which is not followed";
  } else {
    if (facts.status == 404) message += " for " + names.path;
    const std::string words = Wording(facts.error.message);
    if (!words.empty()) message += ": " + words;
  }
  const std::string& code = facts.error.code.empty() ? facts.error.type : facts.error.code;
  if (!code.empty()) message += " (" + Wording(code, kCodeBytesMax) + ")";
  std::string_view id = HeaderOf(reply, "x-request-id");
  if (id.empty()) id = HeaderOf(reply, "apim-request-id");
  if (!id.empty()) message += ", request " + Wording(id, kRequestIdBytesMax);
  return message;
}

std::optional<bool> ReadShouldRetry(const HttpReply& reply) {
  const std::string_view text = HeaderOf(reply, "x-should-retry");
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

// Headers first, then Google's details, then words; Cohere gives a throttle the time of day at
// which its window ends.
std::optional<std::chrono::milliseconds> WaitOf(const HttpReply& reply, const Facts& facts,
                                                std::int64_t wall_now_ms) {
  if (const auto wait = ReadRetryAfter(reply, wall_now_ms)) return wait;
  if (const auto wait = ReadWait(facts.error.retry_delay)) return wait;
  if (const auto wait = ReadRetryWords(facts.words)) return wait;
  if (facts.status == 429 && !HeaderOf(reply, "x-ratelimit-reset").empty()) {
    return ReadRateHints(reply, wall_now_ms).requests.reset;
  }
  return std::nullopt;
}

}  // namespace

bool HasContent(const HttpReply& reply) {
  return reply.transport.ok() && reply.status >= 200 && reply.status < 300;
}

Outcome ReadFailure(const HttpReply& reply, const ProviderNames& names, std::int64_t wall_now_ms) {
  // A refusal counts although its words were cut off; a success does not.
  if (reply.status < 300) return ReadTransport(reply, names);
  Facts facts;
  facts.status = reply.status;
  facts.error = ReadError(reply.body);
  facts.words = Lower(facts.error.message + " " + facts.error.type + " " + facts.error.code + " " +
                      facts.error.reason);

  Reading reading;
  if (reply.status < 400) {
    reading = {Kind::kRefused, Code::kRefused, "redirect",
               "give the address it names with --base-url, if you trust it"};
  } else if (reply.status < 500) {
    reading = ReadClientError(facts, names);
  } else {
    reading = ReadServerError(facts);
  }
  Outcome outcome;
  outcome.kind = reading.kind;
  outcome.status = Status(reading.code, Message(reply, facts, names)).WithWord(reading.word);
  if (!reading.next.empty()) outcome.status = outcome.status.WithNext(reading.next);
  outcome.hints = ReadRateHints(reply, wall_now_ms);
  outcome.should_retry = ReadShouldRetry(reply);
  outcome.is_ramp_too_fast = outcome.kind == Kind::kThrottled && facts.Says("slow_down");
  if (outcome.kind == Kind::kOversize) outcome.caps = ReadLearntCaps(facts.words);
  if (outcome.kind == Kind::kThrottled || outcome.kind == Kind::kTransient)
    outcome.retry_after = WaitOf(reply, facts, wall_now_ms);
  return outcome;
}

bool RefusesCompression(const HttpReply& reply) {
  if (reply.status == 415) return true;
  if (reply.status != 400 && reply.status != 422 && reply.status != 500) return false;
  return reply.body.find('\x1f') != std::string::npos || HoldsAny(Lower(reply.body), kNotReadable);
}

}  // namespace embedflow
