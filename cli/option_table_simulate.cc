// The rows of the option table about the simulator. docs/simulate.md is its guide.
#include "cli/option_row.h"
#include "embedflow/simulator.h"

namespace embedflow::cli {
namespace {

std::vector<Row> Server() {
  return {
      Integer("--port", "N", kSimulate, "Server", "where to listen; 0 is any free port", 0, 65535)
          .Default("0")
          .Everyday(),
      Choice("--dialect", "NAME", kSimulate, "Server", "whose words /v1/embeddings speaks",
             SimulatorDialectNames())
          .More("Paths that only one provider has (/v2/embed, /api/embed, /embed, "
                ":batchEmbedContents, /openai/...) speak that provider's words anyway. "
                "Limits on the size of a request are the dialect's unless given.")
          .Default("openai")
          .Everyday(),
      Integer("--dimensions", "N", kSimulate, "Server", "where a request asks for none", 1, 65536)
          .Default("the model's, or 1536")
          .Everyday(),
      Integer("--seed", "N", kSimulate, "Server", "of all that is drawn", 0, 9.0e15).Default("1"),
      Flag("--require-key", kSimulate, "Server", "401 without the dialect's key header"),
      Text("--scenario", "FILE", kSimulate, "Server", "TOML with any of these options")
          .More("Options on the command line come after it; faults and slow-downs are "
                "added to its own.")
          .Everyday(),
      Text("--latency", "TIME", kSimulate, "Time", "50ms, uniform:20ms..80ms, ...")
          .More("Also lognormal:50ms,0.5 (median, deviation of the logarithm) and "
                "linear:10ms,0.02ms (for the request, for each token).")
          .Default("0ms")
          .Everyday(),
      Text("--slow", "A..B:F", kSimulate, "Time", "from second A to B F times as slow; repeatable")
          .Repeatable(),
      Integer("--capacity", "N", kSimulate, "Time", "worked on at once; others wait in line", 1,
              1'000'000)
          .Default("no limit")
          .Everyday(),
      Integer("--max-pending", "N", kSimulate, "Time", "longest line; then 503", 0, 1'000'000)
          .Default("no limit"),
  };
}

std::vector<Row> LimitsAndFaults() {
  return {
      Number("--limit-rpm", "N", kSimulate, "Limits", "requests a minute; then 429", 1, 1e12)
          .Default("no limit")
          .Everyday(),
      Number("--limit-tpm", "N", kSimulate, "Limits", "tokens a minute, of 4 bytes each", 1, 1e12)
          .Default("no limit")
          .Everyday(),
      Choice("--limit-window", "KIND", kSimulate, "Limits", "over which time they are held",
             SimulatorWindowNames())
          .More("sliding-60s: no 60 seconds hold more. fixed-60s: counted anew every 60 "
                "seconds. 10s and 1s: as sliding-60s, and besides no 10 seconds, or no "
                "second, hold more than their share of the requests. bucket: a minute's "
                "allowance at first, then it fills evenly.")
          .Default("sliding-60s")
          .Everyday(),
      Flag("--limit-counts-refused", kSimulate, "Limits", "a 429 uses a request up too"),
      Integer("--max-inputs", "N", kSimulate, "Limits", "texts in a request; 0 is any number", 0,
              1e9)
          .Default("the dialect's"),
      Integer("--max-request-tokens", "N", kSimulate, "Limits", "tokens in a request; 0: any", 0,
              1e12)
          .Default("the dialect's"),
      Integer("--max-input-tokens", "N", kSimulate, "Limits", "tokens in a text; 0: any", 0, 1e12)
          .More("What is longer is refused, or cut in silence where the provider cuts "
                "and the request does not forbid it.")
          .Default("the dialect's"),
      Integer("--max-body-bytes", "N", kSimulate, "Limits", "bytes in a request; 0: any", 0, 1e12)
          .Default("the dialect's"),
      Text("--fault", "KIND[:WHEN]", kSimulate, "Faults", "what goes wrong, and when; repeatable")
          .More("KIND is a name from --list-faults, with =VALUE where it takes one; a "
                "number is a status. WHEN is always, first, first=N, every=N, random=P, "
                "from=A..B (seconds after the first request) or text=S, or several with "
                "commas between, text=S last. Of several faults the first that fits acts.")
          .Default("none")
          .Repeatable()
          .Everyday(),
      Flag("--list-faults", kSimulate, "Faults", "print the kinds of faults and end").Everyday(),
      Text("--ledger", "FILE", kSimulate, "Output", "a line of JSON for each request, appended")
          .More("Never holds a key.")
          .Everyday(),
      Flag("--ledger-texts", kSimulate, "Output", "texts in it, in place of their SHA-256"),
  };
}

}  // namespace

std::vector<Row> SimulateRows() {
  std::vector<Row> rows = Server();
  for (Row& row : LimitsAndFaults()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace embedflow::cli
