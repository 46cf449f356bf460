#include "embedflow/types.h"

namespace embedflow {

std::string Space::name() const {
  std::string name = provider + "/" + model;
  if (!revision.empty()) name += "@" + revision;
  name += "/" + std::to_string(dimensions);
  if (!input_type.empty()) name += "+" + input_type;
  if (!digest.empty()) name += "#" + digest;
  return name;
}

}  // namespace embedflow
