// What a transfer tells curl: the doors that stay shut whatever is sent, and what a job may choose.
#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "providers/curl_transfer.h"

namespace embedflow {
namespace {

// Below the 60 s after which common load balancers close an idle connection: a request sent into a
// closing connection may be paid for and lost.
constexpr long kIdleSecondsMax = 55;
// Certificates and addresses are looked at again at least this often.
constexpr long kConnectionSecondsMax = 600;
constexpr long kReceiveBufferBytes = 64 << 10;
// A transfer below this is slow.
constexpr long kSlowBytesPerSecond = 1;
constexpr std::size_t kConnectionsMax = 1024;

Status Bad(const char* what, auto value) {
  return {Code::kInvalidArgument, std::string(what) + ", got " + std::to_string(value)};
}

}  // namespace

Status SendOptions::Validate() const {
  const auto in_range = [](std::chrono::milliseconds time) {
    return time >= std::chrono::milliseconds(1) && time <= std::chrono::hours(1);
  };
  if (!in_range(timeout)) return Bad("timeout must be in [1, 3600000] ms", timeout.count());
  if (!in_range(connect_timeout))
    return Bad("connect_timeout must be in [1, 3600000] ms", connect_timeout.count());
  if (stall_timeout && !in_range(*stall_timeout))
    return Bad("stall_timeout must be in [1, 3600000] ms", stall_timeout->count());
  return {};
}

Status CheckReactorOptions(const ReactorOptions& options) {
  using std::chrono::milliseconds;
  EF_RETURN_IF_ERROR(options.send.Validate());
  if (options.connections_max < 1 || options.connections_max > kConnectionsMax)
    return Bad("connections_max must be in [1, 1024]", options.connections_max);
  if (options.host_connections_max &&
      (*options.host_connections_max < 1 || *options.host_connections_max > kConnectionsMax))
    return Bad("host_connections_max must be in [1, 1024]", *options.host_connections_max);
  if (options.header_bytes_max < 1024)
    return Bad("header_bytes_max must be at least 1024", options.header_bytes_max);
  if (options.tick < milliseconds(0) || options.tick > milliseconds(1000))
    return Bad("tick must be in [0, 1000] ms", options.tick.count());
  return {};
}

long StallSeconds(std::chrono::milliseconds stall) {
  return static_cast<long>(std::chrono::ceil<std::chrono::seconds>(stall).count());
}

void CurlTransfer::SetFixedOptions() {
  const auto set = [this](CURLoption option, auto value) {
    // Fails only for options this libcurl was built without, and then we must not go on without
    // it.
    EF_CHECK(curl_easy_setopt(easy_, option, value) == CURLE_OK);
  };
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_NOSIGNAL, 1L);
  // Verbose output holds the headers, and with them the key.
  set(CURLOPT_VERBOSE, 0L);
  // Redirects would carry api-key headers and the texts to a stranger.
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_MAXREDIRS, 0L);
  // A list of what is allowed: with all protocols denied, curl before 8.7 fell back to its defaults
  // (CVE-2024-2004).
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "https");
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_UNRESTRICTED_AUTH, 0L);
  // What a server says must not change where or how the next request goes.
  set(CURLOPT_COOKIEFILE, static_cast<const char*>(nullptr));
  set(CURLOPT_HSTS_CTRL, 0L);
  // A proxy's CONNECT request must not see the headers meant for the provider.
  set(CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
  set(CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
  if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
  if (!options_.ca_directory.empty()) set(CURLOPT_CAPATH, options_.ca_directory.c_str());
  set(CURLOPT_MAXAGE_CONN, kIdleSecondsMax);
  set(CURLOPT_MAXLIFETIME_CONN, kConnectionSecondsMax);
  set(CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  // Giving up must not wait for a name server.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_PREREQFUNCTION, &OnPreRequest);
  set(CURLOPT_PREREQDATA, static_cast<void*>(this));
  set(CURLOPT_OPENSOCKETFUNCTION, &OnOpenSocket);
  set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION, &OnBody);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_HEADERFUNCTION, &OnHeader);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_POST, 1L);
}

// Everything is set each time, because the handle carried another job before.
Status CurlTransfer::SetSendOptions() {
  const SendOptions& send = SendOptionsNow();
  CURLcode code = CURLE_OK;
  const auto set = [&](CURLoption option, auto value) {
    if (code == CURLE_OK) code = curl_easy_setopt(easy_, option, value);
  };
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(send.timeout.count()));
  set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(std::min(send.connect_timeout, send.timeout).count()));
  set(CURLOPT_LOW_SPEED_LIMIT, send.stall_timeout ? kSlowBytesPerSecond : 0L);
  set(CURLOPT_LOW_SPEED_TIME, send.stall_timeout ? StallSeconds(*send.stall_timeout) : 0L);
  // "" asks for all that this libcurl can undo.
  set(CURLOPT_ACCEPT_ENCODING, static_cast<const char*>(send.compression_enabled ? "" : nullptr));
  set(CURLOPT_HTTP_VERSION,
      static_cast<long>(send.http2_enabled ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  // Rather a stream of a connection that is being made than a connection of its own.
  set(CURLOPT_PIPEWAIT, send.http2_enabled ? 1L : 0L);
  if (code == CURLE_OK) return {};
  return {Code::kInternal,
          std::string("curl does not take the request's options: ") + curl_easy_strerror(code)};
}

}  // namespace embedflow
