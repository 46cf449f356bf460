// What all dialects share: address, key, parameters, sides, number types, identity.
#include "providers/dialect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>

#include "embedflow/options.h"

namespace embedflow {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Key;
using testing::Not;
using testing::Pair;
using Side = ProviderOptions::Side;

constexpr const char* kVariable = "EMBEDFLOW_DIALECT_KEY";
constexpr const char* kSecret = "dialect-key-0123456789";

class DialectTest : public testing::Test {
 protected:
  DialectTest() { ::setenv(kVariable, kSecret, 1); }
  ~DialectTest() override { ::unsetenv(kVariable); }

  static ProviderOptions Of(std::string name) {
    ProviderOptions options;
    options.name = std::move(name);
    options.api_key_env = kVariable;
    if (options.name == "azure") {
      options.model = "dep";
      options.dimensions = 1536;
      options.base_url = "https://res.openai.azure.com";
    }
    return options;
  }
  static std::shared_ptr<const Provider> Make(const ProviderOptions& options) {
    const auto made = MakeProvider(options);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return made.ok() ? *made : nullptr;
  }
  static HttpRequest Write(const ProviderOptions& options) {
    const auto provider = Make(options);
    const std::string_view text = "a";
    return provider ? provider->dialect()->Write({&text, 1}) : HttpRequest();
  }
};

TEST_F(DialectTest, TheEndpointIsTheUsers) {
  ProviderOptions options = Of("openai");
  options.base_url = "https://gateway.example/x/";
  options.api_endpoint = "/custom/embeddings";
  EXPECT_EQ(Write(options).url, "https://gateway.example/x/custom/embeddings");
  options.api_endpoint = "custom?tenant=a%20b";
  EXPECT_EQ(Write(options).url, "https://gateway.example/x/custom?tenant=a%20b");
  for (const char* bad : {"/a b", "/a\nb", "/a#b", "/\xC3\xA9"}) {
    options.api_endpoint = bad;
    EXPECT_EQ(MakeProvider(options).status().word(), "bad_url") << bad;
  }
}

TEST_F(DialectTest, AzureTakesAVersionWhereItIsToldOrClassic) {
  ProviderOptions options = Of("azure");
  options.api_version = "2023-05-15";
  EXPECT_THAT(Write(options).url, testing::EndsWith("/dep/embeddings?api-version=2023-05-15"));
  options.base_url += "/openai/v1";
  EXPECT_THAT(Write(options).url,
              testing::EndsWith("/openai/v1/embeddings?api-version=2023-05-15"));
  options.api_version.clear();
  EXPECT_THAT(Write(options).url, testing::EndsWith("/openai/v1/embeddings"));
  // As the configuration of a classic deployment gives it.
  options.base_url = "https://res.openai.azure.com";
  options.api_endpoint = "/openai/deployments/dep/embeddings?api-version=2024-02-01";
  EXPECT_EQ(
      Write(options).url,
      "https://res.openai.azure.com/openai/deployments/dep/embeddings?api-version=2024-02-01");
  EXPECT_THAT(Write(options).body, Not(HasSubstr("model")));
  ProviderOptions other = Of("openai");
  other.api_version = "2023-05-15";
  EXPECT_THAT(MakeProvider(other).status().message(), HasSubstr("api_version"));
}

TEST_F(DialectTest, AzureDeploymentsAreEncoded) {
  ProviderOptions options = Of("azure");
  options.model = "a/b ?#%\xC3\xA9";
  EXPECT_THAT(Write(options).url, HasSubstr("/deployments/a%2fb%20%3f%23%25%c3%a9/embeddings?"));
}

TEST_F(DialectTest, AzureAsksForLengthsThatNoModelHasByItself) {
  ProviderOptions options = Of("azure");
  EXPECT_THAT(Write(options).body, Not(HasSubstr("dimensions")));
  options.dimensions = 256;
  EXPECT_THAT(Write(options).body, HasSubstr("\"dimensions\":256"));
}

TEST_F(DialectTest, EntraTokensGoAsBearer) {
  ProviderOptions options = Of("azure");
  EXPECT_THAT(Write(options).headers, Contains(Pair("api-key", kSecret)));
  EXPECT_THAT(Write(options).headers, Not(Contains(Key("Authorization"))));
  options.authentication = ProviderOptions::Authentication::kBearer;
  EXPECT_THAT(Write(options).headers,
              Contains(Pair("Authorization", "Bearer " + std::string(kSecret))));
  EXPECT_THAT(Write(options).headers, Not(Contains(Key("api-key"))));
}

TEST_F(DialectTest, NoKeyIsEverInAUrlOrABody) {
  for (const Profile& profile : Profiles()) {
    if (profile.name == "builtin") continue;
    ProviderOptions options = Of(profile.name);
    if (options.base_url.empty() && profile.base_url.empty()) {
      options.base_url = "http://localhost:1/v1";
    }
    if (options.model.empty()) options.model = "m";
    options.dimensions = 8;
    const HttpRequest request = Write(options);
    EXPECT_THAT(request.url + request.body, Not(HasSubstr(kSecret))) << profile.name;
    int holders = 0;
    for (const auto& [name, value] : request.headers) {
      holders += value.find(kSecret) == std::string::npos ? 0 : 1;
    }
    EXPECT_EQ(holders, 1) << profile.name;
  }
}

TEST_F(DialectTest, ParametersAreSentAndNameTheSpace) {
  ProviderOptions options = Of("openai");
  options.parameters = R"({ "user": "u\u00e9", "list": [1, 2.50, {"x": null, "y": [true]}] })";
  EXPECT_THAT(
      Write(options).body,
      testing::EndsWith(",\"list\":[1,2.50,{\"x\":null,\"y\":[true]}],\"user\":\"u\xC3\xA9\"}"));
  const std::string revision = Make(options)->space().revision;
  EXPECT_THAT(revision, testing::MatchesRegex("parameters-[0-9a-f]{16}"));
  // The order and the white space do not count, the values do.
  options.parameters = R"({"list":[1,2.50,{"x":null,"y":[true]}],"user":"ué"})";
  EXPECT_EQ(Make(options)->space().revision, revision);
  options.parameters = R"({"list":[1,2.50,{"x":null,"y":[false]}],"user":"ué"})";
  EXPECT_NE(Make(options)->space().revision, revision);
  for (const char* nothing : {"", "{}", " { } "}) {
    options.parameters = nothing;
    EXPECT_EQ(Make(options)->space().name(), "openai/text-embedding-3-small/1536") << nothing;
  }
}

TEST_F(DialectTest, ParametersMustNotSayWhatTheDialectSays) {
  struct Row {
    const char* name;
    const char* parameters;
  };
  for (const Row& row :
       {Row{"openai", R"({"input":[]})"}, Row{"openai", R"({"model":"x"})"},
        Row{"openai", R"({"encoding_format":"float"})"}, Row{"cohere", R"({"truncate":"END"})"},
        Row{"cohere", R"({"input_type":"clustering"})"}, Row{"voyage", R"({"truncation":true})"},
        Row{"gemini", R"({"taskType":"CLUSTERING"})"}, Row{"gemini", R"({"content":{}})"},
        Row{"jina", R"({"truncate":true})"}}) {
    ProviderOptions options = Of(row.name);
    options.parameters = row.parameters;
    const Status status = MakeProvider(options).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << row.parameters;
    EXPECT_THAT(status.message(), HasSubstr("holds already")) << row.parameters;
  }
}

TEST_F(DialectTest, ParametersMustBeAnObject) {
  ProviderOptions options = Of("openai");
  for (const std::string& bad :
       {std::string("7"), std::string("null"), std::string("\"x\""), std::string("[]"),
        std::string("[{}]"), std::string("{"), std::string("{\"a\":1}x"), std::string("{a:1}"),
        std::string("{\"a\":1,\"a\":2}"), std::string("{\"a\":{\"b\":1,\"b\":2}}"),
        std::string("{\"a\":\"\xff\"}"), "{\"a\":\"" + std::string(70'000, 'x') + "\"}",
        "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}"}) {
    options.parameters = bad;
    EXPECT_EQ(MakeProvider(options).status().code(), Code::kInvalidArgument) << bad.substr(0, 40);
  }
}

TEST_F(DialectTest, BothSidesAreOfOneSpace) {
  for (const char* name : {"cohere", "voyage", "gemini", "jina"}) {
    ProviderOptions options = Of(name);
    const auto document = Make(options);
    options.side = Side::kQuery;
    const auto query = Make(options);
    EXPECT_EQ(document->space(), query->space()) << name;
    EXPECT_EQ(document->space().input_type, "document") << name;
    const std::string_view text = "a";
    EXPECT_NE(document->dialect()->Write({&text, 1}).body,
              query->dialect()->Write({&text, 1}).body);
  }
  for (const char* name : {"openai", "azure", "mistral"}) {
    ProviderOptions options = Of(name);
    EXPECT_EQ(Make(options)->space().input_type, "") << name;
    const std::string body = Write(options).body;
    options.side = Side::kQuery;
    EXPECT_EQ(Write(options).body, body) << name;
  }
}

TEST_F(DialectTest, NumberTypesAreThoseOfTheProviderAndNameTheSpace) {
  ProviderOptions options = Of("voyage");
  options.output_dtype = "int8";
  EXPECT_EQ(Make(options)->space().name(), "voyage/voyage-4@int8/1024+document");
  options.parameters = R"({"x":1})";
  EXPECT_THAT(Make(options)->space().revision, testing::StartsWith("int8,parameters-"));
  options.parameters.clear();
  options.output_dtype = "float";
  EXPECT_EQ(Make(options)->space().revision, "");
  options.output_dtype = "int4";
  EXPECT_THAT(MakeProvider(options).status().message(), HasSubstr("float, int8, uint8, binary"));
  ProviderOptions openai = Of("openai");
  openai.output_dtype = "int8";
  EXPECT_THAT(MakeProvider(openai).status().message(), HasSubstr("one of float, got int8"));
  ProviderOptions odd = Of("mistral");
  odd.model = "codestral-embed";
  odd.dimensions = 513;
  odd.output_dtype = "binary";
  EXPECT_THAT(MakeProvider(odd).status().message(), HasSubstr("multiple of 8"));
}

TEST_F(DialectTest, LengthsAreThoseOfTheModel) {
  ProviderOptions options = Of("voyage");
  options.dimensions = 2048;
  EXPECT_THAT(Write(options).body, HasSubstr("\"output_dimension\":2048"));
  options.dimensions = 300;
  EXPECT_THAT(MakeProvider(options).status().message(), HasSubstr("one of 256, 512, 1024, 2048"));
  options = Of("mistral");
  options.model = "codestral-embed";
  options.dimensions = 3072;
  EXPECT_THAT(Write(options).body, HasSubstr("\"output_dimension\":3072"));
  options.model = "mistral-embed";
  options.dimensions = 512;
  EXPECT_THAT(MakeProvider(options).status().message(), HasSubstr("must be 1024"));
}

TEST_F(DialectTest, TheAllowanceIsOfKeyPlaceAndModelAndHidesTheKey) {
  std::set<std::string> ids;
  ProviderOptions options = Of("openai");
  const std::string id = Make(options)->dialect()->allowance_id();
  EXPECT_THAT(id, testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_EQ(Make(options)->dialect()->allowance_id(), id);
  ids.insert(id);
  options.model = "text-embedding-3-large";
  ids.insert(Make(options)->dialect()->allowance_id());
  options.base_url = "https://gateway.example/v1";
  ids.insert(Make(options)->dialect()->allowance_id());
  ::setenv(kVariable, "another-key", 1);
  ids.insert(Make(options)->dialect()->allowance_id());
  EXPECT_EQ(ids.size(), 4u);
  options.api_key_env = "none";
  EXPECT_EQ(Make(options)->dialect()->allowance_id(), "");
  EXPECT_EQ(Make(options)->dialect()->place(), "gateway.example:443");
}

TEST_F(DialectTest, ModelsHaveCapsOfTheirOwn) {
  const auto tokens = [](const char* model) {
    ProviderOptions options = Of("voyage");
    options.model = model;
    options.dimensions = 1024;
    return Make(options)->limits().model_tokens_max;
  };
  EXPECT_EQ(tokens("voyage-4"), 320'000u);
  EXPECT_EQ(tokens("voyage-4-lite"), 1'000'000u);
  EXPECT_EQ(tokens("voyage-4-large"), 120'000u);
  EXPECT_EQ(tokens("voyage-9"), 120'000u);
}

// Replies of the greatest length that is well formed pass the transport's cap: Cohere's hold the
// texts again, each byte of which an escape may make six.
TEST_F(DialectTest, TheReplysCapHoldsEchoes) {
  const auto provider = Make(Of("cohere"));
  EXPECT_GE(provider->dialect()->reply_bytes_max(96),
            96u * 1536 * 32 + 6 * provider->limits().body_bytes_max);
}

TEST_F(DialectTest, HintsComeWithVectorsAndWithoutThem) {
  const auto provider = Make(Of("openai"));
  HttpReply reply;
  reply.status = 200;
  reply.headers = {{"x-ratelimit-remaining-requests", "12"}};
  reply.body = "{}";
  std::vector<float> vectors(1536);
  const Outcome outcome = provider->dialect()->Read(reply, 1, vectors);
  EXPECT_EQ(outcome.kind, Outcome::Kind::kBadReply);
  EXPECT_EQ(outcome.hints.requests.remaining, 12);
}

TEST(Builtin, TakesNothingThatOnlyAServerCanDo) {
  for (const ProviderOptions& options :
       std::vector<ProviderOptions>{{.api_endpoint = "/x"},
                                    {.api_version = "1"},
                                    {.output_dtype = "int8"},
                                    {.parameters = R"({"a":1})"}}) {
    EXPECT_EQ(MakeProvider(options).status().code(), Code::kInvalidArgument);
  }
}

// The numbers beyond the seed's, from the providers' pages (docs/providers.md).
TEST(Profiles, HoldWhatPackingAndLimitsNeed) {
  const auto flow = [](const char* name) { return FlowOptionsFor(*FindProfile(name)); };
  const auto limits = [](const char* name) { return FindProfile(name)->limits; };
  EXPECT_EQ(Profiles().size(), 14u);
  EXPECT_EQ(limits("azure").inputs_max, 2048u);
  EXPECT_EQ(limits("azure").model_tokens_max, 300'000u);
  EXPECT_EQ(flow("azure").requests_per_minute, 300);
  EXPECT_EQ(flow("azure").retries_max, 4);
  EXPECT_EQ(limits("cohere").inputs_max, 96u);
  EXPECT_EQ(flow("cohere").inputs_per_minute, 2000);
  EXPECT_EQ(flow("cohere").requests_per_minute, std::nullopt);
  EXPECT_EQ(limits("voyage").inputs_max, 1000u);
  EXPECT_EQ(limits("gemini").inputs_max, 100u);
  EXPECT_LT(limits("gemini").body_bytes_max, 4'194'304u);
  EXPECT_TRUE(flow("gemini").inputs_count_as_requests);
  EXPECT_EQ(limits("jina").inputs_max, 512u);
  EXPECT_EQ(flow("jina").requests_in_flight_max, 2u);
  EXPECT_EQ(limits("tei").inputs_max, 32u);
  for (const char* name : {"ollama", "llamacpp", "tei", "vllm"}) {
    EXPECT_EQ(FindProfile(name)->request_gzip, Profile::RequestGzip::kNo) << name;
  }
  for (const char* name : {"openai", "azure", "mistral", "cohere", "local"}) {
    EXPECT_EQ(FindProfile(name)->request_gzip, Profile::RequestGzip::kUnknown) << name;
  }
  std::set<std::string> names, abouts;
  for (const Profile& profile : Profiles()) {
    EXPECT_TRUE(profile.optimization.Validate().ok()) << profile.name;
    EXPECT_TRUE(FlowOptionsFor(profile).Validate().ok()) << profile.name;
    EXPECT_FALSE(profile.about.empty()) << profile.name;
    names.insert(profile.name);
    abouts.insert(profile.about);
    // One number for one thing.
    if (profile.name != "builtin") {
      EXPECT_EQ(profile.limits.inputs_max, profile.optimization.GetMaxBatchSize()) << profile.name;
    }
  }
  EXPECT_EQ(names.size(), 14u);
  EXPECT_EQ(abouts.size(), 14u);
}

}  // namespace
}  // namespace embedflow
