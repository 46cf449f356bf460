#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "cli/commands.h"
#include "cli/format.h"
#include "embedflow/options.h"
#include "embedflow/provider.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kModelColumns = 39;
constexpr std::size_t kLineColumns = 78;

std::string Price(const ModelProfile& model) {
  if (!model.usd_per_million_tokens) return "unknown";
  if (*model.usd_per_million_tokens <= 0) return "free";
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.3f", *model.usd_per_million_tokens);
  return text.data();
}

std::string Whole(double value) { return WithCommas(static_cast<std::uint64_t>(value)); }

// `text` under `head`, in lines that begin below each other.
std::string Labelled(const std::string& head, const std::string& text) {
  std::string out;
  for (const std::string& line : Wrap(text, kLineColumns - head.size())) {
    out += (out.empty() ? head : std::string(head.size(), ' ')) + line + "\n";
  }
  return out;
}

// What a text says of several models: "320,000 tokens with voyage-4, voyage-3.5".
class Groups {
 public:
  void Add(const std::string& what, const std::string& model) {
    const auto at = std::find_if(groups_.begin(), groups_.end(),
                                 [&](const auto& group) { return group.first == what; });
    if (at != groups_.end()) {
      at->second += ", " + model;
    } else {
      groups_.emplace_back(what, model);
    }
  }
  std::string Text() const {
    std::string text;
    for (const auto& [what, models] : groups_) {
      if (!text.empty()) text += "; ";
      text += what;
      text += " with ";
      text += models;
    }
    return text;
  }

 private:
  std::vector<std::pair<std::string, std::string>> groups_;
};

std::string OtherLengths(const ModelProfile& model) {
  if (model.dimensions_max > 0) return "up to " + std::to_string(model.dimensions_max);
  std::string text;
  for (const int length : model.dimensions_list) {
    text += (text.empty() ? "" : ", ") + std::to_string(length);
  }
  return text;
}

std::string ModelsText(const Profile& profile) {
  std::string text = "  " + PadRight("MODEL", kModelColumns) + PadLeft("DIM", 6) +
                     PadLeft("TEXT MAX", 10) + PadLeft("$/M", 9) + "  SEEN\n";
  Groups lengths;
  for (const ModelProfile& model : profile.models) {
    const std::string name = OneLine(model.model);
    const std::string longest = model.text_tokens_max ? WithCommas(*model.text_tokens_max) : "-";
    text += "  " + PadRight(name, kModelColumns) + PadLeft(std::to_string(model.dimensions), 6) +
            PadLeft(longest, 10) + PadLeft(Price(model), 9) +
            (model.price_seen.empty() ? "" : "  " + model.price_seen) + "\n";
    if (const std::string others = OtherLengths(model); !others.empty()) lengths.Add(others, name);
  }
  const std::string others = lengths.Text();
  return others.empty() ? text : text + Labelled("  --dimensions  ", others);
}

bool HasModelsOf(const Profile& profile, const Profile& other) {
  return std::equal(profile.models.begin(), profile.models.end(), other.models.begin(),
                    other.models.end(), [](const ModelProfile& a, const ModelProfile& b) {
                      return a.model == b.model && a.dimensions == b.dimensions;
                    });
}

std::string RequestText(const Profile& profile) {
  std::string text = Count(profile.limits.inputs_max, "text");
  if (profile.limits.model_tokens_max) {
    text += ", " + Count(*profile.limits.model_tokens_max, "token");
  }
  text += ", " + Bytes(profile.limits.body_bytes_max);
  Groups own;
  for (const ModelProfile& model : profile.models) {
    if (model.request_tokens_max && model.request_tokens_max != profile.limits.model_tokens_max) {
      own.Add(Count(*model.request_tokens_max, "token"), OneLine(model.model));
    }
  }
  const std::string others = own.Text();
  return Labelled("  a request     ", others.empty() ? text : text + "; " + others);
}

std::string FlowText(const Profile& profile) {
  const FlowOptions flow = FlowOptionsFor(profile);
  std::string limits;
  const auto add = [&limits](const std::optional<double>& value, const std::string& what) {
    if (value) limits += (limits.empty() ? "" : ", ") + Whole(*value) + " " + what;
  };
  add(flow.requests_per_minute,
      flow.inputs_count_as_requests ? "requests (each text counts as one)" : "requests");
  add(flow.inputs_per_minute, "texts");
  add(flow.model_tokens_per_minute, "tokens");
  std::string pool = Count(flow.connections_max, "connection");
  if (flow.requests_in_flight_max) {
    pool += ", " + Count(*flow.requests_in_flight_max, "request") + " at once";
  }
  pool += flow.compression_enabled ? ", compressed replies" : ", plain replies";
  if (profile.request_gzip == Profile::RequestGzip::kNo) pool += ", never compressed requests";
  const std::string retries =
      flow.retries_max == 1 ? "1 retry" : std::to_string(flow.retries_max) + " retries";
  return Labelled("  a minute      ", limits.empty() ? "no limits" : limits) +
         Labelled("  patience      ",
                  "timeout " + std::to_string(profile.optimization.GetTimeoutSeconds()) + " s, " +
                      retries + " after " + std::to_string(flow.retry_delay.count()) + " ms") +
         Labelled("  wire          ", pool);
}

// `shown` are the profiles above this one.
std::string ProfileText(const Profile& profile, std::span<const Profile> shown) {
  const bool is_in_process = profile.name == "builtin";
  std::string text = profile.name + "   " + OneLine(profile.about) + "\n";
  if (!is_in_process) {
    std::string where = profile.base_url.empty() ? "at --base-url" : OneLine(profile.base_url);
    where += profile.api_key_env.empty() ? ", no key" : ", key in " + profile.api_key_env;
    if (!profile.api_version.empty()) where += ", version " + profile.api_version;
    text += Labelled("  where         ", where);
  }
  const auto same = std::find_if(shown.begin(), shown.end(),
                                 [&](const Profile& other) { return HasModelsOf(profile, other); });
  const std::string must = profile.is_model_required ? "named with --model; " : "";
  if (same != shown.end()) {
    text += Labelled("  models        ", must + "known are those of " + same->name);
  } else {
    if (!must.empty()) text += Labelled("  models        ", must + "known are");
    text += ModelsText(profile);
  }
  text += RequestText(profile);
  return is_in_process ? text : text + FlowText(profile);
}

}  // namespace

int ShowProviders(const Invocation& call) {
  std::vector<Profile> profiles = Profiles();
  if (!call.arguments.positionals().empty()) {
    const std::string& name = call.arguments.positionals()[0];
    const Status status = CheckProviderName(name);
    if (!status.ok()) return call.End(status);
    profiles = {*FindProfile(name)};
  }
  if (call.json) return call.End(call.Print(ToJson(profiles) + "\n"));
  std::string text;
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    text += (text.empty() ? "" : "\n") + ProfileText(profiles[i], std::span(profiles).first(i));
  }
  text +=
      "\nLimits are starting values; your account's may differ. TEXT MAX is in tokens,\n"
      "$/M what a million of them cost, SEEN when that was. docs/providers.md has more.\n";
  return call.End(call.Print(text));
}

}  // namespace embedflow::cli
