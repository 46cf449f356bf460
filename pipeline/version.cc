#include "embedflow/version.h"

#include <oneapi/tbb/version.h>

#include "providers/transport.h"
#include "store/store.h"
#include "vector/index.h"

namespace embedflow {

std::string LibraryVersions() {
  return TransportVersion() + "\n" + StoreVersion() + "\n" + IndexVersion() + "\noneTBB " +
         TBB_runtime_version();
}

}  // namespace embedflow
