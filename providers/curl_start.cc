#include "providers/curl_start.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <string>

#include "base/log.h"
#include "providers/url.h"

namespace embedflow {
namespace {

// With so many files besides the connections nobody needs to count.
constexpr std::size_t kFilesAlwaysEnough = 512;
// What is opened later: inputs one after the other, the index's file, directories to sync, and the
// pairs of sockets with which curl's threads that ask for names report.
constexpr std::size_t kFilesOfOthers = 12;

void LogProxies() {
  // As libcurl reads them: http_proxy in small letters only.
  for (const char* name : {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    Log(LogLevel::kInfo, std::string("requests to other machines go through the proxy ") +
                             PlaceOf(value) + ", as " + name + " says");
  }
}

}  // namespace

Status StartCurl() {
  static std::once_flag once;
  static CURLcode code = CURLE_OK;
  std::call_once(once, [] {
    code = curl_global_init(CURL_GLOBAL_DEFAULT);
    struct sigaction current {};
    if (sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL)
      std::signal(SIGPIPE, SIG_IGN);
    LogProxies();
  });
  if (code == CURLE_OK) return {};
  return {Code::kInternal, std::string("curl cannot be started: ") + curl_easy_strerror(code)};
}

std::size_t ConnectionsWithinFiles(std::size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted + kFilesAlwaysEnough)
    return wanted;
  std::size_t free = 0;
  for (int fd = 0; fd < static_cast<int>(limit.rlim_cur); ++fd) {
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) ++free;
  }
  const std::size_t room = free > kFilesOfOthers ? free - kFilesOfOthers : 1;
  if (room >= wanted) return wanted;
  Log(LogLevel::kWarning, "at most " + std::to_string(room) + " connections at once instead of " +
                              std::to_string(wanted) + ": no more than " +
                              std::to_string(limit.rlim_cur) + " files may be open (ulimit -n)");
  return room;
}

void TakeTrustFromEnvironment(ReactorOptions* options) {
  if (!options->ca_file.empty() || !options->ca_directory.empty()) return;
  const auto take = [](const char* name, std::string* path) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') return;
    *path = value;
    static std::once_flag once;
    std::call_once(once, [&] {
      Log(LogLevel::kInfo, "servers are trusted by the certificates in " + *path + ", as " +
                               std::string(name) + " says");
    });
  };
  take("SSL_CERT_FILE", &options->ca_file);
  take("SSL_CERT_DIR", &options->ca_directory);
}

}  // namespace embedflow
