// Cohere's v2. The vectors come by type and by position, the texts come back with them.
#include "providers/dialects.h"
#include "providers/positional_reply.h"

namespace embedflow {
namespace {

// A byte of text in JSON at most: \u00XX.
constexpr std::size_t kEscapedBytesMax = 6;

class Cohere final : public HttpDialect {
 public:
  using HttpDialect::HttpDialect;

 private:
  const char* Type() const {
    const OutputDtype dtype = options().output_dtype;
    return dtype == OutputDtype::kFloat ? "base64" : OutputDtypeName(dtype);
  }

  void WriteBody(std::span<const std::string_view> texts, std::string* body) const override {
    *body += "{\"model\":";
    AppendJsonString(body, space().model);
    AppendMember(
        body, "input_type",
        options().side == ProviderOptions::Side::kQuery ? "search_query" : "search_document");
    *body += ",\"texts\":";
    AppendTexts(body, texts);
    *body += std::string(",\"embedding_types\":[\"") + Type() + "\"]";
    if (options().dimensions_are_sent) AppendMember(body, "output_dimension", space().dimensions);
    // Unless it is told not to, the server cuts long texts and says nothing.
    AppendMember(body, "truncate", "NONE");
    *body += extra_members() + "}";
  }

  std::unique_ptr<VectorsHandler> NewHandler(std::size_t inputs,
                                             std::span<float> vectors) const override {
    PositionalShape shape;
    shape.rows = {{"embeddings", Type()}};
    // Older models have no base64 and answer with floats.
    if (options().output_dtype == OutputDtype::kFloat)
      shape.rows.push_back({"embeddings", "float"});
    shape.model_tokens = {"meta", "billed_units", "input_tokens"};
    shape.dtype = options().output_dtype;
    return NewPositionalHandler(std::move(shape), inputs, space().dimensions, vectors);
  }

  std::size_t reply_bytes_besides() const override {
    return HttpDialect::reply_bytes_besides() + kEscapedBytesMax * limits().body_bytes_max;
  }
};

std::string Endpoint(const DialectOptions&) { return "/v2/embed"; }

}  // namespace

const DialectInfo kCohereDialect = {Endpoint, "Authorization", TellsSides, kAllDtypes,
                                    NewDialect<Cohere>};

}  // namespace embedflow
