// What a file's name says about its contents.
#ifndef EMBEDFLOW_SOURCES_FORMATS_H_
#define EMBEDFLOW_SOURCES_FORMATS_H_

#include <optional>
#include <string>
#include <string_view>

#include "embedflow/source.h"

namespace embedflow {

enum class Compression { kNone, kGzip, kZstd };

struct NamedFormat {
  FileSourceOptions::Format format = FileSourceOptions::Format::kAuto;  // kAuto when unknown.
  Compression compression = Compression::kNone;
};

// The format of a file called `path`, by its extension in any case of letters, under a further .gz
// or .zst. `forced` replaces the format, unless it is kAuto, but never the compression.
NamedFormat FormatOfName(std::string_view path, FileSourceOptions::Format forced);

// Every extension that is known, as a list for messages: ".jsonl .ndjson ...".
std::string KnownExtensions();

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCES_FORMATS_H_
