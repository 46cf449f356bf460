// N14: the built program where hardly any file may be open.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/fakes/flaky_server.h"
#include "tests/fakes/program.h"

namespace embedflow {
namespace {

class FewFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_few_files_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    std::ofstream input(directory_ + "/in.jsonl");
    for (int i = 0; i < 400; ++i)
      input << "{\"id\":\"d" << i << "\",\"text\":\"the text of document number " << i << "\"}\n";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  // As a user would: `ulimit -n`, then the program. 0: no limit.
  ProgramResult Ingest(const FlakyServer& server, int files) const {
    const std::string limit = files > 0 ? "ulimit -n " + std::to_string(files) + "; " : "";
    return RunProgram("/bin/sh", {"-c",
                                  limit + "exec \"$@\"",
                                  "sh",
                                  EMBEDFLOW_PROGRAM,
                                  "ingest",
                                  directory_ + "/in.jsonl",
                                  "--into",
                                  directory_ + "/corpus",
                                  "--provider",
                                  "local",
                                  "--model",
                                  "test-model",
                                  "--dimensions",
                                  "8",
                                  "--base-url",
                                  server.base_url(),
                                  "--max-batch-size",
                                  "2",
                                  "--max-concurrency",
                                  "64",
                                  "--retry-delay-ms",
                                  "1",
                                  "--progress",
                                  "none"});
  }

  std::string directory_;
};

class FileLimit : public FewFiles, public testing::WithParamInterface<int> {};

TEST_P(FileLimit, CompletesOrSaysWhyAndLosesNothing) {
  FlakyServer server({.dimensions = 8}, [](const FlakyRequest&) {
    return FlakyReply{.delay = std::chrono::milliseconds(2)};
  });
  const ProgramResult few = Ingest(server, GetParam());
  EXPECT_LT(few.exit_code, 128) << few.err;
  if (few.exit_code == 0) {
    EXPECT_NE(few.err.find("connections at once instead of"), std::string::npos) << few.err;
  } else {
    EXPECT_EQ(few.exit_code, 7) << few.err;
    EXPECT_NE(few.err.find("Too many open files"), std::string::npos) << few.err;
  }
  const ProgramResult enough = Ingest(server, 0);
  EXPECT_EQ(enough.exit_code, 0) << enough.err;
  EXPECT_EQ(server.texts_received().size(), 400u);
  for (const auto& [text, times] : server.texts_answered()) EXPECT_EQ(times, 1u) << text;
  const ProgramResult verify = RunProgram(EMBEDFLOW_PROGRAM, {"verify", directory_ + "/corpus"});
  EXPECT_EQ(verify.exit_code, 0) << verify.out << verify.err;
}

INSTANTIATE_TEST_SUITE_P(Limits, FileLimit, testing::Values(16, 20, 24, 28, 32, 40, 64));

// 32 is what the fault catalogue asks for: there it must go on, with fewer connections.
TEST_F(FewFiles, ThirtyTwoAreEnough) {
  FlakyServer server({.dimensions = 8});
  const ProgramResult few = Ingest(server, 32);
  EXPECT_EQ(few.exit_code, 0) << few.err;
}

}  // namespace
}  // namespace embedflow
