#include <chrono>
#include <memory>

#include "cli/commands.h"
#include "cli/errors.h"
#include "cli/format.h"
#include "embedflow/corpus.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kFaultsShown = 20;

std::string Counted(const VerifyReport& report) {
  return Count(report.documents, "document") + ", " + Count(report.chunks, "chunk") + ", " +
         Count(report.vectors, "vector");
}

std::string ReportText(const VerifyReport& report, const std::string& directory, bool repair,
                       double seconds) {
  if (report.ok) {
    std::string text = "ok: " + Counted(report) + " and the index agree\n";
    text += "    (every checksum holds; " + Duration(seconds) + ")\n";
    if (report.orphan_vectors > 0) {
      text += "    " + Count(report.orphan_vectors, "vector") +
              " without a chunk: bought, and kept for the text's return\n";
    }
    return text;
  }
  std::string text = "damaged: " + Counted(report) + "\n";
  const auto add = [&text](std::uint64_t count, const char* what) {
    if (count > 0) text += PadLeft(WithCommas(count), 14) + "  " + what + "\n";
  };
  add(report.corrupt, "records or files whose checksum or content is wrong");
  add(report.missing_vectors, "chunks without a vector");
  add(report.index_missing, "chunks that the index does not hold");
  add(report.index_extra, "index entries without a chunk");
  for (std::size_t i = 0; i < report.faults.size() && i < kFaultsShown; ++i) {
    const std::vector<std::string> lines = Wrap(OneLine(report.faults[i]), 74);
    for (std::size_t j = 0; j < lines.size(); ++j)
      text += (j == 0 ? "  - " : "    ") + lines[j] + "\n";
  }
  if (report.faults.size() > kFaultsShown) text += "  more: embedflow verify --json\n";
  // After a repair, what is left can only be read or bought anew.
  text += repair ? "next: the ingest command again; it fetches what is missing\n"
                 : "next: embedflow verify " + ShellQuoted(directory) + " --repair\n";
  return text;
}

}  // namespace

int Verify(const Invocation& call) {
  const std::string& directory = call.arguments.positionals()[0];
  VerifyOptions options;
  options.repair = call.arguments.Has("--repair");
  const auto begin = std::chrono::steady_clock::now();
  const auto run = [&]() -> Result<VerifyReport> {
    EF_ASSIGN_OR_RETURN(
        const std::unique_ptr<Corpus> corpus,
        Corpus::Open(directory, options.repair ? Corpus::Mode::kWrite : Corpus::Mode::kRead));
    return corpus->Verify(options);
  };
  Result<VerifyReport> report = run();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  if (!report.ok()) {
    if (report.status().code() == Code::kCorruption && call.json) {
      // Damage so deep that the store does not open is still an answer of verify.
      VerifyReport damaged;
      damaged.corrupt = 1;
      damaged.faults.push_back(Printable(report.status().message()));
      (void)call.Print(ToJson(damaged) + "\n");
    }
    return call.End(report.status());
  }
  const Status printed =
      call.Print(call.json ? ToJson(*report) + "\n"
                           : ReportText(*report, directory, options.repair, passed.count()));
  if (!printed.ok()) return call.End(printed);
  return report->ok ? kExitComplete : kExitDamaged;
}

}  // namespace embedflow::cli
