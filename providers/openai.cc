#include "providers/openai.h"

#include <utility>

#include "base/clock.h"
#include "base/json_writer.h"
#include "embedflow/version.h"
#include "providers/embeddings_reply.h"
#include "providers/http_outcome.h"
#include "providers/url.h"

namespace embedflow {
namespace {

// A number takes at most about 25 bytes in JSON; the rest is room for its comma and index.
constexpr std::size_t kReplyBytesPerNumber = 32;
constexpr std::size_t kReplyBytesBesides = 64u << 10;

class OpenAi final : public Dialect {
 public:
  OpenAi(const OpenAiOptions& options, const Url& url)
      : space_(options.space),
        limits_(options.limits),
        url_(url.text),
        dimensions_are_sent_(options.dimensions_are_sent),
        names_{options.space.provider, options.space.model, url.place, url.path,
               options.key_source} {
    headers_ = {{"Content-Type", "application/json"},
                {"Accept", "application/json"},
                {"User-Agent", std::string("embedflow/") + Version()}};
    if (!options.key.empty()) headers_.emplace_back("Authorization", "Bearer " + options.key);
  }

  const Space& space() const override { return space_; }
  RequestLimits limits() const override { return limits_; }

  HttpRequest Write(std::span<const std::string_view> texts) const override {
    HttpRequest request{url_, headers_, {}};
    std::size_t bytes = 128 + space_.model.size();
    // Escapes make text longer, by a tenth as a rule.
    for (const std::string_view text : texts) bytes += text.size() + text.size() / 8 + 4;
    request.body.reserve(bytes);
    std::string& body = request.body;
    body += "{\"model\":";
    AppendJsonString(&body, space_.model);
    body += ",\"input\":";
    char before = '[';
    for (const std::string_view text : texts) {
      body += before;
      AppendJsonString(&body, text);
      before = ',';
    }
    body += "],\"encoding_format\":\"base64\"";
    if (dimensions_are_sent_) body += ",\"dimensions\":" + std::to_string(space_.dimensions);
    body += '}';
    return request;
  }

  Outcome Read(const HttpReply& reply, std::size_t inputs,
               std::span<float> vectors) const override {
    if (!HasContent(reply)) return ReadFailure(reply, names_, SystemClock().WallMillis());
    Outcome outcome;
    outcome.status =
        ReadEmbeddings(reply.body, inputs, space_.dimensions, vectors, &outcome.model_tokens);
    outcome.kind = outcome.status.ok() ? Outcome::Kind::kOk : Outcome::Kind::kBadReply;
    if (!outcome.status.ok()) {
      outcome.status = outcome.status.WithContext(names_.provider + " at " + names_.place);
    }
    return outcome;
  }

  std::size_t reply_bytes_max(std::size_t inputs) const override {
    return inputs * static_cast<std::size_t>(space_.dimensions) * kReplyBytesPerNumber +
           kReplyBytesBesides;
  }

 private:
  // Constant after construction.
  const Space space_;
  const RequestLimits limits_;
  const std::string url_;
  const bool dimensions_are_sent_;
  const ProviderNames names_;
  std::vector<std::pair<std::string, std::string>> headers_;
};

}  // namespace

Result<std::shared_ptr<const Provider>> MakeOpenAi(const OpenAiOptions& options) {
  const Result<Url> parsed = JoinUrl(options.base_url, "/embeddings");
  if (!parsed.ok()) return parsed.status().WithContext("base_url");
  const Url& url = *parsed;
  if (!options.key.empty() && !url.encrypted && !url.loopback) {
    return Status(Code::kInvalidArgument,
                  "a key would go to " + url.place + " over plain http, readable on the way")
        .WithWord("insecure")
        .WithNext("use an https address, or --api-key-env none if the server needs no key");
  }
  return std::shared_ptr<const Provider>(std::make_shared<OpenAi>(options, url));
}

}  // namespace embedflow
