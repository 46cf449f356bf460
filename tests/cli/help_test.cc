#include "cli/help.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cli/errors.h"
#include "cli/format.h"

namespace embedflow::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> AllTexts() {
  std::vector<std::string> texts = {Overview(), LongOverview()};
  for (const CommandInfo& info : Commands()) {
    texts.push_back(ShortHelp(info.command));
    texts.push_back(LongHelp(info.command));
  }
  return texts;
}

TEST(Help, NothingIsWiderThan80Columns) {
  for (const std::string& text : AllTexts()) {
    for (const std::string& line : LinesOf(text)) {
      EXPECT_LE(Columns(line), kHelpColumns) << line;
      EXPECT_FALSE(line.ends_with(' ')) << line;
    }
  }
}

TEST(Help, ShortHelpIsOneScreen) {
  for (const CommandInfo& info : Commands()) {
    EXPECT_LE(LinesOf(ShortHelp(info.command)).size(), 32u) << ShortHelp(info.command);
  }
  EXPECT_LE(LinesOf(Overview()).size(), 24u);
}

TEST(Help, ExamplesStandBeforeOptions) {
  for (const CommandInfo& info : Commands()) {
    const std::string text = ShortHelp(info.command);
    ASSERT_FALSE(info.examples.empty()) << info.name;
    EXPECT_LT(text.find(info.examples[0]), text.find("\nOutput\n")) << info.name;
  }
}

TEST(Help, LongHelpHasEveryOptionAndShortHelpCountsTheRest) {
  for (const CommandInfo& info : Commands()) {
    const std::string text = LongHelp(info.command);
    std::size_t hidden = 0;
    for (const Option* option : OptionsOf(info.command)) {
      EXPECT_THAT(text, HasSubstr("  " + std::string(option->name)));
      hidden += option->everyday ? 0 : 1;
    }
    if (hidden > 0) {
      EXPECT_THAT(ShortHelp(info.command), HasSubstr(std::to_string(hidden) + " more"));
    }
  }
}

TEST(Help, OnlyCommandsThatExistAreNamed) {
  for (const char* absent : {"reindex", "discover", "embedflow plan", "embedflow report",
                             "--max-usd", "embedflow bench"}) {
    for (const std::string& text : AllTexts()) EXPECT_THAT(text, Not(HasSubstr(absent)));
  }
}

// One section a command, made of the table.
std::string Reference() {
  std::string text =
      "# The command line\n\n"
      "Made from the program's table of options; `EMBEDFLOW_UPDATE_DOCS=1 ctest -R cli/help`\n"
      "writes it anew. Standard output carries results, standard error everything else.\n"
      "JSON: [json.md](json.md).\n\n## Exit codes\n\n| code | meaning |\n|---|---|\n";
  for (const ExitCode& exit : ExitCodes()) {
    text += "| " + std::to_string(exit.code) + " | " + std::string(exit.meaning) + " |\n";
  }
  text +=
      "\nOther codes may come; take an unknown one for a failure. When the reader of standard\n"
      "output goes away early (`| head`), the program ends with 7 and says nothing.\n";
  for (const CommandInfo& info : Commands()) {
    text += "\n## embedflow " + std::string(info.name) + "\n\n```text\n" + LongHelp(info.command) +
            "```\n";
  }
  return text;
}

TEST(Help, DocsAreWhatTheProgramSays) {
  const std::string path = EMBEDFLOW_DOCS_DIR "/cli.md";
  if (std::getenv("EMBEDFLOW_UPDATE_DOCS") != nullptr) std::ofstream(path) << Reference();
  std::ifstream file(path);
  std::stringstream content;
  content << file.rdbuf();
  EXPECT_EQ(content.str(), Reference());
}

}  // namespace
}  // namespace embedflow::cli
