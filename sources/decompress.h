// Streams through zlib and zstd, in constant memory.
#ifndef EMBEDFLOW_SOURCES_DECOMPRESS_H_
#define EMBEDFLOW_SOURCES_DECOMPRESS_H_

#include <memory>

#include "embedflow/status.h"
#include "sources/bytes.h"

namespace embedflow {

// The largest window a zstd frame may ask for: 2^27 = 128 MiB, what the zstd program allows without
// --long.
inline constexpr int kZstdWindowLogMax = 27;

// The decompressed bytes of `compressed`: gzip members one after the other, with zero bytes allowed
// behind the last, or zstd frames one after the other, skippable ones included.
//
// Errors of Read(): kInvalidArgument, word "input_format" when the data is not of this kind from
// the first byte on, "input_damaged" when it is cut off or broken later; the message names the byte
// of the compressed data. A gzip member carries its checksum at its end: what a broken one handed
// out before that may be wrong.
Result<std::unique_ptr<ByteStream>> OpenGzip(std::unique_ptr<ByteStream> compressed);
Result<std::unique_ptr<ByteStream>> OpenZstd(std::unique_ptr<ByteStream> compressed);

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCES_DECOMPRESS_H_
