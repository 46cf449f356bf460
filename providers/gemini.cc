// The Gemini API's batchEmbedContents: an entry a text, each with the model's name again. Vectors
// come by position, and no reply says what was billed. Extra parameters go into every entry.
#include "providers/dialects.h"
#include "providers/positional_reply.h"

namespace embedflow {
namespace {

// From the second generation on the task is part of the text, if anything.
bool HasTaskTypes(std::string_view model) {
  return model.find("embedding-2") == std::string_view::npos;
}

class Gemini final : public HttpDialect {
 public:
  using HttpDialect::HttpDialect;

 private:
  void WriteBody(std::span<const std::string_view> texts, std::string* body) const override {
    std::string before = "{\"model\":";
    AppendJsonString(&before, "models/" + space().model);
    before += ",\"content\":{\"parts\":[{\"text\":";
    std::string after = "}]}";
    if (HasTaskTypes(space().model)) {
      const bool is_query = options().side == ProviderOptions::Side::kQuery;
      AppendMember(&after, "taskType", is_query ? "RETRIEVAL_QUERY" : "RETRIEVAL_DOCUMENT");
    }
    if (options().dimensions_are_sent) {
      AppendMember(&after, "outputDimensionality", space().dimensions);
    }
    after += extra_members() + "}";
    *body += "{\"requests\":[";
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (i > 0) *body += ',';
      *body += before;
      AppendJsonString(body, texts[i]);
      *body += after;
    }
    *body += "]}";
  }

  std::unique_ptr<VectorsHandler> NewHandler(std::size_t inputs,
                                             std::span<float> vectors) const override {
    PositionalShape shape;
    shape.rows = {{"embeddings"}};
    shape.row = "values";
    return NewPositionalHandler(std::move(shape), inputs, space().dimensions, vectors);
  }
};

std::string Endpoint(const DialectOptions& options) {
  return "/models/" + PathSegment(options.space.model) + ":batchEmbedContents";
}

}  // namespace

const DialectInfo kGeminiDialect = {Endpoint, "x-goog-api-key", HasTaskTypes, kFloatOnly,
                                    NewDialect<Gemini>};

}  // namespace embedflow
