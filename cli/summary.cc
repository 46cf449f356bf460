#include "cli/summary.h"

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "cli/errors.h"
#include "cli/format.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kColumnsMax = 80;
constexpr std::size_t kLabelColumns = 14;
constexpr std::size_t kNumberColumns = 12;
constexpr std::size_t kFactColumns = 21;

// "812,021 read", the number aligned to the right.
struct Fact {
  std::string number;
  std::string what;
};

// "  documents        812,021 read      812,004 in          17 dead letters"
std::string Row(const std::string& label, const std::vector<Fact>& facts) {
  constexpr std::size_t kFactsInLine = 3;
  std::string text;
  for (std::size_t i = 0; i < facts.size(); i += kFactsInLine) {
    std::string line = PadRight("  " + (i == 0 ? label : std::string()), kLabelColumns);
    for (std::size_t j = i; j < facts.size() && j < i + kFactsInLine; ++j) {
      const std::string fact = PadLeft(facts[j].number, kNumberColumns) + " " + facts[j].what;
      line += PadRight(fact, kFactColumns);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

void AddIfAny(std::vector<Fact>* facts, std::uint64_t count, const char* what) {
  if (count > 0) facts->push_back({WithCommas(count), what});
}

bool IsNothingNew(const RunSummary& summary) {
  return summary.documents.unchanged > 0 && summary.documents.ingested == 0 &&
         summary.documents.deleted == 0 && summary.chunks.embedded == 0 &&
         summary.provider.requests == 0;
}

std::string Failures(const RunSummary& summary) {
  std::string text;
  if (summary.documents.dead > 0) text = Count(summary.documents.dead, "document");
  if (summary.chunks.dead > 0) {
    text += (text.empty() ? "" : " and ") + Count(summary.chunks.dead, "chunk");
  }
  if (text.empty()) return Count(summary.dead_letters, "dead letter") + " of earlier runs remain";
  return text + " failed";
}

std::string OutcomeLine(const RunSummary& summary, const SummaryContext& context) {
  const std::string time = Duration(summary.seconds);
  const std::uint64_t documents = summary.documents.ingested + summary.documents.unchanged;
  const std::string is_in = context.reads_corpus
                                ? Count(documents, "document") + " done in this run."
                                : Count(documents, "document") + (documents == 1 ? " is" : " are") +
                                      (context.has_index ? " in and searchable." : " in.");
  switch (summary.outcome) {
    case RunOutcome::kComplete:
      if (IsNothingNew(summary)) {
        return "Complete in " + time +
               ". Nothing new: " + Count(summary.documents.unchanged, "document") +
               " unchanged, nothing sent.";
      }
      if (context.reads_corpus && summary.documents.read == 0) {
        return "Complete in " + time + ". There was nothing to send.";
      }
      return "Complete in " + time + ". Everything read is stored" +
             (context.has_index ? ", embedded and indexed." : " and embedded; there is no index.");
    case RunOutcome::kPartial:
      return "Finished in " + time + "; " + Failures(summary) + ".";
    case RunOutcome::kInterrupted:
      return "Interrupted after " + time + ". " + is_in;
    case RunOutcome::kBudget:
      return "Stopped at the budget after " + time + ". " + is_in;
    case RunOutcome::kRefused:
      return "Refused by the provider after " + time + ". " + is_in;
    case RunOutcome::kFailed:
      return "Failed after " + time + ". " + is_in;
  }
  return {};
}

std::string Milliseconds(double ms) {
  return ms < 10'000 ? WithCommas(static_cast<std::uint64_t>(std::llround(ms))) + " ms"
                     : Duration(ms / 1000);
}

// What there is to say about a server, each with its number; empty when all went as it should.
std::vector<std::string> EndpointFacts(const RunSummary::Endpoint& endpoint, bool is_only) {
  if (!endpoint.admitted && endpoint.requests > 0)
    return {WithCommas(endpoint.requests) + " sent, until it refused"};
  if (!endpoint.admitted) return {"not used: it gave no vectors to compare"};
  std::vector<std::string> facts;
  if (!is_only) facts.push_back(WithCommas(endpoint.requests) + " sent");
  if (endpoint.metrics && endpoint.requests > endpoint.failures) {
    facts.push_back("a reply took " + Milliseconds(endpoint.metrics->latency_p50_ms) +
                    " (median), " + Milliseconds(endpoint.metrics->latency_p95_ms) +
                    " (95th percentile)");
  }
  if (endpoint.metrics && endpoint.metrics->allowance_wait_seconds >= 1) {
    facts.push_back("the limits a minute held back for " +
                    Duration(endpoint.metrics->allowance_wait_seconds));
  }
  if (endpoint.failures > 0) facts.push_back(WithCommas(endpoint.failures) + " failed");
  if (endpoint.throttled > 0 && !is_only) {
    facts.push_back(WithCommas(endpoint.throttled) + " throttled");
  }
  if (endpoint.breaker_opened > 0) {
    facts.push_back("left alone " + Count(endpoint.breaker_opened, "time") + " as it failed" +
                    (endpoint.breaker == "open" ? ", and still is" : ""));
  }
  if (endpoint.learnt_inputs_max) {
    facts.push_back("takes " + Count(*endpoint.learnt_inputs_max, "text") + " a request");
  }
  if (endpoint.learnt_model_tokens_max) {
    facts.push_back("takes " + Count(*endpoint.learnt_model_tokens_max, "token") + " a request");
  }
  return facts;
}

// "  server        api.openai.com:443: a reply took 120 ms (median), 340 ms (95th percentile)"
std::string Endpoints(const RunSummary& summary) {
  const bool is_only = summary.endpoints.size() == 1;
  std::string text;
  for (const RunSummary::Endpoint& endpoint : summary.endpoints) {
    std::string line = OneLine(endpoint.place);
    if (!is_only) line += " (" + endpoint.role + ")";
    const char* separator = ": ";
    const std::vector<std::string> facts = EndpointFacts(endpoint, is_only);
    if (facts.empty()) continue;
    for (const std::string& fact : facts) line += std::exchange(separator, "; ") + fact;
    std::string label = PadRight("  server", kLabelColumns);
    for (const std::string& part : Wrap(line, kColumnsMax - kLabelColumns)) {
      text += std::exchange(label, std::string(kLabelColumns, ' ')) + part + "\n";
    }
  }
  return text;
}

// "75 %"; 100 % is all, and 0 % is none.
std::string Percent(double fraction) {
  const auto percent = std::lround(fraction * 100);
  if (percent == 100 && fraction < 1) return "99 %";
  return percent == 0 && fraction > 0 ? "1 %" : std::to_string(percent) + " %";
}

std::string Table(const RunSummary& summary, const SummaryContext& context) {
  std::vector<Fact> documents = {{WithCommas(summary.documents.read), "read"}};
  AddIfAny(&documents, summary.documents.ingested, "in");
  AddIfAny(&documents, summary.documents.unchanged, "unchanged");
  AddIfAny(&documents, summary.documents.replaced, "replaced");
  AddIfAny(&documents, summary.documents.empty, "empty");
  AddIfAny(&documents, summary.documents.deleted, "deleted");
  AddIfAny(&documents, summary.documents.dead, "dead");
  AddIfAny(&documents, summary.documents.cancelled, "cancelled");
  std::string text = Row("documents", documents);

  std::vector<Fact> chunks = {{WithCommas(summary.chunks.total), "total"}};
  AddIfAny(&chunks, summary.chunks.embedded, context.is_remote ? "bought" : "embedded");
  AddIfAny(&chunks, summary.chunks.reused, "reused");
  AddIfAny(&chunks, summary.chunks.dead, "dead");
  text += Row("chunks", chunks);

  if (const std::optional<double> hit_rate = summary.cache.hit_rate()) {
    text += Row("cache", {{WithCommas(summary.cache.hits), "found"},
                          {WithCommas(summary.cache.misses), "missed"},
                          {Percent(*hit_rate), "hit rate"}});
  }
  if (context.is_remote) {
    std::vector<Fact> requests = {{WithCommas(summary.provider.requests), "sent"}};
    AddIfAny(&requests, summary.provider.retries, "sent again");
    AddIfAny(&requests, summary.provider.throttled, "throttled");
    text += Row("requests", requests);
    text += Row("tokens", {{Short(static_cast<double>(summary.provider.model_tokens)), "billed"}});
    text += Row("cost", {summary.cost_usd ? Fact{Usd(*summary.cost_usd), ""}
                                          : Fact{"unknown", "no price for this model"}});
    text += Row("bought twice", {{WithCommas(summary.provider.vectors_bought_twice), "at most"}});
    text += Endpoints(summary);
  }
  if (summary.chunks_per_second > 0) {
    text += Row("speed", {{Short(summary.chunks_per_second), "chunks/s"}});
  }
  text += Row("memory", {{Bytes(summary.peak_rss_bytes), "at most"}});
  if (summary.dead_letters > 0) {
    text += Row("dead letters", {{WithCommas(summary.dead_letters), "in the corpus"}});
  }
  return text;
}

std::string NextCommands(const RunSummary& summary, const SummaryContext& context) {
  const std::string corpus = ShellQuoted(context.corpus);
  const bool is_over =
      summary.outcome == RunOutcome::kComplete || summary.outcome == RunOutcome::kPartial;
  std::string text;
  if (summary.dead_letters > 0) {
    text += PadRight("  embedflow dead " + corpus, 34) + "  see what failed\n";
  }
  if (is_over && context.has_index) {
    text += PadRight("  embedflow search " + corpus + " \"...\"", 34) + "  ask it\n";
  } else if (is_over) {
    text += PadRight("  embedflow export " + corpus, 34) + "  get the vectors\n";
  } else {
    text += "To go on, the same command:\n  " + context.command + "\n";
  }
  return text;
}

}  // namespace

std::string SummaryText(const RunSummary& summary, const SummaryContext& context) {
  std::string text;
  for (const std::string& line : Wrap(OutcomeLine(summary, context), kColumnsMax)) {
    text += line + "\n";
  }
  text += "\n";
  if (!(summary.outcome == RunOutcome::kComplete && IsNothingNew(summary))) {
    text += Table(summary, context) + "\n";
  }
  text += NextCommands(summary, context);
  for (const ExitCode& exit : ExitCodes()) {
    if (exit.code == context.exit_code && exit.code != 0) {
      const std::string line = "exit " + std::to_string(exit.code) + ": ";
      for (const std::string& part : Wrap(line + std::string(exit.meaning), kColumnsMax)) {
        text += part + "\n";
      }
    }
  }
  return text;
}

}  // namespace embedflow::cli
