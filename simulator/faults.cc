#include "simulator/faults.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "embedflow/text.h"
#include "simulator/fault_table.h"
#include "simulator/reply_body.h"

namespace embedflow {
namespace {

constexpr std::size_t kQuotedBytesMax = 80;

Status WrongFault(std::string_view text, const std::string& what) {
  return {Code::kInvalidArgument, "fault " + Printable(text, kQuotedBytesMax) + ": " + what};
}

bool TextHolds(const SimulatorRequest& request, std::string_view part) {
  for (const std::string& text : request.texts) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

// "5%" or "0.05".
std::optional<double> ParseShare(std::string_view text) {
  const bool is_percent = text.ends_with('%');
  if (is_percent) text.remove_suffix(1);
  const std::optional<double> value = ParseFinite(text);
  if (!value) return std::nullopt;
  return is_percent ? *value / 100 : *value;
}

std::optional<std::uint64_t> ParseCount(std::string_view text) {
  const std::optional<double> value = ParseFinite(text);
  if (!value || *value < 1 || *value > 1e15 || *value != std::floor(*value)) return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

// One condition, such as "every=3".
bool ReadCondition(std::string_view name, std::string_view value, SimulatorFault* fault) {
  if (name == "always") return value.empty();
  if (name == "first") {
    const std::optional<std::uint64_t> count = value.empty() ? 1 : ParseCount(value);
    fault->first = count.value_or(0);
    return count.has_value();
  }
  if (name == "every") {
    const std::optional<std::uint64_t> count = ParseCount(value);
    fault->every = count.value_or(0);
    return count.has_value();
  }
  if (name == "random") {
    const std::optional<double> share = ParseShare(value);
    fault->probability = share.value_or(0);
    return share.has_value();
  }
  if (name == "from") {
    const std::size_t dots = value.find("..");
    const std::optional<double> from = ParseFinite(value.substr(0, dots));
    if (!from) return false;
    fault->from_seconds = *from;
    if (dots == std::string_view::npos || dots + 2 == value.size()) return true;
    const std::optional<double> until = ParseFinite(value.substr(dots + 2));
    fault->until_seconds = until.value_or(0);
    return until.has_value();
  }
  if (name == "text") {
    fault->text = value;
    return !value.empty();
  }
  return false;
}

bool IsSameReply(const SimulatorReply& a, const SimulatorReply& b) {
  return a.status == b.status && a.headers == b.headers && a.body == b.body && a.flaw == b.flaw &&
         a.wire == b.wire && a.latency == b.latency && a.closes_after == b.closes_after &&
         a.is_base64 == b.is_base64;
}

}  // namespace

Result<SimulatorFault> ParseSimulatorFault(std::string_view text) {
  SimulatorFault fault;
  // A value may hold colons (an address), so the conditions begin behind the last that one follows.
  std::size_t colon = std::string_view::npos;
  for (const std::string_view word :
       {":always", ":first", ":every=", ":random=", ":from=", ":text="}) {
    colon = std::min(colon, text.find(word));
  }
  const std::string_view head = text.substr(0, colon);
  const std::size_t equals = head.find('=');
  fault.kind = head.substr(0, equals);
  if (equals != std::string_view::npos) {
    fault.value = head.substr(equals + 1);
    if (fault.value.empty()) return WrongFault(text, "nothing stands behind =");
  } else if (ParseCount(fault.kind)) {
    fault.value = std::exchange(fault.kind, "status");
  }
  std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  while (!rest.empty()) {
    const std::size_t comma = rest.starts_with("text=") ? std::string_view::npos : rest.find(',');
    const std::string_view condition = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    const std::size_t sign = condition.find('=');
    const std::string_view value = sign == std::string_view::npos ? "" : condition.substr(sign + 1);
    if (!ReadCondition(condition.substr(0, sign), value, &fault)) {
      return WrongFault(text, Printable(condition, kQuotedBytesMax) +
                                  " is no condition; they are always, first, first=N, every=N, "
                                  "random=P, from=A..B and, last, text=S");
    }
  }
  EF_RETURN_IF_ERROR(ValidateSimulatorFault(fault));
  return fault;
}

Status ValidateSimulatorFault(const SimulatorFault& fault) {
  const SimulatorFaultRow* row = FindSimulatorFaultRow(fault.kind);
  if (row == nullptr) return WrongFault(fault.kind, "there is no such kind");
  const std::string value_name(row->kind.value_name);
  if (!fault.value.empty() && value_name.empty()) {
    return WrongFault(fault.kind, "takes no value");
  }
  const std::string_view value = fault.value.empty() ? row->kind.default_text : fault.value;
  if (value.empty() && !value_name.empty()) {
    return WrongFault(fault.kind, "needs a value: " + fault.kind + "=" + value_name);
  }
  if (row->is_time && !ParseMilliseconds(value)) {
    return WrongFault(fault.kind, "the value must be a time such as 50ms or 2s");
  }
  if (row->value_min) {
    const std::optional<double> number = ParseFinite(value);
    if (!number || *number < *row->value_min || *number > row->value_max) {
      return WrongFault(fault.kind, "the value is out of range");
    }
  }
  for (const char c : fault.value) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return WrongFault(fault.kind, "the value holds a control byte");
    }
  }
  if (!(fault.probability >= 0 && fault.probability <= 1)) {
    return WrongFault(fault.kind, "the probability must be in [0, 1]");
  }
  if (!(fault.from_seconds >= 0 && fault.from_seconds < fault.until_seconds)) {
    return WrongFault(fault.kind, "the time must begin at 0 or later and end after it begins");
  }
  return {};
}

const SimulatorFault* SimulatorFaultPlan::Choose(const SimulatorRequest& request,
                                                 std::uint64_t number, Duration since_first) const {
  const double seconds = std::chrono::duration<double>(since_first).count();
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    const SimulatorFault& fault = faults_[i];
    if (fault.first > 0 && number > fault.first) continue;
    if (fault.every > 0 && number % fault.every != 0) continue;
    if (seconds < fault.from_seconds || seconds >= fault.until_seconds) continue;
    if (!fault.text.empty() && !TextHolds(request, fault.text)) continue;
    if (fault.probability < 1) {
      // Twice, because neighbouring seeds of SplitMix64 begin alike.
      Rng rng(Rng(seed_ + i).Next() ^ number);
      if (Rng(rng.Next()).Uniform() >= fault.probability) continue;
    }
    const SimulatorFaultRow* row = FindSimulatorFaultRow(fault.kind);
    EF_CHECK(row != nullptr);
    if (!FlawApplies(row->flaw, request.shape)) continue;
    return &fault;
  }
  return nullptr;
}

void ApplySimulatorFault(const SimulatorFault& fault, const SimulatorRequest& request,
                         SimulatorReply* reply) {
  const SimulatorFaultRow* row = FindSimulatorFaultRow(fault.kind);
  EF_CHECK(row != nullptr);
  const SimulatorReply right = *reply;
  if (row->flaw != SimulatorFlaw::kNone) reply->flaw = row->flaw;
  if (row->wire != SimulatorWire::kWhole) reply->wire = row->wire;
  if (row->apply != nullptr) {
    row->apply(request, fault.value.empty() ? row->kind.default_text : fault.value, reply);
  }
  if (!IsSameReply(*reply, right)) reply->note = fault.kind;
}

bool IsRightReply(const SimulatorReply& reply) {
  switch (reply.flaw) {
    case SimulatorFlaw::kNone:
    case SimulatorFlaw::kShuffled:
    case SimulatorFlaw::kNoIndex:
    case SimulatorFlaw::kNoUsage:
    case SimulatorFlaw::kOtherModel:
    case SimulatorFlaw::kAbsurdUsage:
      return reply.status == 200 && !reply.body;
    default:
      return false;
  }
}

}  // namespace embedflow
