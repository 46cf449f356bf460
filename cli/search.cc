#include "embedflow/search.h"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <utility>

#include "cli/commands.h"
#include "cli/corpus_provider.h"
#include "cli/display.h"
#include "cli/format.h"
#include "cli/process.h"
#include "embedflow/corpus.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kTextLines = 2;
constexpr std::size_t kTextIndent = 3;
// Of a chunk's text, what can fill the lines that are shown.
constexpr std::size_t kTextBytesMax = 4096;

Result<std::vector<SearchFilter>> FiltersOf(const Arguments& arguments) {
  std::vector<SearchFilter> filters;
  for (const std::string& given : arguments.All("--filter")) {
    const std::size_t equals = given.find('=');
    if (equals == std::string::npos || equals == 0) {
      return UsageError("--filter must be KEY=VALUE, got " + Printable(given, 60));
    }
    filters.push_back({given.substr(0, equals), given.substr(equals + 1)});
  }
  return filters;
}

// Null when no option speaks of the provider: then the corpus knows.
Result<std::shared_ptr<const Provider>> ProviderFor(const Arguments& arguments, Corpus& corpus) {
  if (!SpeaksOfProvider(arguments)) return std::shared_ptr<const Provider>();
  EF_ASSIGN_OR_RETURN(ProviderOptions options, ProviderOptionsFor(arguments, corpus));
  options.side = ProviderOptions::Side::kQuery;
  return MakeProvider(options);
}

// At most kTextBytesMax bytes, cut between code points.
std::string_view Beginning(std::string_view text) {
  if (text.size() <= kTextBytesMax) return text;
  std::size_t cut = kTextBytesMax;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0u) == 0x80u) --cut;
  return text.substr(0, cut);
}

std::string HitText(const SearchHit& hit, const Stream& out) {
  std::array<char, 32> score;
  std::snprintf(score.data(), score.size(), "%.3f", hit.score);
  const std::size_t columns = out.is_terminal ? ColumnsOf(out.fd) : kDefaultColumns;
  std::string head = std::to_string(hit.rank) + "  " + Bold(score.data(), out.colour) + "  " +
                     CutToColumns(OneLine(hit.document_id), columns / 2, out.utf8) + "  chunk " +
                     std::to_string(hit.ordinal);
  const std::string text = OneLine(Beginning(hit.text));
  const std::string before = hit.begin > 0 ? (out.utf8 ? "\u2026" : "...") : "";
  const std::size_t width = columns > kTextIndent + 20 ? columns - kTextIndent : 20;
  const std::vector<std::string> lines = Wrap(before + text, width);
  head += "\n";
  for (std::size_t i = 0; i < lines.size() && i < kTextLines; ++i) {
    const bool is_cut = i + 1 == kTextLines && lines.size() > kTextLines;
    const std::string mark = is_cut ? (out.utf8 ? "\u2026" : "...") : "";
    head += std::string(kTextIndent, ' ') +
            (is_cut ? CutToColumns(lines[i] + " " + mark, width, out.utf8) : lines[i]) + "\n";
  }
  return head;
}

}  // namespace

int Search(const Invocation& call) {
  const Result<std::vector<SearchFilter>> filters = FiltersOf(call.arguments);
  if (!filters.ok()) return call.End(filters.status());
  if (call.arguments.Has("--space") && SpeaksOfProvider(call.arguments)) {
    return call.End(UsageError("--space names a provider, so other options cannot name one too"));
  }
  const auto run = [&]() -> Status {
    // A key is loaded where the corpus says so, which is not known yet.
    ForbidCoreFiles();
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                        Corpus::Open(call.arguments.positionals()[0], Corpus::Mode::kRead));
    EF_ASSIGN_OR_RETURN(std::shared_ptr<const Provider> provider,
                        ProviderFor(call.arguments, *corpus));
    EF_ASSIGN_OR_RETURN(
        const std::unique_ptr<Searcher> searcher,
        Searcher::Open(*corpus, std::move(provider), call.arguments.Text("--space")));
    SearchOptions options;
    options.hits_max = static_cast<std::size_t>(call.arguments.Integer("-k").value_or(10));
    options.filters = *filters;
    const auto begin = std::chrono::steady_clock::now();
    EF_ASSIGN_OR_RETURN(const std::vector<SearchHit> hits,
                        searcher->Search(call.arguments.positionals()[1], options));
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    if (call.json) return call.Print(ToJson(hits, searcher->space()) + "\n");
    std::string text;
    for (const SearchHit& hit : hits) text += HitText(hit, call.out);
    EF_RETURN_IF_ERROR(call.Print(text));
    WriteToStderr(WithCommas(hits.size()) + " of " + WithCommas(searcher->size()) + " in " +
                  std::to_string(std::lround(passed.count() * 1000)) + " ms (" +
                  OneLine(searcher->space().name()) + ")\n");
    return {};
  };
  return call.End(run());
}

}  // namespace embedflow::cli
