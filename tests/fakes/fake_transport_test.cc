#include "tests/fakes/fake_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <string>
#include <vector>

namespace embedflow {
namespace {

// What one thread submits before the transport starts to answer: the first callback holds it.
std::vector<std::vector<std::uint64_t>> Groups(std::uint64_t seed, std::uint64_t jobs) {
  std::promise<void> go;
  std::promise<void> all;
  std::vector<std::vector<std::uint64_t>> groups;
  std::uint64_t answered = 0;
  FakeTransport transport(
      [](const HttpRequest& request, std::uint64_t) {
        return HttpReply{200, {}, request.body, {}};
      },
      seed,
      [&](std::vector<TransportAnswer> answers) {
        groups.emplace_back();
        for (const TransportAnswer& answer : answers) {
          EXPECT_EQ(answer.reply.body, std::to_string(answer.id));
          EXPECT_TRUE(answer.sent);
          groups.back().push_back(answer.id);
        }
        answered += answers.size();
        if (answered == jobs) all.set_value();
      });
  std::promise<void> held;
  transport.CallAt({}, [&] {
    held.set_value();
    go.get_future().wait();
  });
  held.get_future().wait();
  for (std::uint64_t id = 0; id < jobs; ++id)
    transport.Submit({id, {"u", {}, std::to_string(id)}, 100, {}});
  go.set_value();
  all.get_future().wait();
  EXPECT_EQ(transport.sends(), jobs);
  return groups;
}

TEST(FakeTransport, ASeedRepeatsTheOrderAndTheGroups) {
  const auto groups = Groups(3, 100);
  EXPECT_EQ(groups, Groups(3, 100));
  EXPECT_NE(groups, Groups(4, 100));
  std::vector<std::uint64_t> flat;
  for (const auto& group : groups) flat.insert(flat.end(), group.begin(), group.end());
  EXPECT_FALSE(std::is_sorted(flat.begin(), flat.end()));
  std::sort(flat.begin(), flat.end());
  for (std::uint64_t id = 0; id < 100; ++id) EXPECT_EQ(flat[id], id);
}

TEST(FakeTransport, TimeLeapsToWhatIsNext) {
  std::promise<std::uint64_t> answered;
  FakeTransport transport(
      [](const HttpRequest&, std::uint64_t) {
        return HttpReply{200, {}, {}, {}};
      },
      1, [&](std::vector<TransportAnswer> answers) { answered.set_value(answers.at(0).id); });
  const TimePoint start = transport.clock().Now();
  transport.Submit({7, {}, 100, start + std::chrono::hours(10)});
  EXPECT_EQ(answered.get_future().get(), 7u);
  EXPECT_EQ(transport.clock().Now(), start + std::chrono::hours(10));
  std::promise<void> called;
  transport.CallAt(start + std::chrono::hours(20), [&] { called.set_value(); });
  called.get_future().wait();
  EXPECT_EQ(transport.clock().Now(), start + std::chrono::hours(20));
}

TEST(FakeTransport, CountsAttemptsOfABodyAndSends) {
  std::promise<void> all;
  std::vector<std::uint64_t> attempts;
  std::vector<bool> sent;
  FakeTransport transport(
      [&](const HttpRequest& request, std::uint64_t attempt) {
        attempts.push_back(attempt);
        if (request.body == "no connection") return HttpReply{};
        return HttpReply{200, {}, {}, {}};
      },
      1,
      [&](std::vector<TransportAnswer> answers) {
        for (const TransportAnswer& answer : answers) {
          sent.push_back(answer.sent);
          EXPECT_EQ(answer.sent, answer.reply.transport.ok());
        }
        if (sent.size() == 3) all.set_value();
      });
  const TimePoint now = transport.clock().Now();
  transport.Submit({1, {"u", {}, "a"}, 100, now});
  transport.Submit({2, {"u", {}, "a"}, 100, now + std::chrono::seconds(1)});
  transport.Submit({3, {"u", {}, "no connection"}, 100, now + std::chrono::seconds(2)});
  all.get_future().wait();
  EXPECT_THAT(attempts, testing::ElementsAre(1, 2, 1));
  EXPECT_THAT(sent, testing::ElementsAre(true, true, false));
  EXPECT_EQ(transport.sends(), 2u);
}

TEST(FakeTransport, AnswersEverythingWhenItEnds) {
  int cancelled = 0;
  {
    std::promise<void> go;
    FakeTransport transport(
        [](const HttpRequest&, std::uint64_t) {
          return HttpReply{200, {}, {}, {}};
        },
        1,
        [&](std::vector<TransportAnswer> answers) {
          for (const TransportAnswer& answer : answers)
            cancelled += answer.reply.transport.code() == Code::kCancelled ? 1 : 0;
        });
    transport.CallAt({}, [&] { go.get_future().wait(); });
    for (std::uint64_t id = 0; id < 5; ++id)
      transport.Submit({id, {}, 100, transport.clock().Now() + std::chrono::hours(1)});
    transport.Abort();
    transport.Submit({9, {}, 100, {}});
    go.set_value();
  }
  EXPECT_EQ(cancelled, 6);
}

}  // namespace
}  // namespace embedflow
