// What happens when libcurl's multi handle breaks, which it does without memory only. This program
// answers for it: its own curl_multi_perform and curl_multi_poll come before the library's.
#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <vector>

#include "embedflow/log.h"
#include "tests/providers/wire.h"

namespace {
std::atomic<int> performs{0};
std::atomic<int> polls{0};
}  // namespace

extern "C" CURLMcode curl_multi_perform(CURLM*, int*) {
  ++performs;
  return CURLM_INTERNAL_ERROR;
}

extern "C" CURLMcode curl_multi_poll(CURLM*, curl_waitfd*, unsigned, int, int*) {
  ++polls;
  return CURLM_INTERNAL_ERROR;
}

namespace embedflow {
namespace {

TEST(BrokenMulti, IsSaidOnceAndEverythingIsAnswered) {
  std::atomic<int> lines{0};
  SetLogSink([&](LogLevel level, std::string_view line) {
    if (level == LogLevel::kError && line.find("transport has ended") != std::string_view::npos)
      ++lines;
  });
  {
    Wire wire;
    for (std::uint64_t id = 0; id < 5; ++id) wire.Submit(id, PostTo("http://127.0.0.1:9/"));
    wire.Submit(5, PostTo("http://127.0.0.1:9/"), 1000,
                SystemClock().Now() + std::chrono::hours(1));
    for (const TransportAnswer& answer : wire.WaitFor(6)) {
      EXPECT_EQ(answer.reply.transport.code(), Code::kInternal);
      EXPECT_FALSE(answer.sent);
    }
    EXPECT_EQ(wire.Send(PostTo("http://127.0.0.1:9/")).reply.transport.code(), Code::kInternal);
    // Time goes on, and the thread sleeps meanwhile.
    std::promise<void> called;
    wire.transport().CallAt(SystemClock().Now() + std::chrono::milliseconds(100),
                            [&] { called.set_value(); });
    called.get_future().wait();
  }
  SetLogSink({});
  EXPECT_EQ(lines, 1);
  EXPECT_LE(performs + polls, 2);
}

}  // namespace
}  // namespace embedflow
