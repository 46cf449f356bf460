#include <array>
#include <cstdio>

#include "cli/commands.h"
#include "cli/format.h"
#include "embedflow/options.h"
#include "embedflow/provider.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

constexpr std::size_t kModelColumns = 40;

std::string Price(const ModelProfile& model) {
  if (!model.usd_per_million_tokens) return "unknown";
  if (*model.usd_per_million_tokens <= 0) return "free";
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.3f", *model.usd_per_million_tokens);
  return text.data();
}

std::string Whole(double value) { return WithCommas(static_cast<std::uint64_t>(value)); }

std::string ProfileText(const Profile& profile) {
  std::string text = profile.name;
  const bool is_in_process = profile.name == "builtin";
  if (is_in_process) {
    text += "   in this process, offline";
  } else {
    text += "   " + (profile.base_url.empty() ? "at --base-url" : OneLine(profile.base_url));
    text += "   " + (profile.api_key_env.empty() ? "no key" : "key in " + profile.api_key_env);
  }
  text += "\n  " + PadRight("MODEL", kModelColumns) + "   DIM   $/M TOKENS  SEEN\n";
  for (const ModelProfile& model : profile.models) {
    text += "  " + PadRight(OneLine(model.model), kModelColumns) +
            PadLeft(std::to_string(model.dimensions), 6) + PadLeft(Price(model), 13) +
            (model.price_seen.empty() || is_in_process ? "" : "  " + model.price_seen) + "\n";
  }
  text += "  a request: " + Count(profile.limits.inputs_max, "text");
  if (profile.limits.model_tokens_max) {
    text += ", " + Count(*profile.limits.model_tokens_max, "token");
  }
  text += ", " + Bytes(profile.limits.body_bytes_max) + "\n";
  if (is_in_process) return text;
  const FlowOptions flow = FlowOptionsFor(profile);
  std::string limits;
  if (flow.requests_per_minute) limits = Whole(*flow.requests_per_minute) + " requests";
  if (flow.model_tokens_per_minute) {
    limits += (limits.empty() ? "" : ", ") + Whole(*flow.model_tokens_per_minute) + " tokens";
  }
  text += "  a minute:  " + (limits.empty() ? "no limits" : limits) + "\n";
  text += "  timeout " + std::to_string(profile.optimization.GetTimeoutSeconds()) + " s, " +
          std::to_string(flow.retries_max) + " retries after " +
          std::to_string(flow.retry_delay.count()) + " ms, " +
          std::to_string(flow.connections_max) + " connections, " +
          (flow.compression_enabled ? "compressed replies" : "plain replies") + "\n";
  return text;
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
  for (const Profile& profile : profiles) text += (text.empty() ? "" : "\n") + ProfileText(profile);
  text += "\nLimits are starting values; your account's may differ.\n";
  return call.End(call.Print(text));
}

}  // namespace embedflow::cli
