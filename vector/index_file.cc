#include "vector/index_file.h"

#include <faiss/Index.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <exception>
#include <new>
#include <string_view>
#include <utility>

#include "base/hash.h"
#include "vector/file_io.h"

namespace embedflow {
namespace {

constexpr std::string_view kMagic = "EFLOWIDX";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kKindFlat = 1;
constexpr std::size_t kFixedBytes = 56;           // The header up to the space's name.
constexpr std::size_t kSpaceBytesMax = 64 << 10;  // Of the space's name.
// FAISS's map begins with its kind and 33 bytes about itself, then comes the kind of the index in
// it.
constexpr std::size_t kFaissHeadBytes = 41;
constexpr std::uint64_t kFaissFrameBytesMax = 1024;  // All but the vectors and ids.
// The header holds the number of the metric.
static_assert(static_cast<int>(Metric::kCosine) == 0);
static_assert(static_cast<int>(Metric::kInnerProduct) == 1);
static_assert(static_cast<int>(Metric::kL2) == 2);

std::string WriteHeader(const IndexFileHeader& header) {
  std::string out(kMagic);
  AppendNumber<std::uint32_t>(&out, kVersion);
  const std::size_t bytes = kFixedBytes + header.stamp.space.size() + kChecksumBytes;
  AppendNumber<std::uint32_t>(&out, static_cast<std::uint32_t>(bytes));
  AppendNumber<std::uint64_t>(&out, header.stamp.generation);
  AppendNumber<std::uint64_t>(&out, header.vectors);
  AppendNumber<std::uint64_t>(&out, header.payload_bytes);
  AppendNumber<std::uint32_t>(&out, static_cast<std::uint32_t>(header.dimensions));
  AppendNumber<std::uint32_t>(&out, static_cast<std::uint32_t>(header.metric));
  AppendNumber<std::uint32_t>(&out, kKindFlat);
  AppendNumber<std::uint32_t>(&out, static_cast<std::uint32_t>(header.stamp.space.size()));
  out += header.stamp.space;
  AppendNumber<std::uint64_t>(&out, Checksum(out));
  return out;
}

// --- Writing ---

class FaissWriter final : public faiss::IOWriter {
 public:
  // Null: only counts.
  explicit FaissWriter(BlockWriter* out) : out_(out) {}
  std::size_t operator()(const void* data, std::size_t size, std::size_t items) override {
    bytes_ += size * items;
    if (out_ == nullptr) return items;
    if (status_.ok()) status_ = out_->Write({static_cast<const char*>(data), size * items});
    return status_.ok() ? items : 0;
  }
  std::uint64_t bytes() const { return bytes_; }
  const Status& status() const { return status_; }

 private:
  BlockWriter* out_;
  std::uint64_t bytes_ = 0;
  Status status_;
};

// Runs FAISS's writer. Its exception for a short write says less than our own status.
Status Serialize(const faiss::Index& index, FaissWriter* writer) {
  try {
    faiss::write_index(&index, writer);
  } catch (const std::exception& exception) {
    EF_RETURN_IF_ERROR(writer->status());
    return StatusOf(exception, "cannot serialise the index");
  }
  return writer->status();
}

// --- Reading ---

// Hands FAISS the payload and not a byte more.
class FaissReader final : public faiss::IOReader {
 public:
  FaissReader(int fd, std::string path, std::uint64_t begin, std::uint64_t end)
      : fd_(fd), path_(std::move(path)), at_(begin), end_(end) {}
  std::size_t operator()(void* out, std::size_t size, std::size_t items) override {
    if (size == 0 || items == 0) return items;
    if (items > (end_ - at_) / size) return 0;
    if (status_.ok()) status_ = ReadAt(fd_, path_, at_, out, size * items);
    at_ += size * items;
    return status_.ok() ? items : 0;
  }
  bool at_end() const { return at_ == end_; }
  const Status& status() const { return status_; }

 private:
  const int fd_;
  const std::string path_;
  std::uint64_t at_;
  const std::uint64_t end_;
  Status status_;
};

struct OpenFile {
  FileHandle fd;
  std::uint64_t bytes = 0;
  std::uint64_t header_bytes = 0;
  IndexFileHeader header;
};

// Reads `text`, a whole header whose checksum is right.
Status ParseHeader(std::string_view text, const std::string& path, IndexFileHeader* header) {
  text.remove_prefix(kMagic.size() + 8);
  header->stamp.generation = TakeNumber<std::uint64_t>(&text);
  header->vectors = TakeNumber<std::uint64_t>(&text);
  header->payload_bytes = TakeNumber<std::uint64_t>(&text);
  const auto dimensions = TakeNumber<std::uint32_t>(&text);
  const auto metric = TakeNumber<std::uint32_t>(&text);
  const auto kind = TakeNumber<std::uint32_t>(&text);
  const auto space_bytes = TakeNumber<std::uint32_t>(&text);
  if (dimensions < 1 || dimensions > 65536) {
    return DamagedFile(path, "says " + std::to_string(dimensions) + " dimensions");
  }
  if (metric > static_cast<std::uint32_t>(Metric::kL2)) {
    return DamagedFile(path, "says metric " + std::to_string(metric));
  }
  if (kind != kKindFlat) return DamagedFile(path, "says kind " + std::to_string(kind));
  if (space_bytes != text.size() - kChecksumBytes) {
    return DamagedFile(path, "says " + std::to_string(space_bytes) + " bytes of space name");
  }
  header->dimensions = static_cast<int>(dimensions);
  header->metric = static_cast<Metric>(metric);
  header->stamp.space = std::string(text.substr(0, space_bytes));
  return {};
}

// FAISS's readers of other kinds take sizes on trust and may fail for memory or crash, so that even
// a payload with the right checksum goes to FAISS only if it is what we write: a map of ids over a
// flat index, of a length that fits the header.
Status CheckPayload(const OpenFile& file, const std::string& path) {
  const auto row_bytes = static_cast<std::uint64_t>(file.header.dimensions) * 4 + 8;
  const std::uint64_t bytes = file.header.payload_bytes;
  if (bytes < kFaissHeadBytes || file.header.vectors > bytes / row_bytes ||
      bytes - file.header.vectors * row_bytes > kFaissFrameBytesMax) {
    return DamagedFile(path, "says " + std::to_string(file.header.vectors) + " vectors");
  }
  std::string head(kFaissHeadBytes, '\0');
  EF_RETURN_IF_ERROR(ReadAt(file.fd.get(), path, file.header_bytes, head.data(), head.size()));
  const std::string inside = head.substr(kFaissHeadBytes - 4);
  if (!head.starts_with("IxMp") || (inside != "IxFI" && inside != "IxF2")) {
    return DamagedFile(path, "holds an index of another kind");
  }
  return {};
}

// Opens the file, checks its header against the header's checksum and its length.
Result<OpenFile> Open(const std::string& path) {
  // O_NONBLOCK: a pipe of this name must not hold us up. It changes nothing for a regular file.
  OpenFile file{
      FileHandle(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)), 0, 0, {}};
  if (file.fd.get() < 0) {
    if (errno == ENOENT) return Status(Code::kNotFound, "no index file " + path);
    return IoStatus(errno, "cannot open", path);
  }
  struct stat info;
  if (::fstat(file.fd.get(), &info) != 0) return IoStatus(errno, "cannot stat", path);
  if (!S_ISREG(info.st_mode)) return DamagedFile(path, "is not a regular file");
  file.bytes = static_cast<std::uint64_t>(info.st_size);

  std::string text(kFixedBytes, '\0');
  EF_RETURN_IF_ERROR(ReadAt(file.fd.get(), path, 0, text.data(), text.size()));
  std::string_view start = text;
  if (!start.starts_with(kMagic)) return DamagedFile(path, "is not an index file");
  start.remove_prefix(kMagic.size());
  if (const auto version = TakeNumber<std::uint32_t>(&start); version != kVersion) {
    return DamagedFile(path, "has format version " + std::to_string(version) +
                                 ", this program reads " + std::to_string(kVersion));
  }
  file.header_bytes = TakeNumber<std::uint32_t>(&start);
  if (file.header_bytes < kFixedBytes + kChecksumBytes ||
      file.header_bytes > kFixedBytes + kSpaceBytesMax + kChecksumBytes) {
    return DamagedFile(path, "says " + std::to_string(file.header_bytes) + " bytes of header");
  }
  text.resize(file.header_bytes);
  EF_RETURN_IF_ERROR(ReadAt(file.fd.get(), path, kFixedBytes, text.data() + kFixedBytes,
                            text.size() - kFixedBytes));
  std::string_view checksum = std::string_view(text).substr(text.size() - kChecksumBytes);
  if (TakeNumber<std::uint64_t>(&checksum) !=
      Checksum(std::string_view(text).substr(0, text.size() - kChecksumBytes))) {
    return DamagedFile(path, "the header's checksum is wrong");
  }
  EF_RETURN_IF_ERROR(ParseHeader(text, path, &file.header));
  const std::uint64_t around = file.header_bytes + kChecksumBytes;
  if (file.bytes < around || file.bytes - around != file.header.payload_bytes) {
    return DamagedFile(path, "is " + std::to_string(file.bytes) + " bytes long, its header says " +
                                 std::to_string(file.header.payload_bytes + around));
  }
  return file;
}

}  // namespace

const char* MetricName(Metric metric) {
  switch (metric) {
    case Metric::kCosine:
      return "cosine";
    case Metric::kInnerProduct:
      return "ip";
    case Metric::kL2:
      return "l2";
  }
  return "unknown";
}

Status StatusOf(const std::exception& exception, const std::string& context) {
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr) {
    return Status(Code::kIo, context + ": out of memory").WithWord("out_of_memory");
  }
  return {Code::kInternal, context + ": " + exception.what()};
}

Status WriteIndexFile(const std::string& path, IndexFileHeader header, const faiss::Index& index) {
  if (header.stamp.space.size() > kSpaceBytesMax) {
    return {Code::kInvalidArgument, "the space's name must be at most " +
                                        std::to_string(kSpaceBytesMax) + " bytes, got " +
                                        std::to_string(header.stamp.space.size())};
  }
  FaissWriter counter(nullptr);
  EF_RETURN_IF_ERROR(Serialize(index, &counter));
  header.payload_bytes = counter.bytes();

  EF_ASSIGN_OR_RETURN(const std::unique_ptr<TemporaryFile> file, TemporaryFile::Create(path));
  BlockWriter out(file->fd(), path);
  EF_RETURN_IF_ERROR(out.Write(WriteHeader(header)));
  FaissWriter writer(&out);
  EF_RETURN_IF_ERROR(Serialize(index, &writer));
  if (writer.bytes() != header.payload_bytes) {
    return {Code::kInternal, "the index changed while it was written to " + path};
  }
  EF_RETURN_IF_ERROR(out.Finish());
  return file->Place();
}

Result<IndexFile> ReadIndexFile(const std::string& path) {
  EF_ASSIGN_OR_RETURN(OpenFile file, Open(path));
  EF_RETURN_IF_ERROR(VerifyBlocks(file.fd.get(), path, file.bytes));
  EF_RETURN_IF_ERROR(CheckPayload(file, path));
  FaissReader reader(file.fd.get(), path, file.header_bytes, file.bytes - kChecksumBytes);
  IndexFile read{std::move(file.header), nullptr};
  try {
    read.index.reset(faiss::read_index(&reader));
  } catch (const std::bad_alloc& exception) {
    return StatusOf(exception, path);
  } catch (const std::exception& exception) {
    EF_RETURN_IF_ERROR(reader.status());
    return DamagedFile(path, std::string("cannot be parsed: ") + exception.what());
  }
  if (!reader.at_end()) return DamagedFile(path, "holds more than one index");
  return read;
}

Result<IndexFileInfo> PeekIndex(const std::string& path) {
  EF_ASSIGN_OR_RETURN(OpenFile file, Open(path));
  return IndexFileInfo{std::move(file.header.stamp), "flat", file.header.vectors, file.bytes};
}

}  // namespace embedflow
