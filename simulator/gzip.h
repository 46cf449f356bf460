// gzip streams, sound and hostile, without a compressor.
#ifndef EMBEDFLOW_SIMULATOR_GZIP_H_
#define EMBEDFLOW_SIMULATOR_GZIP_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace embedflow {

// `bytes` as a gzip stream of stored blocks: no smaller than they are.
std::string ToGzip(std::string_view bytes);

// A gzip stream that unpacks to `bytes` spaces; its checksum is wrong, so an unpacker that gets to
// the end complains.
std::string GzipBomb(std::size_t bytes);

}  // namespace embedflow

#endif  // EMBEDFLOW_SIMULATOR_GZIP_H_
