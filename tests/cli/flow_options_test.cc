#include "cli/flow_options.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace embedflow::cli {
namespace {

using std::chrono::milliseconds;

Result<Arguments> Words(std::vector<std::string> words) {
  words.insert(words.begin(), {"notes", "--into", "corpus"});
  return Parse(kIngest, words);
}

// The flow that `openai` or `profile` has with the words, which must be right.
FlowOptions FlowWith(const std::vector<std::string>& words, const char* profile = "openai") {
  const Result<Arguments> arguments = Words(words);
  EXPECT_TRUE(arguments.ok()) << arguments.status().ToString();
  if (!arguments.ok()) return {};
  const Result<FlowOptions> flow = FlowOptionsOf(*arguments, *FindProfile(profile));
  EXPECT_TRUE(flow.ok()) << flow.status().ToString();
  if (!flow.ok()) return {};
  EXPECT_TRUE(flow->Validate().ok()) << flow->Validate().ToString();
  return *flow;
}

std::string ErrorOf(const std::vector<std::string>& words, const Profile& profile) {
  const Result<Arguments> arguments = Words(words);
  if (!arguments.ok()) return arguments.status().message();
  const Result<FlowOptions> flow = FlowOptionsOf(*arguments, profile);
  if (flow.ok()) return "ok";
  EXPECT_TRUE(IsUsageError(flow.status()));
  return flow.status().message();
}

TEST(FlowOptionsOf, EveryOptionSetsItsField) {
  EXPECT_EQ(FlowWith({"--connect-timeout-seconds", "1.5"}).connect_timeout, milliseconds(1500));
  EXPECT_EQ(FlowWith({"--stall-timeout-seconds", "20"}).stall_timeout, milliseconds(20'000));
  EXPECT_EQ(FlowWith({}).stall_timeout, std::nullopt);
  EXPECT_EQ(FlowWith({"--item-deadline-seconds", "90"}).item_deadline, milliseconds(90'000));
  EXPECT_EQ(FlowWith({"--jitter", "none"}).jitter, FlowOptions::Jitter::kNone);
  EXPECT_EQ(FlowWith({"--jitter", "full"}).jitter, FlowOptions::Jitter::kFull);
  EXPECT_TRUE(FlowWith({"--request-gzip", "true"}).request_gzip_enabled);
  EXPECT_FALSE(FlowWith({}).request_gzip_enabled);
  EXPECT_EQ(FlowWith({"--compression-threshold-bytes", "77"}).request_gzip_bytes_min, 77u);
  EXPECT_TRUE(FlowWith({"--http2", "true"}).http2_enabled);
  EXPECT_FALSE(FlowWith({"--enable-metrics", "false"}).metrics_enabled);
  EXPECT_EQ(FlowWith({"--inputs-per-minute", "12"}).inputs_per_minute, 12.0);
  EXPECT_FALSE(FlowWith({"--adaptive-concurrency", "false"}).adaptive_concurrency_enabled);
  EXPECT_TRUE(FlowWith({}).adaptive_concurrency_enabled);
  EXPECT_FALSE(FlowWith({"--share-limits", "false"}).allowance_is_shared);
}

TEST(FlowOptionsOf, TheBreakerIsTheProfilesUnlessGiven) {
  EXPECT_EQ(FlowWith({}).circuit_breaker, (CircuitBreakerConfig{5, 2, 30, 3}));
  EXPECT_EQ(FlowWith({}, "mistral").circuit_breaker, (CircuitBreakerConfig{3, 2, 20, 2}));
  EXPECT_EQ(FlowWith({}, "local").circuit_breaker, std::nullopt);
  EXPECT_EQ(FlowWith({"--enable-circuit-breaker", "false"}).circuit_breaker, std::nullopt);
  EXPECT_EQ(FlowWith({"--enable-circuit-breaker", "true"}, "mistral").circuit_breaker,
            (CircuitBreakerConfig{3, 2, 20, 2}));
  EXPECT_EQ(FlowWith({"--enable-circuit-breaker", "true"}, "local").circuit_breaker,
            CircuitBreakerConfig());
  EXPECT_EQ(FlowWith({"--circuit-breaker", "1/4/9/16"}, "local").circuit_breaker,
            (CircuitBreakerConfig{1, 4, 9, 16}));
}

TEST(FlowOptionsOf, ABreakerThatIsNoneIsUsage) {
  const Profile& openai = *FindProfile("openai");
  for (const char* text : {"5", "5/2/30", "5/2/30/3/1", "5/2/30/x", "/2/30/3", "5/2/30/",
                           "-1/2/3/4", "5 /2/30/3", "5/2/30/99999999999"}) {
    EXPECT_EQ(
        ErrorOf({"--circuit-breaker", text}, openai),
        "--circuit-breaker must be four whole numbers like 5/2/30/3, got " + std::string(text));
  }
  EXPECT_EQ(ErrorOf({"--circuit-breaker", "0/2/30/3"}, openai),
            "--circuit-breaker: failure_threshold must be in [1, 1000], got 0");
  EXPECT_EQ(ErrorOf({"--circuit-breaker", "5/2/30/3", "--enable-circuit-breaker", "false"}, openai),
            "--circuit-breaker has no effect with --enable-circuit-breaker false");
}

TEST(FlowOptionsOf, CompressionIsNotAskedOfAServerThatIsKnownNotToReadIt) {
  Profile profile = *FindProfile("local");
  profile.request_gzip = Profile::RequestGzip::kNo;
  EXPECT_EQ(ErrorOf({"--request-gzip", "true"}, profile),
            "--request-gzip: the provider local does not read compressed requests");
  EXPECT_EQ(ErrorOf({"--request-gzip", "false"}, profile), "ok");
  profile.request_gzip = Profile::RequestGzip::kUnknown;
  EXPECT_EQ(ErrorOf({"--request-gzip", "true"}, profile), "ok");
}

TEST(ProviderOptionsOf, EveryOptionSetsItsField) {
  const Result<Arguments> arguments =
      Words({"--provider", "openai", "--auth", "bearer", "--api-endpoint", "/e", "--api-version",
             "2024-10-21", "--output-dtype", "int8", "--parameters", R"({"a":1})"});
  ASSERT_TRUE(arguments.ok()) << arguments.status().ToString();
  const ProviderOptions options = ProviderOptionsOf(*arguments);
  EXPECT_EQ(options.authentication, ProviderOptions::Authentication::kBearer);
  EXPECT_EQ(options.api_endpoint, "/e");
  EXPECT_EQ(options.api_version, "2024-10-21");
  EXPECT_EQ(options.output_dtype, "int8");
  EXPECT_EQ(options.parameters, R"({"a":1})");
  EXPECT_EQ(ProviderOptionsOf(*Words({})).authentication,
            ProviderOptions::Authentication::kProfile);
}

}  // namespace
}  // namespace embedflow::cli
