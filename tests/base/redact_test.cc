#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/log.h"
#include "base/random.h"

namespace embedflow {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kSecret = "sk-Very/secret+key\"&01234\\5678";

class Redaction : public testing::Test {
 protected:
  void SetUp() override { RegisterSecret(kSecret); }
};

std::string Base64Of(const std::string& bytes, const char* last_two) {
  const std::string letters =
      std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") + last_two;
  std::string out;
  unsigned value = 0;
  int bits = 0;
  for (const char c : bytes) {
    value = (value << 8) | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) out += letters[(value >> (bits - 6)) & 63u];
  }
  if (bits > 0) out += letters[(value << (6 - bits)) & 63u];
  while (out.size() % 4 != 0) out += '=';
  return out;
}

TEST_F(Redaction, FindsASecretHoweverItIsEscaped) {
  const std::vector<std::string> forms = {
      kSecret,
      // Addresses: all that must be, in either case; or every byte.
      "sk-Very%2Fsecret%2Bkey%22%2601234%5C5678",
      "sk-Very%2fsecret%2bkey%22%2601234%5c5678",
      "%73%6B%2D%56%65%72%79%2F%73%65%63%72%65%74%2B%6B%65%79%22%26%30%31%32%33%34%5C%35%36%37%38",
      // JSON: what must be, the slash too, by number; and JSON in JSON.
      R"(sk-Very/secret+key\"&01234\\5678)",
      R"(sk-Very\/secret+key\"&01234\\5678)",
      R"(sk-Very\u002fsecret\u002Bkey\u0022\u002601234\u005c5678)",
      R"(sk-Very/secret+key\\\"&01234\\\\5678)",
      // HTML.
      "sk-Very/secret+key&quot;&amp;01234\\5678",
      "sk-Very&#47;secret&#x2B;key&#34;&#38;01234&#x5c;5678",
      // Hexadecimal.
      "736b2d566572792f7365637265742b6b65792226303132333"
      "45c35363738",
      "736B2D566572792F7365637265742B6B6579222630313233345C35363738",
  };
  for (const std::string& form : forms) {
    EXPECT_EQ(Redact("before " + form + " after"), "before [key] after") << form;
    EXPECT_EQ(Redact(form), "[key]");
    EXPECT_EQ(Redact("x" + form + form), "x[key][key]");
  }
}

// What is left of the secret are the bits it shares with its neighbours: at most one byte a side.
TEST_F(Redaction, FindsASecretInBase64OfAnyAlignment) {
  for (const std::string before : {"", "a", "ab", "abc", "Bearer ", "user:"}) {
    for (const std::string after : {"", "z", "zz", "\n"}) {
      for (const char* last_two : {"+/", "-_"}) {
        const std::string encoded = Base64Of(before + kSecret + after, last_two);
        const std::string redacted = Redact("(" + encoded + ")");
        EXPECT_THAT(redacted, HasSubstr("[key]")) << encoded;
        EXPECT_LT(redacted.size(), 2 + 5 + (before.size() + 2 + after.size() + 2) * 4 / 3 + 4);
      }
    }
  }
}

TEST_F(Redaction, FindsTheBeginningAlone) {
  EXPECT_EQ(Redact("Incorrect API key provided: sk-Very/****5678"),
            "Incorrect API key provided: [key]****5678");
  EXPECT_EQ(Redact("cut at sk-Very/secret+k"), "cut at [key]");
  EXPECT_EQ(Redact("cut at sk-Very%2Fsecr"), "cut at [key]");
  EXPECT_EQ(Redact("cut at " + Base64Of(kSecret, "+/").substr(0, 20)), "cut at [key]");
  EXPECT_EQ(Redact("shorter: sk-Very"), "shorter: sk-Very");
}

TEST_F(Redaction, FindsWhatLooksLikeAKey) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"Authorization: Bearer abc.def, more", "Authorization: Bearer [key] more"},
      {"authorization: bearer abc", "authorization: bearer [key]"},
      {"Proxy-Authorization: Basic dXNlcjpwYXNz", "Proxy-Authorization: Basic [key]"},
      {"the key sk-proj-A1b2C3d4E5 is wrong", "the key [key] is wrong"},
      {"AIzaSyA1b2C3d4E5f6G7", "[key]"},
      {"/v1/models?key=abcdefgh&x=1", "/v1/models?key=[key]&x=1"},
      {"access_token=abcdefgh;", "access_token=[key];"},
      {R"({"api_key":"a1b2c3d4e5"})", R"({"api_key":"[key]"})"},
      {"x-api-key: a1b2c3d4e5", "x-api-key: [key]"},
      {"http://user:pass@proxy.example:3128/", "http://[key]@proxy.example:3128/"},
  };
  for (const auto& [text, redacted] : cases) {
    EXPECT_EQ(Redact(text), redacted);
    EXPECT_EQ(Redact(redacted), redacted) << "not the same again";
  }
}

TEST_F(Redaction, LeavesOtherWordsAlone) {
  for (const std::string text : {"",
                                 "a task-management risk-averse text",
                                 "the key: unauthorized",
                                 "key=value",
                                 "sk-",
                                 "sk-learn-compatible",
                                 "api_key is not set",
                                 "Bearer",
                                 "https://a.example:443/v1@2",
                                 "monkey: 12",
                                 "%",
                                 "%7",
                                 "\\",
                                 "\\u00",
                                 "&",
                                 "&#",
                                 "&#x;",
                                 "a\\\\\\\\\\\\\\\\\\\\b",
                                 "the token limit is 8192",
                                 "tokens: 300000, limit=1"}) {
    EXPECT_EQ(Redact(text), text);
  }
}

TEST_F(Redaction, KeepsAShortSecretToItself) {
  RegisterSecret("q-9");
  EXPECT_EQ(Redact("the key q-9!"), "the key [key]!");
  EXPECT_EQ(Redact("712d39 cS05"), "712d39 cS05");
}

// 1 MiB that begins a secret everywhere: work must not grow with the square of it.
TEST_F(Redaction, TakesLongTextsThatAlmostHoldOne) {
  for (const std::string piece : {"key:", "sk-Very", "://", "sk-a ", "\\\\", "&#4", "token=a "}) {
    std::string text;
    while (text.size() < (1u << 20)) text += piece;
    EXPECT_EQ(Redact(text), text) << piece;
  }
}

// Any escape cut off anywhere, any bytes: no harm.
TEST_F(Redaction, TakesAnyBytes) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  constexpr const char* kPieces[] = {"%", "\\", "u00", "&#", ";", "key=", "sk-", "Bearer ", "://"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (std::uint64_t left = rng.Below(30); left > 0; --left) {
      switch (rng.Below(3)) {
        case 0:
          text += kPieces[rng.Below(std::size(kPieces))];
          break;
        case 1:
          text += static_cast<char>(rng.Below(256));
          break;
        default:
          text += std::string(kSecret).substr(0, rng.Below(31));
      }
    }
    const std::string redacted = Redact(text + kSecret);
    EXPECT_THAT(redacted, Not(HasSubstr(kSecret)));
    EXPECT_THAT(redacted, HasSubstr("[key]"));
  }
}

}  // namespace
}  // namespace embedflow
