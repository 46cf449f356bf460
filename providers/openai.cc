// POST {base}/embeddings {"model":..,"input":[..],"encoding_format":"base64"}.
#include "providers/dialects.h"

namespace embedflow {
namespace {

class OpenAi final : public HttpDialect {
 public:
  using HttpDialect::HttpDialect;

 private:
  void WriteBody(std::span<const std::string_view> texts, std::string* body) const override {
    *body += "{\"model\":";
    AppendJsonString(body, space().model);
    *body += ",\"input\":";
    AppendTexts(body, texts);
    AppendMember(body, "encoding_format", "base64");
    if (options().dimensions_are_sent) AppendMember(body, "dimensions", space().dimensions);
    *body += extra_members() + "}";
  }
};

std::string Endpoint(const DialectOptions&) { return "/embeddings"; }

}  // namespace

const DialectInfo kOpenAiDialect = {Endpoint, "Authorization", TellsNoSides, kFloatOnly,
                                    NewDialect<OpenAi>};

}  // namespace embedflow
