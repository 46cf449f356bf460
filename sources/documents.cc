#include "sources/documents.h"

#include <utility>

#include "base/utf8.h"

namespace embedflow {
namespace {

constexpr std::size_t kNameBytesShown = 40;

}  // namespace

void MarkBad(Record* record, std::string reason, std::string id) {
  if (!FindIdFault(id).empty()) id.clear();
  record->document = {};
  record->bad = BadRecord{std::move(id), std::move(reason)};
}

std::string FindIdFault(std::string_view id) {
  if (id.size() > kIdBytesMax) {
    return "the id is " + std::to_string(id.size()) + " bytes long, the limit is " +
           std::to_string(kIdBytesMax);
  }
  if (id.find('\0') != std::string_view::npos) return "the id holds a NUL";
  if (!IsValidUtf8(id)) return "the id is not UTF-8";
  return {};
}

std::string TooLargeReason(std::uint64_t document_bytes_max) {
  return "larger than " + std::to_string(document_bytes_max) + " bytes (--max-document-bytes)";
}

std::string InvalidUtf8Reason(std::size_t byte) {
  return "invalid UTF-8 at byte " + std::to_string(byte);
}

std::string TooManyFieldsReason() { return "more than " + std::to_string(kFieldsMax) + " fields"; }

std::string QuoteName(std::string_view name) {
  return "'" + EscapeControl(name, kNameBytesShown) + "'";
}

std::string MissingTextReason(std::string_view kind, std::string_view text_field,
                              std::span<const std::string> names) {
  std::string reason = "no " + std::string(kind) + " " + QuoteName(text_field) + "; it has ";
  if (names.empty()) return reason + "none";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) reason += ", ";
    if (i == kNamesShownMax) return reason + "...";
    reason += EscapeControl(names[i], kNameBytesShown);
  }
  return reason;
}

}  // namespace embedflow
