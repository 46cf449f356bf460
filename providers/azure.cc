// Azure OpenAI. The model's name is a deployment's. Two addresses:
//   classic  {resource}/openai/deployments/{deployment}/embeddings?api-version=..
//   v1       {resource}/openai/v1/embeddings, the deployment as `model` in the body.
// API keys go as `api-key`; `Authorization: Bearer` is for Entra tokens only.
#include "providers/dialects.h"

namespace embedflow {
namespace {

constexpr std::string_view kV1 = "/openai/v1";

bool IsV1(const DialectOptions& options) {
  if (!options.endpoint.empty()) {
    return options.endpoint.find("/deployments/") == std::string::npos;
  }
  std::string_view base = options.base_url;
  while (base.ends_with('/')) base.remove_suffix(1);
  return base.ends_with(kV1);
}

class Azure final : public HttpDialect {
 public:
  using HttpDialect::HttpDialect;

 private:
  void WriteBody(std::span<const std::string_view> texts, std::string* body) const override {
    *body += "{";
    if (IsV1(options())) {
      *body += "\"model\":";
      AppendJsonString(body, space().model);
      *body += ",";
    }
    *body += "\"input\":";
    AppendTexts(body, texts);
    AppendMember(body, "encoding_format", "base64");
    if (options().dimensions_are_sent) AppendMember(body, "dimensions", space().dimensions);
    *body += extra_members() + "}";
  }
};

std::string Endpoint(const DialectOptions& options) {
  const std::string version = "?api-version=" + PathSegment(options.api_version);
  if (IsV1(options)) return "/embeddings" + (options.is_api_version_given ? version : "");
  return "/openai/deployments/" + PathSegment(options.space.model) + "/embeddings" + version;
}

}  // namespace

const DialectInfo kAzureDialect = {Endpoint, "api-key", TellsNoSides, kFloatOnly,
                                   NewDialect<Azure>};

}  // namespace embedflow
