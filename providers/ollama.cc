// Ollama's own address. Its OpenAI-compatible one cuts long texts and cannot be told not to.
#include "providers/dialects.h"
#include "providers/positional_reply.h"

namespace embedflow {
namespace {

class Ollama final : public HttpDialect {
 public:
  using HttpDialect::HttpDialect;

 private:
  void WriteBody(std::span<const std::string_view> texts, std::string* body) const override {
    *body += "{\"model\":";
    AppendJsonString(body, space().model);
    *body += ",\"input\":";
    AppendTexts(body, texts);
    *body += ",\"truncate\":false";
    if (options().dimensions_are_sent) AppendMember(body, "dimensions", space().dimensions);
    *body += extra_members() + "}";
  }

  std::unique_ptr<VectorsHandler> NewHandler(std::size_t inputs,
                                             std::span<float> vectors) const override {
    PositionalShape shape;
    shape.rows = {{"embeddings"}};
    shape.model_tokens = {"prompt_eval_count"};
    return NewPositionalHandler(std::move(shape), inputs, space().dimensions, vectors);
  }
};

std::string Endpoint(const DialectOptions&) { return "/api/embed"; }

}  // namespace

const DialectInfo kOllamaDialect = {Endpoint, "Authorization", TellsNoSides, kFloatOnly,
                                    NewDialect<Ollama>};

}  // namespace embedflow
