// When a request may leave, so that requests, texts and model tokens a minute are kept: three token
// buckets, and a ramp.
//
// Requests are spaced, not bursty: some providers enforce a minute's limit over windows of one or
// ten seconds (reference: Azure OpenAI). A cost is taken by estimate and settled by the bill. A
// request leaves when its buckets are not in debt and leaves its cost behind as a debt, so that one
// above any bucket's size is let through as well. Besides, what was taken in the last minute is
// remembered: where single requests are large, no 60 s ever hold more than a minute's limit.
// docs/flow_control.md has the formulas.
//
// The state is a plain value, so that it can live in this process or in a file that several share
// (pipeline/shared_allowance.h). Pure arithmetic; time is a parameter.
#ifndef EMBEDFLOW_STAGES_ALLOWANCE_H_
#define EMBEDFLOW_STAGES_ALLOWANCE_H_

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "embedflow/options.h"
#include "embedflow/provider.h"

namespace embedflow {

// What a request uses up.
struct AllowanceCost {
  double requests = 1;  // Or its texts, where those count as requests.
  double inputs = 0;
  double model_tokens = 0;
};

struct AllowanceLimits {
  // A minute. Unset: not limited.
  std::optional<double> requests, inputs, model_tokens;

  static AllowanceLimits Of(const FlowOptions& flow);
  bool operator==(const AllowanceLimits&) const = default;
};

// Trivially copyable: it is written to a shared file as it is. Times are nanoseconds of the
// machine's steady clock.
struct AllowanceState {
  // The last minute in 512 slots; the slot in use and one more keep it a full minute however the
  // times fall.
  static constexpr std::size_t kSlots = 514;
  struct Bucket {
    double per_minute = 0;  // The rate in force; 0: not limited.
    double level = 0;       // What pacing at 99 % of the rate has saved up. Negative: a debt.
    double spacing = 0;     // The same at 99.4 %, but nearly nothing is saved up.
    double unit = 0;        // About the largest of the last costs.
    double told = 0;        // The limit headers told last; 0: none yet.
    double goal = 0;        // The rate allowed by settings and `told`; 0: not limited.
    double ramp = 0;        // The rate that a ramp has reached so far; `per_minute` keeps below.
    double ramp_end = 0;    // The largest goal a ramp was kept for; it grows up to there.
    std::array<float, kSlots> taken{};  // By slot number modulo kSlots.
  };
  std::int64_t updated_ns = 0;
  std::int64_t paused_until_ns = 0;
  std::int64_t ramp_cut_ns = 0;  // When it was last halved; 0: never.
  Bucket requests, inputs, model_tokens;
};

// Threads: not thread-safe; the state is the caller's.
class AllowanceRules {
 public:
  // Limits that are not the user's are a profile's guess, which headers may raise.
  AllowanceRules(const AllowanceLimits& limits, bool limits_are_the_users);

  // The state of an allowance nobody has used yet.
  AllowanceState Fresh(TimePoint now) const;
  // Puts these rules' limits in force in a state that was kept under others: what was used stays
  // used, what headers told stays told, and a ramp stays where it is.
  void Adopt(AllowanceState* state, TimePoint now) const;
  // Takes `cost` if it may leave at `now`. Otherwise takes nothing and returns the earliest time
  // that is worth asking again, after `now`.
  std::optional<TimePoint> Take(AllowanceState* state, const AllowanceCost& cost,
                                TimePoint now) const;
  // Corrects what was taken for one request by what it has really cost.
  void Settle(AllowanceState* state, const AllowanceCost& taken, const AllowanceCost& real,
              TimePoint now) const;
  // Takes in what a reply's headers say. `under_way`: what was sent and not yet answered, which the
  // server may not have counted. A limit below ours lowers the rate, one above raises a rate that
  // is a profile's guess. A remainder below what our own use explains (others use the key as well)
  // is a ceiling of the level; none at all is waited out until its reset. True: a rate is lower now
  // than it was.
  bool Feed(AllowanceState* state, const RateHints& hints, const AllowanceCost& under_way,
            TimePoint now) const;
  // Nothing leaves before `until`. A ramp that was too fast also halves the rates, which grow back
  // by at most half every 15 minutes (OpenAI's rule of thumb). Replies that come within seconds of
  // each other halve them once. `until` is cut to a quarter of an hour from now.
  void Pause(AllowanceState* state, TimePoint until, bool ramp_was_too_fast, TimePoint now) const;

 private:
  const AllowanceLimits limits_;
  const bool limits_are_the_users_;
};

// Tells the user that headers have lowered a rate, which otherwise looks like slowness. `*is_told`
// keeps it to once.
void LogLoweredRate(const AllowanceState& state, bool* is_told);

// One allowance, wherever its state lives.
// Threads: as the implementation says.
class Allowance {
 public:
  virtual ~Allowance() = default;
  virtual std::optional<TimePoint> Take(const AllowanceCost& cost, TimePoint now) = 0;
  virtual void Settle(const AllowanceCost& taken, const AllowanceCost& real, TimePoint now) = 0;
  virtual void Feed(const RateHints& hints, const AllowanceCost& under_way, TimePoint now) = 0;
  virtual void Pause(TimePoint until, bool ramp_was_too_fast, TimePoint now) = 0;
};

// In this process. Threads: not thread-safe.
class LocalAllowance final : public Allowance {
 public:
  LocalAllowance(const AllowanceLimits& limits, bool limits_are_the_users, TimePoint now);
  std::optional<TimePoint> Take(const AllowanceCost& cost, TimePoint now) override;
  void Settle(const AllowanceCost& taken, const AllowanceCost& real, TimePoint now) override;
  void Feed(const RateHints& hints, const AllowanceCost& under_way, TimePoint now) override;
  void Pause(TimePoint until, bool ramp_was_too_fast, TimePoint now) override;

 private:
  const AllowanceRules rules_;
  AllowanceState state_;
  bool is_lowered_rate_told_ = false;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_STAGES_ALLOWANCE_H_
