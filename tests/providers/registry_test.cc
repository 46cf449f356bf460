#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/log.h"
#include "embedflow/options.h"
#include "embedflow/provider.h"
#include "providers/key.h"
#include "providers/url.h"

namespace embedflow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

// A variable of the environment for the length of a test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* const name_;
};

class KeyFile {
 public:
  explicit KeyFile(const std::string& content, mode_t mode = 0600)
      : path_(testing::TempDir() + "key_" + std::to_string(::getpid())) {
    std::ofstream(path_, std::ios::binary) << content;
    ::chmod(path_.c_str(), mode);
  }
  ~KeyFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

// The numbers of the seed (docs/providers.md).
TEST(Profiles, HoldTheSeedsNumbers) {
  struct Row {
    const char* name;
    seconds timeout;
    int retries;
    milliseconds delay;
    std::size_t inputs;
    std::optional<double> requests, tokens;
    bool compression;
    std::size_t connections;
    std::optional<std::size_t> request_tokens;
  };
  const Row rows[] = {
      {"openai", seconds(60), 3, milliseconds(1000), 2048, 3000, 1e6, true, 20, 300'000},
      {"mistral", seconds(30), 3, milliseconds(500), 128, 100, 1e5, true, 10, 16'384},
      {"local", seconds(10), 2, milliseconds(100), 32, {}, {}, false, 5, {}},
  };
  for (const Row& row : rows) {
    const Profile* profile = FindProfile(row.name);
    ASSERT_NE(profile, nullptr) << row.name;
    EXPECT_EQ(profile->limits.inputs_max, row.inputs);
    EXPECT_EQ(profile->limits.model_tokens_max, row.request_tokens);
    const FlowOptions flow = FlowOptionsFor(*profile);
    EXPECT_EQ(flow.timeout, row.timeout);
    EXPECT_EQ(flow.retries_max, row.retries);
    EXPECT_EQ(flow.retry_delay, row.delay);
    EXPECT_EQ(flow.requests_per_minute, row.requests);
    EXPECT_EQ(flow.model_tokens_per_minute, row.tokens);
    EXPECT_EQ(flow.compression_enabled, row.compression);
    EXPECT_EQ(flow.connections_max, row.connections);
  }
}

TEST(Profiles, ModelsHaveDimensionsAndDatedPrices) {
  EXPECT_EQ(Profiles().front().name, "builtin");
  for (const Profile& profile : Profiles()) {
    EXPECT_EQ(FindProfile(profile.name), &profile);
    ASSERT_FALSE(profile.models.empty()) << profile.name;
    for (const ModelProfile& model : profile.models) {
      EXPECT_GT(model.dimensions, 0) << model.model;
      EXPECT_EQ(model.usd_per_million_tokens.value_or(0) > 0, !model.price_seen.empty())
          << model.model;
    }
  }
  EXPECT_EQ(FindProfile("Azure"), nullptr);
  EXPECT_EQ(FindProfile(""), nullptr);
}

TEST(MakeProvider, TheDefaultIsBuiltinAndNeedsNothing) {
  const auto provider = MakeProvider({});
  ASSERT_TRUE(provider.ok()) << provider.status().ToString();
  EXPECT_NE((*provider)->embedder(), nullptr);
  EXPECT_EQ((*provider)->dialect(), nullptr);
  EXPECT_EQ((*provider)->space().name(), "builtin/hash-v1/512");
}

TEST(MakeProvider, BuiltinTakesDimensionsAndABatchSize) {
  const auto provider = MakeProvider({.dimensions = 64, .batch_inputs_max = 3});
  ASSERT_TRUE(provider.ok()) << provider.status().ToString();
  EXPECT_EQ((*provider)->space().dimensions, 64);
  EXPECT_EQ((*provider)->limits().inputs_max, 3u);
  std::vector<float> vector(64);
  const std::string_view text = "a text";
  ASSERT_TRUE((*provider)->embedder()->Embed({&text, 1}, vector).ok());
  EXPECT_THAT(vector, testing::Contains(Not(0.0f)));
}

TEST(MakeProvider, BuiltinTakesNoServerNoKeyAndNoOtherModel) {
  for (const ProviderOptions& options :
       std::vector<ProviderOptions>{{.model = "gpt"},
                                    {.base_url = "http://localhost/"},
                                    {.api_key_env = "X"},
                                    {.api_key_file = "x"}}) {
    EXPECT_EQ(MakeProvider(options).status().code(), Code::kInvalidArgument);
  }
}

ProviderOptions OpenAi() { return {.name = "openai", .api_key_env = "EMBEDFLOW_TEST_KEY"}; }

TEST(MakeProvider, OpenAiWritesItsRequest) {
  const Variable key("EMBEDFLOW_TEST_KEY", "sk-abc\n");
  const auto provider = MakeProvider(OpenAi());
  ASSERT_TRUE(provider.ok()) << provider.status().ToString();
  const Dialect* dialect = (*provider)->dialect();
  ASSERT_NE(dialect, nullptr);
  EXPECT_EQ(dialect->space().name(), "openai/text-embedding-3-small/1536");
  EXPECT_EQ(dialect->limits().inputs_max, 2048u);
  const std::vector<std::string_view> texts = {"a \"b\"\n", "\xC3\xA9"};
  const HttpRequest request = dialect->Write(texts);
  EXPECT_EQ(request.url, "https://api.openai.com/v1/embeddings");
  EXPECT_EQ(request.body,
            "{\"model\":\"text-embedding-3-small\",\"input\":[\"a \\\"b\\\"\\n\",\"\xC3\xA9\"],"
            "\"encoding_format\":\"base64\"}");
  EXPECT_THAT(request.headers, testing::Contains(testing::Pair("Authorization", "Bearer sk-abc")));
  EXPECT_THAT(request.headers,
              testing::Contains(testing::Pair("Content-Type", "application/json")));
  EXPECT_THAT(request.headers,
              testing::Contains(testing::Pair("User-Agent", testing::StartsWith("embedflow/"))));
  EXPECT_EQ(dialect->reply_bytes_max(3), 3u * 1536 * 32 + 65536);
}

// One text is an array too, so that replies have one shape.
TEST(MakeProvider, OneTextIsAnArray) {
  const auto provider =
      MakeProvider({.name = "local", .model = "m", .dimensions = 3, .base_url = "http://[::1]:9/"});
  ASSERT_TRUE(provider.ok()) << provider.status().ToString();
  const std::string_view text = "a";
  const HttpRequest request = (*provider)->dialect()->Write({&text, 1});
  EXPECT_EQ(request.url, "http://[::1]:9/embeddings");
  EXPECT_EQ(request.body, R"({"model":"m","input":["a"],"encoding_format":"base64"})");
  EXPECT_THAT(request.headers, Not(testing::Contains(testing::Key("Authorization"))));
}

TEST(MakeProvider, DimensionsAreSentOnlyWhereTheModelTakesThem) {
  const Variable key("EMBEDFLOW_TEST_KEY", "sk-abc");
  const auto body = [](const ProviderOptions& options) {
    const auto provider = MakeProvider(options);
    EXPECT_TRUE(provider.ok()) << provider.status().ToString();
    const std::string_view text = "a";
    return provider.ok() ? (*provider)->dialect()->Write({&text, 1}).body : std::string();
  };
  ProviderOptions options = OpenAi();
  options.dimensions = 256;
  EXPECT_THAT(body(options), HasSubstr(",\"dimensions\":256}"));
  options.dimensions = 1536;
  EXPECT_THAT(body(options), Not(HasSubstr("dimensions")));
  options.model = "text-embedding-3-large";
  EXPECT_THAT(body(options), HasSubstr(",\"dimensions\":1536}"));
  options.model = "some-new-model";
  EXPECT_THAT(body(options), Not(HasSubstr("dimensions")));
  options.name = "mistral";
  options.model = "mistral-embed";
  options.dimensions = 1024;
  EXPECT_THAT(body(options), Not(HasSubstr("dimensions")));
}

TEST(MakeProvider, DimensionsMustFitTheModel) {
  const Variable key("EMBEDFLOW_TEST_KEY", "sk-abc");
  ProviderOptions options = OpenAi();
  const auto status = [&options](const char* model, std::optional<int> dimensions) {
    options.model = model;
    options.dimensions = dimensions;
    return MakeProvider(options).status();
  };
  EXPECT_THAT(status("text-embedding-3-small", 1537).message(), HasSubstr("[1, 1536]"));
  EXPECT_THAT(status("text-embedding-ada-002", 512).message(), HasSubstr("must be 1536"));
  EXPECT_EQ(status("unheard-of", {}).code(), Code::kInvalidArgument);
  EXPECT_THAT(status("unheard-of", {}).next(), HasSubstr("--dimensions"));
  EXPECT_TRUE(status("unheard-of", 7).ok());
  EXPECT_FALSE(status("unheard-of", 0).ok());
  EXPECT_FALSE(status("unheard-of", 65537).ok());
  EXPECT_FALSE(status("text-embedding-3-large", -1).ok());
}

TEST(MakeProvider, LocalNeedsAnAddressAndAModel) {
  EXPECT_THAT(MakeProvider({.name = "local", .model = "m", .dimensions = 3}).status().next(),
              HasSubstr("--base-url"));
  EXPECT_THAT(MakeProvider({.name = "local", .dimensions = 3, .base_url = "http://localhost:1/v1"})
                  .status()
                  .next(),
              HasSubstr("--model"));
  EXPECT_THAT(MakeProvider({.name = "local", .model = "m", .base_url = "http://localhost:1"})
                  .status()
                  .next(),
              HasSubstr("--dimensions"));
  const auto known = MakeProvider(
      {.name = "local", .model = "nomic-embed-text", .base_url = "http://localhost:11434/v1"});
  ASSERT_TRUE(known.ok());
  EXPECT_EQ((*known)->space().name(), "local/nomic-embed-text/768");
}

TEST(MakeProvider, TheBatchSizeOverridesTheProfile) {
  const auto provider = MakeProvider({.name = "local",
                                      .model = "m",
                                      .dimensions = 3,
                                      .base_url = "http://localhost:1",
                                      .batch_inputs_max = 500});
  ASSERT_TRUE(provider.ok());
  EXPECT_EQ((*provider)->limits().inputs_max, 500u);
}

TEST(MakeProvider, BadOptionsAreNamed) {
  EXPECT_EQ(MakeProvider({.name = "opnai"}).status().word(), "provider_unknown");
  EXPECT_THAT(MakeProvider({.name = "opnai"}).status().next(), HasSubstr("builtin, openai"));
  EXPECT_THAT(MakeProvider({.batch_inputs_max = 0}).status().message(),
              HasSubstr("batch_inputs_max"));
  EXPECT_THAT(MakeProvider({.model = std::string(300, 'x')}).status().message(),
              HasSubstr("model"));
  EXPECT_THAT(MakeProvider({.model = "\xff"}).status().message(), HasSubstr("model"));
  EXPECT_THAT(MakeProvider({.api_key_env = "A", .api_key_file = "b"}).status().message(),
              HasSubstr("api_key_env and api_key_file"));
}

TEST(MakeProvider, AMissingKeyIsARefusalThatNamesTheVariable) {
  ::unsetenv("OPENAI_API_KEY");
  const Status status = MakeProvider({.name = "openai"}).status();
  EXPECT_EQ(status.code(), Code::kRefused);
  EXPECT_EQ(status.word(), "key_missing");
  EXPECT_THAT(status.ToString(), HasSubstr("OPENAI_API_KEY"));
  EXPECT_EQ(MakeProvider(OpenAi()).status().word(), "key_missing");
  const Variable empty("EMBEDFLOW_TEST_KEY", "");
  EXPECT_EQ(MakeProvider(OpenAi()).status().word(), "key_missing");
}

TEST(MakeProvider, NoneSendsNoKey) {
  const auto provider = MakeProvider({.name = "openai", .api_key_env = "none"});
  ASSERT_TRUE(provider.ok());
  const std::string_view text = "a";
  EXPECT_THAT((*provider)->dialect()->Write({&text, 1}).headers,
              Not(testing::Contains(testing::Key("Authorization"))));
}

TEST(MakeProvider, AKeyNeverGoesOverPlainHttpToAnotherMachine) {
  const Variable key("EMBEDFLOW_TEST_KEY", "sk-abc");
  ProviderOptions options = OpenAi();
  for (const char* url : {"http://api.openai.com/v1", "http://10.0.0.1/v1", "http://127.0.0.1.x/",
                          "http://localhost.evil/", "http://[::2]/", "http://128.0.0.1/"}) {
    options.base_url = url;
    const Status status = MakeProvider(options).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << url;
    EXPECT_EQ(status.word(), "insecure") << url;
  }
  for (const char* url : {"http://127.0.0.1:1/v1", "http://localhost/v1", "http://LOCALHOST/v1",
                          "http://[::1]/v1", "http://127.9.9.9/", "https://api.example/v1"}) {
    options.base_url = url;
    EXPECT_TRUE(MakeProvider(options).ok()) << url;
  }
  // Without a key there is nothing to hide but the texts, and those are the user's choice.
  options.api_key_env = "none";
  options.base_url = "http://10.0.0.1/v1";
  EXPECT_TRUE(MakeProvider(options).ok());
}

// F4: a newline in a key would add a header.
TEST(Key, HoldsPlainBytesOnly) {
  const auto read = [](const std::string& value) {
    const Variable key("EMBEDFLOW_TEST_KEY", value);
    return ReadKeyFromEnvironment("EMBEDFLOW_TEST_KEY");
  };
  EXPECT_EQ(read("k-1")->Reveal(), "k-1");
  EXPECT_EQ(read("k-1\n")->Reveal(), "k-1");
  EXPECT_EQ(read("k-1\r\n")->Reveal(), "k-1");
  EXPECT_EQ(read(std::string(4096, 'k'))->Reveal().size(), 4096u);
  for (const std::string& bad :
       {std::string("k\nInjected: 1"), std::string("k\n\n"), std::string("k 1"), std::string("k\t"),
        std::string("k\x7f"), std::string("k\xC3\xA9"), std::string(4097, 'k')}) {
    const Result<Secret> key = read(bad);
    EXPECT_EQ(key.status().code(), Code::kInvalidArgument) << bad;
    EXPECT_EQ(key.status().word(), "key_malformed");
    EXPECT_THAT(key.status().ToString(), Not(HasSubstr("Injected")));
  }
  EXPECT_EQ(read("\n").status().word(), "key_missing");
}

TEST(Key, IsRedactedEverywhereFromThenOn) {
  const KeyFile file("sk-file-0123456789\n");
  ASSERT_EQ(ReadKeyFromFile(file.path())->Reveal(), "sk-file-0123456789");
  EXPECT_EQ(Redact("x sk-file-0123456789 y"), "x [key] y");
}

TEST(Key, FilesOthersCanReadAreRefused) {
  for (const mode_t mode : {0640, 0604, 0660, 0666, 0620}) {
    const KeyFile file("sk", mode);
    const Status status = ReadKeyFromFile(file.path()).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(status.word(), "key_file_readable_by_others");
    EXPECT_THAT(status.next(), HasSubstr("chmod 600"));
  }
  const KeyFile file("sk", 0400);
  EXPECT_TRUE(ReadKeyFromFile(file.path()).ok());
}

TEST(Key, UnreadableFilesAreMissingKeys) {
  EXPECT_EQ(ReadKeyFromFile("/nonexistent/key").status().word(), "key_missing");
  EXPECT_EQ(ReadKeyFromFile(testing::TempDir()).status().word(), "key_missing");
  const KeyFile empty("");
  EXPECT_EQ(ReadKeyFromFile(empty.path()).status().word(), "key_missing");
  const KeyFile large(std::string(1 << 20, 'k'));
  EXPECT_EQ(ReadKeyFromFile(large.path()).status().word(), "key_malformed");
}

// The golden cases of the seed.
TEST(JoinUrl, PutsOneSlashBetween) {
  const auto join = [](const char* base, const char* endpoint) {
    const Result<Url> url = JoinUrl(base, endpoint);
    return url.ok() ? url->text : url.status().ToString();
  };
  EXPECT_EQ(join("https://api.openai.com/v1", "/embeddings"),
            "https://api.openai.com/v1/embeddings");
  EXPECT_EQ(join("https://api.mistral.ai/v1", "/embeddings"),
            "https://api.mistral.ai/v1/embeddings");
  EXPECT_EQ(join("https://api.example.com/v1", "/custom/embeddings"),
            "https://api.example.com/v1/custom/embeddings");
  EXPECT_EQ(join("https://api.example.com/v1", "custom-path"),
            "https://api.example.com/v1/custom-path");
  EXPECT_EQ(join("https://api.example.com/v1/", "/embeddings"),
            "https://api.example.com/v1/embeddings");
  EXPECT_EQ(join("https://api.example.com/v1///", "/embeddings"),
            "https://api.example.com/v1/embeddings");
  EXPECT_EQ(join("http://localhost:11434", "/embeddings"), "http://localhost:11434/embeddings");
  EXPECT_EQ(join("http://localhost:8080/", "/embeddings"), "http://localhost:8080/embeddings");
  EXPECT_EQ(join("https://a.example/x%20y/v1", "/embeddings"),
            "https://a.example/x%20y/v1/embeddings");
}

TEST(JoinUrl, RefusesWhatIsNoPlainWebAddress) {
  for (const char* base :
       {"", "localhost:8080", "api.openai.com/v1", "ftp://a.example/", "file:///etc/passwd",
        "https://", "http://", "https://user@a.example/", "https://user:secret@a.example/",
        "https://:secret@a.example/", "https://a.example/#secret",
        "https://a.example/v1?key=secret", "https://a.example/\nx", "https://a.example/a b",
        "https://a.example/\x7f", "https://a.example/\xC3\xA9", "http://a.example:99999/",
        "http://a.example:x/", "http://[::1/"}) {
    const Result<Url> url = JoinUrl(base, "/embeddings");
    EXPECT_EQ(url.status().code(), Code::kInvalidArgument) << base;
    EXPECT_THAT(url.status().ToString(), Not(HasSubstr("secret"))) << base;
  }
  EXPECT_FALSE(JoinUrl("https://a.example/" + std::string(5000, 'x'), "/e").ok());
}

TEST(PlaceOf, NeverShowsAPassword) {
  EXPECT_EQ(PlaceOf("http://user:secret@proxy.example:3128/x?y"), "proxy.example:3128");
  EXPECT_EQ(PlaceOf("proxy.example:3128"), "proxy.example:3128");
  EXPECT_EQ(PlaceOf("user:secret@proxy.example"), "proxy.example:443");
  EXPECT_EQ(PlaceOf("socks5h://u:secret@proxy.example"), "proxy.example");
  EXPECT_EQ(PlaceOf(":::secret"), "an unreadable address");
}

TEST(ParseUrl, KnowsLoopbackByItsAddress) {
  const auto loopback = [](const char* text) {
    const Result<Url> url = ParseUrl(text);
    EXPECT_TRUE(url.ok()) << text;
    return url.ok() && url->loopback;
  };
  EXPECT_TRUE(loopback("http://127.0.0.1/"));
  EXPECT_TRUE(loopback("http://2130706433/"));  // 127.0.0.1 as one number.
  EXPECT_TRUE(loopback("http://127.1/"));
  EXPECT_TRUE(loopback("http://LocalHost:1/"));
  EXPECT_TRUE(loopback("https://[::1]:1/"));
  EXPECT_FALSE(loopback("http://0.0.0.0/"));
  EXPECT_FALSE(loopback("http://localhost.example/"));
  EXPECT_FALSE(loopback("http://[::ffff:10.0.0.1]/"));
  EXPECT_EQ(ParseUrl("https://a.example/x?y=1")->place, "a.example:443");
  EXPECT_EQ(ParseUrl("http://a.example:81/x")->place, "a.example:81");
  EXPECT_EQ(ParseUrl("http://a.example")->path, "/");
}

}  // namespace
}  // namespace embedflow
