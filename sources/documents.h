// What every format has in common: a reader of records, and the rules for ids, texts and reasons.
#ifndef EMBEDFLOW_SOURCES_DOCUMENTS_H_
#define EMBEDFLOW_SOURCES_DOCUMENTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "embedflow/source.h"
#include "embedflow/status.h"

namespace embedflow {

// The longest id of a document.
inline constexpr std::size_t kIdBytesMax = 1024;
// The most fields (columns) of a record; a line of 64 MiB could hold ten million.
inline constexpr std::size_t kFieldsMax = 10000;

// The records of one file, in order.
// Threads: one at a time.
class DocumentReader {
 public:
  virtual ~DocumentReader() = default;
  // Fills `*record`, which must be a fresh one, but for origin.file, origin.input and token;
  // returns false at the end. Errors: those of the stream, and an input that cannot be read as this
  // format at all. Their messages name no file.
  virtual Result<bool> Next(Record* record) = 0;
};

// Makes `*record` a bad one: its document is emptied and `id` kept if it could be one.
void MarkBad(Record* record, std::string reason, std::string id = {});

// What is wrong with `id` as the id of a document, e.g. "the id holds a NUL"; empty if it is right.
// An empty id is right: the document gets one from its text.
std::string FindIdFault(std::string_view id);

// The reasons that several formats give.
std::string TooLargeReason(std::uint64_t document_bytes_max);
std::string InvalidUtf8Reason(std::size_t byte);
std::string TooManyFieldsReason();
// "no field 'text'; it has id, body, lang": the names escaped, each cut, the list too. `kind` is
// "field" or "column".
std::string MissingTextReason(std::string_view kind, std::string_view text_field,
                              std::span<const std::string> names);
// `name` in single quotes, escaped and cut, for a reason.
std::string QuoteName(std::string_view name);
// How many names MissingTextReason shows.
inline constexpr std::size_t kNamesShownMax = 10;

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCES_DOCUMENTS_H_
