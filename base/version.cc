#include "embedflow/version.h"

namespace embedflow {

const char* Version() { return EMBEDFLOW_VERSION; }

}  // namespace embedflow
