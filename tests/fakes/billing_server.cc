#include "tests/fakes/billing_server.h"

#include "base/check.h"

namespace embedflow {

BillingServer::BillingServer(const BillingOptions& options)
    : options_(options), rng_(options.seed) {
  FlakyOptions server;
  server.dimensions = options.dimensions;
  server.seed = options.seed;
  server.keeps_requests = false;
  Result<std::unique_ptr<FlakyServer>> listening = FlakyServer::Listen(
      server, [this](const FlakyRequest& request) { return Reply(request); }, {});
  EF_CHECK(listening.ok());
  server_ = std::move(*listening);
}

FlakyReply BillingServer::Reply(const FlakyRequest& request) {
  FlakyReply reply;
  reply.flaw = FlakyFlaw::kShuffled;
  reply.latency = std::chrono::microseconds(
      rng_.Below(static_cast<std::uint64_t>(options_.delay_max.count()) + 1));
  const double dice = rng_.Uniform();
  if (dice < options_.refused) {
    reply.status = 500;
    return reply;
  }
  const bool is_broken = dice < options_.refused + options_.broken;
  if (is_broken) {
    reply.wire = rng_.Below(2) == 0 ? FlakyWire::kResetMidBody : FlakyWire::kCloseNoReply;
  }
  for (const std::string& text : request.texts) {
    Line& line = bill_[text];
    ++line.billed;
    if (is_broken) ++line.broken;
  }
  return reply;
}

BillingServer::Bill BillingServer::Close() {
  server_.reset();
  return std::move(bill_);
}

}  // namespace embedflow
