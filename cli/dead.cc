#include <algorithm>
#include <map>
#include <memory>

#include "cli/commands.h"
#include "cli/format.h"
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
  text += "Mend the inputs and ingest them again; --json lists every one.\n";
  return text;
}

}  // namespace

int ShowDead(const Invocation& call) {
  const auto run = [&]() -> Status {
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                        Corpus::Open(call.arguments.positionals()[0], Corpus::Mode::kRead));
    EF_ASSIGN_OR_RETURN(const std::vector<DeadLetter> letters, corpus->DeadLetters());
    return call.Print(call.json ? ToJson(letters) + "\n" : DeadText(letters, call.out.utf8));
  };
  return call.End(run());
}

}  // namespace embedflow::cli
