// Uses the public headers only, all of them, and one function of the library.
#include <embedflow/corpus.h>
#include <embedflow/log.h>
#include <embedflow/options.h>
#include <embedflow/pipeline.h>
#include <embedflow/provider.h>
#include <embedflow/search.h>
#include <embedflow/source.h>
#include <embedflow/status.h>
#include <embedflow/text.h>
#include <embedflow/types.h>
#include <embedflow/version.h>

#include <cstdio>

int main() {
  const embedflow::Status status(embedflow::Code::kNotFound, "no such corpus");
  std::printf("%s: %s\n", embedflow::Version(), status.ToString().c_str());
  return status.word() == "not_found" ? 0 : 1;
}
