// A corpus that lives: documents that go, models that follow one another, texts that were refused.
// Through the built program; the server counts what was bought.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/cli/json_map.h"
#include "tests/cli/program_fixture.h"
#include "tests/fakes/flaky_server.h"

namespace embedflow {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int kDimensions = 8;

// A server that counts the texts it answers and refuses those that hold a word, alone or among
// others.
class CountingServer {
 public:
  CountingServer()
      : server_({.dimensions = kDimensions}, [this](const FlakyRequest& request) {
          const std::lock_guard<std::mutex> lock(mu_);
          FlakyReply reply;
          for (const std::string& text : request.texts) {
            if (!poison_.empty() && text.find(poison_) != std::string::npos) reply.status = 400;
          }
          if (reply.status == 200) {
            for (const std::string& text : request.texts) ++answered_[text];
          }
          return reply;
        }) {}
  std::string base_url() const { return server_.base_url(); }
  void Refuse(const std::string& word) {
    const std::lock_guard<std::mutex> lock(mu_);
    poison_ = word;
  }
  // Texts answered since the last call, as often as they were.
  std::size_t Answered() {
    const std::lock_guard<std::mutex> lock(mu_);
    std::size_t count = 0;
    for (const auto& [text, times] : answered_) count += times;
    answered_.clear();
    return count;
  }

 private:
  std::mutex mu_;
  std::string poison_;
  std::map<std::string, std::size_t> answered_;
  FlakyServer server_;
};

class LivingCorpus : public ProgramTest {
 protected:
  void WriteDocument(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(At(path)).parent_path());
    Write(path, text);
  }
  ProgramResult IngestOf(const std::vector<std::string>& inputs, Words more = {}) const {
    Words words = {"ingest"};
    for (const std::string& input : inputs) words.push_back(At(input));
    words.insert(words.end(), {"--into", At("corpus"), "--summary", At("s.json")});
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }
  std::map<std::string, std::string> Summary() const { return JsonMap::Of(ReadFile(At("s.json"))); }
  // The ids of all documents, by export.
  std::set<std::string> Ids() const {
    std::set<std::string> ids;
    const ProgramResult result = Run({"export", At("corpus")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    for (const std::string& line : LinesOf(result.out)) {
      ids.insert(JsonMap::Of(line).at("document_id"));
    }
    return ids;
  }
  void ExpectSound() const {
    const ProgramResult verify = Run({"verify", At("corpus")});
    EXPECT_EQ(verify.exit_code, 0) << verify.out << verify.err;
  }
  std::map<std::string, std::string> Status() const {
    return JsonMap::Of(Run({"status", At("corpus"), "--json"}).out);
  }
};

TEST_F(LivingCorpus, SyncDeletesWhatIsGoneAndNothingElse) {
  for (const char* name : {"1", "2", "3"}) {
    WriteDocument("notes/" + std::string(name) + ".txt", "note number " + std::string(name));
    WriteDocument("other/" + std::string(name) + "o.txt", "other number " + std::string(name));
  }
  ASSERT_EQ(IngestOf({"notes", "other"}).exit_code, 0);
  std::filesystem::remove(At("notes/2.txt"));
  std::filesystem::remove(At("other/2o.txt"));

  // What would be done is told, and not done.
  const ProgramResult dry = IngestOf({"notes"}, {"--sync", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("2  unchanged"));
  EXPECT_THAT(dry.out, HasSubstr("1  gone from the inputs"));
  EXPECT_EQ(Ids().size(), 6u);

  // Without --sync nothing goes.
  ASSERT_EQ(IngestOf({"notes"}).exit_code, 0);
  EXPECT_EQ(Ids().size(), 6u);

  // Only of the input that was read, however it is written.
  const ProgramResult synced = IngestOf({"other/../notes/"}, {"--sync"});
  EXPECT_EQ(synced.exit_code, 0) << synced.err;
  EXPECT_THAT(synced.err, HasSubstr("Deleting 1 document that the inputs no longer hold."));
  EXPECT_EQ(Summary().at("documents.deleted"), "1");
  EXPECT_EQ(Summary().at("documents.unchanged"), "2");
  EXPECT_EQ(Ids(), (std::set<std::string>{"\"1.txt\"", "\"3.txt\"", "\"1o.txt\"", "\"2o.txt\"",
                                          "\"3o.txt\""}));
  const ProgramResult search = Run({"search", At("corpus"), "note number 2"});
  EXPECT_THAT(search.out, Not(HasSubstr("2.txt")));
  ExpectSound();
}

TEST_F(LivingCorpus, ASubsetOfTheInputsDeletesNothing) {
  WriteDocument("in/a/1.txt", "text one");
  WriteDocument("in/b/2.txt", "text two");
  ASSERT_EQ(IngestOf({"in"}).exit_code, 0);
  // A part of the folder is another input.
  ASSERT_EQ(IngestOf({"in/a"}, {"--sync"}).exit_code, 0);
  EXPECT_EQ(Ids(), (std::set<std::string>{"\"a/1.txt\"", "\"b/2.txt\"", "\"1.txt\""}));
}

TEST_F(LivingCorpus, ABadRecordForbidsDeletions) {
  Write("in.jsonl", "{\"id\":\"a\",\"text\":\"one\"}\n{\"id\":\"b\",\"text\":\"two\"}\n");
  ASSERT_EQ(IngestOf({"in.jsonl"}).exit_code, 0);
  Write("in.jsonl", "{\"id\":\"a\",\"text\":\"one\"}\n{\"id\":\"b\",\"text\":\n");
  const ProgramResult dry = IngestOf({"in.jsonl"}, {"--sync", "--dry-run"});
  EXPECT_THAT(dry.out, HasSubstr("forbid to delete"));
  const ProgramResult result = IngestOf({"in.jsonl"}, {"--sync"});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(result.err, HasSubstr("nothing is deleted"));
  EXPECT_EQ(Ids().size(), 2u);
  EXPECT_EQ(Summary().at("documents.deleted"), "0");
}

TEST_F(LivingCorpus, ADocumentOfTwoInputsIsTakenAlongByNeither) {
  Write("a.jsonl", "{\"id\":\"x\",\"text\":\"one\"}\n{\"id\":\"y\",\"text\":\"two\"}\n");
  Write("b.jsonl", "{\"id\":\"x\",\"text\":\"one\"}\n");
  ASSERT_EQ(IngestOf({"a.jsonl"}).exit_code, 0);
  ASSERT_EQ(IngestOf({"b.jsonl"}).exit_code, 0);
  EXPECT_EQ(Summary().at("documents.unchanged"), "1");
  EXPECT_EQ(Summary().at("documents.ingested"), "0");
  // a.jsonl no longer holds x, but b.jsonl does.
  Write("a.jsonl", "{\"id\":\"y\",\"text\":\"two\"}\n");
  ASSERT_EQ(IngestOf({"a.jsonl"}, {"--sync"}).exit_code, 0);
  EXPECT_EQ(Ids(), (std::set<std::string>{"\"x\"", "\"y\""}));
  ExpectSound();
}

TEST_F(LivingCorpus, RemovedDocumentsLeaveSearchAtOnceAndCostNothingToComeBack) {
  CountingServer server;
  ASSERT_EQ(Run(Remote(server.base_url())).exit_code, 0);
  EXPECT_EQ(server.Answered(), 3u);
  const ProgramResult removed = Run({"remove", At("corpus"), "--id", "b", "--json"});
  EXPECT_EQ(removed.exit_code, 0) << removed.err;
  EXPECT_EQ(removed.out, "{\"removed\":1,\"chunks\":1,\"missing\":[]}\n");
  EXPECT_EQ(Ids(), (std::set<std::string>{"\"a\"", "\"c\""}));
  EXPECT_EQ(Status().at("spaces[0].index.vectors"), "2");
  EXPECT_EQ(Status().at("spaces[0].index.fresh"), "true");
  const ProgramResult search = Run({"search", At("corpus"), "der schnelle braune Fuchs"});
  EXPECT_THAT(search.out, Not(HasSubstr("Fuchs")));
  ExpectSound();
  (void)server.Answered();  // The query.
  const ProgramResult missing = Run({"remove", At("corpus"), "--id", "b", "c"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("no document has the id b"));
  EXPECT_THAT(missing.err, HasSubstr("1 other document removed"));
  ASSERT_EQ(Run(Remote(server.base_url())).exit_code, 0);
  EXPECT_EQ(server.Answered(), 0u);
  EXPECT_EQ(Ids().size(), 3u);
  ExpectSound();
}

TEST_F(LivingCorpus, BackfillMovesACorpusToAnotherModel) {
  constexpr int kDocuments = 300;
  std::string input;
  for (int i = 0; i < kDocuments; ++i) {
    input += "{\"id\":\"d" + std::to_string(i) + "\",\"text\":\"document number " +
             std::to_string(i) + "\"}\n";
  }
  Write("in.jsonl", input);
  ASSERT_EQ(IngestOf({"in.jsonl"}).exit_code, 0);
  CountingServer server;
  const Words backfill = {"backfill",         At("corpus"), "--provider",   "local",
                          "--model",          "test",       "--base-url",   server.base_url(),
                          "--dimensions",     "8",          "--parameters", "{\"user\":\"me\"}",
                          "--max-batch-size", "16"};
  {
    // Killed on its way.
    Words slow = backfill;
    slow.insert(slow.end(), {"--rate-limit-rpm", "600", "--ack-log", At("acks")});
    Program program(EMBEDFLOW_PROGRAM, slow);
    while (ReadFile(At("acks")).empty()) {
      siginfo_t ended{};
      const auto id = static_cast<id_t>(program.pid());
      ASSERT_EQ(waitid(P_PID, id, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
      ASSERT_EQ(ended.si_pid, 0) << "it ended by itself";
    }
    program.Signal(SIGKILL);
    (void)program.Wait();
  }
  const auto half = Status();
  EXPECT_EQ(half.at("spaces[0].complete"), "true");
  EXPECT_EQ(half.at("spaces[0].default"), "true");
  EXPECT_EQ(half.at("spaces[1].complete"), "false");
  EXPECT_NE(half.at("spaces[1].documents"), "0");
  // Search goes on in the space that is complete.
  EXPECT_THAT(Run({"search", At("corpus"), "document"}).err, HasSubstr("(builtin/"));
  const std::size_t before = server.Answered();
  EXPECT_LT(before, static_cast<std::size_t>(kDocuments));

  // Without options: the newest space, made as it was made.
  const ProgramResult rest = Run({"backfill", At("corpus"), "--summary", At("s.json")});
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  const std::size_t after = server.Answered();
  EXPECT_GE(before + after, static_cast<std::size_t>(kDocuments));
  const auto summary = Summary();
  EXPECT_LE(before + after - kDocuments, std::stoul(summary.at("provider.vectors_bought_twice")));
  const auto whole = Status();
  EXPECT_EQ(whole.at("spaces[1].complete"), "true");
  EXPECT_EQ(whole.at("spaces[1].default"), "true");
  EXPECT_EQ(whole.at("spaces[1].documents"), std::to_string(kDocuments));
  const ProgramResult search = Run({"search", At("corpus"), "document number 7", "-k", "1"});
  EXPECT_EQ(search.exit_code, 0) << search.err;
  EXPECT_THAT(search.err, HasSubstr("(local/test@parameters-"));
  EXPECT_THAT(search.out, HasSubstr("d7 "));
  (void)server.Answered();
  // Every vector is the server's.
  for (const std::string& line : LinesOf(Run({"export", At("corpus")}).out)) {
    const auto chunk = JsonMap::Of(line);
    const std::string text = chunk.at("text").substr(1, chunk.at("text").size() - 2);
    const std::vector<float> want = FlakyVector(text, kDimensions);
    for (int i = 0; i < kDimensions; ++i) {
      EXPECT_EQ(std::stof(chunk.at("embedding[" + std::to_string(i) + "]")),
                want[static_cast<std::size_t>(i)]);
    }
  }
  // The other space is still there.
  EXPECT_EQ(Run({"search", At("corpus"), "document", "--space", "builtin/hash-v1/512"}).exit_code,
            0);
  // Idempotent.
  ASSERT_EQ(Run({"backfill", At("corpus")}).exit_code, 0);
  EXPECT_EQ(server.Answered(), 0u);
  ExpectSound();
}

TEST_F(LivingCorpus, ChangedDocumentsLeaveTheOtherSpacesAndComeBackByBackfill) {
  ASSERT_EQ(Ingest().exit_code, 0);
  ASSERT_EQ(
      Run({"backfill", At("corpus"), "--provider", "builtin", "--dimensions", "64"}).exit_code, 0);
  EXPECT_EQ(Status().at("spaces[1].default"), "true");
  Write("in.jsonl",
        "{\"id\":\"a\",\"text\":\"something else\"}\n"
        "{\"id\":\"b\",\"text\":\"der schnelle braune Fuchs\",\"lang\":\"de\",\"ok\":true}\n");
  ASSERT_EQ(Ingest().exit_code, 0);
  const auto status = Status();
  EXPECT_EQ(status.at("spaces[1].documents"), "2");
  EXPECT_EQ(status.at("spaces[1].complete"), "false");
  EXPECT_EQ(status.at("spaces[0].default"), "true");
  EXPECT_EQ(status.at("spaces[1].index.fresh"), "true");
  ExpectSound();
  ASSERT_EQ(
      Run({"backfill", At("corpus"), "--provider", "builtin", "--dimensions", "64"}).exit_code, 0);
  EXPECT_EQ(Status().at("spaces[1].complete"), "true");
  ExpectSound();
}

TEST_F(LivingCorpus, DeadLettersAreSentAgainAndClearWhatSucceeds) {
  CountingServer server;
  server.Refuse("Fuchs");
  EXPECT_EQ(Run(Remote(server.base_url())).exit_code, 3);
  const auto letters = JsonMap::Of(Run({"dead", At("corpus"), "--json"}).out);
  EXPECT_EQ(letters.at("dead_letters[0].document_id"), "\"b\"");
  EXPECT_EQ(letters.at("dead_letters[0].space"), "\"local/test/8\"");
  EXPECT_EQ(letters.at("dead_letters[0].line"), "2");
  (void)server.Answered();

  // A run over the same input does not send it again, and says that it is still dead.
  EXPECT_EQ(Run(Remote(server.base_url())).exit_code, 3);
  EXPECT_EQ(server.Answered(), 0u);
  // Still refused.
  const ProgramResult again = Run({"dead", At("corpus"), "--retry", "--retry-delay-ms", "1"});
  EXPECT_EQ(again.exit_code, 3) << again.err;
  EXPECT_EQ(Status().at("dead_letters"), "1");
  ExpectSound();

  server.Refuse("");
  (void)server.Answered();
  const ProgramResult retry = Run({"dead", At("corpus"), "--retry", "--summary", At("s.json")});
  EXPECT_EQ(retry.exit_code, 0) << retry.err;
  EXPECT_EQ(server.Answered(), 1u);
  EXPECT_EQ(Summary().at("chunks.embedded"), "1");
  EXPECT_EQ(Status().at("dead_letters"), "0");
  EXPECT_EQ(Run({"dead", At("corpus")}).out, "no dead letters\n");
  EXPECT_EQ(Ids().size(), 3u);
  ExpectSound();
  EXPECT_EQ(Run(Remote(server.base_url())).exit_code, 0);
  EXPECT_EQ(server.Answered(), 0u);
}

TEST_F(LivingCorpus, NothingIsWrittenOverTheCorpusOrAnInput) {
  ASSERT_EQ(Ingest().exit_code, 0);
  for (const Words& more :
       {Words{"--summary", At("corpus/corpus.sqlite")}, Words{"--ack-log", At("corpus/new")},
        Words{"--summary", At("in.jsonl")}, Words{"--ack-log", At("corpus/../in.jsonl")}}) {
    EXPECT_EQ(Ingest(more).exit_code, 2) << more[1];
  }
  EXPECT_EQ(Run({"export", At("corpus"), "-o", At("corpus/vectors.lmdb")}).exit_code, 2);
  EXPECT_EQ(Ingest({"--summary", At("s.json")}).exit_code, 0);
  ExpectSound();
}

TEST_F(LivingCorpus, AFileThatIsRemovedUnderARunIsNoticed) {
  for (const char* name : {"corpus.sqlite", "vectors.lmdb", "LOCK"}) {
    SCOPED_TRACE(name);
    const std::string directory = At(std::string("corpus-") + name);
    CountingServer server;
    Words words = Remote(server.base_url(), {"--max-batch-size", "1", "--rate-limit-rpm", "120",
                                             "--ack-log", At(std::string("acks-") + name)});
    words[3] = directory;
    Program program(EMBEDFLOW_PROGRAM, words);
    while (ReadFile(At(std::string("acks-") + name)).empty()) {
      siginfo_t ended{};
      const auto id = static_cast<id_t>(program.pid());
      ASSERT_EQ(waitid(P_PID, id, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
      ASSERT_EQ(ended.si_pid, 0) << "it ended by itself";
    }
    std::filesystem::remove(directory + "/" + name);
    const ProgramResult result = program.Wait();
    EXPECT_EQ(result.exit_code, 7) << result.err;
    EXPECT_THAT(result.err, HasSubstr("was removed while it was in use"));
  }
}

TEST_F(LivingCorpus, SyncFromAPipeIsRefused) {
  const ProgramResult result = Run({"ingest", "-", "--into", At("corpus"), "--sync"}, "{}");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--sync"));
}

TEST_F(LivingCorpus, AForgottenProviderDoesNotTakeSearchAway) {
  ASSERT_EQ(Ingest().exit_code, 0);
  Write("one.jsonl", "{\"id\":\"z\",\"text\":\"one more\"}\n");
  const ProgramResult other = IngestOf({"one.jsonl"}, {"--dimensions", "64"});
  EXPECT_EQ(other.exit_code, 0);
  EXPECT_THAT(other.err, HasSubstr("builtin/hash-v1/512"));
  EXPECT_EQ(Status().at("spaces[0].default"), "true");
  EXPECT_THAT(Run({"search", At("corpus"), "lazy dog"}).err, HasSubstr("(builtin/hash-v1/512)"));
}

TEST_F(LivingCorpus, RetriesOfALetterlessSpaceAreRefused) {
  CountingServer server;
  server.Refuse("Fuchs");
  EXPECT_EQ(Run(Remote(server.base_url())).exit_code, 3);
  const ProgramResult other = Run({"dead", At("corpus"), "--retry", "--provider", "builtin"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("they are in local/test/8"));
  EXPECT_EQ(Status().count("spaces[1].name"), 0u);
  server.Refuse("");
  const ProgramResult json = Run({"dead", At("corpus"), "--retry", "--json"});
  EXPECT_EQ(json.exit_code, 0) << json.err;
  EXPECT_EQ(json.out, "{\"dead_letters\":[]}\n");
}

TEST_F(LivingCorpus, LettersThatAreAllStillRefusedStayLetters) {
  CountingServer server;
  server.Refuse("no such text");
  ASSERT_EQ(Run(Remote(server.base_url())).exit_code, 0);
  // A run in which nothing is new but what is refused.
  Write("in.jsonl",
        "{\"id\":\"x\",\"text\":\"POISON one\"}\n{\"id\":\"y\",\"text\":\"POISON two\"}\n"
        "{\"id\":\"z\",\"text\":\"POISON three\"}\n");
  server.Refuse("POISON");
  const ProgramResult ingest = Run(Remote(server.base_url()));
  EXPECT_EQ(ingest.exit_code, 3) << ingest.err;
  EXPECT_EQ(Status().at("dead_letters"), "3");
  const ProgramResult again = Run({"dead", At("corpus"), "--retry", "--retry-delay-ms", "1"});
  EXPECT_EQ(again.exit_code, 3) << again.err;
  const auto letters = JsonMap::Of(Run({"dead", At("corpus"), "--json"}).out);
  for (const char* letter : {"0", "1", "2"}) {
    const std::string at = "dead_letters[" + std::string(letter) + "].";
    EXPECT_GE(std::stoi(letters.at(at + "attempts")), 1) << again.out;
    EXPECT_NE(letters.at(at + "reason"), "\"\"");
  }
  EXPECT_EQ(Status().at("dead_letters"), "3");
  ExpectSound();
  // So does moving to another space of the same server.
  const ProgramResult backfill =
      Run({"backfill", At("corpus"), "--provider", "local", "--model", "other", "--base-url",
           server.base_url(), "--dimensions", "8", "--retry-delay-ms", "1"});
  EXPECT_EQ(backfill.exit_code, 3) << backfill.err;
}

TEST_F(LivingCorpus, LettersOfBadRecordsStayUntilTheInputIsMended) {
  Write("in.jsonl", "{\"id\":\"a\",\"text\":\"one\"}\nnot json\n");
  EXPECT_EQ(Ingest().exit_code, 3);
  const ProgramResult retry = Run({"dead", At("corpus"), "--retry"});
  EXPECT_EQ(retry.exit_code, 3);
  EXPECT_THAT(retry.out, HasSubstr("could not be read"));
  const ProgramResult unused = Run({"dead", At("corpus"), "--max-retries", "2"});
  EXPECT_EQ(unused.exit_code, 2);
  EXPECT_THAT(unused.err, HasSubstr("--max-retries needs --retry"));
}

TEST_F(LivingCorpus, AnIndexKeepsItsMetricAndKindUnlessToldOtherwise) {
  ASSERT_EQ(Ingest({"--metric", "l2"}).exit_code, 0);
  Write("in.jsonl", "{\"id\":\"z\",\"text\":\"new\"}\n");
  ASSERT_EQ(Ingest().exit_code, 0);
  const auto hits = JsonMap::Of(Run({"search", At("corpus"), "lazy dog", "--json"}).out);
  // A negative squared distance.
  EXPECT_LT(std::stod(hits.at("hits[3].score")), 0);
  EXPECT_EQ(hits.at("space"), "\"builtin/hash-v1/512\"");
}

}  // namespace
}  // namespace embedflow
