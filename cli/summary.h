// What a run did, as people read it at its end. Threads: pure functions.
#ifndef EMBEDFLOW_CLI_SUMMARY_H_
#define EMBEDFLOW_CLI_SUMMARY_H_

#include <string>

#include "embedflow/pipeline.h"
#include "embedflow/status.h"

namespace embedflow::cli {

struct SummaryContext {
  std::string corpus;   // DIR as the user gave it.
  std::string command;  // The whole command line, quoted for a shell.
  bool is_remote = false;
  bool has_index = true;
  bool reads_corpus = false;  // A backfill or retry: what it took in was in the corpus before.
  int exit_code = 0;
};

// Lines of at most 80 columns: the outcome in words, a table, the next command to type.
std::string SummaryText(const RunSummary& summary, const SummaryContext& context);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_SUMMARY_H_
