// Where requests go: a URL taken apart once, so that nobody cuts strings later.
#ifndef EMBEDFLOW_PROVIDERS_URL_H_
#define EMBEDFLOW_PROVIDERS_URL_H_

#include <sys/socket.h>

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

// Errors: kInvalidArgument for anything but http and https, for user names, passwords, fragments,
// for bytes outside 0x21 to 0x7E, and ("insecure") for link-local addresses, where a cloud
// machine's own metadata service answers. Messages never repeat a part that could hold a secret.
Result<Url> ParseUrl(std::string_view text);

// `base` plus `endpoint` with exactly one slash between: "https://a.example/v1/" and "/embeddings"
// make "https://a.example/v1/embeddings". An endpoint may have a query. Errors: as ParseUrl; a base
// URL must have no query.
Result<Url> JoinUrl(std::string_view base, std::string_view endpoint);

// True for 127.0.0.0/8 and ::1.
bool IsLoopback(const sockaddr& address);
// True for 169.254.0.0/16, fe80::/10 and fd00:ec2::254, IPv4 inside IPv6 too: no embeddings server
// lives there, but the services that hand out a cloud machine's credentials do.
bool IsLinkLocal(const sockaddr& address);
// What is said of such an address.
Status ForbiddenAddress(const std::string& place);

// "host:port" of anything like an address, a proxy's with a password too; "an unreadable address"
// of the rest.
std::string PlaceOf(std::string_view address);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_URL_H_
