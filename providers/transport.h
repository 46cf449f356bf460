// How requests travel, and who keeps time for them. The reactor (curl_reactor.h) is the real one;
// tests use a fake.
#ifndef EMBEDFLOW_PROVIDERS_TRANSPORT_H_
#define EMBEDFLOW_PROVIDERS_TRANSPORT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "embedflow/provider.h"
#include "embedflow/status.h"

namespace embedflow {

// How a request is sent. Constant while jobs point to it.
struct SendOptions {
  // Behaviour.
  std::chrono::milliseconds timeout{60000};          // Whole transfer, in [1 ms, 1 h].
  std::chrono::milliseconds connect_timeout{10000};  // Of it, to connect, in [1 ms, 1 h].
  // A transfer slower than 1 byte a second for so long is given up, in [1 ms, 1 h]; waiting for the
  // first byte counts. Taken in whole seconds, rounded up, against the mean speed of the last 5 s:
  // after a quick beginning it may come 6 s later. Unset: never.
  std::optional<std::chrono::milliseconds> stall_timeout;
  bool compression_enabled = false;  // Ask for gzip, deflate, br, zstd replies.
  // Over TLS, where the server chooses it (ALPN); requests then share connections. Else HTTP/1.1.
  bool http2_enabled = false;

  // Names the field that is out of range.
  Status Validate() const;
};

// One send. Each job is answered exactly once, whatever happens, also on Abort and destruction.
struct TransportJob {
  std::uint64_t id = 0;  // The caller's; comes back with the answer.
  HttpRequest request;
  std::size_t reply_bytes_max =
      0;                   // The transfer is cut there; the reply's transport status says so.
  TimePoint not_before{};  // Earliest time it may be sent.
  // Takes the body of a reply of 2xx as it comes, on the transport's thread; the answer's body is
  // empty then. Null: the answer holds the body.
  std::shared_ptr<ReplyReader> reader{};
  std::shared_ptr<const SendOptions> options{};  // Null: those of the transport.
};

struct TransportAnswer {
  std::uint64_t id = 0;
  HttpReply reply;
  bool sent = false;      // False: no byte of the request left (cancelled, no connection).
  Duration round_trip{};  // From send to last byte.
  HttpRequest request;    // Given back, so that a retry need not write it again.
};

// Threads: Submit, CallAt, Abort from any thread; callbacks run on the transport's thread and must
// return quickly.
class Transport {
 public:
  virtual ~Transport() = default;

  // Takes the job, whose options must have passed Validate(). Never blocks, never throws: a process
  // that has no memory for the entry of a list ends, as if killed. After Abort the job is
  // answered with kCancelled.
  virtual void Submit(TransportJob job) = 0;

  // Calls `f` on the transport's thread at `when` or soon after. Not called after destruction has
  // begun.
  virtual void CallAt(TimePoint when, std::function<void()> f) = 0;

  // Answers jobs that were not sent yet with kCancelled, now and from now on; what is in flight
  // goes on, because it is paid for.
  virtual void Drain() = 0;

  // Answers everything, waiting or in flight, with kCancelled, now and from now on.
  virtual void Abort() = 0;

  // Requests whose bytes left, ever. Equals the number of answers with `sent` once all are
  // answered.
  virtual std::uint64_t sends() const = 0;
};

// Receives answers in groups, once a tick of the transport.
using TransportSink = std::function<void(std::vector<TransportAnswer> answers)>;

struct ReactorOptions {
  // Behaviour.
  SendOptions send;  // Of jobs that bring none.
  // Certificates that are trusted: a file, and a directory as c_rehash makes it. Both empty: what
  // SSL_CERT_FILE and SSL_CERT_DIR of the environment say, else what libcurl was built with.
  std::string ca_file;
  std::string ca_directory;
  // Limits.
  // Under way at once, whatever the host, in [1, 1024]. Fewer where the process may not open as
  // many files; the log says so.
  std::size_t connections_max = 10;
  // Of them to one host. Hosts take turns all the same. Unset: connections_max.
  std::optional<std::size_t> host_connections_max;
  std::size_t header_bytes_max = 64u << 10;
  // Answers are delivered together once this much time has passed since the first, or when nothing
  // else is under way: put one by one, 500 answers a second cost 66 % of a core in the workers they
  // wake (reference: measured).
  std::chrono::milliseconds tick{5};
};

// One thread, one CURLM, sockets and time. `clock` must outlive it and be the machine's.
// Destruction aborts, answers everything, and joins the thread; `sink` is not called afterwards.
Result<std::unique_ptr<Transport>> MakeCurlReactor(const ReactorOptions& options, Clock& clock,
                                                   TransportSink sink);

// Name and version of the library that carries requests, one line.
std::string TransportVersion();

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_TRANSPORT_H_
