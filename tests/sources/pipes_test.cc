// OpenFiles on inputs that have no size: standard input, FIFOs, devices; and how a stop ends them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <thread>

#include "tests/sources/input_files.h"

namespace embedflow {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Format = FileSourceOptions::Format;

FileSourceOptions Forced(Format format) {
  FileSourceOptions options;
  options.format = format;
  return options;
}

// Puts a descriptor in the place of standard input while it lives; owns it.
class StandardInput {
 public:
  explicit StandardInput(int fd) : saved_(::dup(STDIN_FILENO)) {
    EXPECT_EQ(::dup2(fd, STDIN_FILENO), STDIN_FILENO);
    ::close(fd);
  }
  ~StandardInput() {
    ::dup2(saved_, STDIN_FILENO);
    ::close(saved_);
  }

 private:
  const int saved_;
};

// A pipe that holds `bytes` as standard input; its writing end is closed.
int PipeWith(const std::string& bytes) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  EXPECT_EQ(::write(ends[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  ::close(ends[1]);
  return ends[0];
}

class Pipes : public testing::Test {
 protected:
  std::string Write(const std::string& name, std::string_view bytes) {
    return directory_.Write(name, bytes);
  }
  std::string At(const std::string& name) { return directory_.path() + "/" + name; }
  // How OpenFiles itself refuses `inputs`.
  Status Refusal(const std::vector<std::string>& inputs, const FileSourceOptions& options = {}) {
    const auto source = OpenFiles(inputs, options);
    EXPECT_FALSE(source.ok());
    EXPECT_FALSE(source.status().next().empty()) << source.status().ToString();
    return source.status();
  }

  const TemporaryDirectory directory_;
};

TEST_F(Pipes, StandardInputIsJsonLines) {
  for (const std::string name : {"-", "/dev/stdin"}) {
    const StandardInput input(PipeWith("{\"id\":1,\"text\":\"a\"}\nbad\n"));
    const Harvest harvest = ReadAll({name});
    EXPECT_TRUE(harvest.end.ok());
    ASSERT_EQ(harvest.records.size(), 2u);
    EXPECT_EQ(harvest.Lines()[0], "1=a");
    EXPECT_EQ(harvest.records[1].origin.file, name);
    EXPECT_EQ(harvest.records[1].origin.line, 2u);
    EXPECT_THAT(harvest.completed, ElementsAre(name));
    EXPECT_EQ(harvest.progress.bytes_total, std::nullopt);
    EXPECT_EQ(harvest.progress.bytes_read, 24u);
  }
}

TEST_F(Pipes, StandardInputTakesAForcedFormat) {
  {
    const StandardInput input(PipeWith("text\nx\n"));
    EXPECT_THAT(ReadAll({"-"}, Forced(Format::kCsv)).Lines(), ElementsAre("=x"));
  }
  const StandardInput input(PipeWith("whole\ntext"));
  EXPECT_THAT(ReadAll({"-"}, Forced(Format::kText)).Lines(), ElementsAre("-=whole\ntext"));
}

TEST_F(Pipes, StandardInputMayBeAFile) {
  const StandardInput input(
      ::open(Write("a", "{\"id\":1,\"text\":\"a\"}").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(ReadAll({"-"}).Lines(), ElementsAre("1=a"));
}

TEST_F(Pipes, StandardInputCanFail) {
  {
    const StandardInput input(PipeWith("\n\n"));
    EXPECT_EQ(ReadAll({"-"}).end.message(), "standard input: it holds no record");
  }
  {
    const StandardInput input(PipeWith(Gzip("{}")));
    EXPECT_THAT(ReadAll({"-"}).end.next(), HasSubstr("zcat"));
  }
  {
    const StandardInput input(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT_EQ(Refusal({"-"}).message(), "standard input is a directory");
  }
  EXPECT_EQ(Refusal({"-", "-"}).message(), "standard input is given twice");
  EXPECT_EQ(Refusal({"-", "/dev/stdin"}).message(), "standard input is given twice");
  const StandardInput input(PipeWith(""));
  ::close(STDIN_FILENO);
  EXPECT_EQ(Refusal({"-"}).code(), Code::kIo);
}

TEST_F(Pipes, AFifoIsReadWithoutSeeking) {
  for (const std::string name : {"fifo", "fifo.csv.gz"}) {
    const bool is_csv = name != "fifo";
    ASSERT_EQ(::mkfifo(At(name).c_str(), 0600), 0);
    std::thread writer([&] {
      std::ofstream(At(name)) << (is_csv ? Gzip("id,text\n1,a\n") : "{\"id\":1,\"text\":\"a\"}\n");
    });
    const Harvest harvest = ReadAll({At(name)});
    writer.join();
    EXPECT_TRUE(harvest.end.ok()) << harvest.end.ToString();
    EXPECT_THAT(harvest.Lines(), ElementsAre("1=a"));
    EXPECT_EQ(harvest.progress.bytes_total, std::nullopt);
  }
}

TEST_F(Pipes, StopWakesNextThatWaitsForAPipe) {
  // The record that the stop cuts is not handed out; the end is quiet.
  for (const bool is_standard_input : {true, false}) {
    int ends[2] = {-1, -1};
    const std::string path = is_standard_input ? "-" : At("fifo");
    std::optional<StandardInput> input;
    if (is_standard_input) {
      ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
      input.emplace(ends[0]);
    } else {
      ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
      ends[1] = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    }
    const std::string_view bytes = "{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"te";
    ASSERT_EQ(::write(ends[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    auto source = OpenFiles({path}, {});
    Record record;
    ASSERT_TRUE(*(*source)->Next(&record));
    std::thread reader([&] {
      const auto found = (*source)->Next(&record);
      EXPECT_TRUE(found.ok() && !*found);
    });
    (*source)->Stop();
    reader.join();
    EXPECT_FALSE(*(*source)->Next(&record));
    EXPECT_THAT((*source)->completed_inputs(), IsEmpty());
    ::close(ends[1]);
  }
}

TEST_F(Pipes, StopEndsAnEndlessInput) {
  auto source = OpenFiles({"/dev/zero"}, {});
  ASSERT_TRUE(source.ok());
  std::atomic<bool> has_begun{false};
  std::thread watcher([&] {
    while ((*source)->progress().bytes_read < (1u << 20)) std::this_thread::yield();
    has_begun = true;
    (*source)->Stop();
  });
  Record record;
  EXPECT_FALSE(*(*source)->Next(&record));
  watcher.join();
  EXPECT_TRUE(has_begun);
}

}  // namespace
}  // namespace embedflow
