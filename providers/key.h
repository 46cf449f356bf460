// Reads API keys. A key never comes from an argument, where every user of the machine could read
// it.
#ifndef EMBEDFLOW_PROVIDERS_KEY_H_
#define EMBEDFLOW_PROVIDERS_KEY_H_

#include <string>

#include "embedflow/status.h"

namespace embedflow {

// One trailing newline is dropped; what is left must be 1 to 4096 bytes in 0x21 to 0x7E, so that no
// newline can add a header. The key is registered with the redactor before it is returned.
// Errors: kRefused ("key_missing") when there is none, kInvalidArgument ("key_malformed"). Messages
// hold no byte of the key.
Result<std::string> ReadKeyFromEnvironment(const std::string& variable);
// The same from a file, which nobody but its owner may be able to read: kInvalidArgument
// ("key_file_readable_by_others").
Result<std::string> ReadKeyFromFile(const std::string& path);

}  // namespace embedflow

#endif  // EMBEDFLOW_PROVIDERS_KEY_H_
