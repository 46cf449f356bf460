#include "cli/commands.h"

#include <memory>

#include "cli/display.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "cli/suggest.h"
#include "embedflow/text.h"

namespace embedflow::cli {

int Invocation::End(const Status& status, int signal) const {
  const int code = ExitCodeOf(status, signal);
  if (!status.ok() && !IsPipeClosed(status)) WriteToStderr(ErrorText(status, code, json, err));
  return code;
}

Status Invocation::Print(std::string_view text) const {
  const std::unique_ptr<Output> output = Output::Standard();
  EF_RETURN_IF_ERROR(output->Write(text));
  return output->Commit();
}

Status CheckProviderName(const std::string& name) {
  if (FindProfile(name) != nullptr) return {};
  std::vector<std::string_view> names;
  for (const Profile& profile : Profiles()) names.push_back(profile.name);
  return UsageError("there is no provider " + Printable(name, 60) + SimilarOne(name, names),
                    "embedflow providers lists them");
}

}  // namespace embedflow::cli
