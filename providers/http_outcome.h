// What a reply without vectors means: one table for every dialect that speaks HTTP.
#ifndef EMBEDFLOW_PROVIDERS_HTTP_OUTCOME_H_
#define EMBEDFLOW_PROVIDERS_HTTP_OUTCOME_H_

#include <cstdint>
#include <string>

#include "embedflow/provider.h"

namespace embedflow {

// Names for messages. None of them is secret.
struct ProviderNames {
  std::string provider;  // "openai".
  std::string model;
  std::string place;       // "api.openai.com:443".
  std::string path;        // "/v1/embeddings".
  std::string key_source;  // "OPENAI_API_KEY" or a file's name; empty where no key is sent.
};

// True where the reply arrived whole with a status of 2xx: only then is there something to read.
bool HasContent(const HttpReply& reply);

// The outcome of a reply for which HasContent() is false. Never kOk. The status carries a word:
// key_refused, access_refused, quota, model_unknown, not_found, redirect, request_refused,
// throttled, oversize, text_too_long, invalid_input, provider_error, cancelled, or the transport's
// own. Hints, the wait asked for, the caps told and x-should-retry are filled in.
Outcome ReadFailure(const HttpReply& reply, const ProviderNames& names, std::int64_t wall_now_ms);

// True where a server says that it could not read a compressed body: 415, or 400, 422 or 500 about
// the byte 0x1f, JSON or UTF-8. It means so only for a request that was compressed.
bool RefusesCompression(const HttpReply& reply);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_HTTP_OUTCOME_H_
