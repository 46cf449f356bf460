// Memory does not grow with a line, a row, a file or what a small compressed file becomes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "tests/sources/input_files.h"

namespace embedflow {
namespace {

// Sanitizers keep freed memory back and shadow all of it.
#ifdef EMBEDFLOW_SANITIZED
constexpr std::uint64_t kAllowance = 400u << 20;
#else
constexpr std::uint64_t kAllowance = 0;
#endif

// The greatest resident size of this process since the last ResetPeak().
std::uint64_t PeakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10) << 10;
  }
  ADD_FAILURE() << "no VmHWM in /proc/self/status";
  return 0;
}
void ResetPeak() { std::ofstream("/proc/self/clear_refs") << 5; }

// Reads `input` and returns by how much that raised the peak. Records are dropped at once.
std::uint64_t PeakOf(const std::string& input, const FileSourceOptions& options,
                     std::vector<std::string>* lines) {
  ResetPeak();
  const std::uint64_t before = PeakBytes();
  auto source = OpenFiles({input}, options);
  EXPECT_TRUE(source.ok()) << source.status().ToString();
  Record record;
  for (;;) {
    const auto found = (*source)->Next(&record);
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    if (!found.ok() || !*found) break;
    lines->push_back(record.bad ? "!" + record.bad->reason : record.document.id);
  }
  return PeakBytes() - before;
}

// Writes 300 MB between `head` and `tail` into a new FIFO while `read` reads it.
template <typename F>
void Through300Megabytes(const std::string& path, const std::string& head, const std::string& tail,
                         F read) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] {
    std::ofstream fifo(path, std::ios::binary);
    const std::string block(1 << 20, 'x');
    fifo << head;
    for (int i = 0; i < 300; ++i) fifo << block;
    fifo << tail;
  });
  read();
  writer.join();
}

using testing::ElementsAre;

TEST(Memory, ALineOf300MegabytesIsNotHeld) {
  const TemporaryDirectory directory;
  FileSourceOptions options;
  options.document_bytes_max = 1 << 20;
  std::vector<std::string> lines;
  const std::string path = directory.path() + "/line.jsonl";
  Through300Megabytes(path, "{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"text\":\"",
                      "\"}\n{\"id\":3,\"text\":\"c\"}\n",
                      [&] { EXPECT_LT(PeakOf(path, options, &lines), kAllowance + (8u << 20)); });
  EXPECT_THAT(lines, ElementsAre("1", "!larger than 1048576 bytes (--max-document-bytes)", "3"));
}

TEST(Memory, ALineOf300MegabytesCostsNoMoreThanTheDefaultLimitAndAHalf) {
  const TemporaryDirectory directory;
  std::vector<std::string> lines;
  const std::string path = directory.path() + "/line.jsonl";
  Through300Megabytes(path, "{\"id\":2,\"text\":\"", "\"}\n{\"id\":3,\"text\":\"c\"}\n",
                      [&] { EXPECT_LT(PeakOf(path, {}, &lines), kAllowance + (100u << 20)); });
  EXPECT_THAT(lines, ElementsAre("!larger than 67108864 bytes (--max-document-bytes)", "3"));
}

TEST(Memory, AQuotedFieldOf300MegabytesIsNotHeld) {
  const TemporaryDirectory directory;
  FileSourceOptions options;
  options.document_bytes_max = 1 << 20;
  std::vector<std::string> lines;
  const std::string path = directory.path() + "/row.csv";
  Through300Megabytes(path, "id,text\n1,\"", "\n2,b\n",
                      [&] { EXPECT_LT(PeakOf(path, options, &lines), kAllowance + (8u << 20)); });
  EXPECT_THAT(lines, ElementsAre("!a quote is never closed", "2"));
}

TEST(Memory, ATextOf300MegabytesIsNotHeld) {
  const TemporaryDirectory directory;
  FileSourceOptions options;
  options.document_bytes_max = 1 << 20;
  options.format = FileSourceOptions::Format::kText;
  std::vector<std::string> lines;
  const std::string path = directory.path() + "/big.txt";
  ASSERT_EQ(::truncate(directory.Write("big.txt", "x").c_str(), 300 << 20), 0);
  EXPECT_LT(PeakOf(path, options, &lines), kAllowance + (8u << 20));
  EXPECT_THAT(lines, ElementsAre("!larger than 1048576 bytes (--max-document-bytes)"));
}

TEST(Memory, ABombIsNotHeld) {
  // 300 MB of spaces in one line, from some 300 kB of gzip and 30 kB of zstd.
  const TemporaryDirectory directory;
  FileSourceOptions options;
  options.document_bytes_max = 1 << 20;
  const std::string head = "{\"id\":1,\"text\":\"a\"}\n";
  const std::string tail = "x\n{\"id\":2,\"text\":\"b\"}\n";
  for (const bool is_gzip : {true, false}) {
    std::string packed = is_gzip ? Gzip(head) : Zstd(head);
    const std::string part =
        is_gzip ? Gzip(std::string(10 << 20, ' ')) : Zstd(std::string(10 << 20, ' '));
    for (int i = 0; i < 30; ++i) packed += part;
    packed += is_gzip ? Gzip(tail) : Zstd(tail);
    std::vector<std::string> lines;
    const std::string path = directory.Write(is_gzip ? "bomb.jsonl.gz" : "bomb.jsonl.zst", packed);
    EXPECT_LT(PeakOf(path, options, &lines), kAllowance + (16u << 20)) << path;
    EXPECT_THAT(lines, ElementsAre("1", "!larger than 1048576 bytes (--max-document-bytes)", "2"));
  }
}

TEST(Memory, ManyRecordsCostNoMoreThanOne) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/many.jsonl";
  {
    std::ofstream file(path);
    const std::string text(200, 't');
    for (int i = 0; i < 200000; ++i) file << "{\"id\":" << i << ",\"text\":\"" << text << "\"}\n";
  }
  ResetPeak();
  const std::uint64_t before = PeakBytes();
  auto source = OpenFiles({path}, {});
  std::uint64_t records = 0;
  for (Record record; *(*source)->Next(&record);) ++records;
  EXPECT_EQ(records, 200000u);
  EXPECT_LT(PeakBytes() - before, kAllowance + (4u << 20));
}

}  // namespace
}  // namespace embedflow
