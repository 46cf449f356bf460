#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace embedflow {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr,
               "embedflow: internal error: %s does not hold (%s:%d); kept: everything "
               "acknowledged; next: run the "
               "same command again and report this line\n",
               condition, file, line);
  std::abort();
}

}  // namespace embedflow
