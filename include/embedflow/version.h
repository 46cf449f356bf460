// The version of the library, and of what it stands on.
#ifndef EMBEDFLOW_VERSION_H_
#define EMBEDFLOW_VERSION_H_

#include <string>

namespace embedflow {

// "0.1.0". Never null.
const char* Version();
// One line a library that was linked: name and version.
std::string LibraryVersions();

}  // namespace embedflow

#endif  // EMBEDFLOW_VERSION_H_
