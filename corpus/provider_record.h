// How the provider of a space was made, as the space remembers it. Never a key.
#ifndef EMBEDFLOW_CORPUS_PROVIDER_RECORD_H_
#define EMBEDFLOW_CORPUS_PROVIDER_RECORD_H_

#include <string>
#include <vector>

#include "embedflow/provider.h"
#include "store/store.h"

namespace embedflow {

// Fills base_url, api_key_env and options of `*space`.
void RecordProvider(const ProviderOptions& options, SpaceRecord* space);
// What makes a provider of the space again, for documents. Errors: kCorruption.
Result<ProviderOptions> RecordedProvider(const SpaceRecord& space);

// Where in `spaces`, which is not empty, the newest complete space is: one that has all of
// `documents`. If there is none, the one with most of them, of several the newest.
std::size_t DefaultSpace(const std::vector<SpaceRecord>& spaces, std::uint64_t documents);
// The space of that name; the default one for an empty name. Errors: kNotFound.
Result<SpaceRecord> PickSpace(StoreReader& reader, const std::string& name);

}  // namespace embedflow

#endif  // EMBEDFLOW_CORPUS_PROVIDER_RECORD_H_
