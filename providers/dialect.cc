#include "providers/dialect.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json_reader.h"
#include "base/json_writer.h"
#include "base/utf8.h"
#include "embedflow/version.h"
#include "providers/embeddings_reply.h"
#include "providers/rate_headers.h"

namespace embedflow {
namespace {

// A number takes at most about 25 bytes in JSON; the rest is room for its comma and index.
constexpr std::size_t kReplyBytesPerNumber = 32;
constexpr std::size_t kReplyBytesBesides = 64u << 10;
constexpr std::size_t kParametersBytesMax = 64u << 10;
constexpr int kDepthMax = 32;

// Finds a member that an object holds twice.
class TwinFinder final : public JsonHandler {
 public:
  bool Null() override { return true; }
  bool Bool(bool) override { return true; }
  bool Number(std::string_view) override { return true; }
  bool String(std::string_view) override { return true; }
  bool StartObject() override { return names_.emplace_back(), true; }
  bool Key(std::string_view name) override {
    if (names_.back().emplace(name).second) return true;
    twin_ = name;
    return false;
  }
  bool EndObject() override { return names_.pop_back(), true; }
  bool StartArray() override { return true; }
  bool EndArray() override { return true; }

  const std::optional<std::string>& twin() const { return twin_; }

 private:
  std::vector<std::set<std::string, std::less<>>> names_;
  std::optional<std::string> twin_;
};

// Takes an object apart into its members, each value written anew without white space.
class MemberReader final : public JsonHandler {
 public:
  bool Null() override { return InObject() && (value_.Null(), Done()); }
  bool Bool(bool value) override { return InObject() && (value_.Value(value), Done()); }
  bool Number(std::string_view text) override { return InObject() && (value_.Raw(text), Done()); }
  bool String(std::string_view value) override {
    return InObject() && (value_.Value(value), Done());
  }
  bool StartObject() override {
    if (depth_++ > 0) value_.BeginObject();
    return true;
  }
  bool Key(std::string_view name) override {
    if (depth_ > 1) return value_.Key(name), true;
    name_ = name;
    return true;
  }
  bool EndObject() override {
    if (--depth_ == 0) return true;
    value_.EndObject();
    return Done();
  }
  bool StartArray() override {
    if (!InObject()) return false;
    ++depth_;
    value_.BeginArray();
    return true;
  }
  bool EndArray() override {
    --depth_;
    value_.EndArray();
    return Done();
  }

  const std::map<std::string, std::string>& members() const { return members_; }
  // Empty unless a member came twice.
  const std::string& twin() const { return twin_; }

 private:
  bool InObject() const { return depth_ > 0; }
  bool Done() {
    if (depth_ > 1) return true;
    const bool is_new = members_.emplace(name_, value_.Take()).second;
    value_ = JsonWriter();
    if (!is_new) twin_ = name_;
    return is_new;
  }

  int depth_ = 0;
  std::string name_;
  JsonWriter value_;
  std::map<std::string, std::string> members_;
  std::string twin_;
};

Status BadParameters(std::string message) {
  return {Code::kInvalidArgument, "parameters " + std::move(message)};
}

}  // namespace

HttpRequest HttpDialect::Write(std::span<const std::string_view> texts) const {
  HttpRequest request{url_, headers_, {}};
  std::size_t bytes = 256 + options_.space.model.size() + extra_members().size();
  // Escapes make text longer, by a tenth as a rule.
  for (const std::string_view text : texts) bytes += text.size() + text.size() / 8 + 4;
  request.body.reserve(bytes);
  WriteBody(texts, &request.body);
  return request;
}

class HttpDialect::StreamedReply final : public ReplyReader {
 public:
  StreamedReply(const HttpDialect& dialect, std::unique_ptr<VectorsHandler> handler)
      : dialect_(dialect), reader_(std::move(handler)) {}

  void Take(std::string_view piece) override { reader_.Take(piece); }

  Outcome Finish(const HttpReply& reply) override {
    const std::int64_t now_ms = SystemClock().WallMillis();
    const ProviderNames& names = dialect_.names_;
    if (!HasContent(reply)) return ReadFailure(reply, names, now_ms);
    Outcome outcome;
    outcome.hints = ReadRateHints(reply, now_ms);
    outcome.status = reader_.Finish(&outcome.model_tokens);
    outcome.kind = outcome.status.ok() ? Outcome::Kind::kOk : Outcome::Kind::kBadReply;
    if (!outcome.status.ok()) {
      outcome.status = outcome.status.WithContext(names.provider + " at " + names.place);
    }
    return outcome;
  }

 private:
  const HttpDialect& dialect_;
  VectorsReader reader_;
};

std::unique_ptr<VectorsHandler> HttpDialect::NewHandler(std::size_t inputs,
                                                        std::span<float> vectors) const {
  return NewEmbeddingsHandler(inputs, options_.space.dimensions, vectors, options_.output_dtype);
}

std::unique_ptr<ReplyReader> HttpDialect::NewReader(std::size_t inputs,
                                                    std::span<float> vectors) const {
  EF_CHECK(vectors.size() == inputs * static_cast<std::size_t>(options_.space.dimensions));
  return std::make_unique<StreamedReply>(*this, NewHandler(inputs, vectors));
}

Outcome HttpDialect::Read(const HttpReply& reply, std::size_t inputs,
                          std::span<float> vectors) const {
  const std::unique_ptr<ReplyReader> reader = NewReader(inputs, vectors);
  if (HasContent(reply)) reader->Take(reply.body);
  return reader->Finish(reply);
}

std::size_t HttpDialect::reply_bytes_max(std::size_t inputs) const {
  return inputs * static_cast<std::size_t>(options_.space.dimensions) * kReplyBytesPerNumber +
         reply_bytes_besides();
}

std::size_t HttpDialect::reply_bytes_besides() const { return kReplyBytesBesides; }

HttpDialect::~HttpDialect() {
  for (auto& [name, value] : headers_) Wipe(&value);
}

void HttpDialect::Connect(const DialectInfo& info, const Url& url, const Secret& key) {
  url_ = url.text;
  names_ = {options_.space.provider, options_.space.model, url.place, url.path,
            options_.key_source};
  headers_ = {{"Content-Type", "application/json"},
              {"Accept", "application/json"},
              {"User-Agent", std::string("embedflow/") + Version()}};
  if (key.empty()) return;
  const std::array<std::string_view, 3> allowance = {key.Reveal(), url.place, options_.space.model};
  allowance_id_ = HashContent(allowance).hex();
  if (options_.is_bearer || info.key_header == "Authorization") {
    headers_.emplace_back("Authorization", "Bearer " + std::string(key.Reveal()));
  } else {
    headers_.emplace_back(info.key_header, key.Reveal());
  }
}

Status HttpDialect::CheckBody() const {
  const std::string_view text = "a";
  std::string body;
  WriteBody({&text, 1}, &body);
  TwinFinder finder;
  const Status parsed = ParseJson(body, kDepthMax + 8, &finder);
  if (finder.twin()) {
    return BadParameters("must not hold " + EscapeControl(*finder.twin(), 60) +
                         ", which the request to " + names_.provider + " holds already");
  }
  EF_CHECK(parsed.ok());
  return {};
}

Result<std::shared_ptr<const Provider>> MakeDialect(const DialectInfo& info,
                                                    DialectOptions options) {
  const std::string endpoint = options.endpoint.empty() ? info.endpoint(options) : options.endpoint;
  const Result<Url> parsed = JoinUrl(options.base_url, endpoint);
  if (!parsed.ok()) return parsed.status().WithContext("base_url");
  const Url& url = *parsed;
  if (!options.key.empty() && !url.encrypted && !url.loopback) {
    return Status(Code::kInvalidArgument,
                  "a key would go to " + url.place + " over plain http, readable on the way")
        .WithWord("insecure")
        .WithNext("use an https address, or --api-key-env none if the server needs no key");
  }
  const Secret key = std::exchange(options.key, {});
  const std::shared_ptr<HttpDialect> dialect = info.make(std::move(options));
  dialect->Connect(info, url, key);
  EF_RETURN_IF_ERROR(dialect->CheckBody());
  return std::shared_ptr<const Provider>(dialect);
}

void AppendTexts(std::string* body, std::span<const std::string_view> texts) {
  char before = '[';
  for (const std::string_view text : texts) {
    *body += before;
    AppendJsonString(body, text);
    before = ',';
  }
  *body += texts.empty() ? "[]" : "]";
}

void AppendMember(std::string* body, std::string_view name, std::string_view value) {
  *body += ',';
  AppendJsonString(body, name);
  *body += ':';
  AppendJsonString(body, value);
}

void AppendMember(std::string* body, std::string_view name, int value) {
  *body += ',';
  AppendJsonString(body, name);
  *body += ':' + std::to_string(value);
}

std::string PathSegment(std::string_view text) {
  static const char* kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (is_plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

Result<std::string> ExtraMembers(std::string_view parameters) {
  if (parameters.empty()) return std::string();
  if (parameters.size() > kParametersBytesMax) {
    return BadParameters("have at most " + std::to_string(kParametersBytesMax) + " bytes, got " +
                         std::to_string(parameters.size()));
  }
  if (!IsValidUtf8(parameters)) return BadParameters("are not UTF-8");
  MemberReader reader;
  const Status parsed = ParseJson(parameters, kDepthMax, &reader);
  if (!reader.twin().empty()) {
    return BadParameters("hold " + EscapeControl(reader.twin(), 60) + " twice");
  }
  if (!parsed.ok()) return BadParameters("must be a JSON object: " + parsed.message());
  std::string out;
  for (const auto& [name, value] : reader.members()) {
    out += ',';
    AppendJsonString(&out, name);
    out += ':' + value;
  }
  return out;
}

}  // namespace embedflow
