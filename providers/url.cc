#include "providers/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>

#include "base/utf8.h"

namespace embedflow {
namespace {

using Handle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

constexpr std::size_t kUrlBytesMax = 4096;

Status BadUrl(std::string message) {
  return Status(Code::kInvalidArgument, std::move(message)).WithWord("bad_url");
}

// Empty where the part is not there.
std::string Part(const Handle& handle, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle.get(), part, &text, flags) != CURLUE_OK) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

// The address where `host` is one, else of family AF_UNSPEC.
sockaddr_storage AddressOf(const std::string& host) {
  sockaddr_storage storage{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    storage.ss_family = AF_INET;
    return storage;
  }
  storage = {};
  if (!host.starts_with('[')) return storage;
  // Without brackets and scope.
  const std::string bare = host.substr(1, host.find_first_of("]%") - 1);
  if (inet_pton(AF_INET6, bare.c_str(), &v6.sin6_addr) == 1) {
    storage.ss_family = AF_INET6;
  } else {
    storage = {};
  }
  return storage;
}

bool IsLoopbackName(const std::string& host) {
  const sockaddr_storage address = AddressOf(host);
  if (address.ss_family != AF_UNSPEC) return IsLoopback(reinterpret_cast<const sockaddr&>(address));
  std::string lower = host;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower == "localhost";
}

Result<Handle> Parse(std::string_view text) {
  if (text.size() > kUrlBytesMax) {
    return BadUrl("a URL has at most " + std::to_string(kUrlBytesMax) + " bytes, got " +
                  std::to_string(text.size()));
  }
  const auto plain = [](char c) { return c >= 0x21 && c <= 0x7E; };
  if (!std::all_of(text.begin(), text.end(), plain))
    return BadUrl("a URL holds printable ASCII without spaces only");
  if (text.substr(0, 7) != "http://" && text.substr(0, 8) != "https://") {
    const std::size_t colon = text.find("://");
    return BadUrl("a URL begins with http:// or https://, got " +
                  (colon == std::string_view::npos ? std::string("none of them")
                                                   : std::string(text.substr(0, colon + 3))));
  }
  Handle handle(curl_url(), &curl_url_cleanup);
  if (!handle) return Status(Code::kInternal, "no memory for a URL");
  const std::string copy(text);
  const CURLUcode code =
      curl_url_set(handle.get(), CURLUPART_URL, copy.c_str(), CURLU_DISALLOW_USER);
  if (code == CURLUE_USER_NOT_ALLOWED || !Part(handle, CURLUPART_USER).empty())
    return BadUrl("a URL must hold no user name and no password");
  if (code != CURLUE_OK) return BadUrl(std::string("not a URL: ") + curl_url_strerror(code));
  if (text.find('#') != std::string_view::npos) return BadUrl("a URL must hold no fragment (#)");
  const std::string host = Part(handle, CURLUPART_HOST);
  const sockaddr_storage address = AddressOf(host);
  if (IsLinkLocal(reinterpret_cast<const sockaddr&>(address))) return ForbiddenAddress(host);
  return handle;
}

Url Describe(const Handle& handle) {
  Url url;
  url.text = Part(handle, CURLUPART_URL);
  url.host = Part(handle, CURLUPART_HOST);
  url.path = Part(handle, CURLUPART_PATH);
  url.encrypted = Part(handle, CURLUPART_SCHEME) == "https";
  url.place = url.host + ":" + Part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  url.loopback = IsLoopbackName(url.host);
  return url;
}

}  // namespace

bool IsLoopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
  }
  if (address.sa_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
  }
  return false;
}

bool IsLinkLocal(const sockaddr& address) {
  const auto is_v4 = [](const unsigned char* bytes) { return bytes[0] == 169 && bytes[1] == 254; };
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return is_v4(reinterpret_cast<const unsigned char*>(&v4.sin_addr));
  }
  if (address.sa_family != AF_INET6) return false;
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&v6) || IN6_IS_ADDR_V4COMPAT(&v6)) return is_v4(&v6.s6_addr[12]);
  constexpr in6_addr kMetadata = {
      {{0xFD, 0x00, 0x0E, 0xC2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x54}}};
  return IN6_IS_ADDR_LINKLOCAL(&v6) || IN6_ARE_ADDR_EQUAL(&v6, &kMetadata);
}

Status ForbiddenAddress(const std::string& place) {
  return Status(Code::kInvalidArgument,
                place + " is a link-local address, where a machine's own metadata service answers")
      .WithWord("insecure");
}

Result<Url> ParseUrl(std::string_view text) {
  EF_ASSIGN_OR_RETURN(const Handle handle, Parse(text));
  return Describe(handle);
}

Result<Url> JoinUrl(std::string_view base, std::string_view endpoint) {
  EF_ASSIGN_OR_RETURN(const Handle handle, Parse(base));
  if (base.find('?') != std::string_view::npos) return BadUrl("a base URL must have no query (?)");
  std::string path = Part(handle, CURLUPART_PATH);
  while (!path.empty() && path.back() == '/') path.pop_back();
  while (!endpoint.empty() && endpoint.front() == '/') endpoint.remove_prefix(1);
  const std::size_t question = std::min(endpoint.find('?'), endpoint.size());
  path += '/';
  path += endpoint.substr(0, question);
  const std::string query(endpoint.substr(std::min(question + 1, endpoint.size())));
  const auto plain = [](char c) { return c >= 0x21 && c <= 0x7E && c != '#'; };
  if (!std::all_of(endpoint.begin(), endpoint.end(), plain) ||
      curl_url_set(handle.get(), CURLUPART_PATH, path.c_str(), 0) != CURLUE_OK ||
      (!query.empty() &&
       curl_url_set(handle.get(), CURLUPART_QUERY, query.c_str(), 0) != CURLUE_OK)) {
    return BadUrl("not a path: " + EscapeControl(endpoint.substr(0, question), 200));
  }
  return Describe(handle);
}

std::string PlaceOf(std::string_view address) {
  const Handle handle(curl_url(), &curl_url_cleanup);
  const std::string copy(address);
  constexpr unsigned kFlags = CURLU_DEFAULT_SCHEME | CURLU_NON_SUPPORT_SCHEME;
  if (!handle || curl_url_set(handle.get(), CURLUPART_URL, copy.c_str(), kFlags) != CURLUE_OK)
    return "an unreadable address";
  const std::string port = Part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  return EscapeControl(Part(handle, CURLUPART_HOST) + (port.empty() ? "" : ":" + port));
}

}  // namespace embedflow
