// OpenFiles: which inputs are taken, in which order, and how they end.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <functional>

#include "sources/documents.h"
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

class Files : public testing::Test {
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

TEST_F(Files, OptionsAreValidated) {
  const auto message = [](auto change) {
    FileSourceOptions options;
    change(options);
    EXPECT_EQ(options.Validate().code(), Code::kInvalidArgument);
    EXPECT_EQ(OpenFiles({"-"}, options).status().message(), options.Validate().message());
    return options.Validate().message();
  };
  EXPECT_TRUE(FileSourceOptions().Validate().ok());
  EXPECT_EQ(message([](auto& o) { o.document_bytes_max = 0; }),
            "document_bytes_max must be in [1, 1073741824], got 0");
  EXPECT_EQ(message([](auto& o) { o.document_bytes_max = (1ull << 30) + 1; }),
            "document_bytes_max must be in [1, 1073741824], got 1073741825");
  EXPECT_EQ(message([](auto& o) { o.text_field = ""; }), "text_field must not be empty");
  EXPECT_EQ(message([](auto& o) { o.id_field = ""; }), "id_field must not be empty");
  EXPECT_EQ(message([](auto& o) { o.id_field = "text"; }),
            "id_field and text_field must differ, both are 'text'");
  EXPECT_EQ(message([](auto& o) { o.format = static_cast<Format>(99); }), "format is unknown");
}

TEST_F(Files, EveryFormatIsReadByItsNamePlainAndCompressed) {
  struct Case {
    const char* name;
    std::string bytes, id, text;
  };
  const Case cases[] = {
      {"a.jsonl", "{\"id\":\"i\",\"text\":\"t\"}\n", "i", "t"},
      {"a.ndjson", "{\"id\":\"i\",\"text\":\"t\"}", "i", "t"},
      {"a.csv", "id,text\ni,t\n", "i", "t"},
      {"a.tsv", "text\tid\nt\ti\n", "i", "t"},
      {"a.txt", "whole\n", "", "whole\n"},
      {"a.md", "# head\n", "", "# head\n"},
      {"a.rst", "head\n", "", "head\n"},
  };
  for (const Case& c : cases) {
    for (const std::string suffix : {"", ".gz", ".zst", ".GZ"}) {
      const std::string bytes = suffix.empty()     ? c.bytes
                                : suffix == ".zst" ? Zstd(c.bytes)
                                                   : Gzip(c.bytes);
      const std::string path = Write(c.name + suffix, bytes);
      const Harvest harvest = ReadAll({path});
      EXPECT_TRUE(harvest.end.ok()) << harvest.end.ToString();
      ASSERT_EQ(harvest.records.size(), 1u) << path;
      const Record& record = harvest.records[0];
      EXPECT_FALSE(record.bad.has_value()) << path;
      EXPECT_EQ(record.document.id, c.id.empty() ? path : c.id);
      EXPECT_EQ(record.document.text, c.text);
      EXPECT_EQ(record.origin.file, path);
      EXPECT_EQ(record.token, 1u);
      EXPECT_THAT(harvest.completed, ElementsAre(path));
      EXPECT_EQ(harvest.progress.bytes_read, bytes.size());
      EXPECT_EQ(harvest.progress.bytes_total, bytes.size());
    }
  }
}

TEST_F(Files, AForcedFormatHoldsForEveryFile) {
  const std::string odd = Write("d/data.bin", "id,text\n1,a\n");
  Write("d/packed.weird.gz", Gzip("id,text\n2,b\n"));
  Write("d/z.jsonl", "id,text\n3,c\n");
  EXPECT_THAT(ReadAll({At("d")}, Forced(Format::kCsv)).Lines(), ElementsAre("1=a", "2=b", "3=c"));
  EXPECT_THAT(ReadAll({odd}, Forced(Format::kText)).Lines(), ElementsAre(odd + "=id,text\n1,a\n"));
  EXPECT_THAT(ReadAll({odd}, Forced(Format::kMarkdown)).Lines(),
              ElementsAre(odd + "=id,text\n1,a\n"));
  EXPECT_THAT(Refusal({odd}).message(), HasSubstr("its name does not tell its format"));
}

TEST_F(Files, ADirectoryGivesItsFilesInOrderUnderRelativeIds) {
  Write("in/b.txt", "B");
  Write("in/a/z.md", "AZ");
  Write("in/a-b.txt", "A-B");
  Write("in/.hidden.txt", "H");
  Write("in/c.jsonl", "{\"id\":\"j1\",\"text\":\"x\"}\n{\"text\":\"y\"}\n");
  Write("in/empty.txt", "");
  Write("in/none.jsonl", "");
  Write("in/picture.png", "not read");
  ASSERT_EQ(::symlink("b.txt", At("in/link.txt").c_str()), 0);
  for (const std::string& root : {At("in"), At("in/")}) {
    const LogCapture log(LogLevel::kDebug);
    const Harvest harvest = ReadAll({root});
    EXPECT_TRUE(harvest.end.ok());
    EXPECT_THAT(harvest.Lines(), ElementsAre(".hidden.txt=H", "a-b.txt=A-B", "a/z.md=AZ", "b.txt=B",
                                             "j1=x", "=y", "empty.txt="));
    EXPECT_EQ(harvest.records[2].origin.file, At("in/a/z.md"));
    EXPECT_EQ(harvest.records[5].origin.line, 2u);
    for (std::size_t i = 0; i < harvest.records.size(); ++i)
      EXPECT_EQ(harvest.records[i].token, i + 1);
    EXPECT_THAT(harvest.completed,
                ElementsAre(At("in/.hidden.txt"), At("in/a-b.txt"), At("in/a/z.md"), At("in/b.txt"),
                            At("in/c.jsonl"), At("in/empty.txt"), At("in/none.jsonl")));
    EXPECT_EQ(harvest.progress.bytes_read, harvest.progress.bytes_total);
    EXPECT_THAT(log.text(), HasSubstr("in/picture.png: passed over, its extension"));
    EXPECT_THAT(log.text(), HasSubstr("in/link.txt: passed over"));
  }
}

TEST_F(Files, InputsFollowOneAnotherAndMayRepeat) {
  const std::string a = Write("a.jsonl", "{\"id\":1,\"text\":\"a\"}");
  Write("d/b.txt", "b");
  const Harvest harvest = ReadAll({a, At("d"), a});
  EXPECT_THAT(harvest.Lines(), ElementsAre("1=a", "b.txt=b", "1=a"));
  EXPECT_EQ(harvest.progress.bytes_total, 2 * 19u + 1u);
}

TEST_F(Files, WhatIsMissingIsFoundBeforeAnythingIsRead) {
  const std::string good = Write("good.jsonl", "{\"text\":\"a\"}");
  const Status missing = Refusal({good, At("none.jsonl")});
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_EQ(missing.word(), "input_missing");
  EXPECT_EQ(missing.message(), At("none.jsonl") + ": No such file or directory");
  EXPECT_EQ(Refusal({good + "/below"}).code(), Code::kNotFound);
  EXPECT_EQ(Refusal({""}).message(), "'': No such file or directory");
  EXPECT_EQ(Refusal({std::string("a\0b", 3)}).code(), Code::kInvalidArgument);
  EXPECT_EQ(Refusal({}).code(), Code::kInvalidArgument);
  ASSERT_EQ(::symlink("nowhere", At("dangling.jsonl").c_str()), 0);
  EXPECT_THAT(Refusal({At("dangling.jsonl")}).message(), HasSubstr("target of this symbolic link"));
  // A file called "-" needs "./-".
  const std::string start = std::filesystem::current_path().string();
  Write("-", "{\"id\":1,\"text\":\"dash\"}");
  ASSERT_EQ(::chdir(directory_.path().c_str()), 0);
  EXPECT_THAT(ReadAll({"./-"}, Forced(Format::kJsonLines)).Lines(), ElementsAre("1=dash"));
  ASSERT_EQ(::chdir(start.c_str()), 0);
}

TEST_F(Files, ALinkThatIsGivenIsFollowed) {
  Write("real/a.txt", "A");
  ASSERT_EQ(::symlink("real", At("dir").c_str()), 0);
  ASSERT_EQ(::symlink("real/a.txt", At("file.txt").c_str()), 0);
  EXPECT_THAT(ReadAll({At("dir"), At("file.txt")}).Lines(),
              ElementsAre("a.txt=A", At("file.txt") + "=A"));
}

// The user "nobody" while it lives, where the tests run as root; root may read everything.
class Unprivileged {
 public:
  Unprivileged() : was_root_(::geteuid() == 0) { EXPECT_EQ(was_root_ ? ::seteuid(65534) : 0, 0); }
  ~Unprivileged() { EXPECT_EQ(was_root_ ? ::seteuid(0) : 0, 0); }

 private:
  const bool was_root_;
};

TEST_F(Files, WhatMayNotBeReadIsFoundBeforeAnythingIsRead) {
  const std::string file = Write("secret.jsonl", "{\"text\":\"a\"}");
  const std::string member = Write("d/sub/secret.txt", "a");
  Write("e/locked/a.txt", "a");
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(file.c_str(), 0), 0);
  ASSERT_EQ(::chmod(member.c_str(), 0), 0);
  ASSERT_EQ(::chmod(At("e/locked").c_str(), 0), 0);
  {
    const Unprivileged nobody;
    for (const std::string& input : {file, At("d"), At("e")}) {
      const Status refusal = Refusal({input});
      EXPECT_EQ(refusal.code(), Code::kIo) << input;
      EXPECT_EQ(refusal.word(), "input_unreadable");
      EXPECT_THAT(refusal.message(), HasSubstr("Permission denied"));
    }
    EXPECT_THAT(Refusal({At("d")}).message(), HasSubstr(member));
    EXPECT_THAT(Refusal({At("e")}).message(), HasSubstr(At("e/locked")));
  }
  ASSERT_EQ(::chmod(At("e/locked").c_str(), 0700), 0);
}

TEST_F(Files, ASocketIsNoInput) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  At("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
  EXPECT_THAT(Refusal({At("socket")}).message(), HasSubstr("is a socket"));
  ::close(fd);
}

TEST_F(Files, AReadErrorNamesTheFile) {
  const Harvest harvest = ReadAll({"/proc/self/mem"}, Forced(Format::kJsonLines));
  EXPECT_EQ(harvest.end.code(), Code::kIo);
  EXPECT_THAT(harvest.end.message(), HasSubstr("/proc/self/mem: cannot be read at byte 0: "));
  EXPECT_FALSE(harvest.end.next().empty());
}

TEST_F(Files, AnInputWithoutARecordIsAnError) {
  const std::string good = Write("good.jsonl", "{\"id\":1,\"text\":\"a\"}");
  for (const std::string& empty :
       {Write("a.jsonl", ""), Write("b.jsonl", "\n \r\n"), Write("c.csv", "id,text\n"),
        Write("d.csv", ""), Write("e.jsonl.gz", Gzip("")), Write("f.tsv.zst", Zstd("\n"))}) {
    const Harvest harvest = ReadAll({good, empty});
    EXPECT_THAT(harvest.Lines(), ElementsAre("1=a"));
    EXPECT_EQ(harvest.end.code(), Code::kInvalidArgument);
    EXPECT_EQ(harvest.end.word(), "input_empty");
    EXPECT_EQ(harvest.end.message(), empty + ": it holds no record");
    EXPECT_FALSE(harvest.end.next().empty());
  }
  // An empty text is a document all the same, and a bad record is a record.
  EXPECT_TRUE(ReadAll({Write("g.txt", "")}).end.ok());
  EXPECT_TRUE(ReadAll({Write("h.jsonl", "bad")}).end.ok());
}

TEST_F(Files, ADirectoryWithoutARecordIsAnError) {
  std::filesystem::create_directories(At("empty/sub"));
  EXPECT_THAT(Refusal({At("empty")}).message(), HasSubstr("the directory holds no record"));
  Write("odd/a.png", "x");
  const Status refusal = Refusal({At("odd")});
  EXPECT_THAT(refusal.message(), HasSubstr("none of its 1 files has one of the extensions .jsonl"));
  EXPECT_EQ(refusal.word(), "input_empty");
  Write("void/a.jsonl", "");
  Write("void/b.csv", "text\n");
  EXPECT_EQ(ReadAll({At("void")}).end.word(), "input_empty");
}

TEST_F(Files, ABrokenArchiveGivesWhatCameBeforeTheBreak) {
  std::string lines;
  Rng rng(5);
  for (int i = 0; i < 5000; ++i) {
    lines += "{\"id\":" + std::to_string(i) + ",\"text\":\"" + std::to_string(rng.Next()) + "\"}\n";
  }
  for (const bool is_gzip : {true, false}) {
    const std::string packed = is_gzip ? Gzip(lines) : Zstd(lines);
    const std::string path =
        Write(is_gzip ? "cut.jsonl.gz" : "cut.jsonl.zst", packed.substr(0, packed.size() - 20));
    const Harvest harvest = ReadAll({path});
    EXPECT_GT(harvest.records.size(), is_gzip ? 4900u : 0u);
    for (std::size_t i = 0; i < harvest.records.size(); ++i)
      ASSERT_EQ(harvest.records[i].document.id, std::to_string(i));
    EXPECT_EQ(harvest.end.code(), Code::kInvalidArgument);
    EXPECT_EQ(harvest.end.word(), "input_damaged");
    EXPECT_EQ(harvest.end.message(), path + ": is cut off at byte " +
                                         std::to_string(packed.size() - 20) +
                                         ", inside its compressed data");
    EXPECT_EQ(harvest.end.kept(),
              harvest.records.empty()
                  ? ""
                  : "the " + std::to_string(harvest.records.size()) + " records of it before that");
    EXPECT_FALSE(harvest.end.next().empty());
    EXPECT_THAT(harvest.completed, IsEmpty());
  }
  EXPECT_EQ(ReadAll({Write("plain.jsonl.gz", lines)}).end.word(), "input_format");
  EXPECT_EQ(ReadAll({Write("empty.jsonl.gz", "")}).end.word(), "input_format");
}

TEST_F(Files, OneUnreadableTextOfADirectoryCostsOneDocument) {
  using std::string_literals::operator""s;
  Write("d/a.txt", "\xff\xfeU\0"s);
  Write("d/b.txt.gz", Gzip("text").substr(0, 15));
  Write("d/c.txt", "fine");
  const Harvest harvest = ReadAll({At("d")});
  EXPECT_TRUE(harvest.end.ok());
  EXPECT_THAT(harvest.Lines(),
              ElementsAre("!is UTF-16 or UTF-32; only UTF-8 is read",
                          "!is cut off at byte 15, inside its compressed data", "c.txt=fine"));
  EXPECT_EQ(ReadAll({At("d/a.txt")}).end.word(), "input_encoding");
  EXPECT_EQ(ReadAll({At("d/b.txt.gz")}).end.word(), "input_damaged");
  // JSON Lines and tables hold many documents: nobody should find out from one dead letter.
  Write("e/a.jsonl", "\xff\xfeU\0"s);
  Write("e/b.txt", "fine");
  EXPECT_EQ(ReadAll({At("e")}).end.message(),
            At("e/a.jsonl") + ": is UTF-16 or UTF-32; only UTF-8 is read");
}

TEST_F(Files, AnErrorStays) {
  auto source = OpenFiles({Write("a.csv", "id,body\n1,a\n")}, {});
  Record record;
  const Status first = (*source)->Next(&record).status();
  EXPECT_THAT(first.message(), HasSubstr("a.csv: no column 'text'; it has id, body"));
  EXPECT_EQ((*source)->Next(&record).status().ToString(), first.ToString());
}

TEST_F(Files, TheEndStays) {
  auto source = OpenFiles({Write("a.txt", "a")}, {});
  Record record;
  EXPECT_TRUE(*(*source)->Next(&record));
  EXPECT_FALSE(*(*source)->Next(&record));
  EXPECT_FALSE(*(*source)->Next(&record));
}

TEST_F(Files, AFileThatChangesIsReadAndWarnedAbout) {
  const std::string line = "{\"id\":1,\"text\":\"a\"}\n";
  const std::string path = Write("a.jsonl", line);
  struct Change {
    std::string message;
    std::function<void()> make;
    std::size_t records;
  };
  const Change changes[] = {
      {"it grew from 20 to 40 bytes", [&] { Write("a.jsonl", line + line); }, 2},
      {"it shrank from 20 to 0 bytes", [&] { Write("a.jsonl", ""); }, 1},
      {"another file has taken its name",
       [&] { std::filesystem::rename(Write("b.jsonl", line), path); }, 1},
      {"it was removed", [&] { std::filesystem::remove(path); }, 1},
  };
  for (const Change& change : changes) {
    Write("a.jsonl", line);
    const LogCapture log(LogLevel::kWarning);
    auto source = OpenFiles({path}, {});
    Record record;
    ASSERT_TRUE(*(*source)->Next(&record));
    change.make();
    std::size_t records = 1;
    while (*(*source)->Next(&record)) ++records;
    EXPECT_EQ(records, change.records);
    EXPECT_THAT(log.text(), HasSubstr(path + ": changed while it was read: " + change.message));
    EXPECT_THAT((*source)->completed_inputs(), ElementsAre(path));
  }
}

TEST_F(Files, AMemberThatVanishesIsPassedOverWithAWarning) {
  Write("d/a.txt", "A");
  Write("d/b.txt", "B");
  Write("d/c.txt", "C");
  const LogCapture log(LogLevel::kWarning);
  auto source = OpenFiles({At("d")}, {});
  Record record;
  ASSERT_TRUE(*(*source)->Next(&record));
  std::filesystem::remove(At("d/b.txt"));
  ASSERT_TRUE(*(*source)->Next(&record));
  EXPECT_EQ(record.document.text, "C");
  EXPECT_THAT(log.text(), HasSubstr(At("d/b.txt") + ": gone since the directory was listed"));
}

TEST_F(Files, ProgressCountsCompressedBytes) {
  std::string lines;
  for (int i = 0; i < 20000; ++i) lines += "{\"text\":\"again and again\"}\n";
  const std::string packed = Gzip(lines);
  const Harvest harvest = ReadAll({Write("a.jsonl.gz", packed)});
  EXPECT_EQ(harvest.progress.bytes_read, packed.size());
  EXPECT_EQ(harvest.progress.bytes_total, packed.size());
  std::uint64_t bytes = 0;
  for (const Record& record : harvest.records) bytes += record.bytes;
  EXPECT_EQ(bytes, lines.size());
}

}  // namespace
}  // namespace embedflow
