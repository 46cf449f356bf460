#include "sources/delimited.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace embedflow {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

// One field of a row: the bytes between the quotes if it has any.
struct FieldSpan {
  std::string_view bytes;
  bool has_doubled_quotes = false;
};

// Cuts `row` into fields. Returns what is wrong with it, empty if nothing.
std::string SplitRow(std::string_view row, char delimiter, std::vector<FieldSpan>* fields) {
  fields->clear();
  for (std::size_t at = 0;; ++at) {
    if (fields->size() == kFieldsMax) return TooManyFieldsReason();
    if (at >= row.size() || row[at] != '"') {
      const std::size_t end = std::min(row.find(delimiter, at), row.size());
      fields->push_back({row.substr(at, end - at), false});
      at = end;
    } else {
      const std::size_t begin = at + 1;
      FieldSpan field;
      std::size_t quote = row.find('"', begin);
      while (quote != kNone && quote + 1 < row.size() && row[quote + 1] == '"') {
        field.has_doubled_quotes = true;
        quote = row.find('"', quote + 2);
      }
      if (quote == kNone) return "a quote is never closed";
      field.bytes = row.substr(begin, quote - begin);
      fields->push_back(field);
      at = quote + 1;
      if (at < row.size() && row[at] != delimiter) {
        return "in field " + std::to_string(fields->size()) +
               " something follows the closing quote, byte " + std::to_string(at);
      }
    }
    if (at >= row.size()) return {};
  }
}

void AssignField(const FieldSpan& field, std::string* value) {
  if (!field.has_doubled_quotes) {
    value->assign(field.bytes);
    return;
  }
  value->clear();
  value->reserve(field.bytes.size());
  for (std::size_t at = 0; at < field.bytes.size();) {
    const std::size_t quote = std::min(field.bytes.find('"', at), field.bytes.size() - 1);
    value->append(field.bytes.substr(at, quote + 1 - at));
    at = quote + (field.bytes[quote] == '"' ? 2 : 1);
  }
}

Status HeaderError(std::string message) {
  return Status(Code::kInvalidArgument, std::move(message))
      .WithWord("input_format")
      .WithNext("the first row must name the columns; --text-field names the one with the text");
}

class DelimitedReader : public DocumentReader {
 public:
  DelimitedReader(std::unique_ptr<ByteStream> stream, char delimiter,
                  const FileSourceOptions& options)
      : delimiter_(delimiter),
        options_(options),
        stream_(std::move(stream)),
        row_end_(delimiter, std::max(options.document_bytes_max, kQuoteSearchBytes)),
        rows_(stream_.get(), &row_end_, options.document_bytes_max) {}

  Result<bool> Next(Record* record) override {
    RawRecord row;
    if (!has_header_) {
      EF_ASSIGN_OR_RETURN(const bool found, NextRow(&row));
      if (!found) return false;
      EF_RETURN_IF_ERROR(ReadHeader(row));
      has_header_ = true;
    }
    EF_ASSIGN_OR_RETURN(const bool found, NextRow(&row));
    if (!found) return false;
    record->origin.line = row.line;
    record->bytes = row.size;
    if (std::string fault = FindFault(row); !fault.empty()) {
      MarkBad(record, std::move(fault));
    } else {
      Fill(record);
    }
    return true;
  }

 private:
  // What a column of the file is for.
  struct Column {
    enum class Role { kId, kText, kMetadata };
    Role role = Role::kMetadata;
    std::size_t slot = 0;  // In metadata_names_, for kMetadata.
  };

  Result<bool> NextRow(RawRecord* row) {
    do {
      EF_ASSIGN_OR_RETURN(const bool found, rows_.Next(row));
      if (!found) return false;
    } while (!row->is_too_large && row->bytes.empty());
    return true;
  }

  // What makes the row unreadable, empty if nothing. Fills fields_.
  std::string FindFault(const RawRecord& row) {
    if (row_end_.is_quote_open()) {
      std::string fault = "a quote is never closed";
      if (row.lines > 1) fault += "; " + std::to_string(row.lines) + " lines are passed over";
      return fault;
    }
    if (row.is_too_large) return TooLargeReason(options_.document_bytes_max);
    if (const std::size_t at = FindInvalidUtf8(row.bytes); at != kNone)
      return InvalidUtf8Reason(at);
    return SplitRow(row.bytes, delimiter_, &fields_);
  }

  Status ReadHeader(const RawRecord& row) {
    if (const std::string fault = FindFault(row); !fault.empty())
      return HeaderError("the header row cannot be read: " + fault);
    std::vector<std::string> names(fields_.size());
    for (std::size_t i = 0; i < names.size(); ++i) AssignField(fields_[i], &names[i]);
    bool has_text = false;
    std::unordered_map<std::string, std::size_t> slots;
    for (const std::string& name : names) {
      Column column;
      if (name == options_.text_field) {
        column.role = Column::Role::kText;
        has_text = true;
      } else if (name == options_.id_field) {
        column.role = Column::Role::kId;
      } else {
        const auto [found, is_new] = slots.emplace(name, slots.size());
        if (is_new) metadata_names_.push_back(name);
        column.slot = found->second;
      }
      columns_.push_back(column);
    }
    if (!has_text) return HeaderError(MissingTextReason("column", options_.text_field, names));
    return {};
  }

  void Fill(Record* record) {
    if (fields_.size() != columns_.size()) {
      return MarkBad(record, "it has " + std::to_string(fields_.size()) +
                                 (fields_.size() == 1 ? " field" : " fields") +
                                 ", the header has " + std::to_string(columns_.size()));
    }
    Document& document = record->document;
    document.metadata.resize(metadata_names_.size());
    for (std::size_t i = 0; i < metadata_names_.size(); ++i) {
      document.metadata[i].key = metadata_names_[i];
      document.metadata[i].value.kind = MetadataValue::Kind::kString;
    }
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      switch (columns_[i].role) {
        case Column::Role::kId:
          AssignField(fields_[i], &document.id);
          break;
        case Column::Role::kText:
          AssignField(fields_[i], &document.text);
          break;
        case Column::Role::kMetadata:
          AssignField(fields_[i], &document.metadata[columns_[i].slot].value.text);
          break;
      }
    }
    if (std::string fault = FindIdFault(document.id); !fault.empty())
      MarkBad(record, std::move(fault));
  }

  const char delimiter_;
  const FileSourceOptions options_;
  const std::unique_ptr<ByteStream> stream_;
  RowEnd row_end_;
  RecordReader rows_;
  bool has_header_ = false;
  std::vector<Column> columns_;
  std::vector<std::string> metadata_names_;
  std::vector<FieldSpan> fields_;
};

}  // namespace

void RowEnd::Begin() {
  state_ = State::kFieldBegin;
  line_feeds_ = 0;
  row_bytes_ = 0;
  is_quote_open_ = false;
}

std::size_t RowEnd::Find(std::string_view piece) {
  std::size_t at = 0;
  bool ended = false;
  while (at < piece.size() && !ended) {
    switch (state_) {
      case State::kFieldBegin:
        state_ = piece[at] == '"' ? State::kQuoted : State::kPlain;
        if (state_ == State::kQuoted) ++at;
        break;
      case State::kPlain:
        ended = ScanPlain(piece, &at);
        break;
      case State::kQuoted:
        ScanQuoted(piece, &at);
        break;
      case State::kQuoteSeen:
      case State::kReturnSeen:
        ended = ScanAfterQuote(piece, &at);
        break;
      case State::kRestOfLine:
        ended = ScanRestOfLine(piece, &at);
        break;
    }
  }
  row_bytes_ += at;
  return ended ? at : kNone;
}

bool RowEnd::ScanPlain(std::string_view piece, std::size_t* at) {
  std::size_t i = *at;
  while (i < piece.size() && piece[i] != delimiter_ && piece[i] != '\n') ++i;
  *at = i;
  if (i == piece.size()) return false;
  *at = i + 1;
  if (piece[i] != '\n') {
    state_ = State::kFieldBegin;
    return false;
  }
  ++line_feeds_;
  return true;
}

void RowEnd::ScanQuoted(std::string_view piece, std::size_t* at) {
  // The bound is met at the same byte however the input is cut into pieces.
  const std::uint64_t row_bytes = row_bytes_ + *at;
  if (row_bytes >= quote_search_bytes_) {
    is_quote_open_ = true;
    state_ = State::kRestOfLine;
    return;
  }
  const std::string_view rest =
      piece.substr(*at, static_cast<std::size_t>(std::min<std::uint64_t>(
                            piece.size() - *at, quote_search_bytes_ - row_bytes)));
  const std::size_t quote = rest.find('"');
  const std::string_view inside = rest.substr(0, quote);
  line_feeds_ += static_cast<std::uint64_t>(std::count(inside.begin(), inside.end(), '\n'));
  *at += inside.size();
  if (quote == kNone) return;
  ++*at;
  state_ = State::kQuoteSeen;
}

bool RowEnd::ScanAfterQuote(std::string_view piece, std::size_t* at) {
  const char c = piece[*at];
  if (c == '\n') {
    ++*at;
    ++line_feeds_;
    return true;
  }
  const bool was_return = state_ == State::kReturnSeen;
  state_ = State::kRestOfLine;
  if (was_return) return false;
  if (c == '"') state_ = State::kQuoted;
  if (c == delimiter_) state_ = State::kFieldBegin;
  if (c == '\r') state_ = State::kReturnSeen;
  if (state_ != State::kRestOfLine) ++*at;
  return false;
}

bool RowEnd::ScanRestOfLine(std::string_view piece, std::size_t* at) {
  const std::size_t found = piece.find('\n', *at);
  *at = found == kNone ? piece.size() : found + 1;
  line_feeds_ += found == kNone ? 0 : 1;
  return found != kNone;
}

std::unique_ptr<DocumentReader> NewDelimitedReader(std::unique_ptr<ByteStream> stream,
                                                   char delimiter,
                                                   const FileSourceOptions& options) {
  return std::make_unique<DelimitedReader>(std::move(stream), delimiter, options);
}

}  // namespace embedflow
