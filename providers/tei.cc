// text-embeddings-inference's own address: texts in, a bare array of vectors out. The model is the
// server's; its name is for the space alone. Its OpenAI-compatible address cuts long texts unless
// the server was started with --auto-truncate false.
#include "providers/dialects.h"
#include "providers/positional_reply.h"

namespace embedflow {
namespace {

class Tei final : public HttpDialect {
 public:
  using HttpDialect::HttpDialect;

 private:
  void WriteBody(std::span<const std::string_view> texts, std::string* body) const override {
    *body += "{\"inputs\":";
    AppendTexts(body, texts);
    *body += ",\"truncate\":false";
    if (options().dimensions_are_sent) AppendMember(body, "dimensions", space().dimensions);
    *body += extra_members() + "}";
  }

  std::unique_ptr<VectorsHandler> NewHandler(std::size_t inputs,
                                             std::span<float> vectors) const override {
    PositionalShape shape;
    shape.rows = {{}};
    return NewPositionalHandler(std::move(shape), inputs, space().dimensions, vectors);
  }
};

std::string Endpoint(const DialectOptions&) { return "/embed"; }

}  // namespace

const DialectInfo kTeiDialect = {Endpoint, "Authorization", TellsNoSides, kFloatOnly,
                                 NewDialect<Tei>};

}  // namespace embedflow
