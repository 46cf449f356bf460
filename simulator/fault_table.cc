#include "simulator/fault_table.h"

#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <utility>

#include "simulator/error_body.h"

namespace embedflow {
namespace {

using Flaw = SimulatorFlaw;
using Wire = SimulatorWire;

constexpr double kDayMillis = 86'400'000;
constexpr std::size_t kNastyBytes = 1u << 20;

// The error in the dialect's words, with what the reply has besides.
void Refuse(const SimulatorRequest& request, SimulatorError error,
            const SimulatorErrorDetails& details, SimulatorReply* reply) {
  SimulatorReply refusal = MakeSimulatorError(request, error, details);
  reply->status = refusal.status;
  reply->body = std::move(refusal.body);
}

template <SimulatorError error>
void Refuse(const SimulatorRequest& request, std::string_view, SimulatorReply* reply) {
  Refuse(request, error, {}, reply);
}

void Status(const SimulatorRequest& request, std::string_view value, SimulatorReply* reply) {
  const int status = static_cast<int>(*ParseFinite(value));
  Refuse(request, SimulatorError::kStatus, {.status = status}, reply);
}

void EchoKey(const SimulatorRequest& request, std::string_view, SimulatorReply* reply) {
  std::string key = request.header("authorization") + request.header("api-key") +
                    request.header("x-goog-api-key");
  Refuse(request, SimulatorError::kBadKey, {.text = "Incorrect API key provided: " + key}, reply);
}

void ContextLength(const SimulatorRequest& request, std::string_view, SimulatorReply* reply) {
  Refuse(request, SimulatorError::kContextLength, {.got = 9000, .limit = 8192}, reply);
}

void TooManyTokens(const SimulatorRequest& request, std::string_view value, SimulatorReply* reply) {
  const auto limit = static_cast<std::uint64_t>(*ParseFinite(value));
  const std::uint64_t tokens = SimulatedTokens(request);
  if (tokens <= limit) return;
  Refuse(request, SimulatorError::kTooManyTokens, {.got = tokens, .limit = limit}, reply);
}

void TooLarge(const SimulatorRequest& request, std::string_view value, SimulatorReply* reply) {
  const auto limit = static_cast<std::uint64_t>(*ParseFinite(value));
  if (request.body.size() <= limit) return;
  Refuse(request, SimulatorError::kBodyTooLarge, {.limit = limit}, reply);
}

// A 429 for requests with one header of the caller's choice.
void Throttle(const SimulatorRequest& request, const char* header, std::string value,
              SimulatorReply* reply) {
  Refuse(request, SimulatorError::kRequestRate, {.limit = 60}, reply);
  if (header != nullptr) reply->headers.emplace_back(header, std::move(value));
}

void ThrottleAfter(const SimulatorRequest& request, std::string_view value, SimulatorReply* reply) {
  Throttle(request, "retry-after", std::string(value), reply);
}

void ThrottleAfterMillis(const SimulatorRequest& request, std::string_view value,
                         SimulatorReply* reply) {
  Throttle(request, "retry-after-ms", std::string(value), reply);
}

void ThrottleUntilDate(const SimulatorRequest& request, std::string_view value,
                       SimulatorReply* reply) {
  const std::time_t when = static_cast<std::time_t>(SystemClock().WallMillis() / 1000) +
                           static_cast<std::time_t>(*ParseFinite(value));
  std::tm utc{};
  gmtime_r(&when, &utc);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  Throttle(request, "retry-after", text.data(), reply);
}

void ThrottleInSilence(const SimulatorRequest& request, std::string_view, SimulatorReply* reply) {
  Throttle(request, nullptr, {}, reply);
}

void BadGateway(const SimulatorRequest&, std::string_view, SimulatorReply* reply) {
  reply->status = 502;
  reply->headers.emplace_back("Content-Type", "text/html");
  reply->body = "<html><head><title>502 Bad Gateway</title></head></html>";
}

void Redirect(const SimulatorRequest&, std::string_view value, SimulatorReply* reply) {
  reply->status = 307;
  reply->headers.emplace_back("Location", std::string(value));
  reply->body = "";
}

void NastyError(const SimulatorRequest& request, std::string_view, SimulatorReply* reply) {
  std::string text =
      "\x1b[2J\x1b]52;c;aGVsbG8=\x07<script>alert(1)</script>\r\n\xc2\x9b"
      "31m";
  text += std::string(kNastyBytes, 'A');
  Refuse(request, SimulatorError::kServer, {.text = std::move(text)}, reply);
}

void Delay(const SimulatorRequest&, std::string_view value, SimulatorReply* reply) {
  reply->latency += std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, std::milli>(*ParseMilliseconds(value)));
}

void Loris(const SimulatorRequest&, std::string_view value, SimulatorReply* reply) {
  reply->wire = Wire::kDrip;
  reply->drip = std::chrono::microseconds(static_cast<std::int64_t>(1e6 / *ParseFinite(value)));
}

void Giant(const SimulatorRequest&, std::string_view value, SimulatorReply* reply) {
  reply->wire = Wire::kGiant;
  reply->giant_bytes = static_cast<std::size_t>(*ParseFinite(value));
}

void GzipBombOf(const SimulatorRequest&, std::string_view value, SimulatorReply* reply) {
  reply->wire = Wire::kGzipBomb;
  reply->giant_bytes = static_cast<std::size_t>(*ParseFinite(value));
}

void CloseAfter(const SimulatorRequest&, std::string_view, SimulatorReply* reply) {
  reply->closes_after = true;
}

void CloseReused(const SimulatorRequest& request, std::string_view, SimulatorReply* reply) {
  if (request.on_connection > 1) reply->wire = Wire::kCloseNoReply;
}

void FloatsOnly(const SimulatorRequest&, std::string_view, SimulatorReply* reply) {
  reply->is_base64 = false;
}

void Base64Only(const SimulatorRequest&, std::string_view, SimulatorReply* reply) {
  reply->is_base64 = true;
}

SimulatorFaultRow Act(std::string_view name, std::string_view group, std::string_view line,
                      void (*apply)(const SimulatorRequest&, std::string_view, SimulatorReply*)) {
  SimulatorFaultRow row;
  row.kind = {name, group, {}, {}, line};
  row.apply = apply;
  return row;
}

SimulatorFaultRow WithText(SimulatorFaultRow row, std::string_view value_name,
                           std::string_view otherwise) {
  row.kind.value_name = value_name;
  row.kind.default_text = otherwise;
  return row;
}

SimulatorFaultRow WithNumber(SimulatorFaultRow row, std::string_view value_name,
                             std::string_view otherwise, double min, double max) {
  row.value_min = min;
  row.value_max = max;
  return WithText(row, value_name, otherwise);
}

SimulatorFaultRow WithTime(SimulatorFaultRow row, std::string_view otherwise) {
  row.is_time = true;
  return WithText(row, "TIME", otherwise);
}

SimulatorFaultRow Spoil(std::string_view name, std::string_view group, Flaw flaw,
                        std::string_view line) {
  SimulatorFaultRow row;
  row.kind = {name, group, {}, {}, line};
  row.flaw = flaw;
  return row;
}

SimulatorFaultRow Send(std::string_view name, Wire wire, std::string_view line) {
  SimulatorFaultRow row;
  row.kind = {name, "wire", {}, {}, line};
  row.wire = wire;
  return row;
}

std::vector<SimulatorFaultRow> StatusRows() {
  using Error = SimulatorError;
  return {
      WithNumber(Act("status", "status", "any status, with the dialect's error", Status), "N", "",
                 300, 599),
      Act("unauthorized", "status", "401: the key is wrong", Refuse<Error::kBadKey>),
      Act("echo-key", "status", "401 whose message repeats the key", EchoKey),
      Act("forbidden", "status", "403: no access", Refuse<Error::kForbidden>),
      Act("no-model", "status", "404: no such model", Refuse<Error::kNoModel>),
      Act("bad-request", "status", "400: the form of the request", Refuse<Error::kBadRequest>),
      Act("context-length", "status", "400: a text is too long; goes with text=S", ContextLength),
      WithNumber(Act("too-many-tokens", "status", "400 above so many tokens", TooManyTokens),
                 "TOKENS", "0", 0, 1e12),
      WithNumber(Act("too-large", "status", "413 above so many bytes", TooLarge), "BYTES", "0", 0,
                 1e12),
      WithText(
          Act("throttle", "status", "429 with this Retry-After, sense or nonsense", ThrottleAfter),
          "TEXT", "1"),
      WithText(Act("throttle-ms", "status", "429 with this retry-after-ms", ThrottleAfterMillis),
               "TEXT", "100"),
      WithNumber(Act("throttle-date", "status", "429 with a date so many seconds ahead",
                     ThrottleUntilDate),
                 "SECONDS", "1", -1e9, 1e10),
      Act("throttle-bare", "status", "429 that does not say how long", ThrottleInSilence),
      Act("quota", "status", "credit is used up", Refuse<Error::kQuota>),
      Act("overloaded", "status", "503: too busy", Refuse<Error::kOverload>),
      Act("server-error", "status", "500", Refuse<Error::kServer>),
      Act("bad-gateway", "status", "502 with a page of HTML", BadGateway),
      Act("nasty-error", "status", "500 with 1 MB of escapes and markup as message", NastyError),
      WithText(Act("redirect", "status", "307 to another address", Redirect), "URL",
               "http://127.0.0.1:9/"),
  };
}

std::vector<SimulatorFaultRow> BodyRows() {
  return {
      Spoil("error-inside", "body", Flaw::kErrorInside, "200 with an error object"),
      Spoil("html", "body", Flaw::kHtml, "200 with HTML"),
      Spoil("empty", "body", Flaw::kEmptyBody, "200 with nothing"),
      Spoil("no-data", "body", Flaw::kNoData, "200 with {}"),
      Spoil("empty-data", "body", Flaw::kEmptyData, "200 with an empty list"),
      Spoil("null-data", "body", Flaw::kNullData, "200 with null in place of the list"),
      Spoil("truncated-json", "body", Flaw::kTruncatedJson, "half a body under a right length"),
      Spoil("nested", "body", Flaw::kNested, "200,000 brackets"),
      Spoil("bad-utf8", "body", Flaw::kBadUtf8, "an unfinished character at the end"),
      Spoil("other-model", "body", Flaw::kOtherModel, "right, under another model's name"),
      Spoil("no-usage", "body", Flaw::kNoUsage, "right, and nothing said about tokens"),
      Spoil("absurd-usage", "body", Flaw::kAbsurdUsage, "right, and -1 tokens"),
      Act("floats-only", "body", "floats, whatever was asked for", FloatsOnly),
      Act("base64-only", "body", "base64, whatever was asked for", Base64Only),
  };
}

std::vector<SimulatorFaultRow> VectorRows() {
  return {
      Spoil("too-few", "vector", Flaw::kTooFew, "the last vector is missing"),
      Spoil("too-many", "vector", Flaw::kTooMany, "one vector more"),
      Spoil("missing-vector", "vector", Flaw::kMissingVector, "the first entry has no vector"),
      Spoil("short-vector", "vector", Flaw::kShortVector, "one dimension less"),
      Spoil("long-vector", "vector", Flaw::kLongVector, "one dimension more"),
      Spoil("nan", "vector", Flaw::kNan, "not a number"),
      Spoil("infinity", "vector", Flaw::kInfinity, "infinity, or 1e999"),
      Spoil("overflow", "vector", Flaw::kOverflow, "1e300, which no float holds"),
      Spoil("huge", "vector", Flaw::kHuge, "finite numbers whose length overflows"),
      Spoil("zero", "vector", Flaw::kZero, "all zero"),
      Spoil("denormal", "vector", Flaw::kDenormal, "numbers too small to have a direction"),
      Spoil("null", "vector", Flaw::kNull, "null among the numbers"),
      Spoil("strings", "vector", Flaw::kStrings, "numbers as strings"),
      Spoil("bad-base64", "vector", Flaw::kBadBase64, "a byte outside the alphabet"),
      Spoil("odd-base64", "vector", Flaw::kOddBase64, "a character is missing"),
      Spoil("url-base64", "vector", Flaw::kUrlBase64, "the alphabet for URLs"),
      Spoil("spaced-base64", "vector", Flaw::kSpacedBase64, "a line break inside"),
      Spoil("shuffled", "vector", Flaw::kShuffled, "right: another order, told by index"),
      Spoil("no-index", "vector", Flaw::kNoIndex, "right: no entry has an index"),
      Spoil("some-indexes", "vector", Flaw::kSomeIndexes, "the first entry has no index"),
      Spoil("repeated-index", "vector", Flaw::kRepeatedIndex, "the last index is 0"),
      Spoil("negative-index", "vector", Flaw::kNegativeIndex, "an index of -1"),
      Spoil("fractional-index", "vector", Flaw::kFractionalIndex, "an index of 0.5"),
      Spoil("text-index", "vector", Flaw::kTextIndex, "an index as a string"),
      Spoil("large-index", "vector", Flaw::kLargeIndex, "an index behind the last"),
      Spoil("huge-index", "vector", Flaw::kHugeIndex, "an index of 2^64"),
  };
}

std::vector<SimulatorFaultRow> WireRows() {
  return {
      Send("stall", Wire::kStall, "never answers"),
      WithTime(Act("delay", "wire", "right, but later", Delay), "1s"),
      WithNumber(Act("loris", "wire", "right, so many bytes a second", Loris), "BYTES", "64", 0.01,
                 1e6),
      Send("slices", Wire::kSlices, "right, one byte a write"),
      Send("chunked", Wire::kChunked, "right, in chunks"),
      Send("gzip", Wire::kGzip, "right, compressed, asked for or not"),
      Send("no-length", Wire::kNoLength, "right, ended by closing"),
      Act("close-after", "wire", "right, then closes without having said so", CloseAfter),
      Act("close-reused", "wire", "closes when a connection is used again", CloseReused),
      Send("close", Wire::kCloseNoReply, "closes, no reply"),
      Send("reset", Wire::kResetNoReply, "resets, no reply"),
      Send("reset-head", Wire::kResetMidHead, "resets in the headers"),
      Send("reset-body", Wire::kResetMidBody, "resets in the body"),
      Send("truncated", Wire::kTruncatedLength, "closes before Content-Length is reached"),
      Send("garbage", Wire::kGarbage, "what another protocol would say"),
      WithNumber(Act("giant", "wire", "endless white space", Giant), "BYTES", "67108864", 1, 1e12),
      WithNumber(Act("gzip-bomb", "wire", "the same, as a small gzip", GzipBombOf), "BYTES",
                 "67108864", 1, 1e10),
      Send("header-flood", Wire::kHeaderFlood, "20 MB of headers"),
  };
}

}  // namespace

std::optional<double> ParseFinite(std::string_view text) {
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<double> ParseMilliseconds(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, double>, 4> kUnits = {
      {{"ms", 1.0}, {"us", 1e-3}, {"s", 1e3}, {"m", 60e3}}};
  for (const auto& [unit, milliseconds] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const std::optional<double> value = ParseFinite(text.substr(0, text.size() - unit.size()));
    if (!value || *value < 0 || *value * milliseconds > kDayMillis) return std::nullopt;
    return *value * milliseconds;
  }
  return std::nullopt;
}

const std::vector<SimulatorFaultRow>& SimulatorFaultRows() {
  static const std::vector<SimulatorFaultRow> kRows = [] {
    std::vector<SimulatorFaultRow> all;
    for (const auto& rows : {StatusRows(), BodyRows(), VectorRows(), WireRows()}) {
      all.insert(all.end(), rows.begin(), rows.end());
    }
    return all;
  }();
  return kRows;
}

const SimulatorFaultRow* FindSimulatorFaultRow(std::string_view name) {
  for (const SimulatorFaultRow& row : SimulatorFaultRows()) {
    if (row.kind.name == name) return &row;
  }
  return nullptr;
}

const std::vector<SimulatorFaultKind>& SimulatorFaultKinds() {
  static const std::vector<SimulatorFaultKind> kKinds = [] {
    std::vector<SimulatorFaultKind> kinds;
    for (const SimulatorFaultRow& row : SimulatorFaultRows()) kinds.push_back(row.kind);
    return kinds;
  }();
  return kKinds;
}

}  // namespace embedflow
