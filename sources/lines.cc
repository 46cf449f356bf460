#include "sources/lines.h"

#include <algorithm>
#include <cstring>

namespace embedflow {
namespace {

// A gathered record longer than this gives its memory back when the next one is read.
constexpr std::size_t kGatheredBytesKept = 1 << 20;

}  // namespace

Status CheckBeginning(std::string_view first, std::size_t* mark_bytes) {
  *mark_bytes = first.substr(0, 3) == "\xef\xbb\xbf" ? 3 : 0;
  const std::string_view two = first.substr(0, 2);
  using namespace std::string_view_literals;
  if (two == "\xff\xfe" || two == "\xfe\xff" || first.substr(0, 4) == "\0\0\xfe\xff"sv) {
    return Status(Code::kInvalidArgument, "is UTF-16 or UTF-32; only UTF-8 is read")
        .WithWord("input_encoding")
        .WithNext("iconv -f UTF-16 -t UTF-8 FILE > FILE.utf8, and give that");
  }
  if (two == "\x1f\x8b") {
    return Status(Code::kInvalidArgument, "is gzip data, but its name does not end in .gz")
        .WithWord("input_format")
        .WithNext("add .gz to its name; for standard input: zcat FILE | embedflow ingest - ...");
  }
  if (first.substr(0, 4) == "\x28\xb5\x2f\xfd") {
    return Status(Code::kInvalidArgument, "is zstd data, but its name does not end in .zst")
        .WithWord("input_format")
        .WithNext(
            "add .zst to its name; for standard input: zstdcat FILE | embedflow ingest - ...");
  }
  return {};
}

std::size_t LineEnd::Find(std::string_view piece) {
  const std::size_t at = piece.find('\n');
  if (at == std::string_view::npos) return at;
  ++line_feeds_;
  return at + 1;
}

RecordReader::RecordReader(ByteStream* stream, RecordEnd* end, std::uint64_t record_bytes_max)
    : stream_(stream),
      record_end_(end),
      record_bytes_max_(record_bytes_max),
      buffer_(new char[kReadBufferBytes]) {}

Status RecordReader::Begin() {
  while (end_ < 4 && !at_end_) EF_RETURN_IF_ERROR(Refill());
  return CheckBeginning({buffer_.get(), std::min<std::size_t>(end_, 4)}, &begin_);
}

Status RecordReader::Refill() {
  if (end_ == kReadBufferBytes) {
    if (begin_ == 0) Gather(end_);
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    scanned_ = end_;
  }
  EF_ASSIGN_OR_RETURN(const std::size_t got,
                      stream_->Read(buffer_.get() + end_, kReadBufferBytes - end_));
  end_ += got;
  at_end_ = got == 0;
  return {};
}

void RecordReader::Gather(std::size_t bytes) {
  gathered_bytes_ += bytes;
  // Two bytes more than the limit: they may turn out to be the line end.
  if (gathered_bytes_ > record_bytes_max_ + 2) {
    is_dropped_ = true;
    std::string().swap(gathered_);
  }
  if (!is_dropped_) {
    if (gathered_.capacity() < gathered_bytes_) {
      // Doubling, but the last step goes to the limit at once: a copy from just below the limit to
      // the limit would hold it twice, and pages that are not written cost nothing.
      const std::uint64_t doubled = 2 * gathered_bytes_;
      const std::uint64_t all = record_bytes_max_ + 2;
      gathered_.reserve(doubled > all / 2 ? all : doubled);
    }
    gathered_.append(buffer_.get() + begin_, bytes);
  }
  begin_ += bytes;
}

void RecordReader::Take(std::size_t bytes, RawRecord* record) {
  std::string_view text(buffer_.get() + begin_, bytes);
  const bool has_line_end = text.ends_with('\n');
  if (gathered_bytes_ > 0) {
    Gather(bytes);
    text = gathered_;
  } else {
    begin_ += bytes;
  }
  record->size = gathered_bytes_ > 0 ? gathered_bytes_ : bytes;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  record->is_too_large = is_dropped_ || text.size() > record_bytes_max_;
  record->bytes = record->is_too_large ? std::string_view() : text;
  record->line = line_;
  record->lines = record_end_->line_feeds() + (has_line_end ? 0 : 1);
  line_ += record_end_->line_feeds();
}

Result<bool> RecordReader::Next(RawRecord* record) {
  if (!begun_) {
    EF_RETURN_IF_ERROR(Begin());
    begun_ = true;
  }
  if (gathered_.capacity() > kGatheredBytesKept) std::string().swap(gathered_);
  gathered_.clear();
  gathered_bytes_ = 0;
  is_dropped_ = false;
  scanned_ = begin_;
  record_end_->Begin();
  for (;;) {
    const std::size_t found = record_end_->Find({buffer_.get() + scanned_, end_ - scanned_});
    if (found != std::string_view::npos) {
      Take(scanned_ - begin_ + found, record);
      return true;
    }
    scanned_ = end_;
    if (!at_end_) EF_RETURN_IF_ERROR(Refill());
    if (at_end_) {
      if (gathered_bytes_ == 0 && begin_ == end_) return false;
      Take(end_ - begin_, record);
      return true;
    }
  }
}

}  // namespace embedflow
