// OpenAI's shape with input_type, which puts a prompt before each text at the server, and with
// truncation, which is on unless it is switched off.
#include "providers/dialects.h"

namespace embedflow {
namespace {

class Voyage final : public HttpDialect {
 public:
  using HttpDialect::HttpDialect;

 private:
  void WriteBody(std::span<const std::string_view> texts, std::string* body) const override {
    const OutputDtype dtype = options().output_dtype;
    *body += "{\"model\":";
    AppendJsonString(body, space().model);
    *body += ",\"input\":";
    AppendTexts(body, texts);
    AppendMember(body, "input_type",
                 options().side == ProviderOptions::Side::kQuery ? "query" : "document");
    *body += ",\"truncation\":false";
    if (options().dimensions_are_sent) AppendMember(body, "output_dimension", space().dimensions);
    if (dtype == OutputDtype::kFloat) {
      AppendMember(body, "encoding_format", "base64");
    } else {
      AppendMember(body, "output_dtype", OutputDtypeName(dtype));
    }
    *body += extra_members() + "}";
  }
};

std::string Endpoint(const DialectOptions&) { return "/embeddings"; }

}  // namespace

const DialectInfo kVoyageDialect = {Endpoint, "Authorization", TellsSides, kAllDtypes,
                                    NewDialect<Voyage>};

}  // namespace embedflow
