// POST {base}/embeddings {"model":..,"input":[..],"encoding_format":"base64"}.
#include "providers/dialects.h"
#include "providers/embeddings_reply.h"

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

  Status ReadBody(std::string_view body, std::size_t inputs, std::span<float> vectors,
                  std::optional<std::uint64_t>* model_tokens) const override {
    return ReadEmbeddings(body, inputs, space().dimensions, vectors, model_tokens);
  }
};

std::string Endpoint(const DialectOptions&) { return "/embeddings"; }

}  // namespace

const DialectInfo kOpenAiDialect = {Endpoint, "Authorization", TellsNoSides, kFloatOnly,
                                    NewDialect<OpenAi>};

}  // namespace embedflow
