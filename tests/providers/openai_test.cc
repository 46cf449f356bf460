// The OpenAI dialect, the reactor and a server that goes wrong, together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "embedflow/provider.h"
#include "tests/fakes/flaky_server.h"
#include "tests/providers/wire.h"

namespace embedflow {
namespace {

constexpr int kDimensions = 8;

std::vector<std::string_view> Views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

std::vector<float> Expected(const std::vector<std::string>& texts) {
  std::vector<float> all;
  for (const std::string& text : texts) {
    const std::vector<float> vector = FlakyVector(text, kDimensions);
    all.insert(all.end(), vector.begin(), vector.end());
  }
  return all;
}

struct Attempt {
  Outcome outcome;
  std::vector<float> vectors;
};

Attempt Send(Wire& wire, const Dialect& dialect, const std::vector<std::string>& texts) {
  const TransportAnswer answer =
      wire.Send(dialect.Write(Views(texts)), dialect.reply_bytes_max(texts.size()));
  Attempt attempt;
  attempt.vectors.resize(texts.size() * kDimensions);
  attempt.outcome = dialect.Read(answer.reply, texts.size(), attempt.vectors);
  return attempt;
}

struct Fault {
  const char* name;
  FlakyReply reply;
  Outcome::Kind kind;
};

class Faulty : public testing::TestWithParam<Fault> {};

FlakyReply With(FlakyFlaw flaw) { return {.flaw = flaw}; }
FlakyReply Over(FlakyWire wire) { return {.wire = wire}; }
FlakyReply Saying(int status) { return {.status = status}; }

// For every fault: the right kind, one request at the server, and the next one is good again.
TEST_P(Faulty, CostsOneRequestAndNoMore) {
  FlakyServer server({.dimensions = kDimensions}, [](const FlakyRequest& request) {
    return request.number == 1 ? GetParam().reply : FlakyReply();
  });
  const auto provider = LocalProvider(server, kDimensions);
  Wire wire;
  const std::vector<std::string> texts = {"alpha", "beta", "gamma", "\"quoted\"\n\xE2\x82\xAC"};
  const Attempt first = Send(wire, *provider->dialect(), texts);
  EXPECT_EQ(first.outcome.kind, GetParam().kind) << first.outcome.status.ToString();
  if (GetParam().kind == Outcome::Kind::kOk) {
    EXPECT_EQ(first.vectors, Expected(texts));
  } else {
    EXPECT_FALSE(first.outcome.status.ok());
  }
  EXPECT_EQ(server.requests(), 1u);
  const Attempt second = Send(wire, *provider->dialect(), texts);
  EXPECT_EQ(second.outcome.kind, Outcome::Kind::kOk) << second.outcome.status.ToString();
  EXPECT_EQ(second.vectors, Expected(texts));
  EXPECT_EQ(server.requests(), 2u);
  EXPECT_EQ(wire.transport().sends(), 2u);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, Faulty,
    testing::Values(
        Fault{"Shuffled", With(FlakyFlaw::kShuffled), Outcome::Kind::kOk},
        Fault{"NoIndex", With(FlakyFlaw::kNoIndex), Outcome::Kind::kOk},
        Fault{"Floats", {.is_base64 = false}, Outcome::Kind::kOk},
        Fault{"Slices", Over(FlakyWire::kSlices), Outcome::Kind::kOk},
        Fault{"Chunked", Over(FlakyWire::kChunked), Outcome::Kind::kOk},
        Fault{"NoLength", Over(FlakyWire::kNoLength), Outcome::Kind::kOk},
        Fault{"Nan", With(FlakyFlaw::kNan), Outcome::Kind::kBadReply},
        Fault{"Zero", With(FlakyFlaw::kZero), Outcome::Kind::kBadReply},
        Fault{"TooFew", With(FlakyFlaw::kTooFew), Outcome::Kind::kBadReply},
        Fault{"TooMany", With(FlakyFlaw::kTooMany), Outcome::Kind::kBadReply},
        Fault{"RepeatedIndex", With(FlakyFlaw::kRepeatedIndex), Outcome::Kind::kBadReply},
        Fault{"ShortVector", With(FlakyFlaw::kShortVector), Outcome::Kind::kBadReply},
        Fault{"ErrorInside", With(FlakyFlaw::kErrorInside), Outcome::Kind::kBadReply},
        Fault{"EmptyBody", With(FlakyFlaw::kEmptyBody), Outcome::Kind::kBadReply},
        Fault{"Html", With(FlakyFlaw::kHtml), Outcome::Kind::kBadReply},
        Fault{"TruncatedJson", With(FlakyFlaw::kTruncatedJson), Outcome::Kind::kBadReply},
        Fault{"Nested", With(FlakyFlaw::kNested), Outcome::Kind::kBadReply},
        Fault{"BadUtf8", With(FlakyFlaw::kBadUtf8), Outcome::Kind::kBadReply},
        Fault{"Giant", Over(FlakyWire::kGiant), Outcome::Kind::kBadReply},
        Fault{"HeaderFlood", Over(FlakyWire::kHeaderFlood), Outcome::Kind::kBadReply},
        Fault{"TruncatedLength", Over(FlakyWire::kTruncatedLength), Outcome::Kind::kTransient},
        Fault{"ResetMidBody", Over(FlakyWire::kResetMidBody), Outcome::Kind::kTransient},
        Fault{"CloseNoReply", Over(FlakyWire::kCloseNoReply), Outcome::Kind::kTransient},
        Fault{"Garbage", Over(FlakyWire::kGarbage), Outcome::Kind::kTransient},
        Fault{"Status500", Saying(500), Outcome::Kind::kTransient},
        Fault{"Status503", Saying(503), Outcome::Kind::kTransient},
        Fault{"Status429", Saying(429), Outcome::Kind::kThrottled},
        Fault{"Status400", Saying(400), Outcome::Kind::kInvalid},
        Fault{"Status413", Saying(413), Outcome::Kind::kOversize},
        Fault{"Status401", Saying(401), Outcome::Kind::kRefused},
        Fault{"Status404", Saying(404), Outcome::Kind::kRefused},
        Fault{"Status204", Saying(204), Outcome::Kind::kBadReply}),
    [](const auto& test) { return std::string(test.param.name); });

// Thousands of requests at once with faults among them: each vector that is kept is that of its
// text.
TEST(OpenAi, EveryVectorBelongsToItsText) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  FlakyServer server({.dimensions = kDimensions}, [&rng](const FlakyRequest&) {
    FlakyReply reply;
    reply.flaw = FlakyFlaw::kShuffled;
    reply.is_base64 = rng.Below(2) == 0;
    const std::uint64_t way = rng.Below(20);
    if (way == 0) reply.status = 500;
    if (way == 1) reply.wire = FlakyWire::kResetMidBody;
    if (way == 2) reply.wire = FlakyWire::kCloseNoReply;
    if (way == 3) reply.flaw = FlakyFlaw::kNan;
    return reply;
  });
  const auto provider = LocalProvider(server, kDimensions);
  const Dialect& dialect = *provider->dialect();
  ReactorOptions options;
  options.connections_max = 16;
  Wire wire(options);
  std::map<std::uint64_t, std::vector<std::string>> batches;
  for (std::uint64_t id = 0; id < 1000; ++id) {
    const std::uint64_t count = 1 + (id * 7) % 32;
    for (std::uint64_t i = 0; i < count; ++i)
      batches[id].push_back("text " + std::to_string(id) + "." + std::to_string(i));
  }
  for (const auto& [id, texts] : batches) {
    wire.Submit(id, dialect.Write(Views(texts)), dialect.reply_bytes_max(texts.size()));
  }
  std::uint64_t good = 0;
  for (const TransportAnswer& answer : wire.WaitFor(batches.size())) {
    const std::vector<std::string>& texts = batches[answer.id];
    std::vector<float> vectors(texts.size() * kDimensions);
    const Outcome outcome = dialect.Read(answer.reply, texts.size(), vectors);
    if (outcome.kind != Outcome::Kind::kOk) continue;
    ++good;
    ASSERT_EQ(vectors, Expected(texts));
  }
  EXPECT_GT(good, 700u);
  EXPECT_LT(good, 900u);
  EXPECT_EQ(server.requests(), wire.transport().sends());
}

TEST(OpenAi, TheKeyIsInOneHeaderAndNowhereElse) {
  ::setenv("EMBEDFLOW_TEST_KEY", "sk-wire-0123456789abcdef", 1);
  FlakyServer server({.dimensions = kDimensions}, [](const FlakyRequest& request) {
    FlakyReply reply;
    reply.status = 401;
    reply.body =
        R"({"error":{"message":"Incorrect API key: )" + request.header("authorization") + R"("}})";
    return reply;
  });
  const auto provider = MakeProvider({.name = "local",
                                      .model = "m",
                                      .dimensions = kDimensions,
                                      .base_url = server.base_url(),
                                      .api_key_env = "EMBEDFLOW_TEST_KEY"});
  ASSERT_TRUE(provider.ok()) << provider.status().ToString();
  Wire wire;
  const Attempt attempt = Send(wire, *(*provider)->dialect(), {"a"});
  EXPECT_EQ(attempt.outcome.status.word(), "key_refused");
  EXPECT_THAT(attempt.outcome.status.ToString(), testing::Not(testing::HasSubstr("0123456789")));
  const FlakyRequest request = server.ledger().at(0);
  EXPECT_EQ(request.header("authorization"), "Bearer sk-wire-0123456789abcdef");
  EXPECT_THAT(request.target + request.body, testing::Not(testing::HasSubstr("sk-wire")));
  ::unsetenv("EMBEDFLOW_TEST_KEY");
}

TEST(OpenAi, CompressedRepliesAreAskedForAndUnderstood) {
  FlakyServer server({.dimensions = kDimensions},
                     [](const FlakyRequest&) { return Over(FlakyWire::kGzip); });
  const auto provider = LocalProvider(server, kDimensions);
  ReactorOptions options;
  options.send.compression_enabled = true;
  Wire wire(options);
  const std::vector<std::string> texts(3000, "text");
  const Attempt attempt = Send(wire, *provider->dialect(), texts);
  EXPECT_EQ(attempt.outcome.kind, Outcome::Kind::kOk) << attempt.outcome.status.ToString();
  EXPECT_EQ(attempt.vectors, Expected(texts));
  EXPECT_THAT(server.ledger().at(0).header("accept-encoding"), testing::HasSubstr("gzip"));
}

}  // namespace
}  // namespace embedflow
