// Damaged files are never deleted: they get another name, which no command looks at.
#ifndef EMBEDFLOW_STORE_SET_ASIDE_H_
#define EMBEDFLOW_STORE_SET_ASIDE_H_

#include <string>

#include "embedflow/status.h"

namespace embedflow {

// The first of "<path>.damaged", "<path>.damaged.2", ... that nothing has.
std::string FreeDamagedName(const std::string& path);
// Gives the file `path` the second name `name`; it keeps its own. OK if there is no such file.
// Errors: kIo.
Status AlsoName(const std::string& path, const std::string& name);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_SET_ASIDE_H_
