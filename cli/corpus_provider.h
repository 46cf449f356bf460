// Which provider a command on a corpus uses: the one that a space was made with, but for what the
// command line says.
#ifndef EMBEDFLOW_CLI_CORPUS_PROVIDER_H_
#define EMBEDFLOW_CLI_CORPUS_PROVIDER_H_

#include <string>

#include "cli/options.h"
#include "embedflow/corpus.h"

namespace embedflow::cli {

// True if an option speaks of the provider.
bool SpeaksOfProvider(const Arguments& arguments);

// What `arguments` give, over what the newest space that fits them was made with. A provider of no
// space of the corpus is made of `arguments` alone. Errors: usage; those of the corpus.
Result<ProviderOptions> ProviderOptionsFor(const Arguments& arguments, Corpus& corpus);

}  // namespace embedflow::cli

#endif  // EMBEDFLOW_CLI_CORPUS_PROVIDER_H_
