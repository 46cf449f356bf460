#include "cli/endpoint_spec.h"

#include <gtest/gtest.h>

#include <string>

namespace embedflow::cli {
namespace {

ProviderOptions Primary() {
  ProviderOptions primary;
  primary.name = "openai";
  primary.model = "text-embedding-3-large";
  primary.dimensions = 256;
  primary.parameters = R"({"user":"x"})";
  primary.output_dtype = "float";
  return primary;
}

TEST(EndpointSpec, TakesTheProfileThenWhatIsGiven) {
  const Result<EndpointSpec> spec = EndpointSpecOf(
      "--fallback",
      "openai,base-url=https://gateway.example/v1,api-key-env=OTHER_KEY,"
      "max-concurrency=4,rate-limit-rpm=60,timeout-seconds=5,circuit-breaker=1/1/1/1",
      Primary());
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  EXPECT_EQ(spec->role, EndpointOptions::Role::kFallback);
  EXPECT_EQ(spec->provider.name, "openai");
  EXPECT_EQ(spec->provider.base_url, "https://gateway.example/v1");
  EXPECT_EQ(spec->provider.api_key_env, "OTHER_KEY");
  EXPECT_EQ(spec->flow.requests_in_flight_max, 4u);
  EXPECT_EQ(spec->flow.requests_per_minute, 60.0);
  EXPECT_EQ(spec->flow.timeout, std::chrono::seconds(5));
  EXPECT_EQ(spec->flow.circuit_breaker, (CircuitBreakerConfig{1, 1, 1, 1}));
  // Of the profile.
  EXPECT_EQ(spec->flow.model_tokens_per_minute, 1'000'000.0);
  EXPECT_EQ(spec->flow.connections_max, 20u);
  // Of the first provider, as the space is one.
  EXPECT_EQ(spec->provider.model, "text-embedding-3-large");
  EXPECT_EQ(spec->provider.parameters, R"({"user":"x"})");
  EXPECT_EQ(spec->provider.output_dtype, "float");
}

TEST(EndpointSpec, ANameAloneIsEnough) {
  const Result<EndpointSpec> spec = EndpointSpecOf("--replica", "openai", Primary());
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  EXPECT_EQ(spec->role, EndpointOptions::Role::kReplica);
}

TEST(EndpointSpec, CommasWithinJsonArePartOfTheValue) {
  const std::string json = R"({"a":1,"b":[2,{"c":"],\",}"}],"d":{}})";
  const Result<EndpointSpec> spec = EndpointSpecOf(
      "--fallback", "openai,base-url=http://[::1]:80/v1,parameters=" + json + ",model=m",
      Primary());
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  EXPECT_EQ(spec->provider.parameters, json);
  EXPECT_EQ(spec->provider.base_url, "http://[::1]:80/v1");
  EXPECT_EQ(spec->provider.model, "m");
  // What is no JSON keeps its commas apart: a quote that nobody closes takes nothing with it.
  const Result<EndpointSpec> quote =
      EndpointSpecOf("--fallback", "openai,model=a\"b,http2=true", Primary());
  ASSERT_TRUE(quote.ok()) << quote.status().ToString();
  EXPECT_EQ(quote->provider.model, "a\"b");
  EXPECT_TRUE(quote->flow.http2_enabled);
}

TEST(EndpointSpec, IsMadeForTheSpaceOfTheRun) {
  ProviderOptions primary;
  primary.name = "local";
  Result<EndpointSpec> spec =
      EndpointSpecOf("--replica", "local,base-url=http://127.0.0.1:1/v1,max-batch-size=3", primary);
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  Space space;
  space.provider = "local";
  space.model = "a-model";
  space.dimensions = 12;
  const Result<EndpointOptions> endpoint = MakeEndpoint(*spec, space);
  ASSERT_TRUE(endpoint.ok()) << endpoint.status().ToString();
  EXPECT_EQ(endpoint->role, EndpointOptions::Role::kReplica);
  EXPECT_EQ(endpoint->provider->space().dimensions, 12);
  EXPECT_EQ(endpoint->provider->space().model, "a-model");
  EXPECT_EQ(endpoint->provider->limits().inputs_max, 3u);
  // An error says which endpoint it is about.
  spec->provider.base_url = "ftp://x";
  EXPECT_EQ(MakeEndpoint(*spec, space).status().message().rfind("--replica local: ", 0), 0u);
}

TEST(EndpointSpec, ErrorsNameTheOptionAndThePart) {
  const struct {
    std::string text, message;
  } cases[] = {
      {"opnai", "there is no provider opnai; a similar one is openai"},
      {"", "there is no provider "},
      {"openai,base-ulr=x", "an endpoint has no option base-ulr; a similar one is base-url"},
      {"openai,dimensions=3", "an endpoint has no option dimensions"},
      {"openai,chunk-size=3", "an endpoint has no option chunk-size"},
      {"openai,fallback=openai", "an endpoint has no option fallback"},
      {"openai,", "an endpoint has no option "},
      {"openai,model", "model needs a value: model=..."},
      {"openai,model=", "--model must not be empty"},
      {"openai,model=a,model=b", "model comes twice"},
      {"openai,max-retries=1000", "--max-retries must be in [0, 100], got 1000"},
      {"openai,http2=yes", "--http2 must be true or false, got yes"},
      {"openai,circuit-breaker=1", "--circuit-breaker must be four whole numbers"},
      {"builtin", "builtin works in this process and has no endpoints"},
  };
  for (const auto& c : cases) {
    const Result<EndpointSpec> spec = EndpointSpecOf("--fallback", c.text, Primary());
    ASSERT_FALSE(spec.ok()) << c.text;
    EXPECT_TRUE(IsUsageError(spec.status()));
    EXPECT_EQ(spec.status().message().rfind("--fallback " + c.text + ": " + c.message, 0), 0u)
        << spec.status().message();
  }
  ProviderOptions builtin;
  EXPECT_FALSE(EndpointSpecOf("--fallback", "openai", builtin).ok());
}

}  // namespace
}  // namespace embedflow::cli
