#include "sources/whole_file.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "sources/lines.h"

namespace embedflow {
namespace {

class WholeFileReader : public DocumentReader {
 public:
  WholeFileReader(std::unique_ptr<ByteStream> stream, WholeFileOptions file,
                  std::uint64_t document_bytes_max)
      : stream_(std::move(stream)),
        file_(std::move(file)),
        document_bytes_max_(document_bytes_max) {}

  Result<bool> Next(Record* record) override {
    if (is_done_) return false;
    is_done_ = true;
    bool is_too_large = false;
    const Status read = ReadAll(record, &is_too_large);
    std::string& text = record->document.text;
    if (!read.ok()) {
      if (!file_.unreadable_is_bad_record || read.code() != Code::kInvalidArgument) return read;
      MarkBad(record, read.message(), file_.id);
    } else if (is_too_large) {
      MarkBad(record, TooLargeReason(document_bytes_max_), file_.id);
    } else if (const std::size_t at = FindInvalidUtf8(text); at != std::string::npos) {
      MarkBad(record, InvalidUtf8Reason(at), file_.id);
    } else if (std::string fault = FindIdFault(file_.id); !fault.empty()) {
      MarkBad(record, std::move(fault));
    } else {
      record->document.id = file_.id;
    }
    return true;
  }

 private:
  // Reads the stream into the text, up to the limit, and drops the byte order mark.
  Status ReadAll(Record* record, bool* is_too_large) {
    std::string& text = record->document.text;
    const std::uint64_t bytes_max = document_bytes_max_ + 3;  // A mark does not count.
    text.reserve(std::min(file_.size_hint, bytes_max));
    // A directory may hold a million small files: no large buffer for each of them.
    const std::size_t buffer_bytes = file_.size_hint == 0
                                         ? kReadBufferBytes
                                         : static_cast<std::size_t>(std::min<std::uint64_t>(
                                               kReadBufferBytes, file_.size_hint + 1));
    const std::unique_ptr<char[]> buffer(new char[buffer_bytes]);
    std::size_t got = 0;
    do {
      EF_ASSIGN_OR_RETURN(got, stream_->Read(buffer.get(), buffer_bytes));
      record->bytes += got;
      text.append(buffer.get(), got);
    } while (got > 0 && text.size() <= bytes_max);
    std::size_t mark_bytes = 0;
    EF_RETURN_IF_ERROR(CheckBeginning(text, &mark_bytes));
    text.erase(0, mark_bytes);
    *is_too_large = text.size() > document_bytes_max_;
    return {};
  }

  const std::unique_ptr<ByteStream> stream_;
  const WholeFileOptions file_;
  const std::uint64_t document_bytes_max_;
  bool is_done_ = false;
};

}  // namespace

std::unique_ptr<DocumentReader> NewWholeFileReader(std::unique_ptr<ByteStream> stream,
                                                   WholeFileOptions file,
                                                   const FileSourceOptions& options) {
  return std::make_unique<WholeFileReader>(std::move(stream), std::move(file),
                                           options.document_bytes_max);
}

}  // namespace embedflow
