// OpenAI's shape with a task for each side, and with truncate.
#include "providers/dialects.h"

namespace embedflow {
namespace {

constexpr OutputDtype kDtypes[] = {OutputDtype::kFloat, OutputDtype::kBinary,
                                   OutputDtype::kUbinary};

// The models of the second generation know no tasks.
bool HasTasks(std::string_view model) { return model.find("-v2") == std::string_view::npos; }

class Jina final : public HttpDialect {
 public:
  using HttpDialect::HttpDialect;

 private:
  void WriteBody(std::span<const std::string_view> texts, std::string* body) const override {
    const OutputDtype dtype = options().output_dtype;
    *body += "{\"model\":";
    AppendJsonString(body, space().model);
    *body += ",\"input\":";
    AppendTexts(body, texts);
    if (HasTasks(space().model)) {
      const bool is_query = options().side == ProviderOptions::Side::kQuery;
      AppendMember(body, "task", is_query ? "retrieval.query" : "retrieval.passage");
    }
    if (options().dimensions_are_sent) AppendMember(body, "dimensions", space().dimensions);
    AppendMember(body, "embedding_type",
                 dtype == OutputDtype::kFloat ? "base64" : OutputDtypeName(dtype));
    *body += ",\"truncate\":false" + extra_members() + "}";
  }
};

std::string Endpoint(const DialectOptions&) { return "/embeddings"; }

}  // namespace

const DialectInfo kJinaDialect = {Endpoint, "Authorization", HasTasks, kDtypes, NewDialect<Jina>};

}  // namespace embedflow
