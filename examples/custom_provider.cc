// A model of one's own: implement Embedder, and the pipeline does the rest. This one counts
// letters; yours would call a runtime that computes in this process.
//   custom_provider DIRECTORY TEXT...     the last text is the question
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "embedflow/corpus.h"
#include "embedflow/pipeline.h"
#include "embedflow/search.h"

using namespace embedflow;

// 27 dimensions: how often each letter occurs, and how many other bytes there are.
class LetterCounts : public Embedder {
 public:
  const Space& space() const override { return space_; }
  RequestLimits limits() const override {
    return {.inputs_max = 64, .model_tokens_max = {}, .body_bytes_max = 1u << 20};
  }
  Status Embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto row = vectors.subspan(i * 27, 27);
      std::fill(row.begin(), row.end(), 0.0f);
      for (const char c : texts[i]) {
        const int lower = std::tolower(static_cast<unsigned char>(c));
        row[lower >= 'a' && lower <= 'z' ? static_cast<std::size_t>(lower - 'a') : 26] += 1.0f;
      }
    }
    return {};
  }

 private:
  // What the space says decides which vectors may be compared: give a new model a new name or
  // revision.
  const Space space_{"example", "letter-counts", "1", 27, "", ""};
};

static Status Work(int argc, char** argv) {
  EF_ASSIGN_OR_RETURN(auto corpus, Corpus::Open(argv[1], Corpus::Mode::kCreate));
  const auto provider = std::make_shared<LetterCounts>();
  EF_ASSIGN_OR_RETURN(auto pipeline, Pipeline::Open(*corpus, provider, {}));
  EF_RETURN_IF_ERROR(pipeline->Start());
  for (int i = 2; i + 1 < argc; ++i) EF_RETURN_IF_ERROR(pipeline->Push({argv[i], argv[i], {}}));
  EF_RETURN_IF_ERROR(pipeline->Finish());
  EF_ASSIGN_OR_RETURN(auto searcher, Searcher::Open(*corpus, provider));
  EF_ASSIGN_OR_RETURN(auto hits, searcher->Search(argv[argc - 1], {}));
  for (const SearchHit& hit : hits) std::printf("%.3f %s\n", hit.score, hit.text.c_str());
  return {};
}

int main(int argc, char** argv) {
  const Status status = argc >= 4 ? Work(argc, argv)
                                  : Status(Code::kInvalidArgument,
                                           "usage: custom_provider DIRECTORY TEXT... QUESTION");
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
