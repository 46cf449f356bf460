// What all dialects that speak HTTP have in common: address, key, names for messages, limits, extra
// parameters, failures and rate hints. A dialect besides is one small file that writes a body and
// reads a body; docs/providers.md walks through one.
#ifndef EMBEDFLOW_PROVIDERS_DIALECT_H_
#define EMBEDFLOW_PROVIDERS_DIALECT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_writer.h"
#include "embedflow/provider.h"
#include "providers/http_outcome.h"
#include "providers/key.h"
#include "providers/output_dtype.h"
#include "providers/url.h"
#include "providers/vectors_reader.h"

namespace embedflow {

// A provider's options with the profile's values filled in.
struct DialectOptions {
  // Behaviour.
  Space space;
  std::string base_url;     // Must have passed JoinUrl().
  std::string endpoint;     // Path after base_url, a query allowed. Empty: the dialect's.
  std::string api_version;  // Empty: none.
  // The user named api_version; it does not come from the profile.
  bool is_api_version_given = false;
  Secret key;              // Empty: none is sent.
  std::string key_source;  // For messages: the variable or file that holds the key.
  bool is_bearer = false;  // The key goes as "Authorization: Bearer", whatever the dialect says.
  // Ask for space.dimensions; only for models that can shorten their vectors.
  bool dimensions_are_sent = false;
  OutputDtype output_dtype = OutputDtype::kFloat;
  ProviderOptions::Side side = ProviderOptions::Side::kDocument;
  // The members of a JSON object without its braces, each with a comma before it: `,"user":"u1"`.
  std::string extra_members;
  // Limits.
  RequestLimits limits;
};

class HttpDialect;

// What is constant of a dialect. One per file, all in dialects.h.
struct DialectInfo {
  // The path after base_url, a query included, where the user gives none.
  std::string (*endpoint)(const DialectOptions& options);
  // The header of the key; before "Authorization" means with "Bearer " before the key.
  std::string_view key_header;
  // True where the model embeds documents and queries apart.
  bool (*tells_sides)(std::string_view model);
  // What vectors may be made of.
  std::span<const OutputDtype> output_dtypes;
  std::shared_ptr<HttpDialect> (*make)(DialectOptions options);
};

class HttpDialect : public Dialect {
 public:
  explicit HttpDialect(DialectOptions options) : options_(std::move(options)) {}
  ~HttpDialect() override;

  const Space& space() const final { return options_.space; }
  RequestLimits limits() const final { return options_.limits; }
  HttpRequest Write(std::span<const std::string_view> texts) const final;
  Outcome Read(const HttpReply& reply, std::size_t inputs, std::span<float> vectors) const final;
  std::unique_ptr<ReplyReader> NewReader(std::size_t inputs, std::span<float> vectors) const final;
  std::size_t reply_bytes_max(std::size_t inputs) const final;
  std::string allowance_id() const final { return allowance_id_; }
  std::string place() const final { return names_.place; }

 protected:
  // Appends a JSON object that asks for the vectors of `texts`. Before the brace that closes it
  // come extra_members().
  virtual void WriteBody(std::span<const std::string_view> texts, std::string* body) const = 0;
  // What reads the body of a reply of 2xx into `vectors`. By default a reply in OpenAI's shape.
  virtual std::unique_ptr<VectorsHandler> NewHandler(std::size_t inputs,
                                                     std::span<float> vectors) const;
  // Bytes of a reply that do not grow with the number of vectors.
  virtual std::size_t reply_bytes_besides() const;

  const DialectOptions& options() const { return options_; }
  const std::string& extra_members() const { return options_.extra_members; }

 private:
  class StreamedReply;
  friend Result<std::shared_ptr<const Provider>> MakeDialect(const DialectInfo& info,
                                                             DialectOptions options);
  void Connect(const DialectInfo& info, const Url& url, const Secret& key);
  // That no member of an object comes twice.
  Status CheckBody() const;

  // Constant after MakeDialect().
  DialectOptions options_;  // Without the key.
  std::string url_;
  ProviderNames names_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::string allowance_id_;
};

// Errors: kInvalidArgument for a bad URL, ("insecure") for a key over plain HTTP to another
// machine, and for parameters that the dialect itself sets.
Result<std::shared_ptr<const Provider>> MakeDialect(const DialectInfo& info,
                                                    DialectOptions options);

// Appends `texts` as a JSON array.
void AppendTexts(std::string* body, std::span<const std::string_view> texts);
// Appends `,"name":"value"`, escaped.
void AppendMember(std::string* body, std::string_view name, std::string_view value);
void AppendMember(std::string* body, std::string_view name, int value);

// `text` as one segment of a URL's path: all but letters, digits and -._~ percent-encoded.
std::string PathSegment(std::string_view text);

// The members of a JSON object, sorted by name, in the form of DialectOptions::extra_members, so
// that the same members make the same text. Empty for "" and "{}". Errors: kInvalidArgument for
// what is no object of at most 64 KiB, or holds a member twice.
Result<std::string> ExtraMembers(std::string_view parameters);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_DIALECT_H_
