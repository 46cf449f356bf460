#include "embedflow/simulator.h"

#include <utility>

#include "base/mutex.h"
#include "simulator/ledger.h"
#include "simulator/policy.h"
#include "simulator/server.h"

namespace embedflow {

class Simulator::Impl {
 public:
  Impl(const SimulatorOptions& options, std::unique_ptr<SimulatorLedger> ledger)
      : policy_(options), ledger_(std::move(ledger)) {}

  Status Listen(const SimulatorOptions& options) {
    SimulatorServerOptions server;
    server.port = options.port;
    server.seed = options.seed;
    server.dialect = options.dialect;
    server.keeps_requests = false;
    EF_ASSIGN_OR_RETURN(
        server_, SimulatorServer::Listen(
                     server, [this](const SimulatorRequest& request) { return Reply(request); },
                     [this](const SimulatorRequest& request, const SimulatorReply& reply,
                            const SimulatorSent& sent) {
                       if (request.method != "GET") ledger_->Done(request, reply, sent);
                     }));
    return {};
  }

  int port() const { return server_->port(); }
  std::string base_url() const { return server_->base_url(); }
  SimulatorStats stats() const { return ledger_->stats(); }
  Status ledger_status() const { return ledger_->status(); }

 private:
  // One call at a time; the server sees to it.
  SimulatorReply Reply(const SimulatorRequest& request) {
    if (request.method == "GET") return ReplyToGet(request);
    SimulatorPolicy::Decision decision = policy_.Decide(request);
    ledger_->Arrived(request, decision.is_admitted);
    return std::move(decision.reply);
  }

  SimulatorReply ReplyToGet(const SimulatorRequest& request) const {
    SimulatorReply reply;
    if (request.path() == "/__stats") {
      reply.body = ledger_->stats().ToJson();
    } else if (request.path() == "/health") {
      reply.body = R"({"status":"ok"})";
    } else {
      reply.status = 404;
      reply.body = R"({"error":{"message":"There is nothing to get here but /__stats and )"
                   R"(/health.","type":"invalid_request_error","param":null,"code":null}})";
    }
    return reply;
  }

  SimulatorPolicy policy_;
  const std::unique_ptr<SimulatorLedger> ledger_;
  // Last, so that its threads end first.
  std::unique_ptr<SimulatorServer> server_;
};

Result<std::unique_ptr<Simulator>> Simulator::Start(const SimulatorOptions& options) {
  EF_RETURN_IF_ERROR(options.Validate());
  EF_ASSIGN_OR_RETURN(std::unique_ptr<SimulatorLedger> ledger, SimulatorLedger::Open(options));
  auto impl = std::make_unique<Impl>(options, std::move(ledger));
  EF_RETURN_IF_ERROR(impl->Listen(options));
  return std::unique_ptr<Simulator>(new Simulator(std::move(impl)));
}

Simulator::Simulator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Simulator::~Simulator() = default;
int Simulator::port() const { return impl_->port(); }
std::string Simulator::base_url() const { return impl_->base_url(); }
SimulatorStats Simulator::stats() const { return impl_->stats(); }
Status Simulator::ledger_status() const { return impl_->ledger_status(); }

}  // namespace embedflow
