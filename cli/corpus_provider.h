// Which provider a command on a corpus uses: the one that a space was made with, but for what the
// command line says.
#ifndef EMBEDFLOW_CLI_CORPUS_PROVIDER_H_
#define EMBEDFLOW_CLI_CORPUS_PROVIDER_H_

#include <string>
#include <vector>

#include "cli/options.h"
#include "embedflow/corpus.h"

namespace embedflow::cli {

// True if an option speaks of the provider.
bool SpeaksOfProvider(const Arguments& arguments);

// What `arguments` give, over what the newest space that fits them was made with. If none fits, a
// further model of the newest space's provider, or of the one that is named. Errors: usage; those
// of the corpus.
Result<ProviderOptions> ProviderOptionsFor(const Arguments& arguments, Corpus& corpus);
// The same among `spaces` only, by name. Errors: also kNotFound if none of them fits.
Result<ProviderOptions> ProviderOptionsAmong(const Arguments& arguments, Corpus& corpus,
                                             const std::vector<std::string>& spaces);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_CORPUS_PROVIDER_H_
