// CSV and TSV as RFC 4180 has them: a header row, quoted fields that may hold anything.
#ifndef EMBEDFLOW_SOURCES_DELIMITED_H_
#define EMBEDFLOW_SOURCES_DELIMITED_H_

#include <cstdint>
#include <memory>

#include "embedflow/source.h"
#include "sources/bytes.h"
#include "sources/documents.h"
#include "sources/lines.h"

namespace embedflow {

// How far a quoted field is followed to its closing quote at least, even when records are limited
// to less: so that a long field is passed over whole, and a quote that nobody closed does not
// swallow the rest of the file.
inline constexpr std::uint64_t kQuoteSearchBytes = 64ull << 20;

// Finds the end of a row: the first line feed outside quotes. A quote opens a quoted field at the
// begin of a field only. After a closing quote that neither a delimiter nor a line end follows, and
// after `quote_search_bytes` of a row inside a quoted field, the row ends with the line in hand.
class RowEnd : public RecordEnd {
 public:
  RowEnd(char delimiter, std::uint64_t quote_search_bytes)
      : delimiter_(delimiter), quote_search_bytes_(quote_search_bytes) {}
  void Begin() override;
  std::size_t Find(std::string_view piece) override;
  std::uint64_t line_feeds() const override { return line_feeds_; }
  // True if the row ended, or the input did, inside a quoted field.
  bool is_quote_open() const { return is_quote_open_ || state_ == State::kQuoted; }

 private:
  enum class State { kFieldBegin, kPlain, kQuoted, kQuoteSeen, kReturnSeen, kRestOfLine };
  // Each handles a run of bytes from `*at` on; returns true if the row ends at `*at`.
  bool ScanPlain(std::string_view piece, std::size_t* at);
  void ScanQuoted(std::string_view piece, std::size_t* at);
  bool ScanAfterQuote(std::string_view piece, std::size_t* at);
  bool ScanRestOfLine(std::string_view piece, std::size_t* at);

  const char delimiter_;
  const std::uint64_t quote_search_bytes_;
  State state_ = State::kFieldBegin;
  std::uint64_t line_feeds_ = 0;
  std::uint64_t row_bytes_ = 0;  // Bytes of the row before the piece in hand.
  bool is_quote_open_ = false;
};

// Reads `stream` as rows of fields separated by `delimiter` under a header row. Rows without any
// byte are passed over. All metadata are strings; of repeated columns the last wins, in the place
// of the first. A row with another number of fields than the header, or with broken quotes, is a
// bad record; reading goes on behind it as RowEnd says. Errors: kInvalidArgument for a header that
// lacks the text field or cannot be read. `options` must be valid; it is copied.
std::unique_ptr<DocumentReader> NewDelimitedReader(std::unique_ptr<ByteStream> stream,
                                                   char delimiter,
                                                   const FileSourceOptions& options);

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCES_DELIMITED_H_
