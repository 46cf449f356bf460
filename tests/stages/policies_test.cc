#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "stages/claims.h"
#include "stages/packer.h"
#include "stages/retry_policy.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;

Outcome OutcomeOf(Outcome::Kind kind, std::optional<milliseconds> retry_after = std::nullopt) {
  Outcome outcome;
  outcome.kind = kind;
  outcome.retry_after = retry_after;
  return outcome;
}

TEST(RetryPolicy, Table) {
  using K = Outcome::Kind;
  using V = Verdict::Kind;
  const struct {
    K kind;
    int attempt;
    std::size_t inputs;
    V verdict;
  } rows[] = {
      {K::kOk, 1, 8, V::kKeep},          {K::kTransient, 1, 8, V::kAgain},
      {K::kTransient, 3, 8, V::kAgain},  {K::kTransient, 4, 8, V::kStop},
      {K::kThrottled, 3, 1, V::kAgain},  {K::kThrottled, 4, 1, V::kStop},
      {K::kBadReply, 1, 8, V::kAgain},   {K::kBadReply, 2, 8, V::kSplit},
      {K::kBadReply, 2, 1, V::kDead},    {K::kOversize, 1, 2, V::kSplit},
      {K::kOversize, 1, 1, V::kDead},    {K::kInvalid, 1, 2048, V::kSplit},
      {K::kInvalid, 1, 1, V::kDead},     {K::kRefused, 1, 8, V::kStop},
      {K::kCancelled, 1, 8, V::kCancel},
  };
  Rng rng(1);
  for (const auto& row : rows) {
    EXPECT_EQ(Decide({}, OutcomeOf(row.kind), row.attempt, row.inputs, rng).kind, row.verdict)
        << static_cast<int>(row.kind) << " attempt " << row.attempt << " inputs " << row.inputs;
  }
}

TEST(RetryPolicy, BackoffDoublesWithFullJitterUpToTheCap) {
  RetryOptions options;
  Rng rng(7);
  const std::int64_t tops[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
  for (int retry = 1; retry <= 8; ++retry) {
    milliseconds least = milliseconds::max(), most{0};
    for (int i = 0; i < 2000; ++i) {
      const milliseconds d =
          BackoffBefore(retry, options, OutcomeOf(Outcome::Kind::kTransient), rng);
      least = std::min(least, d);
      most = std::max(most, d);
    }
    const std::int64_t top = tops[retry - 1];
    EXPECT_LT(least.count(), top / 50);
    EXPECT_LT(most.count(), top);
    EXPECT_GT(most.count(), top * 98 / 100);
  }
  // A retry count that a shift could not hold.
  EXPECT_LE(BackoffBefore(1000, options, OutcomeOf(Outcome::Kind::kTransient), rng),
            milliseconds(60000));
}

TEST(RetryPolicy, RetryAfterIsAFloorAndIsClamped) {
  RetryOptions options;
  Rng rng(7);
  const struct {
    std::int64_t asked, least, most;
  } rows[] = {{7000, 7000, 7700}, {86400000, 120000, 132000}, {-5, 500, 1000}, {0, 500, 1000}};
  for (const auto& row : rows) {
    for (int i = 0; i < 200; ++i) {
      const auto d =
          BackoffBefore(1, options, OutcomeOf(Outcome::Kind::kThrottled, milliseconds(row.asked)),
                        rng)
              .count();
      EXPECT_GE(d, row.least);
      EXPECT_LE(d, row.most);
    }
  }
}

TEST(Packer, KeepsAllThreeCaps) {
  const unsigned seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  RequestLimits limits;
  limits.inputs_max = 16;
  limits.model_tokens_max = 1000;
  limits.body_bytes_max = 4000;
  Packer packer(limits);
  std::size_t texts = 0, closed = 0;
  const auto check_and_close = [&] {
    EXPECT_LE(packer.inputs(), limits.inputs_max);
    if (packer.inputs() > 1) {
      EXPECT_LE(packer.cost().model_tokens, *limits.model_tokens_max);
      EXPECT_LE(packer.cost().bytes, limits.body_bytes_max);
    }
    closed += packer.inputs();
    packer.Close();
  };
  for (; texts < 5000; ++texts) {
    // Some texts are above the caps by themselves and must travel alone.
    const PackCost cost{rng.Below(rng.Below(50) == 0 ? 3000 : 200), rng.Below(800)};
    if (packer.MustCloseBefore(cost)) check_and_close();
    EXPECT_FALSE(packer.MustCloseBefore(cost));
    if (packer.Add(cost)) check_and_close();
  }
  check_and_close();
  EXPECT_EQ(closed, texts);
}

TEST(Packer, FiveThousandTextsMakeTheSeedsRequests) {
  const struct { std::size_t inputs_max, requests; } rows[] = {{2048, 3}, {128, 40}, {32, 157}};
  for (const auto& row : rows) {
    RequestLimits limits;
    limits.inputs_max = row.inputs_max;
    Packer packer(limits);
    std::size_t requests = 0;
    for (int i = 0; i < 5000; ++i) {
      if (packer.Add({10, 40})) {
        ++requests;
        packer.Close();
      }
    }
    requests += packer.inputs() > 0 ? 1 : 0;
    EXPECT_EQ(requests, row.requests);
  }
}

TEST(Claims, IdenticalTextsAreOwnedOnce) {
  Claims<int> claims;
  const ContentHash a = HashContent("a"), b = HashContent("b");
  EXPECT_TRUE(claims.Claim(a, 1));
  EXPECT_FALSE(claims.Claim(a, 2));
  EXPECT_TRUE(claims.Claim(b, 3));
  EXPECT_FALSE(claims.Claim(a, 4));
  EXPECT_EQ(claims.Release(a), (std::vector<int>{2, 4}));
  EXPECT_TRUE(claims.Claim(a, 5));
  EXPECT_TRUE(claims.Release(a).empty());
  EXPECT_TRUE(claims.Release(b).empty());
  EXPECT_EQ(claims.size(), 0u);
}

}  // namespace
}  // namespace embedflow
