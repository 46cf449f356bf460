#include <faiss/Index.h>

#include <string>

#include "vector/index.h"

namespace embedflow {

std::string IndexVersion() {
  return "FAISS " + std::to_string(FAISS_VERSION_MAJOR) + "." +
         std::to_string(FAISS_VERSION_MINOR) + "." + std::to_string(FAISS_VERSION_PATCH);
}

}  // namespace embedflow
