#include "providers/http_outcome.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/utf8.h"
#include "providers/error_reply.h"
#include "providers/retry_after.h"
#include "providers/url.h"

namespace embedflow {
namespace {

using Kind = Outcome::Kind;

constexpr std::size_t kRequestIdBytesMax = 100;

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

// In lower case. OpenAI, Mistral (code 3210), text-embeddings-inference, Jina.
constexpr std::array<std::string_view, 6> kBatchTooLarge = {
    "max_tokens_per_request", "split into more batches",    "too many tokens in batch",
    "too many inputs",        "maximum allowed batch size", "tokens per request"};

// One text is too long; splitting finds it. OpenAI and vLLM, llama.cpp twice, Ollama.
constexpr std::array<std::string_view, 4> kTextTooLong = {
    "maximum context length", "context_length_exceeded", "exceed_context_size_error",
    "exceeds the context length"};

struct Facts {
  int status = 0;
  ErrorReply error;
  std::string words;  // Everything the provider said, in lower case, for the phrases above.

  bool Says(std::string_view value) const { return error.code == value || error.type == value; }
  bool IsQuota() const {
    return std::any_of(kQuotaCodes.begin(), kQuotaCodes.end(),
                       [&](std::string_view code) { return Says(code); });
  }
};

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

Reading ReadClientError(const Facts& facts, const ProviderNames& names) {
  const bool too_long = HoldsAny(facts.words, kTextTooLong);
  switch (facts.status) {
    case 401:
      return {Kind::kRefused, Code::kRefused, "key_refused", CheckKey(names)};
    case 402:
      return ReadQuota();
    case 403:
      if (facts.IsQuota()) return ReadQuota();
      return {Kind::kRefused, Code::kRefused, "access_refused",
              "check that the key may use " + names.model};
    case 404:
      if (facts.words.find("model") != std::string::npos) {
        return {Kind::kRefused, Code::kRefused, "model_unknown",
                "check --model, and that " + names.place + " serves it"};
      }
      return {Kind::kRefused, Code::kRefused, "not_found", "check --base-url"};
    case 405:
    case 407:
    case 451:
      return {Kind::kRefused, Code::kRefused, "request_refused", "check --base-url and the proxy"};
    case 408:
    case 409:
    case 424:  // text-embeddings-inference: its backend failed.
    case 425:
      return {Kind::kTransient, Code::kUnavailable, "provider_error", {}};
    case 413:
      return {Kind::kOversize, Code::kRefused, "oversize", {}};
    case 429:
      if (facts.IsQuota()) return ReadQuota();
      // More than a whole minute's allowance in one request: waiting does not help.
      if (facts.words.find("request too large") != std::string::npos)
        return {Kind::kOversize, Code::kRefused, "oversize", {}};
      return {Kind::kThrottled, Code::kUnavailable, "throttled", {}};
    default:
      break;
  }
  if (facts.Says("max_tokens_per_request") || facts.Says("3210") ||
      (!too_long && HoldsAny(facts.words, kBatchTooLarge))) {
    return {Kind::kOversize, Code::kRefused, "oversize", {}};
  }
  return {Kind::kInvalid, Code::kRefused, too_long ? "text_too_long" : "invalid_input", {}};
}

Reading ReadServerError(const Facts& facts) {
  // llama.cpp answers 500 whenever a text is longer than its physical batch: the same every time.
  if (facts.words.find("too large to process") != std::string::npos)
    return {Kind::kOversize, Code::kRefused, "text_too_long", {}};
  if (facts.status == 501 || facts.status == 505) {
    return {Kind::kRefused, Code::kRefused, "request_refused", "check --base-url"};
  }
  return {Kind::kTransient, Code::kUnavailable, "provider_error", {}};
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
  if (!code.empty()) message += " (" + Wording(std::string_view(code).substr(0, 100)) + ")";
  std::string_view id = HeaderOf(reply, "x-request-id");
  if (id.empty()) id = HeaderOf(reply, "apim-request-id");
  if (!id.empty()) message += ", request " + Wording(id.substr(0, kRequestIdBytesMax));
  return message;
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
  facts.words = Lower(facts.error.message + " " + facts.error.type + " " + facts.error.code);

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
  if (outcome.kind == Kind::kThrottled || outcome.kind == Kind::kTransient)
    outcome.retry_after = ReadRetryAfter(reply, wall_now_ms);
  return outcome;
}

}  // namespace embedflow
