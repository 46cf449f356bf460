#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "cli/commands.h"
#include "cli/corpus_provider.h"
#include "cli/errors.h"
#include "cli/format.h"
#include "cli/ingest_options.h"
#include "cli/run_driver.h"
#include "embedflow/corpus.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

// Of letters with one reason, how many are shown one by one.
constexpr std::size_t kAlikeShown = 5;
constexpr std::size_t kIdColumns = 18;
constexpr std::size_t kWhereColumns = 28;
constexpr std::size_t kReasonColumns = 24;
constexpr std::size_t kReasonsShown = 8;

std::string Where(const DeadLetter& letter) {
  if (letter.end > letter.begin) {
    return "bytes " + std::to_string(letter.begin) + "-" + std::to_string(letter.end);
  }
  if (letter.file.empty()) return "-";
  return letter.line > 0 ? letter.file + ":" + std::to_string(letter.line) : letter.file;
}

// The end of a path says more than its beginning.
std::string CutInFront(const std::string& text, std::size_t columns) {
  if (Columns(text) <= columns) return text;
  std::size_t begin = text.size() > columns - 3 ? text.size() - (columns - 3) : 0;
  while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0u) == 0x80u) ++begin;
  return "..." + text.substr(begin);
}

std::string LetterText(const DeadLetter& letter, bool utf8) {
  const std::string id = letter.document_id.empty() ? "-" : OneLine(letter.document_id);
  const std::vector<std::string> reason = Wrap(OneLine(letter.reason), kReasonColumns);
  std::string text = PadRight(CutToColumns(id, kIdColumns, utf8), kIdColumns) + "  " +
                     PadRight(CutInFront(OneLine(Where(letter)), kWhereColumns), kWhereColumns) +
                     "  " + PadRight(reason.empty() ? "" : reason[0], kReasonColumns) +
                     PadLeft(std::to_string(letter.attempts), 6) + "\n";
  const std::string indent(kIdColumns + kWhereColumns + 4, ' ');
  for (std::size_t i = 1; i < reason.size(); ++i) text += indent + reason[i] + "\n";
  if (!letter.provider_says.empty()) {
    for (const std::string& line : Wrap("\"" + OneLine(letter.provider_says) + "\"", 58)) {
      text += std::string(kIdColumns + 2, ' ') + line + "\n";
    }
  }
  return text;
}

std::string DeadText(const std::vector<DeadLetter>& letters, bool utf8) {
  if (letters.empty()) return "no dead letters\n";
  std::map<std::string, std::size_t> reasons;
  std::string text = PadRight("DOCUMENT", kIdColumns + 2) + PadRight("WHERE", kWhereColumns + 2) +
                     PadRight("REASON", kReasonColumns) + " TRIES\n";
  for (const DeadLetter& letter : letters) {
    const std::size_t alike = ++reasons[letter.reason];
    if (alike <= kAlikeShown) text += LetterText(letter, utf8);
  }
  std::vector<std::pair<std::size_t, std::string>> sorted;
  sorted.reserve(reasons.size());
  for (const auto& [reason, count] : reasons) sorted.emplace_back(count, reason);
  std::sort(sorted.rbegin(), sorted.rend());
  text += "\n" + Count(letters.size(), "dead letter") + "\n";
  for (std::size_t i = 0; i < sorted.size() && i < kReasonsShown; ++i) {
    text += PadLeft(WithCommas(sorted[i].first), 10) + "  " +
            CutToColumns(OneLine(sorted[i].second), 66, utf8) + "\n";
  }
  if (sorted.size() > kReasonsShown) {
    text += "            and " + Count(sorted.size() - kReasonsShown, "other reason") + "\n";
  }
  text +=
      "Mend the inputs and ingest them again; --retry sends refused texts again; --json lists "
      "all.\n";
  return text;
}

// The spaces that letters are of, in their order in the corpus.
Result<std::vector<std::string>> SpacesOf(Corpus& corpus) {
  EF_ASSIGN_OR_RETURN(const std::vector<DeadLetter> letters, corpus.DeadLetters());
  std::set<std::string> found;
  for (const DeadLetter& letter : letters) {
    if (!letter.space.empty()) found.insert(letter.space);
  }
  EF_ASSIGN_OR_RETURN(const CorpusStatus status, corpus.Describe());
  std::vector<std::string> spaces;
  for (const SpaceStatus& space : status.spaces) {
    if (found.contains(space.space.name())) spaces.push_back(space.space.name());
  }
  return spaces;
}

// The runs that send the letters again: one a space, or the one that the command line names.
Result<std::vector<RunOptions>> RetriesOf(const Invocation& call, const std::string& directory) {
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                      Corpus::Open(directory, Corpus::Mode::kRead));
  std::vector<ProviderOptions> providers;
  EF_ASSIGN_OR_RETURN(const std::vector<std::string> spaces, SpacesOf(*corpus));
  if (spaces.empty()) return std::vector<RunOptions>();
  if (SpeaksOfProvider(call.arguments)) {
    EF_ASSIGN_OR_RETURN(providers.emplace_back(),
                        ProviderOptionsAmong(call.arguments, *corpus, spaces));
  } else {
    for (const std::string& space : spaces) {
      EF_ASSIGN_OR_RETURN(providers.emplace_back(), corpus->ProviderOf(space));
    }
  }
  std::vector<RunOptions> runs;
  for (const ProviderOptions& provider : providers) {
    EF_ASSIGN_OR_RETURN(RunOptions run, RunOptionsOf(call.arguments, provider));
    run.directory = directory;
    runs.push_back(std::move(run));
  }
  return runs;
}

// What is left, as JSON or in a line, and the exit code that follows from it.
int ReportLeft(const Invocation& call, const std::string& directory, bool has_run) {
  const auto read = [&]() -> Result<std::vector<DeadLetter>> {
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                        Corpus::Open(directory, Corpus::Mode::kRead));
    return corpus->DeadLetters();
  };
  const Result<std::vector<DeadLetter>> left = read();
  if (!left.ok()) return call.End(left.status());
  const auto records = static_cast<std::uint64_t>(std::count_if(
      left->begin(), left->end(), [](const DeadLetter& l) { return l.space.empty(); }));
  std::string text;
  if (call.json) {
    text = ToJson(*left) + "\n";
  } else if (left->empty()) {
    text = "no dead letters" + std::string(has_run ? " are left" : "") + "\n";
  } else {
    text = Count(left->size(), "dead letter") + (left->size() == 1 ? " is" : " are") + " left";
    if (records > 0) {
      text += ", " + WithCommas(records) +
              " of records that could not be read: mend the inputs and ingest them again";
    }
    text += "\n";
  }
  const Status printed = call.Print(text);
  if (!printed.ok()) return call.End(printed);
  return left->empty() ? kExitComplete : kExitPartial;
}

int Retry(const Invocation& call) {
  SetLogLevelOf(call.arguments);
  const std::string& directory = call.arguments.positionals()[0];
  Result<std::vector<RunOptions>> runs = RetriesOf(call, directory);
  if (!runs.ok()) return call.End(runs.status());
  if (runs->size() > 1 && call.arguments.Has("--summary")) {
    return call.End(UsageError(
        "--summary is of one run, and dead letters are in " + Count(runs->size(), "space"),
        "name one with --provider and --model"));
  }
  RunSteps steps;
  steps.run = [](Pipeline& pipeline) { return pipeline.RetryDead(); };
  for (RunOptions& run : *runs) {
    const int code = DriveRun(call, std::move(run), steps);
    if (code != kExitComplete && code != kExitPartial) return code;
  }
  return ReportLeft(call, directory, !runs->empty());
}

}  // namespace

int ShowDead(const Invocation& call) {
  if (call.arguments.Has("--retry")) return Retry(call);
  // Everything else but these is about a run.
  for (const Option* option : OptionsOf(kDead)) {
    const bool is_of_listing = option->name == "--json" || option->name == "--color";
    if (is_of_listing || !call.arguments.Has(option->name)) continue;
    return call.End(UsageError(std::string(option->name) + " needs --retry"));
  }
  const auto run = [&]() -> Status {
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                        Corpus::Open(call.arguments.positionals()[0], Corpus::Mode::kRead));
    EF_ASSIGN_OR_RETURN(const std::vector<DeadLetter> letters, corpus->DeadLetters());
    return call.Print(call.json ? ToJson(letters) + "\n" : DeadText(letters, call.out.utf8));
  };
  return call.End(run());
}

}  // namespace embedflow::cli
