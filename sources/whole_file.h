// A text or markdown file: one document.
#ifndef EMBEDFLOW_SOURCES_WHOLE_FILE_H_
#define EMBEDFLOW_SOURCES_WHOLE_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "embedflow/source.h"
#include "sources/bytes.h"
#include "sources/documents.h"

namespace embedflow {

struct WholeFileOptions {
  std::string id;               // Of the one document; bytes that are no id make it a bad record.
  std::uint64_t size_hint = 0;  // Bytes to expect; 0 when unknown.
  // Contents that are not readable as text at all (UTF-16, damaged gzip) end the input with an
  // error, or cost this document alone: the latter for one of many files of a directory.
  bool unreadable_is_bad_record = false;
};

// Hands out `stream` as one document: its text is the file's bytes but for a byte order mark. One
// larger than document_bytes_max is a bad record, and the rest of the stream stays unread. Byte
// offsets in reasons count from behind the mark, from 0.
std::unique_ptr<DocumentReader> NewWholeFileReader(std::unique_ptr<ByteStream> stream,
                                                   WholeFileOptions file,
                                                   const FileSourceOptions& options);

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCES_WHOLE_FILE_H_
