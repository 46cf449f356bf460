#include "sources/decompress.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace embedflow {
namespace {

constexpr std::size_t kInputBytes = 64 << 10;
// zlib counts in unsigned int.
constexpr std::size_t kOutputBytesMax = 1u << 30;

Status NotThisKind(const char* kind, const char* suffix) {
  return Status(Code::kInvalidArgument,
                std::string("is not ") + kind + " data, though its name ends in " + suffix)
      .WithWord("input_format")
      .WithNext("name it without the suffix, or get the file again");
}

Status Damaged(std::uint64_t at, std::string_view what) {
  return Status(Code::kInvalidArgument,
                "is damaged at byte " + std::to_string(at) + ": " + std::string(what))
      .WithWord("input_damaged")
      .WithNext("get the file again, then the same command: what was kept is not bought again");
}

Status CutOff(std::uint64_t at) {
  return Status(Code::kInvalidArgument,
                "is cut off at byte " + std::to_string(at) + ", inside its compressed data")
      .WithWord("input_damaged")
      .WithNext("get the file again, then the same command: what was kept is not bought again");
}

// What both kinds share: the compressed bytes in hand, and an error that stays.
class Decompressor : public ByteStream {
 public:
  explicit Decompressor(std::unique_ptr<ByteStream> compressed)
      : compressed_(std::move(compressed)), input_(kInputBytes) {}

  Result<std::size_t> Read(char* into, std::size_t size) final {
    if (!failed_.ok()) return failed_;
    if (!begun_) {
      failed_ = Begin();
      if (!failed_.ok()) return failed_;
      begun_ = true;
    }
    std::size_t produced = 0;
    failed_ = Produce(into, std::min(size, kOutputBytesMax), &produced);
    // What came before the break is handed out first; the next call reports the break.
    if (produced > 0 || failed_.ok()) return produced;
    return failed_;
  }

 protected:
  // Judges the first bytes. There are four unless the input is shorter.
  virtual Status CheckMagic(std::string_view first) = 0;
  // Puts at least one byte at `into` unless the data ends or fails.
  virtual Status Produce(char* into, std::size_t size, std::size_t* produced) = 0;

  std::string_view in_hand() const { return {input_.data() + begin_, end_ - begin_}; }
  void Consume(std::size_t bytes) {
    begin_ += bytes;
    offset_ += bytes;
  }
  std::uint64_t offset() const { return offset_; }
  // Reads on when nothing is in hand. `*at_end` says that there is nothing more.
  Status Refill(bool* at_end) {
    *at_end = false;
    if (begin_ < end_) return {};
    begin_ = end_ = 0;
    EF_ASSIGN_OR_RETURN(end_, compressed_->Read(input_.data(), input_.size()));
    *at_end = end_ == 0;
    return {};
  }

 private:
  Status Begin() {
    while (end_ < 4) {
      EF_ASSIGN_OR_RETURN(const std::size_t got,
                          compressed_->Read(input_.data() + end_, input_.size() - end_));
      if (got == 0) break;
      end_ += got;
    }
    return CheckMagic(in_hand().substr(0, 4));
  }

  const std::unique_ptr<ByteStream> compressed_;
  std::vector<char> input_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t offset_ = 0;  // Compressed bytes consumed.
  bool begun_ = false;
  Status failed_;
};

class GzipBytes : public Decompressor {
 public:
  using Decompressor::Decompressor;
  ~GzipBytes() override {
    if (initialised_) ::inflateEnd(&z_);
  }
  Status Initialise() {
    constexpr int kGzipOnly = 15 + 16;
    if (::inflateInit2(&z_, kGzipOnly) != Z_OK) return {Code::kIo, "no memory for zlib"};
    initialised_ = true;
    return {};
  }

 protected:
  Status CheckMagic(std::string_view first) override {
    if (first.substr(0, 2) != "\x1f\x8b") return NotThisKind("gzip", ".gz");
    return {};
  }

  Status Produce(char* into, std::size_t size, std::size_t* produced) override {
    while (*produced == 0) {
      bool at_end = false;
      if (!more_output_) {
        EF_RETURN_IF_ERROR(Refill(&at_end));
        if (at_end) return inside_member_ ? CutOff(offset()) : Status();
      }
      if (!inside_member_) {
        EF_RETURN_IF_ERROR(NextMember());
        if (!inside_member_) continue;
      }
      EF_RETURN_IF_ERROR(Inflate(into, size, produced));
    }
    return {};
  }

 private:
  // Between members: skips padding, and begins the next member at its first byte.
  Status NextMember() {
    const std::string_view bytes = in_hand();
    std::size_t zeros = 0;
    // Tapes and some programs pad the end with zeros; gzip itself ignores those.
    if (members_ > 0) zeros = std::min(bytes.find_first_not_of('\0'), bytes.size());
    Consume(zeros);
    padded_ = padded_ || zeros > 0;
    if (zeros == bytes.size()) return {};
    if (padded_ || bytes[zeros] != '\x1f')
      return Damaged(offset(), "what follows is no gzip member");
    if (::inflateReset(&z_) != Z_OK) return {Code::kInternal, "zlib cannot begin a member"};
    inside_member_ = true;
    ++members_;
    return {};
  }

  Status Inflate(char* into, std::size_t size, std::size_t* produced) {
    const std::string_view bytes = in_hand();
    z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    z_.avail_in = static_cast<uInt>(bytes.size());
    z_.next_out = reinterpret_cast<Bytef*>(into);
    z_.avail_out = static_cast<uInt>(size);
    const int result = ::inflate(&z_, Z_NO_FLUSH);
    Consume(bytes.size() - z_.avail_in);
    *produced = size - z_.avail_out;
    inside_member_ = result != Z_STREAM_END;
    // zlib may hold back the rest of a match when the output is full; of a file that is cut off
    // there, these are the last good bytes.
    more_output_ = inside_member_ && z_.avail_out == 0;
    if (result == Z_STREAM_END) return {};
    if (result == Z_OK || result == Z_BUF_ERROR) return {};
    return Damaged(offset(), z_.msg != nullptr ? z_.msg : "zlib cannot go on");
  }

  z_stream z_{};
  bool initialised_ = false;
  bool inside_member_ = false;
  bool more_output_ = false;
  bool padded_ = false;
  std::uint64_t members_ = 0;
};

class ZstdBytes : public Decompressor {
 public:
  using Decompressor::Decompressor;
  ~ZstdBytes() override { ::ZSTD_freeDCtx(context_); }
  Status Initialise() {
    context_ = ::ZSTD_createDCtx();
    if (context_ == nullptr || ::ZSTD_isError(::ZSTD_DCtx_setParameter(
                                   context_, ZSTD_d_windowLogMax, kZstdWindowLogMax))) {
      return {Code::kIo, "no memory for zstd"};
    }
    return {};
  }

 protected:
  Status CheckMagic(std::string_view first) override {
    const bool frame = first == "\x28\xb5\x2f\xfd";
    const bool skippable =
        first.size() >= 4 && (first[0] & 0xf0) == 0x50 && first.substr(1, 3) == "\x2a\x4d\x18";
    return frame || skippable ? Status() : NotThisKind("zstd", ".zst");
  }

  Status Produce(char* into, std::size_t size, std::size_t* produced) override {
    while (*produced == 0) {
      bool at_end = false;
      if (!more_output_) {
        EF_RETURN_IF_ERROR(Refill(&at_end));
        if (at_end) return inside_frame_ ? CutOff(offset()) : Status();
      }
      ZSTD_inBuffer in{in_hand().data(), in_hand().size(), 0};
      ZSTD_outBuffer out{into, size, 0};
      const std::size_t result = ::ZSTD_decompressStream(context_, &out, &in);
      Consume(in.pos);
      *produced = out.pos;
      if (::ZSTD_isError(result)) return Failure(result);
      inside_frame_ = result != 0;
      more_output_ = inside_frame_ && out.pos == out.size;
    }
    return {};
  }

 private:
  Status Failure(std::size_t result) const {
    if (::ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge) {
      return Status(Code::kInvalidArgument, "needs a zstd window over " +
                                                std::to_string(1 << (kZstdWindowLogMax - 20)) +
                                                " MiB, more than the limit")
          .WithWord("input_format")
          .WithNext("zstd -dc --long=31 FILE | embedflow ingest - ...");
    }
    return Damaged(offset(), ::ZSTD_getErrorName(result));
  }

  ZSTD_DCtx* context_ = nullptr;
  bool inside_frame_ = false;
  bool more_output_ = false;
};

template <typename Kind>
Result<std::unique_ptr<ByteStream>> Open(std::unique_ptr<ByteStream> compressed) {
  auto stream = std::make_unique<Kind>(std::move(compressed));
  EF_RETURN_IF_ERROR(stream->Initialise());
  return std::unique_ptr<ByteStream>(std::move(stream));
}

}  // namespace

Result<std::unique_ptr<ByteStream>> OpenGzip(std::unique_ptr<ByteStream> compressed) {
  return Open<GzipBytes>(std::move(compressed));
}

Result<std::unique_ptr<ByteStream>> OpenZstd(std::unique_ptr<ByteStream> compressed) {
  return Open<ZstdBytes>(std::move(compressed));
}

}  // namespace embedflow
