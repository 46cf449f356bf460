#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/format.h"
#include "embedflow/corpus.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kMissingShown = 3;

Status MissingError(const RemoveReport& report) {
  std::string names;
  for (std::size_t i = 0; i < report.missing.size() && i < kMissingShown; ++i) {
    names += (i == 0 ? "" : ", ") + Printable(report.missing[i], 100);
  }
  if (report.missing.size() > kMissingShown) {
    names += " and " + std::to_string(report.missing.size() - kMissingShown) + " more";
  }
  return Status(Code::kNotFound, "no document has the id " + names)
      .WithKept(Count(report.documents, "other document") + " removed");
}

}  // namespace

int Remove(const Invocation& call) {
  const auto run = [&]() -> Status {
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                        Corpus::Open(call.arguments.positionals()[0], Corpus::Mode::kWrite));
    std::vector<std::string> ids = call.arguments.All("--id");
    const std::vector<std::string>& words = call.arguments.positionals();
    ids.insert(ids.end(), words.begin() + 1, words.end());
    EF_ASSIGN_OR_RETURN(const RemoveReport report, corpus->Remove(ids));
    EF_RETURN_IF_ERROR(call.Print(call.json ? ToJson(report) + "\n"
                                            : "removed " + Count(report.documents, "document") +
                                                  " with " + Count(report.chunks, "chunk") + "\n"));
    return report.missing.empty() ? Status() : MissingError(report);
  };
  return call.End(run());
}

}  // namespace embedflow::cli
