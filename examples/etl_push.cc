// A program that already has a loop of its own pushes its documents into a corpus.
//   etl_push DIRECTORY < rows     one document a line, "id<TAB>text"
//
// Push waits while the pipeline is full, so the loop never runs ahead of what fits in memory. What
// on_commit has named is durable: an ETL job may acknowledge it upstream.
#include <cstdio>
#include <iostream>
#include <string>

#include "embedflow/corpus.h"
#include "embedflow/pipeline.h"

using namespace embedflow;

static Status Load(const char* directory) {
  EF_ASSIGN_OR_RETURN(auto corpus, Corpus::Open(directory, Corpus::Mode::kCreate));
  EF_ASSIGN_OR_RETURN(auto provider, MakeProvider({}));
  PipelineOptions options;
  std::size_t committed = 0;
  options.on_commit = [&committed](std::span<const ChunkId> chunks) {
    committed += chunks.size();
    return Status();
  };
  EF_ASSIGN_OR_RETURN(auto pipeline, Pipeline::Open(*corpus, provider, options));
  EF_RETURN_IF_ERROR(pipeline->Start());
  for (std::string line; std::getline(std::cin, line);) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) continue;
    Document document;
    document.id = line.substr(0, tab);
    document.text = line.substr(tab + 1);
    document.metadata.push_back(
        {"bytes", MetadataValue::Number(static_cast<std::int64_t>(line.size()))});
    EF_RETURN_IF_ERROR(pipeline->Push(std::move(document)));
  }
  EF_RETURN_IF_ERROR(pipeline->Finish());
  const RunSummary& summary = pipeline->summary();
  std::printf("%llu documents read, %llu ingested, %zu chunks committed\n",
              static_cast<unsigned long long>(summary.documents.read),
              static_cast<unsigned long long>(summary.documents.ingested), committed);
  return {};
}

int main(int argc, char** argv) {
  const Status status = argc == 2
                            ? Load(argv[1])
                            : Status(Code::kInvalidArgument, "usage: etl_push DIRECTORY < rows");
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
