#include "simulator/error_body.h"

#include <algorithm>
#include <cmath>

#include "base/json_writer.h"

namespace embedflow {
namespace {

using Dialect = SimulatorDialect;
using Error = SimulatorError;
using Details = SimulatorErrorDetails;

// What an error says, before it has a shape. An empty code is null.
struct Words {
  int status = 500;
  std::string type;
  std::string code;
  std::string message;
};

std::string Seconds(Duration time) {
  const double seconds = std::chrono::duration<double>(time).count();
  return std::to_string(static_cast<std::int64_t>(std::max(1.0, std::ceil(seconds))));
}

// OpenAI's words; those of others differ from them only where that is known.
Words OpenAiWords(const SimulatorRequest& request, Error error, const Details& details) {
  const std::string got = std::to_string(details.got);
  const std::string limit = std::to_string(details.limit);
  const std::string invalid = "invalid_request_error";
  switch (error) {
    case Error::kBadKey:
      return {401, invalid, "invalid_api_key", "Incorrect API key provided."};
    case Error::kForbidden:
      return {403, invalid, "unsupported_country_region_territory", "Access is not allowed."};
    case Error::kNoModel:
      return {404, invalid, "model_not_found",
              "The model '" + request.model + "' does not exist or you do not have access to it."};
    case Error::kNoPath:
      return {404, invalid, "",
              "Invalid URL (" + request.method + " " + std::string(request.path()) + ")"};
    case Error::kBadRequest:
      return {400, invalid, "", "The request is invalid."};
    case Error::kContextLength:
      return {400, invalid, "",
              "This model's maximum context length is " + limit +
                  " tokens, however you requested " + got + " tokens (" + got +
                  " in your prompt; 0 for the completion). Please reduce your prompt."};
    case Error::kTooManyInputs:
      return {400, invalid, "array_above_max_length",
              "Invalid 'input': array too long. Expected an array with maximum length " + limit +
                  ", but got an array with length " + got + " instead."};
    case Error::kTooManyTokens:
      return {400, "max_tokens_per_request", "max_tokens_per_request",
              "Requested " + got + " tokens, max " + limit + " tokens per request"};
    case Error::kBodyTooLarge:
      return {413, invalid, "", "The request body is larger than " + limit + " bytes."};
    case Error::kRequestRate:
      return {429, "requests", "rate_limit_exceeded",
              "Rate limit reached for " + request.model + " on requests per min (RPM): Limit " +
                  limit + ". Please try again in " + Seconds(details.retry_after) + "s."};
    case Error::kTokenRate:
      return {429, "tokens", "rate_limit_exceeded",
              "Rate limit reached for " + request.model + " on tokens per min (TPM): Limit " +
                  limit + ", Requested " + got + ". Please try again in " +
                  Seconds(details.retry_after) + "s."};
    case Error::kOverTokenRate:
      return {429, "tokens", "rate_limit_exceeded",
              "Request too large for " + request.model + " on tokens per min (TPM): Limit " +
                  limit + ", Requested " + got + "."};
    case Error::kQuota:
      return {429, "insufficient_quota", "insufficient_quota",
              "You exceeded your current quota, please check your plan and billing details."};
    case Error::kServer:
      return {500, "server_error", "",
              "The server had an error while processing your request. Sorry about that!"};
    case Error::kOverload:
      return {503, "service_unavailable_error", "server_is_overloaded",
              "The server is currently overloaded. Please try again later."};
    case Error::kStatus:
      return {500, "server_error", "", "Simulated status " + std::to_string(details.status) + "."};
  }
  return {};
}

void MistralWords(Error error, const Details& details, Words* words) {
  if (error == Error::kTooManyInputs) {
    *words = {400, "invalid_request_prompt", "3210",
              "Too many inputs in request, split into more batches."};
  } else if (error == Error::kTooManyTokens) {
    *words = {400, "invalid_request_prompt", "3210",
              "Too many tokens in batch. Max is " + std::to_string(details.limit) + " got " +
                  std::to_string(details.got)};
  } else if (error == Error::kContextLength) {
    words->type = "invalid_request_prompt";
    words->code = "3210";
  } else if (words->status == 429 && error != Error::kQuota) {
    *words = {429, "rate_limited", "1300", "Rate limit exceeded"};
  } else if (error == Error::kQuota) {
    *words = {402, "payment_required", "1700", "Payment required"};
  } else if (error == Error::kBadKey) {
    *words = {401, "authentication_error", "", "Unauthorized"};
  }
}

void GeminiWords(Error error, const Details& details, Words* words) {
  if (error == Error::kTooManyInputs) {
    words->message = "* BatchEmbedContentsRequest.requests: at most " +
                     std::to_string(details.limit) + " requests can be in one batch";
  } else if (error == Error::kQuota) {
    *words = {402, "", "", "Your prepayment credits are depleted."};
  } else if (words->status == 429) {
    words->message =
        "You exceeded your current quota. Please retry in " + Seconds(details.retry_after) + "s.";
  }
  switch (words->status) {
    case 401:
      words->type = "UNAUTHENTICATED";
      break;
    case 403:
      words->type = "PERMISSION_DENIED";
      break;
    case 404:
      words->type = "NOT_FOUND";
      break;
    case 402:
    case 429:
      words->type = "RESOURCE_EXHAUSTED";
      break;
    case 503:
      words->type = "UNAVAILABLE";
      break;
    default:
      words->type = words->status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT";
  }
}

void TeiWords(Error error, const Details& details, Words* words) {
  words->type = words->status >= 500 ? "Backend" : "Validation";
  if (error == Error::kTooManyInputs) {
    words->status = 422;
    words->message = "batch size " + std::to_string(details.got) +
                     " > maximum allowed batch size " + std::to_string(details.limit);
  } else if (error == Error::kContextLength) {
    words->status = 422;
    words->message = "`inputs` must have less than " + std::to_string(details.limit) +
                     " tokens. Given: " + std::to_string(details.got);
  } else if (error == Error::kOverload || words->status == 429) {
    *words = {429, "Overloaded", "", "Model is overloaded"};
  }
}

void LlamaCppWords(Error error, const Details& details, Words* words) {
  if (error == Error::kContextLength) {
    // Deterministic, and yet a 500.
    *words = {500, "server_error", "",
              "input (" + std::to_string(details.got) +
                  " tokens) is too large to process. increase the physical batch size (current "
                  "batch size: " +
                  std::to_string(details.limit) + ")"};
  } else if (error == Error::kOverload) {
    *words = {503, "unavailable_error", "", "Loading model"};
  }
}

Words WordsOf(const SimulatorRequest& request, Error error, const Details& details) {
  Words words = OpenAiWords(request, error, details);
  switch (request.dialect) {
    case Dialect::kOpenAi:
      break;
    case Dialect::kAzure:
      words.code = std::to_string(words.status);
      if (words.status == 429 && error != Error::kQuota && error != Error::kOverTokenRate) {
        words.message =
            "Requests to the Embeddings_Create Operation have exceeded call rate limit "
            "of your current pricing tier. Please retry after " +
            Seconds(details.retry_after) + " seconds.";
      }
      break;
    case Dialect::kMistral:
      MistralWords(error, details, &words);
      break;
    case Dialect::kCohere:
      if (error == Error::kTooManyInputs) {
        words.message = "invalid request: total number of texts must be at most " +
                        std::to_string(details.limit) + " - received " +
                        std::to_string(details.got);
      }
      if (error == Error::kQuota) words.status = 402;
      break;
    case Dialect::kVoyage:
      if (error == Error::kQuota) words.status = 402;
      break;
    case Dialect::kJina:
      if (error == Error::kTooManyInputs) {
        words.message =
            "Each input list can contain at most " + std::to_string(details.limit) + " items";
      }
      if (error == Error::kQuota) {
        words.status = 403;
        words.message = "AUTHZ_INSUFFICIENT_BALANCE: the account balance is used up";
      }
      break;
    case Dialect::kGemini:
      GeminiWords(error, details, &words);
      break;
    case Dialect::kOllama:
      if (error == Error::kContextLength) {
        words.message = "the input length exceeds the context length";
      }
      if (error == Error::kNoModel) words.message = "model \"" + request.model + "\" not found";
      if (error == Error::kOverload) {
        words.message = "server busy, please try again.  maximum pending requests exceeded";
      }
      break;
    case Dialect::kTei:
      TeiWords(error, details, &words);
      break;
    case Dialect::kLlamaCpp:
      LlamaCppWords(error, details, &words);
      break;
  }
  if (details.status != 0) words.status = details.status;
  if (!details.text.empty()) words.message = details.text;
  return words;
}

// Members in the order given, of an error that is an object of its own.
void WriteObject(const Words& words, bool has_number, JsonWriter* json) {
  json->BeginObject().Key("message").Value(words.message).Key("type").Value(words.type);
  json->Key("param").Null().Key("code");
  if (has_number) {
    json->Value(words.status);
  } else if (words.code.empty()) {
    json->Null();
  } else {
    json->Value(words.code);
  }
  json->EndObject();
}

void WriteGemini(const Words& words, Error error, const Details& details, JsonWriter* json) {
  json->BeginObject().Key("error").BeginObject().Key("code").Value(words.status);
  json->Key("message").Value(words.message).Key("status").Value(words.type);
  if (words.status == 429) {
    const char* quota = error == Error::kRequestRate ? "EmbedContentRequestsPerMinutePerProject"
                                                     : "EmbedContentTokensPerMinutePerProject";
    json->Key("details").BeginArray();
    json->BeginObject().Key("@type").Value("type.googleapis.com/google.rpc.QuotaFailure");
    json->Key("violations").BeginArray().BeginObject().Key("quotaId").Value(quota);
    json->EndObject().EndArray().EndObject();
    json->BeginObject().Key("@type").Value("type.googleapis.com/google.rpc.RetryInfo");
    json->Key("retryDelay").Value(Seconds(details.retry_after) + "s").EndObject();
    json->EndArray();
  }
  json->EndObject().EndObject();
}

std::string BodyOf(const SimulatorRequest& request, const Words& words, Error error,
                   const Details& details) {
  JsonWriter json;
  switch (request.dialect) {
    case Dialect::kOpenAi:
      json.BeginObject().Key("error");
      WriteObject(words, false, &json);
      json.EndObject();
      break;
    case Dialect::kAzure:
      json.BeginObject().Key("error").BeginObject().Key("code").Value(words.code);
      json.Key("message").Value(words.message).EndObject().EndObject();
      break;
    case Dialect::kMistral:
      json.BeginObject().Key("object").Value("error").Key("message").Value(words.message);
      json.Key("type").Value(words.type).Key("param").Null().Key("code");
      json.Value(words.code).Key("raw_status_code").Value(words.status).EndObject();
      break;
    case Dialect::kCohere:
      json.BeginObject().Key("message").Value(words.message).EndObject();
      break;
    case Dialect::kVoyage:
    case Dialect::kJina:
      json.BeginObject().Key("detail").Value(words.message).EndObject();
      break;
    case Dialect::kGemini:
      WriteGemini(words, error, details, &json);
      break;
    case Dialect::kOllama:
      json.BeginObject().Key("error");
      if (request.shape == SimulatorShape::kOllama) {
        json.Value(words.message);
      } else {
        WriteObject(words, false, &json);
      }
      json.EndObject();
      break;
    case Dialect::kTei:
      json.BeginObject();
      if (request.shape == SimulatorShape::kTei) {
        json.Key("error").Value(words.message).Key("error_type").Value(words.type);
      } else {
        json.Key("message").Value(words.message).Key("code").Value(words.status);
        json.Key("type").Value(words.type);
      }
      json.EndObject();
      break;
    case Dialect::kLlamaCpp:
      json.BeginObject().Key("error");
      WriteObject(words, true, &json);
      json.EndObject();
      break;
  }
  return json.Take();
}

}  // namespace

SimulatorReply MakeSimulatorError(const SimulatorRequest& request, SimulatorError error,
                                  const SimulatorErrorDetails& details) {
  const Words words = WordsOf(request, error, details);
  SimulatorReply reply;
  reply.status = words.status;
  reply.body = BodyOf(request, words, error, details);
  return reply;
}

}  // namespace embedflow
