// A user's program: all public headers, and a corpus made, filled and asked.
//   consumer DIRECTORY, which must not exist.
#include <embedflow/corpus.h>
#include <embedflow/log.h>
#include <embedflow/options.h>
#include <embedflow/pipeline.h>
#include <embedflow/provider.h>
#include <embedflow/search.h>
#include <embedflow/source.h>
#include <embedflow/status.h>
#include <embedflow/text.h>
#include <embedflow/types.h>
#include <embedflow/version.h>

#include <cstdio>

namespace ef = embedflow;

static ef::Result<std::string> FirstAnswer(const char* directory) {
  EF_ASSIGN_OR_RETURN(auto corpus, ef::Corpus::Open(directory, ef::Corpus::Mode::kCreate));
  EF_ASSIGN_OR_RETURN(auto provider, ef::MakeProvider({}));
  EF_ASSIGN_OR_RETURN(auto pipeline, ef::Pipeline::Open(*corpus, provider, {}));
  EF_RETURN_IF_ERROR(pipeline->Start());
  EF_RETURN_IF_ERROR(pipeline->Push({"harbour", "ships are loaded at the harbour", {}}));
  EF_RETURN_IF_ERROR(pipeline->Push({"orchard", "apples ripen in the orchard", {}}));
  EF_RETURN_IF_ERROR(pipeline->Finish());
  std::printf("%s\n", ef::ToJson(pipeline->summary()).c_str());
  EF_ASSIGN_OR_RETURN(auto searcher, ef::Searcher::Open(*corpus, provider));
  EF_ASSIGN_OR_RETURN(auto hits, searcher->Search("where do apples ripen", {}));
  return hits.empty() ? std::string() : hits.front().document_id;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto answer = FirstAnswer(argv[1]);
  std::printf("%s: %s\n", ef::Version(),
              answer.ok() ? answer->c_str() : answer.status().ToString().c_str());
  return answer.ok() && *answer == "orchard" ? 0 : 1;
}
