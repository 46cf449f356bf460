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

  Status ReadBody(std::string_view body, std::size_t inputs, std::span<float> vectors,
                  std::optional<std::uint64_t>* model_tokens) const override {
    PositionalShape shape;
    shape.rows = {{"embeddings"}};
    shape.model_tokens = {"prompt_eval_count"};
    return ReadPositional(body, shape, inputs, space().dimensions, vectors, model_tokens);
  }
};

std::string Endpoint(const DialectOptions&) { return "/api/embed"; }

}  // namespace

const DialectInfo kOllamaDialect = {Endpoint, "Authorization", TellsNoSides, kFloatOnly,
                                    NewDialect<Ollama>};

}  // namespace embedflow
