// JSON Lines: one object a line, each a document.
#ifndef EMBEDFLOW_SOURCES_JSON_LINES_H_
#define EMBEDFLOW_SOURCES_JSON_LINES_H_

#include <memory>

#include "embedflow/source.h"
#include "sources/bytes.h"
#include "sources/documents.h"

namespace embedflow {

// Objects nested deeper than this are bad records.
inline constexpr int kJsonDepthMax = 64;

// Reads `stream` as JSON Lines. Blank lines are passed over. The id field may be a string or an
// integer, whose digits are kept; missing, null and "" leave the id empty. The text field must be a
// string. Other scalars become metadata; objects and arrays are passed over. Of repeated keys the
// last wins, in the place of the first. Byte offsets in reasons count from the begin of the line,
// from 0. `options` must be valid; it is copied.
std::unique_ptr<DocumentReader> NewJsonLinesReader(std::unique_ptr<ByteStream> stream,
                                                   const FileSourceOptions& options);

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCES_JSON_LINES_H_
