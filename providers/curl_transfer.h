// One request on the wire: a curl easy handle that is kept and used again, with every door shut
// that libcurl leaves open by default (docs/providers.md lists them).
#ifndef EMBEDFLOW_PROVIDERS_CURL_TRANSFER_H_
#define EMBEDFLOW_PROVIDERS_CURL_TRANSFER_H_

#include <curl/curl.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "providers/transport.h"
#include "providers/url.h"

namespace embedflow {

// Names the field that is out of range.
Status CheckReactorOptions(const ReactorOptions& options);

// curl counts slow time in whole seconds: what it is given for `stall`, rounded up, so that a short
// one is never none.
long StallSeconds(std::chrono::milliseconds stall);

// Used by the reactor: Start(), the handle goes through the multi handle, then Finish() or
// Cancel(), and again. Owns the job between Start and the answer.
// Threads: the reactor's only; `sends` is read by others.
class CurlTransfer {
 public:
  // All must outlive the transfer; `sends` counts what left. Null when curl is out of memory.
  static std::unique_ptr<CurlTransfer> Create(const ReactorOptions& options, const Clock& clock,
                                              std::atomic<std::uint64_t>& sends);
  ~CurlTransfer();
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;

  // The transfer that `easy` belongs to.
  static CurlTransfer* Of(CURL* easy);

  // Takes the job and makes handle() ready for curl_multi_add_handle. On an error nothing may be
  // sent, and Cancel(error) gives the answer.
  Status Start(TransportJob job);
  // The answer once curl is done with the handle, which must have left the multi handle.
  TransportAnswer Finish(CURLcode code);
  // The answer to a transfer that is given up for `reason`; the handle must have left the multi
  // handle.
  TransportAnswer Cancel(Status reason);

  CURL* handle() const { return easy_; }
  bool is_active() const { return is_active_; }
  // True once the request may have left.
  bool is_sent() const { return sends_of_this_ > 0; }
  // True for a started job that may share a connection with others (HTTP/2).
  bool is_multiplexed() const { return SendOptionsNow().http2_enabled; }

 private:
  // Why a callback made curl stop.
  enum class Stop {
    kNone,
    kBodyTooLarge,
    kHeadersTooLarge,
    kSecondSend,
    kInsecure,
    kLinkLocal,
    kNoDescriptors,
    kNoMemory
  };

  CurlTransfer(const ReactorOptions& options, const Clock& clock, std::atomic<std::uint64_t>& sends,
               CURL* easy);
  const SendOptions& SendOptionsNow() const {
    return job_.options != nullptr ? *job_.options : options_.send;
  }
  void SetFixedOptions();
  Status SetSendOptions();
  Status CheckRequest() const;
  Status SetHeaders();
  void DropHeaders();
  std::size_t BodyBytesMax() const;
  long ReplyStatus() const;
  Status ErrorOf(CURLcode code) const;
  std::string TimeoutWords() const;
  TransportAnswer Answer();

  static int OnPreRequest(void* self, char*, char*, int, int) noexcept;
  static curl_socket_t OnOpenSocket(void* self, curlsocktype, curl_sockaddr* address) noexcept;
  static std::size_t OnBody(char* data, std::size_t, std::size_t bytes, void* self) noexcept;
  static std::size_t OnHeader(char* data, std::size_t, std::size_t bytes, void* self) noexcept;
  std::size_t TakeHeader(std::string_view line);

  // Constant after construction.
  const ReactorOptions& options_;
  const Clock& clock_;
  CURL* const easy_;
  // Own synchronisation.
  std::atomic<std::uint64_t>& sends_;
  // Reactor thread only.
  bool is_active_ = false;
  TransportJob job_;
  Url url_;
  // The text url_ was parsed from: most requests go to one address.
  std::optional<std::string> url_given_;
  curl_slist* headers_ = nullptr;
  HttpReply reply_;
  std::size_t header_bytes_ = 0;
  std::size_t body_bytes_ = 0;
  int sends_of_this_ = 0;
  TimePoint sent_at_{};
  Stop stop_ = Stop::kNone;
  std::array<char, CURL_ERROR_SIZE> error_{};
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_CURL_TRANSFER_H_
