// The hunt for the key: the built program with a known key against servers that write it back in
// every way, redirect, throttle or break; then every byte the program left anywhere is searched.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/fakes/flaky_server.h"
#include "tests/fakes/program.h"

namespace embedflow {
namespace {

// With bytes that every encoding writes otherwise.
constexpr const char* kKey = "zq-Live/7f+c\"d&e\\01234567890xyz";
constexpr const char* kPassword = "hunter2/hunter2+hunter2";

std::string PercentEncoded(const std::string& text, const char* digits) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-') {
      out += c;
    } else {
      out += '%';
      out += digits[static_cast<unsigned char>(c) >> 4];
      out += digits[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

std::string Base64(const std::string& text, const std::string& last_two) {
  const std::string letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + last_two;
  std::string out;
  unsigned value = 0;
  int bits = 0;
  for (const char c : text) {
    value = (value << 8) | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) out += letters[(value >> (bits - 6)) & 63u];
  }
  if (bits > 0) out += letters[(value << (6 - bits)) & 63u];
  while (out.size() % 4 != 0) out += '=';
  return out;
}

std::string JsonEscaped(const std::string& text, bool escapes_slash, bool escapes_all) {
  std::string out;
  for (const char c : text) {
    char number[8];
    std::snprintf(number, sizeof number, "\\u%04x", static_cast<unsigned char>(c));
    if (escapes_all) {
      out += number;
    } else if (c == '"' || c == '\\' || (c == '/' && escapes_slash)) {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

std::string Hex(const std::string& text, const char* digits) {
  std::string out;
  for (const char c : text) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

// Every way to write `secret` that is searched for.
std::set<std::string> FormsOf(const std::string& secret) {
  const char* const lower = "0123456789abcdef";
  const char* const upper = "0123456789ABCDEF";
  std::set<std::string> forms = {secret,
                                 secret.substr(0, 8),
                                 PercentEncoded(secret, lower),
                                 PercentEncoded(secret, upper),
                                 JsonEscaped(secret, false, false),
                                 JsonEscaped(secret, true, false),
                                 JsonEscaped(JsonEscaped(secret, false, false), false, false),
                                 JsonEscaped(secret, false, true),
                                 Hex(secret, lower),
                                 Hex(secret, upper)};
  for (const char* last_two : {"+/", "-_"}) {
    for (std::size_t before = 0; before < 3; ++before) {
      // The letters that hold nothing but the secret's bits.
      const std::string letters = Base64(std::string(before, 'x') + secret, last_two);
      const std::size_t begin = (before * 8 + 5) / 6;
      const std::size_t end = (before + secret.size()) * 8 / 6;
      forms.insert(letters.substr(begin, end - begin));
    }
  }
  return forms;
}

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class KeyHunt : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_secrets_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    std::filesystem::create_directory(directory_ + "/run");
    std::filesystem::permissions(directory_ + "/run", std::filesystem::perms::owner_all);
    std::ofstream input(directory_ + "/in.jsonl");
    for (int i = 0; i < 6; ++i)
      input << "{\"id\":\"d" << i << "\",\"text\":\"the text of document number " << i << "\"}\n";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::vector<std::string> Ingest(const std::string& base_url) const {
    return {"ingest",           directory_ + "/in.jsonl",
            "--into",           directory_ + "/corpus",
            "--provider",       "local",
            "--model",          "test-model",
            "--dimensions",     "8",
            "--base-url",       base_url,
            "--api-key-env",    "EMBEDFLOW_HUNTED_KEY",
            "--max-batch-size", "2",
            "--max-retries",    "1",
            "--retry-delay-ms", "1",
            "--log-level",      "debug",
            "--progress",       "none",
            "--summary",        directory_ + "/summary.json",
            "--ack-log",        directory_ + "/ack.jsonl"};
  }
  // Files that are shared between processes stand where they are searched.
  std::vector<std::string> Environment() const {
    return {std::string("EMBEDFLOW_HUNTED_KEY=") + kKey, "XDG_RUNTIME_DIR=" + directory_ + "/run"};
  }

  // No form of the key or the password is in `text`.
  static void Search(const std::string& text, const std::string& where) {
    static const std::set<std::string> kForms = [] {
      std::set<std::string> forms = FormsOf(kKey);
      forms.merge(FormsOf(kPassword));
      return forms;
    }();
    for (const std::string& form : kForms)
      EXPECT_EQ(text.find(form), std::string::npos) << form << " is in " << where << ":\n" << text;
  }

  // All that a finished program left: its output, and every file but what it was given.
  void Search(const ProgramResult& result) const {
    Search(result.out, "standard output");
    Search(result.err, "standard error");
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
      Search(entry.path().string(), "a file's name");
      if (!entry.is_regular_file()) continue;
      ++files;
      Search(Read(entry.path()), entry.path());
    }
    EXPECT_GT(files, 1u);
  }

  std::string directory_;
};

// The hunter finds what is there: otherwise finding nothing would mean nothing.
TEST_F(KeyHunt, FindsAKeyThatIsThere) {
  const std::string secret = "0123456789abcdefghij";
  for (const std::string& encoded :
       {secret, Base64("Bearer " + secret, "+/"), Base64("xx" + secret + "y", "-_"),
        JsonEscaped(secret, false, true), Hex(secret, "0123456789abcdef")}) {
    const std::set<std::string> forms = FormsOf(secret);
    EXPECT_TRUE(std::any_of(forms.begin(), forms.end(), [&](const std::string& form) {
      return encoded.find(form) != std::string::npos;
    })) << encoded;
  }
}

struct Case {
  const char* name;
  int exit_code;  // -1: any.
  std::function<FlakyReply(const FlakyRequest&)> script;
};
void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

std::string KeyOf(const FlakyRequest& request) {
  const std::string value = request.header("authorization");
  return value.starts_with("Bearer ") ? value.substr(7) : value;
}

FlakyReply Says(int status, const std::string& words) {
  FlakyReply reply;
  reply.status = status;
  reply.body = words;
  return reply;
}

std::string ErrorBody(const std::string& words) {
  return "{\"error\":{\"message\":\"" + JsonEscaped(words, false, false) + "\",\"code\":\"" +
         JsonEscaped(words, true, false) + "\"}}";
}

std::vector<Case> Cases() {
  const auto echo = [](int status, std::function<std::string(const std::string&)> write) {
    return [status, write](const FlakyRequest& request) {
      return Says(status, ErrorBody("you sent " + write(KeyOf(request)) + ", which is wrong"));
    };
  };
  using Text = const std::string&;
  return {
      {"Ok", 0, [](const FlakyRequest&) { return FlakyReply(); }},
      {"RefusedEchoing", 5, echo(401, [](Text key) { return key; })},
      {"RefusedEchoingTheBeginning", 5,
       echo(401, [](Text key) { return key.substr(0, 9) + "***"; })},
      {"RefusedEchoingTheHeader", 5, echo(403, [](Text key) { return "Bearer " + key; })},
      {"PlainTextPage", 5, [](const FlakyRequest& request) { return Says(401, KeyOf(request)); }},
      {"FailedInBase64", 8, echo(500, [](Text key) { return Base64(key, "+/"); })},
      {"FailedInBase64OfTheHeader", 8,
       echo(500, [](Text key) { return Base64("Bearer " + key, "-_"); })},
      {"FailedInBase64OfALine", 8,
       echo(503, [](Text key) { return Base64("ab" + key + "\r\n", "+/"); })},
      {"FailedPercentEncoded", 8,
       echo(500, [](Text key) { return PercentEncoded(key, "0123456789abcdef"); })},
      {"FailedInHexadecimal", 8, echo(502, [](Text key) { return Hex(key, "0123456789ABCDEF"); })},
      {"FailedInJsonInJson", 8, echo(500, [](Text key) { return JsonEscaped(key, true, false); })},
      {"FailedInEscapes", 8, echo(500, [](Text key) { return JsonEscaped(key, false, true); })},
      // Each text is found to be bad and gets a dead letter with the provider's words.
      {"InvalidEchoing", -1, echo(400, [](Text key) { return key; })},
      {"ThrottledEchoing", -1, echo(429, [](Text key) { return key; })},
      {"RequestIdEchoing", -1,
       [](const FlakyRequest& request) {
         FlakyReply reply = Says(500, "");
         reply.headers = {{"x-request-id", KeyOf(request)}};
         return reply;
       }},
      {"RetryAfterEchoing", -1,
       [](const FlakyRequest& request) {
         FlakyReply reply = Says(429, "");
         reply.headers = {{"Retry-After", KeyOf(request)},
                          {"x-ratelimit-reset-requests", KeyOf(request)}};
         return reply;
       }},
      {"NonsenseEchoing", -1,
       [](const FlakyRequest& request) { return Says(200, "{\"data\":" + KeyOf(request)); }},
      {"RightReplyWithIt", 0,
       [](const FlakyRequest& request) {
         FlakyReply reply;
         reply.headers = {{"X-Your-Key", KeyOf(request)}, {"Set-Cookie", "key=" + KeyOf(request)}};
         return reply;
       }},
      {"Reset", -1,
       [](const FlakyRequest&) {
         FlakyReply reply;
         reply.wire = FlakyWire::kResetMidBody;
         return reply;
       }},
      {"NotHttp", -1,
       [](const FlakyRequest&) {
         FlakyReply reply;
         reply.wire = FlakyWire::kGarbage;
         return reply;
       }},
  };
}

class Outcomes : public KeyHunt, public testing::WithParamInterface<Case> {};

TEST_P(Outcomes, LeaveNoKeyAnywhere) {
  FlakyServer server({.dimensions = 8}, GetParam().script);
  const ProgramResult result =
      RunProgram(EMBEDFLOW_PROGRAM, Ingest(server.base_url()), "", Environment());
  if (GetParam().exit_code >= 0) {
    EXPECT_EQ(result.exit_code, GetParam().exit_code) << result.err;
  }
  EXPECT_LT(result.exit_code, 128) << result.err;
  // The key did go out, so there was something to find.
  ASSERT_FALSE(server.ledger().empty());
  EXPECT_EQ(KeyOf(server.ledger()[0]), kKey);
  Search(result);
  Search(RunProgram(EMBEDFLOW_PROGRAM, {"status", directory_ + "/corpus", "--json"}));
  Search(RunProgram(EMBEDFLOW_PROGRAM, {"dead", directory_ + "/corpus", "--json"}));
}

INSTANTIATE_TEST_SUITE_P(Servers, Outcomes, testing::ValuesIn(Cases()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(KeyHunt, ARedirectGivesTheStrangerNothing) {
  FlakyServer stranger;
  FlakyServer server({}, [&](const FlakyRequest& request) {
    FlakyReply reply;
    reply.status = 307;
    reply.headers = {{"Location", stranger.base_url() + "/embeddings?key=" + KeyOf(request)}};
    reply.body = "";
    return reply;
  });
  const ProgramResult result =
      RunProgram(EMBEDFLOW_PROGRAM, Ingest(server.base_url()), "", Environment());
  EXPECT_EQ(result.exit_code, 5) << result.err;
  EXPECT_NE(result.err.find(std::to_string(stranger.port())), std::string::npos) << result.err;
  EXPECT_EQ(stranger.connections(), 0u);
  Search(result);
}

TEST_F(KeyHunt, AProxyWithAPasswordShowsNeither) {
  FlakyServer proxy({}, [](const FlakyRequest& request) {
    FlakyReply reply = Says(407, "not " + request.header("proxy-authorization"));
    reply.headers = {{"Proxy-Authenticate", "Basic realm=\"x\""}};
    return reply;
  });
  std::vector<std::string> environment = Environment();
  environment.push_back(
      "https_proxy=http://someone:" + PercentEncoded(kPassword, "0123456789abcdef") +
      "@127.0.0.1:" + std::to_string(proxy.port()));
  const ProgramResult result =
      RunProgram(EMBEDFLOW_PROGRAM, Ingest("https://embedflow.invalid/v1"), "", environment);
  EXPECT_NE(result.exit_code, 0);
  EXPECT_NE(result.err.find("go through the proxy 127.0.0.1:"), std::string::npos) << result.err;
  ASSERT_FALSE(proxy.ledger().empty());
  for (const FlakyRequest& request : proxy.ledger()) {
    EXPECT_EQ(request.method, "CONNECT");
    EXPECT_EQ(request.header("authorization"), "");
  }
  Search(result);
}

// While it runs: its arguments can be read by every user of the machine; a core file could hold the
// key.
TEST_F(KeyHunt, ARunningProgramShowsNone) {
  std::atomic<bool> is_seen{false};
  FlakyServer server({.dimensions = 8}, [&](const FlakyRequest&) {
    is_seen.wait(false);
    return FlakyReply();
  });
  Program program(EMBEDFLOW_PROGRAM, Ingest(server.base_url()), "", Environment());
  EXPECT_TRUE(server.WaitForRequests(1));
  const std::string process = "/proc/" + std::to_string(program.pid());
  const std::string arguments = Read(process + "/cmdline");
  const std::string limits = Read(process + "/limits");
  is_seen = true;
  is_seen.notify_all();
  const ProgramResult result = program.Wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(arguments.find("EMBEDFLOW_HUNTED_KEY"), std::string::npos);
  Search(arguments, "the arguments");
  const std::size_t core = limits.find("Max core file size");
  ASSERT_NE(core, std::string::npos);
  std::istringstream fields(limits.substr(core + 18));
  std::string soft, hard;
  fields >> soft >> hard;
  EXPECT_EQ(soft, "0");
  EXPECT_EQ(hard, "0");
  Search(result);
}

TEST_F(KeyHunt, AnOpenKeyFileIsNotRead) {
  const std::string path = directory_ + "/key";
  std::ofstream(path) << kKey << "\n";
  FlakyServer server({.dimensions = 8});
  std::vector<std::string> arguments = Ingest(server.base_url());
  *std::find(arguments.begin(), arguments.end(), "--api-key-env") = "--api-key-file";
  *std::find(arguments.begin(), arguments.end(), "EMBEDFLOW_HUNTED_KEY") = path;
  std::filesystem::permissions(path, std::filesystem::perms(0640));
  const ProgramResult refused = RunProgram(EMBEDFLOW_PROGRAM, arguments);
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  EXPECT_NE(refused.err.find("chmod 600"), std::string::npos) << refused.err;
  EXPECT_EQ(server.requests(), 0u);
  std::filesystem::permissions(path, std::filesystem::perms(0600));
  const ProgramResult taken = RunProgram(EMBEDFLOW_PROGRAM, arguments);
  EXPECT_EQ(taken.exit_code, 0) << taken.err;
  ASSERT_FALSE(server.ledger().empty());
  EXPECT_EQ(KeyOf(server.ledger()[0]), kKey);
  std::filesystem::remove(path);
  Search(refused);
  Search(taken);
}

}  // namespace
}  // namespace embedflow
