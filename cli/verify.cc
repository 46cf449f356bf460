#include <algorithm>
#include <chrono>

#include "cli/commands.h"
#include "cli/errors.h"
#include "cli/format.h"
#include "embedflow/corpus.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kFaultsShown = 20;
constexpr std::size_t kIdsShown = 10;

std::string Counted(const VerifyReport& report) {
  return Count(report.documents, "document") + ", " + Count(report.chunks, "chunk") + ", " +
         Count(report.vectors, "vector");
}

std::string Bulleted(const std::vector<std::string>& lines, std::size_t lines_max) {
  std::string text;
  for (std::size_t i = 0; i < lines.size() && i < lines_max; ++i) {
    const std::vector<std::string> wrapped = Wrap(OneLine(lines[i]), 74);
    for (std::size_t j = 0; j < wrapped.size(); ++j) {
      text += (j == 0 ? "  - " : "    ") + wrapped[j] + "\n";
    }
  }
  if (lines.size() > lines_max) text += "  more: embedflow verify --json\n";
  return text;
}

std::string Ids(std::uint64_t count, const std::vector<std::string>& ids) {
  if (ids.empty()) return "";
  std::string text = "    ";
  for (std::size_t i = 0; i < ids.size() && i < kIdsShown; ++i) {
    text += (i == 0 ? "" : ", ") + OneLine(ids[i]);
  }
  return text + (count > std::min(ids.size(), kIdsShown) ? ", ..." : "") + "\n";
}

std::string ToBuyText(const ToBuyAgain& to_buy) {
  if (to_buy.documents == 0) return "";
  std::string text = "to buy again: " + Count(to_buy.chunks, "chunk") + " of " +
                     Count(to_buy.documents, "document") + "\n";
  for (const ToBuyAgain::InSpace& space : to_buy.spaces) {
    text += "    " + OneLine(space.space.name()) + ": " + Count(space.chunks, "chunk") + " of " +
            Count(space.documents, "document") + "\n";
  }
  return text + Ids(to_buy.documents, to_buy.ids);
}

std::string RepairText(const VerifyReport& report) {
  std::string text = report.repairs.empty() ? "repaired: the indexes were made anew\n"
                                            : "repaired; the indexes were made anew\n";
  text += Bulleted(report.repairs, kFaultsShown);
  if (report.documents_dropped > 0) {
    text += "lost: " + Count(report.documents_dropped, "document") + "\n" +
            Ids(report.documents_dropped, report.dropped_ids);
  }
  return text;
}

std::string FaultText(const VerifyReport& report) {
  // An index is written at the end of a run: while one goes on, and after a kill, it is behind.
  const bool is_behind = report.corrupt == 0 && report.missing_vectors == 0;
  std::string text = (is_behind ? "the index is behind: " : "damaged: ") + Counted(report) + "\n";
  const auto add = [&text](std::uint64_t count, const char* what) {
    if (count > 0) text += PadLeft(WithCommas(count), 14) + "  " + what + "\n";
  };
  add(report.corrupt, "records or files whose checksum or content is wrong");
  add(report.missing_vectors, "chunks without a vector");
  add(report.index_missing, "chunks that the index does not hold");
  add(report.index_extra, "index entries without a chunk");
  return text + Bulleted(report.faults, kFaultsShown);
}

std::string ReportText(const VerifyReport& report, bool repair, double seconds) {
  std::string text = repair ? RepairText(report) : "";
  if (report.ok) {
    text += "ok: " + Counted(report) + " and the index agree\n";
    text += "    (every checksum holds; " + Duration(seconds) + ")\n";
    if (report.orphan_vectors > 0) {
      text += "    " + Count(report.orphan_vectors, "vector") +
              " without a chunk: bought, and kept for the text's return\n";
    }
  } else {
    text += FaultText(report);
  }
  text += ToBuyText(report.to_buy_again);
  if (!report.next.empty()) text += "next: " + OneLine(report.next) + "\n";
  return text;
}

}  // namespace

int Verify(const Invocation& call) {
  const std::string& directory = call.arguments.positionals()[0];
  VerifyOptions options;
  options.repair = call.arguments.Has("--repair");
  options.drop_orphans = call.arguments.Has("--drop-orphans");
  if (options.drop_orphans && !options.repair) {
    return call.End(
        Status(Code::kInvalidArgument, "--drop-orphans needs --repair")
            .WithWord("usage")
            .WithNext("embedflow verify " + ShellQuoted(directory) + " --repair --drop-orphans"));
  }
  const auto begin = std::chrono::steady_clock::now();
  const Result<VerifyReport> report = Corpus::Verify(directory, options);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  if (!report.ok()) return call.End(report.status());
  const Status printed = call.Print(
      call.json ? ToJson(*report) + "\n" : ReportText(*report, options.repair, passed.count()));
  if (!printed.ok()) return call.End(printed);
  return report->ok ? kExitComplete : kExitDamaged;
}

}  // namespace embedflow::cli
