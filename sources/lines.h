// Cuts a stream of bytes into records: lines, or what another RecordEnd says.
#ifndef EMBEDFLOW_SOURCES_LINES_H_
#define EMBEDFLOW_SOURCES_LINES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "embedflow/status.h"
#include "sources/bytes.h"

namespace embedflow {

// The read buffer of every input.
inline constexpr std::size_t kReadBufferBytes = 256 << 10;

// What the first bytes of an input say. Sets `*mark_bytes` to the length of a UTF-8 byte order mark
// at the beginning of `first` (0 or 3). Errors: kInvalidArgument for UTF-16 and UTF-32 marks (word
// "input_encoding") and for gzip and zstd data (word "input_format"); none of these begins valid
// UTF-8. `first` needs no more than four bytes.
Status CheckBeginning(std::string_view first, std::size_t* mark_bytes);

// Says where a record ends, in bytes that come piece by piece.
class RecordEnd {
 public:
  virtual ~RecordEnd() = default;
  // A record begins with the next byte.
  virtual void Begin() = 0;
  // `piece` goes on where the last one stopped. Returns how many of its bytes belong to the record,
  // its line feed included, or npos if the record goes on behind the piece.
  virtual std::size_t Find(std::string_view piece) = 0;
  // Line feeds seen in the record so far.
  virtual std::uint64_t line_feeds() const = 0;
};

// A record is a line.
class LineEnd : public RecordEnd {
 public:
  void Begin() override { line_feeds_ = 0; }
  std::size_t Find(std::string_view piece) override;
  std::uint64_t line_feeds() const override { return line_feeds_; }

 private:
  std::uint64_t line_feeds_ = 0;
};

// One record as it stands in the input.
struct RawRecord {
  std::string_view bytes;     // Without its line end (LF or CRLF). Empty when it is too large.
  std::uint64_t line = 0;     // 1-based line on which it begins.
  std::uint64_t lines = 0;    // How many lines it takes.
  std::uint64_t size = 0;     // Bytes it takes, its line end included.
  bool is_too_large = false;  // `bytes` would have been longer than the limit; it was skipped.
};

// Reads records through a buffer of 256 KiB. A record that does not fit there is gathered apart, up
// to the limit; one beyond the limit is skipped to its end without being held. A byte order mark is
// skipped; a last record without a line end is read.
// Threads: one at a time.
class RecordReader {
 public:
  // `end` and `stream` must outlive the reader.
  RecordReader(ByteStream* stream, RecordEnd* end, std::uint64_t record_bytes_max);

  // Fills `*record`, whose bytes stay valid until the next call; returns false at the end. Errors:
  // those of the stream and of CheckBeginning; a record that an error cuts is not handed out.
  Result<bool> Next(RawRecord* record);

 private:
  // Fills the buffer with enough bytes for CheckBeginning and passes a byte order mark.
  Status Begin();
  // Makes room behind end_ and reads once into it. Sets at_end_.
  Status Refill();
  // Moves the first `bytes` of the record in the buffer to gathered_, or drops them beyond the
  // limit.
  void Gather(std::size_t bytes);
  // The record ends `bytes` behind begin_.
  void Take(std::size_t bytes, RawRecord* record);

  // Constant after construction.
  ByteStream* const stream_;
  RecordEnd* const record_end_;
  const std::uint64_t record_bytes_max_;
  const std::unique_ptr<char[]> buffer_;

  // The reading thread only.
  bool begun_ = false;
  bool at_end_ = false;
  std::size_t begin_ = 0;    // Where the record, or what is left of it, begins in the buffer.
  std::size_t scanned_ = 0;  // Up to where record_end_ has seen the buffer.
  std::size_t end_ = 0;      // Where the bytes in the buffer end.
  std::string gathered_;     // The first part of a record larger than the buffer.
  std::uint64_t gathered_bytes_ = 0;  // How long that part is, also when it was dropped.
  bool is_dropped_ = false;
  std::uint64_t line_ = 1;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_SOURCES_LINES_H_
