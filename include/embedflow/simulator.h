// A provider on loopback that keeps limits, takes its time and goes wrong on demand, for tests of
// whatever talks to an embeddings API. docs/simulate.md is its guide, `embedflow simulate` its
// program.
//
//   SimulatorOptions options;
//   options.limits.rpm = 600;
//   EF_ASSIGN_OR_RETURN(SimulatorFault fault, ParseSimulatorFault("nan:random=5%"));
//   options.faults.push_back(fault);
//   EF_ASSIGN_OR_RETURN(std::unique_ptr<Simulator> server, Simulator::Start(options));
//   ... base URL: server->base_url(), what came of it: server->stats()
//
// The vector of a text is a function of the text and the number of dimensions alone, in every
// dialect: SimulatedVector(). So a test knows what must have been stored.
#ifndef EMBEDFLOW_SIMULATOR_H_
#define EMBEDFLOW_SIMULATOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "embedflow/status.h"

namespace embedflow {

// Whose words /v1/embeddings speaks, in replies, errors, headers and limits. A path that only one
// provider has (/v2/embed, /api/embed, ...) is answered in that provider's words whatever is set.
enum class SimulatorDialect {
  kOpenAi,
  kAzure,
  kMistral,
  kCohere,
  kVoyage,
  kGemini,
  kJina,
  kOllama,
  kTei,
  kLlamaCpp,
};
// "openai", "azure", ... in the order above.
const std::vector<std::string_view>& SimulatorDialectNames();
std::optional<SimulatorDialect> FindSimulatorDialect(std::string_view name);

// The unit vector for `text`: x_i = 2u_i - 1 divided by the vector's length, where u_i in [0, 1)
// are the upper 53 bits of the values of SplitMix64, begun at the XXH3-64 of the text with
// `dimensions` as its seed. `dimensions` must be positive.
std::vector<float> SimulatedVector(std::string_view text, int dimensions);

// How long a request takes.
struct SimulatorLatency {
  enum class Kind {
    kConstant,   // `first_ms`.
    kUniform,    // Between `first_ms` and `second`.
    kLogNormal,  // Median `first_ms`, and `second` the deviation of its logarithm.
    kLinear,     // `first_ms`, and `second` milliseconds for each token.
  };
  Kind kind = Kind::kConstant;
  double first_ms = 0;
  double second = 0;
};
// Reads "50ms", "uniform:20ms..80ms", "lognormal:50ms,0.5" or "linear:10ms,0.02ms". Errors:
// kInvalidArgument.
Result<SimulatorLatency> ParseSimulatorLatency(std::string_view text);

// From one second to another after the first request everything takes `factor` times as long.
struct SimulatorSlowDown {
  double from_seconds = 0;
  double until_seconds = 0;
  double factor = 1;
};
// Reads "10..20:3". Errors: kInvalidArgument.
Result<SimulatorSlowDown> ParseSimulatorSlowDown(std::string_view text);

// Over which time a minute's limits are held.
enum class SimulatorWindow {
  kSliding60,  // No 60 seconds, wherever they begin, hold more.
  kFixed60,    // Counted anew every 60 seconds from the first request on.
  kSliding10,  // As kSliding60, and no 10 seconds hold more than a sixth of the requests.
  kSliding1,   // As kSliding60, and no second holds more than a sixtieth of the requests.
  kBucket,     // A bucket of a minute's allowance, full at first, that fills evenly.
};
// "sliding-60s", "fixed-60s", "10s", "1s", "bucket", in the order above.
const std::vector<std::string_view>& SimulatorWindowNames();
std::optional<SimulatorWindow> FindSimulatorWindow(std::string_view name);

struct SimulatorLimits {
  std::optional<double> rpm;  // Requests a minute, above 0. Unset: no limit.
  std::optional<double> tpm;  // Tokens a minute, above 0. Unset: no limit.
  SimulatorWindow window = SimulatorWindow::kSliding60;
  bool refused_count = false;  // Whether what gets a 429 uses the allowance too.
  // Of one request. Unset: the dialect's, as its provider documents it; 0: none.
  std::optional<std::uint64_t> inputs_max;
  std::optional<std::uint64_t> request_tokens_max;
  std::optional<std::uint64_t> input_tokens_max;
  std::optional<std::uint64_t> body_bytes_max;
  // Requests worked on at once; others wait in line. 0: no limit.
  std::uint64_t capacity = 0;
  // Most requests in that line; what comes then is refused. Unset: no limit.
  std::optional<std::uint64_t> pending_max;
};

// What goes wrong, and when. Conditions that are set must all hold; none set means always.
struct SimulatorFault {
  std::string kind;             // A name from SimulatorFaultKinds().
  std::string value;            // What the kind takes; empty: its default.
  std::uint64_t first = 0;      // Only the first so many requests; 0: no condition.
  std::uint64_t every = 0;      // Only every so many-th request; 0: no condition.
  double probability = 1;       // In [0, 1], drawn from the seed and the request's number.
  double from_seconds = 0;      // After the first request.
  double until_seconds = 1e18;  // After the first request.
  std::string text;             // Only requests with a text that holds this; empty: no condition.
};
// Reads "KIND[=VALUE][:WHEN]", where WHEN is "always", or one or more of "first", "first=N",
// "every=N", "random=P", "from=A..B" and, last, "text=S", with commas between. Errors:
// kInvalidArgument, naming what is wrong.
Result<SimulatorFault> ParseSimulatorFault(std::string_view text);

struct SimulatorFaultKind {
  std::string_view name;
  std::string_view group;         // "status", "body", "vector", "wire".
  std::string_view value_name;    // "SECONDS"; empty: takes no value.
  std::string_view default_text;  // The value where none is given; empty: one must be, or none is.
  std::string_view line;          // What it does.
};
// All kinds, by group.
const std::vector<SimulatorFaultKind>& SimulatorFaultKinds();

struct SimulatorOptions {
  // Behaviour.
  SimulatorDialect dialect = SimulatorDialect::kOpenAi;
  std::uint16_t port = 0;  // 0: any free one.
  // Of vectors where a request does not ask, in [1, 65,536]. Unset: the model's where it is known,
  // else 1,536.
  std::optional<int> dimensions;
  std::uint64_t seed = 1;  // Of everything that is drawn.
  bool requires_key = false;
  SimulatorLatency latency;
  std::vector<SimulatorSlowDown> slow_downs;
  std::vector<SimulatorFault> faults;  // Of several that fall on one request the first acts.
  // Limits.
  SimulatorLimits limits;
  // Records.
  std::string ledger_path;    // JSON Lines, appended; empty: none. docs/simulate.md has the fields.
  bool ledger_texts = false;  // Texts themselves in place of their SHA-256.

  // Names the first field that is out of range.
  Status Validate() const;
};

// Changes in `options` what the TOML file at `path` says (docs/simulate.md). Unknown keys are
// errors; faults and slow-downs are added. Errors: kInvalidArgument with file and line, kIo.
Status ReadSimulatorScenario(const std::string& path, SimulatorOptions* options);

// What has happened so far.
struct SimulatorStats {
  std::uint64_t requests = 0;         // For embeddings, whole ones.
  std::uint64_t answered = 0;         // With status 200, whole and right.
  std::uint64_t connections = 0;      // That a request came over.
  std::uint64_t texts_received = 0;   // As often as they came.
  std::uint64_t texts_answered = 0;   // In answered requests, as often as they were.
  std::uint64_t texts_distinct = 0;   // Different (text, model, dimensions) received.
  std::uint64_t texts_repeated = 0;   // Of those, answered more than once.
  std::uint64_t tokens_received = 0;  // By bytes / 4.
  std::uint64_t tokens_answered = 0;
  std::uint64_t throttled = 0;                  // 429s for rpm or tpm.
  std::uint64_t overloaded = 0;                 // Refused because the line was full.
  std::uint64_t refused = 0;                    // For what was asked: size, form, key, path.
  std::map<std::string, std::uint64_t> faults;  // By kind, how often it acted.
  std::map<int, std::uint64_t> statuses;        // By status sent; 0: none.
  std::uint64_t concurrency_max = 0;            // Requests inside at once, in line or worked on.
  double busy_seconds = 0;                      // From the first request to the last.
  // Shares of what the limits allow over the time in which requests were admitted; unset without a
  // limit, and over less than a second.
  std::optional<double> requests_allowance_used;
  std::optional<double> tokens_allowance_used;

  // One object, without line ends.
  std::string ToJson() const;
};

// A running simulator. Owns its threads: one that accepts, one a connection, of which there are at
// most 1,024. Listens on 127.0.0.1 only.
// Threads: may be called from any.
class Simulator {
 public:
  // Errors: kInvalidArgument; "port_in_use"; kIo for the ledger.
  static Result<std::unique_ptr<Simulator>> Start(const SimulatorOptions& options);
  // Ends connections and whatever waits on them.
  ~Simulator();
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  int port() const;
  std::string base_url() const;  // "http://127.0.0.1:PORT/v1".
  SimulatorStats stats() const;
  // Not OK once the ledger could not be written; requests are answered all the same.
  Status ledger_status() const;

 private:
  class Impl;
  explicit Simulator(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_H_
