// Memory of mapped files.
#ifndef EMBEDFLOW_STORE_VECTOR_MAP_H_
#define EMBEDFLOW_STORE_VECTOR_MAP_H_

namespace embedflow {

// Gives the pages of the mapping around `address` back to the system, where it tells which mapping
// that is (Linux); elsewhere does nothing. It must be a shared mapping of a file that is never
// written through it, and must stay where it is during the call: contents are then read again from
// the file when they are touched.
void ReleaseMappingAround(const void* address);

// Where the mapping around `address` begins; null where the system does not tell.
const char* MappingBegin(const void* address);

}  // namespace embedflow

#endif  // EMBEDFLOW_STORE_VECTOR_MAP_H_
