// OpenAI's shape with output_dimension and output_dtype of its own. base64 is asked for floats
// only: bytes come as numbers.
#include "providers/dialects.h"

namespace embedflow {
namespace {

class Mistral final : public HttpDialect {
 public:
  using HttpDialect::HttpDialect;

 private:
  void WriteBody(std::span<const std::string_view> texts, std::string* body) const override {
    const OutputDtype dtype = options().output_dtype;
    *body += "{\"model\":";
    AppendJsonString(body, space().model);
    *body += ",\"input\":";
    AppendTexts(body, texts);
    AppendMember(body, "encoding_format", dtype == OutputDtype::kFloat ? "base64" : "float");
    if (options().dimensions_are_sent) AppendMember(body, "output_dimension", space().dimensions);
    if (dtype != OutputDtype::kFloat) AppendMember(body, "output_dtype", OutputDtypeName(dtype));
    *body += extra_members() + "}";
  }
};

std::string Endpoint(const DialectOptions&) { return "/embeddings"; }

}  // namespace

const DialectInfo kMistralDialect = {Endpoint, "Authorization", TellsNoSides, kAllDtypes,
                                     NewDialect<Mistral>};

}  // namespace embedflow
