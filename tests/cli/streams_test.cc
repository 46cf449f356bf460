// The built program at terminals, pipes and closed descriptors, and under signals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/json_map.h"
#include "tests/cli/spawn.h"
#include "tests/fakes/flaky_server.h"
#include "tests/fakes/program.h"

namespace embedflow {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<std::string>;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class StreamsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_streams_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    null_ = open("/dev/null", O_RDWR | O_CLOEXEC);
  }
  void TearDown() override {
    close(null_);
    std::filesystem::remove_all(directory_);
  }

  std::string At(const std::string& name) const { return directory_ + "/" + name; }
  void WriteDocuments(int count) const {
    std::ofstream file(At("in.jsonl"));
    for (int i = 0; i < count; ++i) {
      file << "{\"id\":\"d" << i << "\",\"text\":\"document number " << i << "\"}\n";
    }
  }
  Words Ingest(const std::string& input, const Words& more = {}) const {
    Words words = {EMBEDFLOW_PROGRAM, "ingest",    input,       "--into",
                   At("corpus"),      "--summary", At("s.json")};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  // One text a request, one request at a time.
  Words Slowly(const FlakyServer& server, const Words& more = {}) const {
    Words words =
        Ingest(At("in.jsonl"), {"--provider", "local", "--model", "test", "--dimensions", "8",
                                "--base-url", server.base_url(), "--max-batch-size", "1",
                                "--max-concurrency", "1", "--timeout-seconds", "60"});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  int Program(Words words) const {
    words.insert(words.begin(), EMBEDFLOW_PROGRAM);
    return Spawned(words, null_, null_, null_).Wait();
  }
  std::string Outcome() const { return JsonMap::Of(ReadFile(At("s.json"))).at("outcome"); }

  std::string directory_;
  int null_ = -1;
};

FlakyServer::Script Delayed(std::chrono::milliseconds delay) {
  return [delay](const FlakyRequest&) {
    FlakyReply reply;
    reply.delay = delay;
    return reply;
  };
}

TEST_F(StreamsTest, SignalsDrainCommitAndEndWithTheirCode) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    std::filesystem::remove_all(At("corpus"));
    Ends in;
    Ends err;
    in.MakePipeTo();
    err.MakePipeFrom();
    Spawned program(Ingest("-"), in.theirs, null_, err.theirs);
    in.CloseTheirs();
    err.CloseTheirs();
    const std::string line = "{\"id\":\"a\",\"text\":\"before the signal\"}\n";
    ASSERT_EQ(write(in.ours, line.data(), line.size()), static_cast<ssize_t>(line.size()));
    std::string text;
    // The plain progress line proves that the document has been taken in.
    ASSERT_TRUE(ReadUntil(err.ours, "started", &text)) << text;
    const auto sent = std::chrono::steady_clock::now();
    program.Signal(signal);
    ASSERT_TRUE(ReadUntil(err.ours, "Stopping", &text)) << text;
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - sent;
    RecordProperty("first_byte_ms", std::to_string(passed.count()));
    // 100 ms is the promise; a loaded machine may be slower.
    EXPECT_LT(passed.count(), 1000);
    text += ReadToEnd(err.ours);
    EXPECT_EQ(program.Wait(), 128 + signal) << text;
    EXPECT_THAT(text, HasSubstr("Interrupted after "));
    EXPECT_THAT(text, HasSubstr("To go on, the same command:"));
    EXPECT_EQ(text.find_first_of("\r\x1b"), std::string::npos);
    EXPECT_EQ(Outcome(), "\"interrupted\"");
    EXPECT_EQ(Program({"verify", At("corpus")}), 0);
  }
}

TEST_F(StreamsTest, FirstSignalTakesInWhatIsOutSecondGivesItUp) {
  WriteDocuments(50);
  // Every reply takes longer than the test: only a second signal ends the run soon.
  FlakyServer server({}, Delayed(std::chrono::seconds(50)));
  Ends err;
  err.MakePipeFrom();
  Spawned program(Slowly(server), null_, null_, err.theirs);
  err.CloseTheirs();
  ASSERT_TRUE(server.WaitForRequests(1));
  program.Signal(SIGINT);
  std::string text;
  ASSERT_TRUE(ReadUntil(err.ours, "The same signal again stops now.", &text)) << text;
  program.Signal(SIGINT);
  text += ReadToEnd(err.ours);
  EXPECT_EQ(program.Wait(), 130) << text;
  EXPECT_EQ(Outcome(), "\"interrupted\"");
  EXPECT_EQ(server.requests(), 1u);
  EXPECT_EQ(Program({"verify", At("corpus")}), 0);
}

TEST_F(StreamsTest, WhatIsOutAtTheFirstSignalIsKept) {
  WriteDocuments(50);
  FlakyServer server({}, Delayed(std::chrono::milliseconds(300)));
  Ends err;
  err.MakePipeFrom();
  Spawned program(Slowly(server), null_, null_, err.theirs);
  err.CloseTheirs();
  ASSERT_TRUE(server.WaitForRequests(2));
  program.Signal(SIGTERM);
  const std::string text = ReadToEnd(err.ours);
  EXPECT_EQ(program.Wait(), 143) << text;
  const auto summary = JsonMap::Of(ReadFile(At("s.json")));
  // What was answered is bought, and what was bought is stored.
  EXPECT_EQ(summary.at("chunks.embedded"), std::to_string(server.requests()));
  EXPECT_EQ(summary.at("provider.vectors_bought_twice"), "0");
}

TEST_F(StreamsTest, BarOnATerminalIsGoneAtTheEnd) {
  WriteDocuments(6);
  FlakyServer server({}, Delayed(std::chrono::milliseconds(300)));
  for (const unsigned short columns : std::vector<unsigned short>{80, 0, 20}) {
    std::filesystem::remove_all(At("corpus"));
    Ends terminal;
    terminal.MakeTerminal(columns);
    Spawned program(Slowly(server), null_, null_, terminal.theirs,
                    {"TERM=xterm", "LC_ALL=C.UTF-8", "NO_COLOR=1"});
    terminal.CloseTheirs();
    const std::string text = ReadToEnd(terminal.ours);
    EXPECT_EQ(program.Wait(), 0) << text;
    EXPECT_THAT(text, HasSubstr(" % "));
    EXPECT_THAT(text, HasSubstr("\x1b[J"));
    // The block is removed before the summary.
    const std::size_t summary = text.find("Complete in ");
    ASSERT_NE(summary, std::string::npos) << text;
    EXPECT_EQ(text.find('\x1b', summary), std::string::npos);
    // Percent never falls.
    int last = 0;
    for (std::size_t at = text.find(" % "); at != std::string::npos;
         at = text.find(" % ", at + 1)) {
      const int percent = std::atoi(text.substr(at - 3, 3).c_str());
      EXPECT_GE(percent, last);
      last = percent;
    }
  }
}

TEST_F(StreamsTest, NoControlByteWithoutATerminalThatTakesIt) {
  WriteDocuments(2);
  FlakyServer server({}, Delayed(std::chrono::milliseconds(300)));
  // `--progress bar` into a pipe, and any progress on a dumb terminal, are plain lines.
  for (const bool is_dumb : {false, true}) {
    std::filesystem::remove_all(At("corpus"));
    Ends err;
    if (is_dumb) {
      err.MakeTerminal(80);
    } else {
      err.MakePipeFrom();
    }
    Spawned program(Slowly(server, {"--progress", "bar"}), null_, null_, err.theirs,
                    {is_dumb ? "TERM=dumb" : "TERM=xterm"});
    err.CloseTheirs();
    std::string text = ReadToEnd(err.ours);
    EXPECT_EQ(program.Wait(), 0) << text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_THAT(text, HasSubstr("Z started percent=0.0"));
    EXPECT_THAT(text, Not(HasSubstr(" % ")));
  }
}

TEST_F(StreamsTest, ErrorsAreThreeLinesOnATerminal) {
  Ends terminal;
  terminal.MakeTerminal(80);
  Spawned program({EMBEDFLOW_PROGRAM, "ingset"}, null_, null_, terminal.theirs,
                  {"TERM=xterm", "NO_COLOR=1"});
  terminal.CloseTheirs();
  EXPECT_EQ(ReadToEnd(terminal.ours),
            "embedflow: there is no command ingset; a similar one is ingest\r\n"
            "  next: embedflow -h\r\n");
  EXPECT_EQ(program.Wait(), 2);
}

TEST_F(StreamsTest, StandardInputThatIsATerminalIsAUsageError) {
  Ends terminal;
  terminal.MakeTerminal(80);
  Spawned program(Ingest("-"), terminal.theirs, null_, null_);
  EXPECT_EQ(program.Wait(), 2);
}

TEST_F(StreamsTest, ClosedDescriptorsCannotHarmTheStore) {
  WriteDocuments(20);
  EXPECT_EQ(Spawned(Ingest(At("in.jsonl"), {"--log-level", "debug"}), -1, -1, -1).Wait(), 0);
  EXPECT_EQ(Program({"verify", At("corpus")}), 0);
  // Results that nobody can get are an error.
  EXPECT_EQ(Spawned({EMBEDFLOW_PROGRAM, "status", At("corpus")}, -1, -1, null_).Wait(), 7);
  EXPECT_EQ(Spawned(Ingest("-"), -1, null_, null_).Wait(), 7);
}

TEST_F(StreamsTest, FullAndClosedOutputsAreNoticed) {
  WriteDocuments(200);
  ASSERT_EQ(Spawned(Ingest(At("in.jsonl")), null_, null_, null_).Wait(), 0);
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  for (const char* command : {"export", "status", "verify", "dead"}) {
    Ends err;
    err.MakePipeFrom();
    Spawned program({EMBEDFLOW_PROGRAM, command, At("corpus")}, null_, full, err.theirs);
    err.CloseTheirs();
    const std::string text = ReadToEnd(err.ours);
    EXPECT_EQ(program.Wait(), 7) << command;
    EXPECT_THAT(text, HasSubstr("cannot write standard output: No space left"));
  }
  close(full);
  // A reader that has seen enough (`| head`) is told nothing.
  Ends out;
  Ends err;
  out.MakePipeFrom();
  err.MakePipeFrom();
  out.CloseOurs();
  Spawned program({EMBEDFLOW_PROGRAM, "export", At("corpus")}, null_, out.theirs, err.theirs);
  err.CloseTheirs();
  EXPECT_EQ(ReadToEnd(err.ours), "");
  EXPECT_EQ(program.Wait(), 7);
}

TEST_F(StreamsTest, SpecialFilesAreWrittenNotReplaced) {
  WriteDocuments(3);
  Ends out;
  out.MakePipeFrom();
  Words words = Ingest(At("in.jsonl"));
  words.back() = "/dev/stdout";
  Spawned program(words, null_, out.theirs, null_);
  out.CloseTheirs();
  const std::string text = ReadToEnd(out.ours);
  EXPECT_EQ(program.Wait(), 0);
  EXPECT_EQ(JsonMap::Of(text).at("outcome"), "\"complete\"");
  EXPECT_EQ(Program({"export", At("corpus"), "-o", "/dev/null"}), 0);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

}  // namespace
}  // namespace embedflow
