#include "providers/curl_transfer.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/utf8.h"
#include "providers/key.h"

namespace embedflow {
namespace {

// A refusal needs no more room than this, however large the page it comes in.
constexpr std::size_t kErrorBodyBytesMax = 64u << 10;
constexpr std::size_t kWordsBytesMax = 200;

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

bool IsSecretHeader(const std::string& name) {
  const std::string lower = Lower(name);
  for (const char* part : {"authorization", "api-key", "apikey", "token", "secret", "cookie"}) {
    if (lower.find(part) != std::string::npos) return true;
  }
  return false;
}

// Set by curl itself; a second value would let two readers see two different requests.
bool IsFramingHeader(const std::string& name) {
  const std::string lower = Lower(name);
  return lower == "content-length" || lower == "transfer-encoding" || lower == "expect" ||
         lower == "connection" || lower == "accept-encoding";
}

bool IsHeaderName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return c > 0x20 && c < 0x7F && c != ':' && c != ';';
  });
}

bool IsHeaderValue(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F;
  });
}

std::string_view Trim(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

Status Insecure(const Url& url, const char* what) {
  return Status(Code::kInvalidArgument, url.place + ": " + what).WithWord("insecure");
}

}  // namespace

std::unique_ptr<CurlTransfer> CurlTransfer::Create(const ReactorOptions& options,
                                                   const Clock& clock,
                                                   std::atomic<std::uint64_t>& sends) {
  CURL* easy = curl_easy_init();
  if (easy == nullptr) return nullptr;
  return std::unique_ptr<CurlTransfer>(new CurlTransfer(options, clock, sends, easy));
}

CurlTransfer::CurlTransfer(const ReactorOptions& options, const Clock& clock,
                           std::atomic<std::uint64_t>& sends, CURL* easy)
    : options_(options), clock_(clock), easy_(easy), sends_(sends) {
  SetFixedOptions();
}

CurlTransfer::~CurlTransfer() {
  curl_easy_cleanup(easy_);
  DropHeaders();
}

CurlTransfer* CurlTransfer::Of(CURL* easy) {
  char* self = nullptr;
  EF_CHECK(curl_easy_getinfo(easy, CURLINFO_PRIVATE, &self) == CURLE_OK && self != nullptr);
  return reinterpret_cast<CurlTransfer*>(self);
}

Status CurlTransfer::CheckRequest() const {
  for (const auto& [name, value] : job_.request.headers) {
    if (!IsHeaderName(name) || !IsHeaderValue(value) || IsFramingHeader(name)) {
      return {Code::kInvalidArgument,
              "a request must not have the header " + EscapeControl(name, 60)};
    }
    if (IsSecretHeader(name) && !url_.encrypted && !url_.loopback)
      return Insecure(url_, "a key must not go over plain http to another machine");
  }
  return {};
}

// The lines hold the key; memory that is used again must not.
void CurlTransfer::DropHeaders() {
  for (curl_slist* line = headers_; line != nullptr; line = line->next)
    explicit_bzero(line->data, std::strlen(line->data));
  curl_slist_free_all(std::exchange(headers_, nullptr));
}

Status CurlTransfer::SetHeaders() {
  DropHeaders();
  // Without it curl waits for "100 Continue" before bodies above 1 MB.
  std::string line = "Expect:";
  bool has_type = false;
  auto next = job_.request.headers.begin();
  while (true) {
    curl_slist* longer = curl_slist_append(headers_, line.c_str());
    Wipe(&line);
    if (longer == nullptr) return {Code::kInternal, "no memory for headers"};
    headers_ = longer;
    if (next == job_.request.headers.end()) {
      if (has_type) break;
      // Otherwise curl would call the body a web form.
      line = "Content-Type: application/json";
      has_type = true;
      continue;
    }
    has_type |= Lower(next->first) == "content-type";
    // curl's way to write a header without a value.
    line = next->second.empty() ? next->first + ";" : next->first + ": " + next->second;
    ++next;
  }
  return {};
}

Status CurlTransfer::Start(TransportJob job) {
  EF_CHECK(!is_active_);
  is_active_ = true;
  job_ = std::move(job);
  reply_ = {};
  header_bytes_ = 0;
  body_bytes_ = 0;
  sends_of_this_ = 0;
  stop_ = Stop::kNone;
  error_.fill('\0');

  if (url_given_ != job_.request.url) {
    EF_ASSIGN_OR_RETURN(url_, ParseUrl(job_.request.url));
    url_given_ = job_.request.url;
  }
  EF_RETURN_IF_ERROR(CheckRequest());
  EF_RETURN_IF_ERROR(SetHeaders());
  EF_RETURN_IF_ERROR(SetSendOptions());
  // A proxy of the environment is for the way out, and would be asked for loopback too.
  const char* no_proxy = url_.loopback ? "*" : nullptr;
  const bool is_set =
      curl_easy_setopt(easy_, CURLOPT_URL, url_.text.c_str()) == CURLE_OK &&
      curl_easy_setopt(easy_, CURLOPT_NOPROXY, no_proxy) == CURLE_OK &&
      curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_) == CURLE_OK &&
      curl_easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(job_.request.body.size())) == CURLE_OK &&
      curl_easy_setopt(easy_, CURLOPT_POSTFIELDS, job_.request.body.data()) == CURLE_OK;
  return is_set ? Status() : Status(Code::kInternal, "curl does not take the request");
}

TransportAnswer CurlTransfer::Answer() {
  EF_CHECK(is_active_);
  is_active_ = false;
  TransportAnswer answer;
  answer.id = job_.id;
  answer.sent = sends_of_this_ > 0;
  if (answer.sent) answer.round_trip = clock_.Now() - sent_at_;
  answer.request = std::move(job_.request);
  answer.reply = std::move(reply_);
  job_ = {};
  reply_ = {};
  curl_easy_setopt(easy_, CURLOPT_HTTPHEADER, nullptr);
  DropHeaders();
  return answer;
}

TransportAnswer CurlTransfer::Finish(CURLcode code) {
  const auto status = static_cast<int>(ReplyStatus());
  if (code == CURLE_OK) {
    reply_.status = status;
  } else {
    reply_.transport = ErrorOf(code);
    // A refusal that was cut off is still a refusal; anything else that is not whole is nothing.
    if (sends_of_this_ > 0 && status >= 300) {
      reply_.status = status;
    } else {
      reply_.headers.clear();
      reply_.body.clear();
      reply_.body.shrink_to_fit();
    }
  }
  return Answer();
}

TransportAnswer CurlTransfer::Cancel(Status reason) {
  reply_ = {};
  reply_.transport = std::move(reason);
  return Answer();
}

long CurlTransfer::ReplyStatus() const {
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

std::size_t CurlTransfer::BodyBytesMax() const {
  return ReplyStatus() >= 300 ? kErrorBodyBytesMax : job_.reply_bytes_max;
}

Status CurlTransfer::ErrorOf(CURLcode code) const {
  const auto unavailable = [this](const std::string& what, const char* word) {
    return Status(Code::kUnavailable, url_.place + ": " + what).WithWord(word);
  };
  switch (stop_) {
    case Stop::kNone:
      break;
    case Stop::kBodyTooLarge:
      return unavailable("the reply has more than " + std::to_string(BodyBytesMax()) + " bytes",
                         "reply_too_large");
    case Stop::kHeadersTooLarge:
      return unavailable("the reply's headers have more than " +
                             std::to_string(options_.header_bytes_max) + " bytes",
                         "reply_too_large");
    case Stop::kSecondSend:
      return unavailable("the connection was closed without an answer", "connection_lost");
    case Stop::kInsecure:
      return Insecure(url_, "the name leads to another machine, over plain http");
    case Stop::kLinkLocal:
      return ForbiddenAddress(url_.place);
    case Stop::kNoDescriptors:
      return unavailable("no file is left to open for a connection", "cannot_connect")
          .WithNext("allow more with ulimit -n, or less with --max-concurrency");
    case Stop::kNoMemory:
      return {Code::kInternal, "no memory for a reply"};
  }
  const std::string words = Redact(
      EscapeControl(error_[0] != '\0' ? error_.data() : curl_easy_strerror(code), kWordsBytesMax));
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return unavailable(words, "name_not_found");
    case CURLE_COULDNT_CONNECT:
      return unavailable(words, "cannot_connect");
    case CURLE_OPERATION_TIMEDOUT:
      return sends_of_this_ > 0 ? unavailable(TimeoutWords(), "timeout")
                                : unavailable(words, "cannot_connect");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
      // The same certificate comes back every time.
      return Status(Code::kRefused, url_.place + ": " + words)
          .WithWord("certificate_refused")
          .WithNext("check the address and the machine's certificates");
    case CURLE_SSL_CONNECT_ERROR:
      return unavailable(words, "tls_failed");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      // The latter is what an HTTP/0.9 reply is called.
      return unavailable(words, "not_http");
    case CURLE_BAD_CONTENT_ENCODING:
      return unavailable(words, "bad_encoding");
    default:
      return unavailable(words, "connection_lost");
  }
}

// curl has one code for both, and tells them apart in English only; so the clock decides.
std::string CurlTransfer::TimeoutWords() const {
  const SendOptions& send = SendOptionsNow();
  curl_off_t total_us = 0;
  curl_easy_getinfo(easy_, CURLINFO_TOTAL_TIME_T, &total_us);
  if (send.stall_timeout && std::chrono::microseconds(total_us) < send.timeout) {
    return "the reply stalled: less than 1 byte a second for " +
           std::to_string(StallSeconds(*send.stall_timeout)) + " s";
  }
  return "no whole reply within " + std::to_string(send.timeout.count()) + " ms";
}

// Called once a connection stands and before anything is sent over it: also when libcurl sends a
// request again on its own, because a kept connection turned out to be closed. That second payment
// is the retry policy's to decide (reference: four calls became seven POSTs).
int CurlTransfer::OnPreRequest(void* self, char*, char*, int, int) noexcept {
  auto* transfer = static_cast<CurlTransfer*>(self);
  if (transfer->sends_of_this_ > 0) {
    transfer->stop_ = Stop::kSecondSend;
    return CURL_PREREQFUNC_ABORT;
  }
  ++transfer->sends_of_this_;
  transfer->sends_.fetch_add(1, std::memory_order_relaxed);
  transfer->sent_at_ = transfer->clock_.Now();
  return CURL_PREREQFUNC_OK;
}

// A name server decides where a key goes, if it says where "localhost" is, or that a name is the
// machine's own metadata service; so the address counts.
curl_socket_t CurlTransfer::OnOpenSocket(void* self, curlsocktype,
                                         curl_sockaddr* address) noexcept {
  auto* transfer = static_cast<CurlTransfer*>(self);
  if (transfer->url_.loopback && !IsLoopback(address->addr)) {
    transfer->stop_ = Stop::kInsecure;
    return CURL_SOCKET_BAD;
  }
  if (IsLinkLocal(address->addr)) {
    transfer->stop_ = Stop::kLinkLocal;
    return CURL_SOCKET_BAD;
  }
  const int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0 && (errno == EMFILE || errno == ENFILE)) transfer->stop_ = Stop::kNoDescriptors;
  return fd;
}

std::size_t CurlTransfer::OnBody(char* data, std::size_t, std::size_t bytes, void* self) noexcept {
  auto* transfer = static_cast<CurlTransfer*>(self);
  const std::size_t bytes_max = transfer->BodyBytesMax();
  const std::size_t room = bytes_max - std::min(transfer->body_bytes_, bytes_max);
  const std::string_view piece(data, std::min(bytes, room));
  transfer->body_bytes_ += piece.size();
  try {
    if (transfer->job_.reader != nullptr && transfer->ReplyStatus() < 300) {
      transfer->job_.reader->Take(piece);
    } else {
      transfer->reply_.body.append(piece);
    }
  } catch (...) {
    transfer->stop_ = Stop::kNoMemory;
    return 0;
  }
  if (bytes <= room) return bytes;
  transfer->stop_ = Stop::kBodyTooLarge;
  return 0;
}

std::size_t CurlTransfer::OnHeader(char* data, std::size_t, std::size_t bytes,
                                   void* self) noexcept {
  auto* transfer = static_cast<CurlTransfer*>(self);
  try {
    return transfer->TakeHeader({data, bytes});
  } catch (...) {
    transfer->stop_ = Stop::kNoMemory;
    return 0;
  }
}

std::size_t CurlTransfer::TakeHeader(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > options_.header_bytes_max) {
    stop_ = Stop::kHeadersTooLarge;
    return 0;
  }
  // A status line begins a new block: a proxy's answer or "100 Continue" came before it.
  if (line.starts_with("HTTP/")) {
    reply_.headers.clear();
    return line.size();
  }
  if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    reply_.headers.emplace_back(Lower(Trim(line.substr(0, colon))), Trim(line.substr(colon + 1)));
  }
  return line.size();
}

}  // namespace embedflow
