// What the tests of the wire share: a reactor whose answers can be waited for.
#ifndef EMBEDFLOW_TESTS_PROVIDERS_WIRE_H_
#define EMBEDFLOW_TESTS_PROVIDERS_WIRE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "embedflow/provider.h"
#include "providers/transport.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {

// A reactor and the answers it gave.
class Wire {
 public:
  explicit Wire(const ReactorOptions& options = {}) {
    Result<std::unique_ptr<Transport>> made =
        MakeCurlReactor(options, SystemClock(), [this](std::vector<TransportAnswer> answers) {
          MutexLock lock(mu_);
          groups_.push_back(answers.size());
          for (TransportAnswer& answer : answers) answers_.push_back(std::move(answer));
          changed_.SignalAll();
        });
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    transport_ = std::move(made).value();
  }

  Transport& transport() { return *transport_; }
  // Ends the reactor; what it answered stays.
  void Destroy() { transport_.reset(); }

  void Submit(std::uint64_t id, HttpRequest request, std::size_t reply_bytes_max = 1u << 20,
              TimePoint not_before = {}, std::shared_ptr<const SendOptions> options = {}) {
    transport_->Submit(
        {id, std::move(request), reply_bytes_max, not_before, {}, std::move(options)});
  }

  // Waits until there are `count` answers in all and returns them; fewer after 60 s.
  std::vector<TransportAnswer> WaitFor(std::size_t count) {
    MutexLock lock(mu_);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (answers_.size() < count && std::chrono::steady_clock::now() < end)
      changed_.WaitFor(mu_, std::chrono::seconds(1));
    EXPECT_EQ(answers_.size(), count);
    return answers_;
  }
  TransportAnswer Send(HttpRequest request, std::size_t reply_bytes_max = 1u << 20) {
    std::size_t before = 0;
    {
      MutexLock lock(mu_);
      before = answers_.size();
    }
    Submit(before + 1, std::move(request), reply_bytes_max);
    const std::vector<TransportAnswer> answers = WaitFor(before + 1);
    return answers.size() > before ? answers[before] : TransportAnswer();
  }
  std::vector<std::size_t> groups() {
    MutexLock lock(mu_);
    return groups_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::vector<TransportAnswer> answers_ EF_GUARDED_BY(mu_);
  std::vector<std::size_t> groups_ EF_GUARDED_BY(mu_);
  std::unique_ptr<Transport> transport_;
};

inline HttpRequest PostTo(const std::string& url, std::string body = R"({"input":["a"]})") {
  return {url, {{"Content-Type", "application/json"}}, std::move(body)};
}

// A provider of the local profile for a FlakyServer.
inline std::shared_ptr<const Provider> LocalProvider(const FlakyServer& server, int dimensions) {
  ProviderOptions options;
  options.name = "local";
  options.model = "test-model";
  options.dimensions = dimensions;
  options.base_url = server.base_url();
  Result<std::shared_ptr<const Provider>> made = MakeProvider(options);
  EXPECT_TRUE(made.ok()) << made.status().ToString();
  return made.ok() ? *made : nullptr;
}

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_PROVIDERS_WIRE_H_
