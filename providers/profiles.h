// The rows of the profile table, each with the dialect it is spoken to in.
#ifndef EMBEDFLOW_PROVIDERS_PROFILES_H_
#define EMBEDFLOW_PROVIDERS_PROFILES_H_

#include <string_view>
#include <vector>

#include "embedflow/provider.h"
#include "providers/dialect.h"

namespace embedflow {

// Builds Profiles(). Where the numbers come from: docs/providers.md.
std::vector<Profile> MakeProfiles();

// The dialect of the profile `name` at `base_url`; null for the in-process provider. Ollama and
// text-embeddings-inference are spoken to as OpenAI where the address ends in /v1.
const DialectInfo* FindDialect(std::string_view name, std::string_view base_url);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_PROFILES_H_
