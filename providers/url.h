// Where requests go: a URL taken apart once, so that nobody cuts strings later.
#ifndef EMBEDFLOW_PROVIDERS_URL_H_
#define EMBEDFLOW_PROVIDERS_URL_H_

#include <string>
#include <string_view>

#include "embedflow/status.h"

namespace embedflow {

struct Url {
  std::string text;        // Normalised.
  std::string place;       // "host:port", fit for messages: it holds no path and no query.
  std::string host;        // As curl normalises it; IPv6 in brackets.
  std::string path;        // Begins with "/".
  bool encrypted = false;  // https.
  // The host is literally 127.0.0.0/8, ::1 or "localhost". Whether that name resolves to loopback
  // is checked again when the socket is opened.
  bool loopback = false;
};

// Errors: kInvalidArgument for anything but http and https, for user names, passwords, fragments
// and for bytes outside 0x21 to 0x7E. Messages never repeat a part that could hold a secret.
Result<Url> ParseUrl(std::string_view text);

// `base` plus `endpoint` with exactly one slash between: "https://a.example/v1/" and "/embeddings"
// make "https://a.example/v1/embeddings". An endpoint may have a query. Errors: as ParseUrl; a base
// URL must have no query.
Result<Url> JoinUrl(std::string_view base, std::string_view endpoint);

// "host:port" of anything like an address, a proxy's with a password too; "an unreadable address"
// of the rest.
std::string PlaceOf(std::string_view address);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_URL_H_
