// A provider that shuffles and delays its replies, fails now and then, and writes the bill: which
// texts it worked on, and how often. It bills at the strictest: for every request that it accepts,
// when it comes, whether or not anybody gets the reply.
//
//   BillingServer server({.dimensions = 8, .seed = 1});
//   ... base URL: server.base_url()
//   const BillingServer::Bill bill = server.Close();
#ifndef EMBEDFLOW_TESTS_FAKES_BILLING_SERVER_H_
#define EMBEDFLOW_TESTS_FAKES_BILLING_SERVER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/random.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {

struct BillingOptions {
  int dimensions = 8;
  std::uint64_t seed = 1;
  std::chrono::microseconds delay_max{8000};  // Each reply takes between nothing and this.
  double refused = 0;                         // Share of requests answered 500, and not billed.
  double broken = 0;  // Share of requests that are billed and whose reply breaks off.
};

// Threads: base_url() may be called from any; Close() once.
class BillingServer {
 public:
  struct Line {
    std::uint32_t billed = 0;
    std::uint32_t broken = 0;  // Of them, those whose reply broke off.
  };
  using Bill = std::unordered_map<std::string, Line>;  // By text.

  explicit BillingServer(const BillingOptions& options);

  std::string base_url() const { return server_->base_url(); }
  // Ends all connections. What lies unread in them is not billed.
  Bill Close();

 private:
  FlakyReply Reply(const FlakyRequest& request);

  // The server's threads only, one call at a time, until it is closed.
  const BillingOptions options_;
  Rng rng_;
  Bill bill_;

  std::unique_ptr<FlakyServer> server_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_FAKES_BILLING_SERVER_H_
