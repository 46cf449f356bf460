// An embeddings server in this process, on loopback, that can go wrong in every way we know.
//
//   SimulatorServer server({.dimensions = 8}, [](const SimulatorRequest& request) {
//     SimulatorReply reply;
//     if (request.number == 2) reply.status = 503;
//     return reply;
//   });
//   options.base_url = server.base_url();
//
// The vector of a text is a function of the text and the dimensions alone, so a test knows what
// must have been stored. The mechanism alone: what goes wrong when is decided by its script; the
// public Simulator is a script over it (policy.h).
//
// Owns its threads: one that accepts, one a connection. Delays end when the server or the client
// does, so no test waits for them.
// Threads: the public functions may be called from any; the script runs on connection threads, one
// call at a time; the observer runs on them too, several at once.
#ifndef EMBEDFLOW_SIMULATOR_SERVER_H_
#define EMBEDFLOW_SIMULATOR_SERVER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "embedflow/status.h"
#include "simulator/exchange.h"
#include "simulator/wire.h"

namespace embedflow {

struct SimulatorServerOptions {
  int dimensions = 8;      // Where neither request nor reply says.
  std::uint16_t port = 0;  // 0: any free one.
  std::uint64_t seed = 1;  // Of SimulatorFlaw::kShuffled.
  // Whose words the shared paths speak.
  SimulatorDialect dialect = SimulatorDialect::kOpenAi;
  // Whether requests and texts are kept for the functions that return them.
  bool keeps_requests = true;
};

class SimulatorServer {
 public:
  using Script = std::function<SimulatorReply(const SimulatorRequest&)>;
  // Called after each reply, before the connection's next request is read.
  using Observer =
      std::function<void(const SimulatorRequest&, const SimulatorReply&, const SimulatorSent&)>;

  // Listens at once. Without a script every reply is right. Errors: "port_in_use", kIo.
  static Result<std::unique_ptr<SimulatorServer>> Listen(const SimulatorServerOptions& options,
                                                         Script script, Observer observer);
  // The same for tests: ends the process if it cannot listen.
  explicit SimulatorServer(const SimulatorServerOptions& options = {}, Script script = {});
  ~SimulatorServer();
  SimulatorServer(const SimulatorServer&) = delete;
  SimulatorServer& operator=(const SimulatorServer&) = delete;

  int port() const;
  std::string base_url() const;  // "http://127.0.0.1:PORT/v1".

  // Requests whose every byte arrived.
  std::uint64_t requests() const;
  std::uint64_t connections() const;
  // How often each text arrived, and how often it was answered whole with status 200.
  std::map<std::string, std::uint64_t> texts_received() const;
  std::map<std::string, std::uint64_t> texts_answered() const;
  // All requests, in order of arrival.
  std::vector<SimulatorRequest> ledger() const;

  // Closes every connection on which no request is under way.
  void CloseIdleConnections();
  // Blocks until `count` requests have arrived; false after 60 s.
  bool WaitForRequests(std::uint64_t count) const;

 private:
  class Impl;
  explicit SimulatorServer(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_SERVER_H_
