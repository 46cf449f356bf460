// A corpus with one change in one of its files: never a crash, never a wrong answer, found or
// harmless, and whole again after a repair and the same ingest.
//
// Everything that opens a corpus runs in a child process, so that a crash or a hang of one mutant
// is a result like any other, and threads of libraries never meet a fork. EMBEDFLOW_MUTANTS sets
// how many mutants there are, EMBEDFLOW_SEED which.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>

#include "base/hash.h"
#include "embedflow/corpus.h"
#include "embedflow/log.h"
#include "embedflow/pipeline.h"
#include "embedflow/search.h"
#include "embedflow/source.h"
#include "tests/integration/mutation.h"

namespace embedflow {
namespace {

constexpr int kMutants = 1000;
constexpr int kChildrenAtOnce = 2;
constexpr unsigned kSecondsMax = 120;     // Of one child; with sanitizers on a busy machine, too.
constexpr int kDimensions[] = {32, 600};  // Inside LMDB's pages, and in pages of their own.
const char* const kQueries[] = {"rivers run to the sea", "number 7"};

std::string InputLines(int version) {
  std::string lines;
  for (int i = 0; i < 24 + 4 * version; ++i) {
    std::string text = "Document number " + std::to_string(i) + " is about ";
    text += i % 3 == 0 ? "rivers." : i % 3 == 1 ? "stones and grass." : "the night.";
    if (i % 5 == 0) text += " Version " + std::to_string(version) + " says so.";
    if (i % 8 == 0) {
      for (int j = 0; j < 30; ++j)
        text += " It goes on for long, sentence " + std::to_string(j) + ".";
    }
    lines += "{\"id\":\"id" + std::to_string(i) + "\",\"text\":\"" + text + "\",\"kind\":\"" +
             (i % 2 == 0 ? "even" : "odd") + "\",\"n\":" + std::to_string(i) + "}\n";
    if (i == 3) lines += "this is no JSON\n";
  }
  return lines;
}

std::shared_ptr<const Provider> Builtin(int dimensions) {
  ProviderOptions options;
  options.name = "builtin";
  options.dimensions = dimensions;
  return *MakeProvider(options);
}

// Into both spaces. Returns how many vectors were bought.
Result<std::uint64_t> Ingest(Corpus& corpus, const std::string& input) {
  std::uint64_t bought = 0;
  for (const int dimensions : kDimensions) {
    PipelineOptions options;
    options.chunker.size_tokens = 60;
    options.chunker.overlap_tokens = 0;
    options.recorded.name = "builtin";
    options.recorded.dimensions = dimensions;
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Pipeline> pipeline,
                        Pipeline::Open(corpus, Builtin(dimensions), options));
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Source> source, OpenFiles({input}, {}));
    EF_RETURN_IF_ERROR(pipeline->Run(*source));
    bought += pipeline->summary().chunks.embedded;
  }
  return bought;
}

Result<std::uint64_t> Ingest(const std::string& directory, const std::string& input) {
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                      Corpus::Open(directory, Corpus::Mode::kCreate));
  return Ingest(*corpus, input);
}

// A question's answer in lines; an error where there is none.
struct Reply {
  std::set<std::string> lines;
  Status status;
};
using Replies = std::map<std::string, Reply>;
const char* const kStatusQuestion = "status";

std::string HitLine(const SearchHit& hit) {
  // Scores may differ in the last digits where the order of the sums does.
  return hit.document_id + " " + std::to_string(hit.chunk_id) + " " + std::to_string(hit.begin) +
         " " + hit.text + " " + hit.metadata_json + " " +
         std::to_string(std::lround(hit.score * 1e4));
}

Status Export(Corpus& corpus, const std::string& space, std::set<std::string>* lines) {
  return corpus.ForEachChunk(space, [&](const StoredChunk& chunk) -> Status {
    std::string line = std::to_string(chunk.id) + " " + std::string(chunk.document_id) + " " +
                       std::to_string(chunk.ordinal) + " " + std::to_string(chunk.begin) + " ";
    line += std::string(chunk.text) + " " + std::string(chunk.metadata_json) + " ";
    lines->insert(line + std::to_string(Checksum(chunk.embedding)));
    return {};
  });
}

Status Search(Corpus& corpus, const std::string& space, const std::string& query, bool filtered,
              std::size_t hits_max, std::set<std::string>* lines) {
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Searcher> searcher,
                      Searcher::Open(corpus, nullptr, space));
  SearchOptions options;
  options.hits_max = hits_max;
  if (filtered) options.filters = {{"kind", "even"}};
  EF_ASSIGN_OR_RETURN(const std::vector<SearchHit> hits, searcher->Search(query, options));
  for (const SearchHit& hit : hits) lines->insert(HitLine(hit));
  return {};
}

Status Describe(Corpus& corpus, std::set<std::string>* lines) {
  EF_ASSIGN_OR_RETURN(const CorpusStatus status, corpus.Describe());
  lines->insert("documents " + std::to_string(status.documents));
  lines->insert("chunks " + std::to_string(status.chunks));
  lines->insert("dead " + std::to_string(status.dead_letters));
  lines->insert("vectors " + std::to_string(status.vectors));
  for (const SpaceStatus& space : status.spaces) {
    lines->insert(space.space.name() + " " + std::to_string(space.documents));
  }
  return {};
}

Status DeadLetters(Corpus& corpus, std::set<std::string>* lines) {
  EF_ASSIGN_OR_RETURN(const std::vector<DeadLetter> letters, corpus.DeadLetters());
  for (const DeadLetter& letter : letters) {
    lines->insert(letter.reason + " " + letter.file + " " + std::to_string(letter.line));
  }
  return {};
}

Replies Ask(const std::string& directory, std::size_t hits_max) {
  Replies replies;
  const auto ask = [&](const std::string& question,
                       const std::function<Status(Corpus&, std::set<std::string>*)>& answer) {
    // Anew for each question, as a program would.
    Reply& reply = replies[question];
    const Result<std::unique_ptr<Corpus>> corpus = Corpus::Open(directory, Corpus::Mode::kRead);
    reply.status = corpus.ok() ? answer(**corpus, &reply.lines) : corpus.status();
  };
  ask(kStatusQuestion, Describe);
  ask("dead", DeadLetters);
  for (const int dimensions : kDimensions) {
    const std::string space = Builtin(dimensions)->space().name();
    ask("export " + space,
        [&](Corpus& corpus, std::set<std::string>* lines) { return Export(corpus, space, lines); });
    for (const char* query : kQueries) {
      for (const bool filtered : {false, true}) {
        ask(space + (filtered ? " filtered " : " ") + query,
            [&](Corpus& corpus, std::set<std::string>* lines) {
              return Search(corpus, space, query, filtered, hits_max, lines);
            });
      }
    }
  }
  return replies;
}

// What every mutant is compared with.
struct Truth {
  Replies all;   // Every hit there is.
  Replies best;  // The best five, as mutants are asked.
  std::uint64_t vectors = 0;
};

// Exit codes of children; not those with which a sanitizer or an abort ends one.
enum class Verdict { kHarmless = 40, kDetected = 41, kFailed = 42 };

bool Complain(const std::string& what) {
  std::fprintf(stderr, "%.600s\n", what.c_str());
  return false;
}

// False if a reply holds anything that is not so. `*same` becomes false if something is missing.
bool AllTrue(const Replies& replies, const Truth& truth, bool* same) {
  bool right = true;
  for (const auto& [question, reply] : replies) {
    if (!reply.status.ok()) {
      *same = false;
      if (reply.status.next().empty()) right = Complain("no next step: " + reply.status.ToString());
      continue;
    }
    const Reply& best = truth.best.at(question);
    if (reply.lines != best.lines) *same = false;
    if (question == kStatusQuestion) continue;
    for (const std::string& line : reply.lines) {
      if (truth.all.at(question).lines.contains(line)) continue;
      right = Complain("\"" + question + "\" is answered wrongly: " + line);
    }
  }
  return right;
}

// In a child: how a mutant answers, and what the next ingest makes of it.
Verdict Judge(const std::string& directory, const std::string& input, const Truth& truth) {
  bool same = true;
  bool right = AllTrue(Ask(directory, 5), truth, &same);
  const Result<VerifyReport> report = Corpus::Verify(directory, VerifyOptions());
  const bool reported = !report.ok() || !report->ok;
  if (report.ok() && !report->ok && report->next.empty()) right = Complain("no next step");
  if (!same && !reported) right = Complain("something is missing, and verify finds no fault");
  const Result<std::uint64_t> bought = Ingest(directory, input);
  if (bought.ok()) {
    bool same_then = true;
    right = AllTrue(Ask(directory, 5), truth, &same_then) && right;
    const Result<VerifyReport> then = Corpus::Verify(directory, VerifyOptions());
    if (!reported && !(then.ok() && then->ok && same_then)) {
      right = Complain("ingesting again has spoilt what was well");
    }
    if (!reported && *bought > 0) right = Complain("what was there was bought again");
  } else if (!reported) {
    // Only what a disk or another process would do to it, too.
    right = Complain("verify finds no fault, but ingest says: " + bought.status().ToString());
  }
  return !right ? Verdict::kFailed : reported ? Verdict::kDetected : Verdict::kHarmless;
}

// In a child: repair, then the same input, and all is as it was.
Verdict Repair(const std::string& directory, const std::string& input, const Truth& truth) {
  VerifyOptions options;
  options.repair = true;
  const Result<VerifyReport> report = Corpus::Verify(directory, options);
  if (!report.ok()) {
    Complain("repair: " + report.status().ToString());
    return Verdict::kFailed;
  }
  bool right = true;
  if (!report->ok) {
    right =
        Complain("not well after a repair: " + (report->faults.empty() ? "" : report->faults[0]));
  }
  for (const auto& [question, reply] : Ask(directory, 5)) {
    // Without any document there is no space to search.
    if (reply.status.ok() || reply.status.code() == Code::kNotFound) continue;
    right = Complain("after a repair: " + question + ": " + reply.status.ToString());
  }
  const Result<std::uint64_t> bought = Ingest(directory, input);
  if (!bought.ok()) {
    Complain("ingest after a repair: " + bought.status().ToString());
    return Verdict::kFailed;
  }
  const std::uint64_t lost = truth.vectors - std::min(truth.vectors, report->vectors);
  if (*bought > lost) {
    right = Complain(std::to_string(*bought) + " vectors were bought, " + std::to_string(lost) +
                     " were lost");
  }
  const Result<VerifyReport> then = Corpus::Verify(directory, VerifyOptions());
  if (!then.ok() || !then->ok) {
    right = Complain("after a repair and an ingest: " +
                     (then.ok() ? then->faults.at(0) : then.status().ToString()));
  }
  for (const auto& [question, reply] : Ask(directory, 5)) {
    if (question == kStatusQuestion) continue;
    if (!reply.status.ok() || reply.lines != truth.best.at(question).lines) {
      right = Complain("after a repair and an ingest, not as it was: " + question + " " +
                       reply.status.ToString());
    }
  }
  return right ? Verdict::kHarmless : Verdict::kFailed;
}

// Runs `body` in a child whose standard error goes to `log`. Returns its process id.
pid_t Fork(const std::string& log, const std::function<int()>& body) {
  const pid_t child = fork();
  if (child != 0) return child;
  if (std::freopen(log.c_str(), "w", stderr) == nullptr) _exit(101);
  SetLogLevel(LogLevel::kOff);
  alarm(kSecondsMax);
  const int code = body();
  std::fflush(stderr);
  _exit(code);
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// Replies as text, so that a child can hand them over.
void WriteReplies(const std::string& path, const Replies& replies) {
  std::ofstream file(path, std::ios::binary);
  for (const auto& [question, reply] : replies) {
    file << question << '\n' << reply.lines.size() << '\n';
    for (const std::string& line : reply.lines) file << line << '\n';
  }
}

Replies ReadReplies(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Replies replies;
  std::string question, count, line;
  while (std::getline(file, question) && std::getline(file, count)) {
    Reply& reply = replies[question];
    for (int i = std::atoi(count.c_str()); i > 0 && std::getline(file, line); --i) {
      reply.lines.insert(line);
    }
  }
  return replies;
}

int FromEnvironment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::atoi(value) : otherwise;
}

class Mutants : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    // In memory where there is such a place: this is about content, and syncs cost most of the
    // time.
    const bool in_memory = access("/dev/shm", W_OK) == 0;
    root_ = (in_memory ? "/dev/shm/" : testing::TempDir()) + "embedflow-mutants-XXXXXX";
    ASSERT_NE(mkdtemp(root_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  int WaitFor(pid_t child) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  }

  // Makes the corpus, its older copy and the truth, in children.
  void MakeCorpus(bool with_wal) {
    for (const int version : {1, 2}) {
      std::ofstream(root_ + "/input.jsonl") << InputLines(version);
      const int status = WaitFor(Fork(root_ + "/log", [&] {
        Result<std::unique_ptr<Corpus>> corpus =
            Corpus::Open(root_ + "/made", Corpus::Mode::kCreate);
        if (!corpus.ok() || !Ingest(**corpus, input()).ok()) return 1;
        // Closing it would copy the WAL into the database.
        if (version == 2 && with_wal) _exit(0);
        corpus->reset();
        return 0;
      }));
      ASSERT_EQ(status, 0) << ReadAll(root_ + "/log");
      (version == 1 ? older_ : pristine_) = LoadDirectory(root_ + "/made");
    }
    ASSERT_EQ(pristine_.contains("corpus.sqlite-wal"), with_wal);
    const int status = WaitFor(Fork(root_ + "/log", [&] {
      WriteReplies(root_ + "/all", Ask(root_ + "/made", 1000));
      const Replies best = Ask(root_ + "/made", 5);
      for (const auto& [question, reply] : best) {
        if (!reply.status.ok()) return Complain(question + reply.status.ToString()), 1;
      }
      WriteReplies(root_ + "/best", best);
      const auto report = Corpus::Verify(root_ + "/made", VerifyOptions());
      if (!report.ok() || !report->ok) return 1;
      std::ofstream(root_ + "/vectors") << report->vectors;
      return 0;
    }));
    ASSERT_EQ(status, 0) << ReadAll(root_ + "/log");
    truth_.all = ReadReplies(root_ + "/all");
    truth_.best = ReadReplies(root_ + "/best");
    std::ifstream(root_ + "/vectors") >> truth_.vectors;
    ASSERT_GT(truth_.vectors, 60u);
    ASSERT_GT(truth_.all.at("dead").lines.size(), 0u);
  }

  std::string input() const { return root_ + "/input.jsonl"; }

  std::string root_;
  FileBytesByName older_;
  FileBytesByName pristine_;
  Truth truth_;
};

struct Running {
  pid_t child;
  int mutant;
  bool repairs;
  std::string what;
};

TEST_P(Mutants, AreFoundOrHarmlessAndRepaired) {
  MakeCorpus(GetParam());
  if (HasFatalFailure()) return;
  const int mutants = FromEnvironment("EMBEDFLOW_MUTANTS", kMutants) / 2;
  const auto seed = static_cast<std::uint64_t>(FromEnvironment("EMBEDFLOW_SEED", 20261123));
  const int only = FromEnvironment("EMBEDFLOW_MUTANT", -1);
  std::map<Verdict, int> judged;
  int repaired = 0;
  int failures = 0;
  std::map<pid_t, Running> running;
  const auto reap = [&] {
    int status = 0;
    const pid_t child = wait(&status);
    const auto found = running.find(child);
    if (found == running.end()) return;
    const Running done = found->second;
    running.erase(found);
    const std::string place =
        root_ + "/" + std::to_string(done.mutant) + (done.repairs ? "r" : "j");
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    const bool well = code == static_cast<int>(Verdict::kHarmless) ||
                      code == static_cast<int>(Verdict::kDetected);
    if (!well) {
      ++failures;
      ADD_FAILURE() << "seed " << seed << ", mutant " << done.mutant << ": " << done.what << "\n"
                    << (done.repairs ? "repaired: " : "used: ")
                    << (WIFEXITED(status) ? ""
                                          : "killed by signal " + std::to_string(WTERMSIG(status)))
                    << "\n"
                    << ReadAll(place + ".log");
    } else if (done.repairs) {
      ++repaired;
    } else {
      ++judged[static_cast<Verdict>(code)];
    }
    std::filesystem::remove_all(place);
    std::filesystem::remove(place + ".log");
  };
  constexpr int kFailuresMax = 20;
  for (int i = 0; i < mutants && failures < kFailuresMax; ++i) {
    if (only >= 0 && i != only) continue;
    FileBytesByName files = pristine_;
    Mutation mutation(seed * 1000003 + static_cast<std::uint64_t>(i) * 2 + GetParam(), older_);
    const std::string what = mutation.Apply(&files);
    for (const bool repairs : {false, true}) {
      while (running.size() >= kChildrenAtOnce) reap();
      const std::string place = root_ + "/" + std::to_string(i) + (repairs ? "r" : "j");
      StoreDirectory(place, files);
      const pid_t child = Fork(place + ".log", [&] {
        return static_cast<int>(repairs ? Repair(place, input(), truth_)
                                        : Judge(place, input(), truth_));
      });
      running[child] = {child, i, repairs, what};
    }
  }
  while (!running.empty()) reap();
  std::printf("%d mutants, seed %llu: %d detected, %d harmless, %d repaired\n", mutants,
              static_cast<unsigned long long>(seed), judged[Verdict::kDetected],
              judged[Verdict::kHarmless], repaired);
  if (only < 0) {
    EXPECT_GT(judged[Verdict::kDetected], mutants / 4);
  }
}

INSTANTIATE_TEST_SUITE_P(Corpus, Mutants, testing::Values(false, true), [](const auto& with_wal) {
  return with_wal.param ? "WithWal" : "Closed";
});

}  // namespace
}  // namespace embedflow
