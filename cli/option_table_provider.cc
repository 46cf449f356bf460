// The rows of the option table about the far side of the wire. Every one of them stands for a field
// of ProviderOptions or FlowOptions; docs/optimization.md says when to touch it.
#include "cli/option_row.h"

namespace embedflow::cli {
namespace {

Row Truth(std::string_view name, std::string_view group, std::string_view line) {
  return Choice(name, "BOOL", kRuns, group, line, {"true", "false"});
}

std::vector<Row> Provider() {
  return {
      Integer("--dimensions", "N", kRuns, "Provider", "numbers in a vector", 1, 65536)
          .More("Must be given for a model that the profile does not know. Another "
                "number makes another space in the same corpus; they never mix.")
          .Default("the model's"),
      Text("--api-key-env", "NAME", kIngest, "Provider", "variable that holds the key, or none")
          .More("A key is never an argument, and appears in no log, error or file.")
          .Default("the profile's"),
      Text("--api-key-file", "FILE", kIngest, "Provider", "file that holds the key"),
      Choice("--auth", "KIND", kRuns | kSearch, "Provider", "how the key is sent",
             {"profile", "bearer"})
          .More("bearer sends it as Authorization: Bearer, as Azure wants for Entra "
                "tokens.")
          .Default("profile"),
      Text("--api-endpoint", "PATH", kRuns | kSearch, "Provider", "path after --base-url")
          .Default("the dialect's"),
      Text("--api-version", "V", kRuns | kSearch, "Provider", "of Azure's classic deployments")
          .Default("the profile's"),
      Text("--output-dtype", "TYPE", kRuns | kSearch, "Provider",
           "float, int8, ... where the model has it")
          .More("Another type makes another space.")
          .Default("float"),
      Text("--parameters", "JSON", kRuns | kSearch, "Provider",
           "object added to every request's body")
          .More("Other parameters make another space."),
  };
}

std::vector<Row> Limits() {
  return {
      Integer("--max-batch-size", "N", kRuns, "Limits", "most texts in a request", 1, 1'000'000)
          .Default("the profile's"),
      Number("--rate-limit-rpm", "N", kRuns, "Limits", "requests a minute", 0, 1e9)
          .More("Requests leave evenly spaced, never in a burst.")
          .Default("the profile's")
          .AboveMin(),
      Number("--rate-limit-tpm", "N", kRuns, "Limits", "tokens a minute", 0, 1e12)
          .Default("the profile's")
          .AboveMin(),
      Number("--inputs-per-minute", "N", kRuns, "Limits", "texts a minute", 0, 1e12)
          .Default("the profile's")
          .AboveMin(),
      Truth("--share-limits", "Limits", "keep them together with other processes")
          .More("Processes of this machine that use the same key at the same place keep "
                "the limits a minute together.")
          .Default("true"),
      Integer("--max-concurrency", "N", kRuns, "Limits", "requests in flight at once", 1, 1024)
          .More("More than --connection-pool-size open as many connections. For builtin: "
                "batches computed at once.")
          .Default("the pool's size, or the cores"),
      Truth("--adaptive-concurrency", "Limits", "find how many the server takes best")
          .More("Up to --max-concurrency, by how long replies take. false: always as many.")
          .Default("true"),
  };
}

std::vector<Row> Retries() {
  return {
      Number("--timeout-seconds", "N", kRuns, "Retries", "of a whole request", 0.001, 3600)
          .Unit("seconds")
          .Default("the profile's"),
      Integer("--max-retries", "N", kRuns, "Retries", "after the first attempt", 0, 100)
          .Default("the profile's"),
      Integer("--retry-delay-ms", "N", kRuns, "Retries", "before the first retry", 0, 60'000)
          .More("Doubles with every retry, up to 60 seconds.")
          .Unit("milliseconds")
          .Default("the profile's"),
      Choice("--jitter", "KIND", kRuns, "Retries", "full or none", {"full", "none"})
          .More("full waits a random part of the delay, so that many clients do not come "
                "back at once; none waits exactly the delay.")
          .Default("full"),
      Number("--item-deadline-seconds", "N", kRuns, "Retries", "of a text over all its attempts",
             0.001, 86'400)
          .More("From the first attempt to the last, with the waits between. What the limits a "
                "minute hold back, or a throttle asks for, does not count.")
          .Unit("seconds")
          .Default("what all attempts and waits take at most"),
      Truth("--enable-circuit-breaker", "Retries", "leave a failing server alone for a while")
          .Default("the profile's"),
      Text("--circuit-breaker", "F/S/T/H", kRuns, "Retries", "when it opens and closes")
          .More("F failures in a row open it, for T seconds; then H probes may be out at "
                "once, and S successes close it. Switches it on.")
          .Default("the profile's, or 5/2/30/3"),
  };
}

std::vector<Row> Connections() {
  return {
      Integer("--connection-pool-size", "N", kRuns, "Connections", "connections kept open", 1, 1024)
          .More("So many requests are in flight as well, unless --max-concurrency says "
                "otherwise.")
          .Default("the profile's"),
      Number("--connect-timeout-seconds", "N", kRuns, "Connections", "to connect", 0.001, 600)
          .Unit("seconds")
          .Default("10"),
      Number("--stall-timeout-seconds", "N", kRuns, "Connections", "gives up a reply that trickles",
             0.001, 3600)
          .More("A reply slower than 1 byte a second for so long. It must be longer than "
                "the server honestly thinks.")
          .Unit("seconds")
          .Default("none: --timeout-seconds decides"),
      Truth("--compression-enabled", "Connections", "ask for compressed replies")
          .Default("the profile's"),
      Truth("--request-gzip", "Connections", "compress requests")
          .More("A server that refuses one gets plain ones from then on. Most servers "
                "do not read them; docs/optimization.md says which do.")
          .Default("false"),
      Integer("--compression-threshold-bytes", "N", kRuns, "Connections",
              "smaller requests stay plain", 0, 1'073'741'824)
          .Unit("bytes")
          .Default("the profile's"),
      Truth("--http2", "Connections", "HTTP/2 where the server has it; over TLS only")
          .Default("false"),
      Truth("--enable-metrics", "Connections", "latencies and waits in the summary")
          .Default("the profile's"),
  };
}

std::vector<Row> FurtherEndpoints() {
  return {
      Text("--fallback", "SPEC", kRuns, "Further endpoints", "serves while those before cannot")
          .More("SPEC is a provider's name, then options of the groups Provider, Limits, "
                "Retries and Connections, and --base-url and --model, without dashes in "
                "front: azure,base-url=https://x.openai.azure.com,max-concurrency=4. "
                "What is not given is that profile's; model, dimensions, parameters and "
                "output-dtype are the first provider's. Only vectors of the same space "
                "are accepted, which a few texts prove before anything is bought.")
          .Repeatable(),
      Text("--replica", "SPEC", kRuns, "Further endpoints", "serves along, by health")
          .More("As --fallback, but from the beginning.")
          .Repeatable(),
      Text("--config", "FILE", kRuns, "Common", "TOML; the command line wins over it")
          .More("Keys are the long names of options. [optimization] and [model] hold "
                "the fields of docs/optimization.md. Unknown keys are errors."),
  };
}

}  // namespace

std::vector<Row> ProviderRows() {
  std::vector<Row> all;
  for (auto rows : {Provider(), Limits(), Retries(), Connections(), FurtherEndpoints()}) {
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

}  // namespace embedflow::cli
