// What tests of the built program share: a folder with three documents, and ways to run it there.
#ifndef EMBEDFLOW_TESTS_CLI_PROGRAM_FIXTURE_H_
#define EMBEDFLOW_TESTS_CLI_PROGRAM_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/fakes/program.h"

namespace embedflow {

using Words = std::vector<std::string>;

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// The keys in order, for a line of JSON with a fixed shape.
inline std::string KeysOf(const std::map<std::string, std::string>& map) {
  std::string keys;
  for (const auto& [key, value] : map) keys += (keys.empty() ? "" : " ") + key;
  return keys;
}

class ProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "embedflow_cli_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    Write("in.jsonl",
          "{\"id\":\"a\",\"text\":\"the quick brown fox\",\"lang\":\"en\",\"n\":1.10}\n"
          "{\"id\":\"b\",\"text\":\"der schnelle braune Fuchs\",\"lang\":\"de\",\"ok\":true}\n"
          "{\"id\":\"c\",\"text\":\"a lazy dog sleeps all day\",\"lang\":\"en\"}\n");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string At(const std::string& name) const { return directory_ + "/" + name; }
  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(At(name), std::ios::binary) << content;
  }
  static ProgramResult Run(const Words& words, const std::string& input = "",
                           const Words& environment = {}) {
    return RunProgram(EMBEDFLOW_PROGRAM, words, input, environment);
  }
  ProgramResult Ingest(Words more = {}) const {
    Words words = {"ingest", At("in.jsonl"), "--into", At("corpus")};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }
  Words Remote(const std::string& base_url, const Words& more = {}) const {
    Words words = {"ingest",     At("in.jsonl"), "--into",           At("corpus"),
                   "--provider", "local",        "--model",          "test",
                   "--base-url", base_url,       "--dimensions",     "8",
                   "--summary",  At("s.json"),   "--retry-delay-ms", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  std::string directory_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_CLI_PROGRAM_FIXTURE_H_
