// What the tests of the sources share: files in a temporary directory, streams from memory, and
// everything a source hands out.
#ifndef EMBEDFLOW_TESTS_SOURCES_INPUT_FILES_H_
#define EMBEDFLOW_TESTS_SOURCES_INPUT_FILES_H_

#include <gtest/gtest.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "embedflow/log.h"
#include "embedflow/source.h"
#include "sources/bytes.h"
#include "sources/documents.h"

namespace embedflow {

// A directory that is removed with all it holds.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "embedflow.XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  // Writes `bytes` to the file `name`, whose directories are made, and returns its path.
  std::string Write(const std::string& name, std::string_view bytes) const {
    const std::filesystem::path file = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
    return file.string();
  }

 private:
  std::string path_;
};

// A string as a stream, in pieces of at most `piece_bytes`; then `end` unless it is OK.
class MemoryBytes : public ByteStream {
 public:
  MemoryBytes(std::string bytes, std::size_t piece_bytes, Status end = {})
      : bytes_(std::move(bytes)), piece_bytes_(piece_bytes), end_(std::move(end)) {}
  Result<std::size_t> Read(char* into, std::size_t size) override {
    const std::size_t count = std::min({size, piece_bytes_, bytes_.size() - at_});
    if (count == 0 && !end_.ok()) return end_;
    std::memcpy(into, bytes_.data() + at_, count);
    at_ += count;
    return count;
  }

 private:
  const std::string bytes_;
  const std::size_t piece_bytes_;
  const Status end_;
  std::size_t at_ = 0;
};

inline std::string Gzip(std::string_view bytes) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, bytes.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

inline std::string Zstd(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

// All records, and how the source ended.
struct Harvest {
  std::vector<Record> records;
  Status end;
  SourceProgress progress;
  std::vector<std::string> completed;

  // "id=text" of a document, "!reason" of a bad record.
  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    for (const Record& record : records) {
      lines.push_back(record.bad ? "!" + record.bad->reason
                                 : record.document.id + "=" + record.document.text);
    }
    return lines;
  }
};

inline Harvest ReadAll(Source& source) {
  Harvest harvest;
  for (;;) {
    Record record;
    const Result<bool> found = source.Next(&record);
    if (!found.ok()) harvest.end = found.status();
    if (!found.ok() || !*found) break;
    harvest.records.push_back(std::move(record));
  }
  harvest.progress = source.progress();
  harvest.completed = source.completed_inputs();
  return harvest;
}

inline Harvest ReadAll(const std::vector<std::string>& inputs,
                       const FileSourceOptions& options = {}) {
  auto source = OpenFiles(inputs, options);
  if (source.ok()) return ReadAll(**source);
  Harvest harvest;
  harvest.end = source.status();
  return harvest;
}

inline Harvest ReadAll(DocumentReader& reader) {
  Harvest harvest;
  for (;;) {
    Record record;
    const Result<bool> found = reader.Next(&record);
    if (!found.ok()) harvest.end = found.status();
    if (!found.ok() || !*found) return harvest;
    harvest.records.push_back(std::move(record));
  }
}

// "key:kind:text key:kind:text", kinds as n(ull) b(oolean) d(igits) s(tring).
inline std::string Show(const Metadata& metadata) {
  std::string shown;
  for (const MetadataField& field : metadata) {
    if (!shown.empty()) shown += ' ';
    shown += field.key + ":" + "nbds"[static_cast<int>(field.value.kind)] + ":" + field.value.text;
  }
  return shown;
}

// Gathers the log while it lives.
class LogCapture {
 public:
  explicit LogCapture(LogLevel level) {
    SetLogLevel(level);
    SetLogSink([this](LogLevel, std::string_view line) { (text_ += line) += '\n'; });
  }
  ~LogCapture() {
    SetLogSink({});
    SetLogLevel(LogLevel::kWarning);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// The seed of a random test: EMBEDFLOW_TEST_SEED, or one that is always the same. Printed.
inline std::uint64_t TestSeed() {
  const char* given = std::getenv("EMBEDFLOW_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 20261122;
  std::printf("seed %llu (EMBEDFLOW_TEST_SEED)\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_SOURCES_INPUT_FILES_H_
