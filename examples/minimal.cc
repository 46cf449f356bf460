// The shortest program: embeds a JSON Lines file with the built-in provider and asks a question.
//   minimal FILE.jsonl DIRECTORY "question"
#include <cstdio>

#include "embedflow/corpus.h"
#include "embedflow/pipeline.h"
#include "embedflow/search.h"

using namespace embedflow;

static Status Work(const char* file, const char* directory, const char* question) {
  EF_ASSIGN_OR_RETURN(auto corpus, Corpus::Open(directory, Corpus::Mode::kCreate));
  EF_ASSIGN_OR_RETURN(auto provider, MakeProvider({}));
  EF_ASSIGN_OR_RETURN(auto source, OpenFiles({file}, {}));
  EF_ASSIGN_OR_RETURN(auto pipeline, Pipeline::Open(*corpus, provider, {}));
  EF_RETURN_IF_ERROR(pipeline->Run(*source));
  EF_ASSIGN_OR_RETURN(auto searcher, Searcher::Open(*corpus, provider));
  EF_ASSIGN_OR_RETURN(auto hits, searcher->Search(question, {}));
  for (const SearchHit& hit : hits) std::printf("%.3f %s\n", hit.score, hit.document_id.c_str());
  return {};
}

int main(int argc, char** argv) {
  const Status status = argc == 4
                            ? Work(argv[1], argv[2], argv[3])
                            : Status(Code::kInvalidArgument, "usage: minimal FILE DIR QUESTION");
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
