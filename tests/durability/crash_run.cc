#include "tests/durability/crash_run.h"

#include <gtest/gtest.h>
#include <rapidjson/document.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "base/check.h"
#include "embedflow/simulator.h"

namespace embedflow {
namespace {

constexpr std::size_t kThreads = 3;

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> WholeLines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0;;) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string::npos) return lines;
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
}

rapidjson::Document ParseLine(const std::string& line) {
  rapidjson::Document document;
  document.Parse<rapidjson::kParseFullPrecisionFlag>(line.data(), line.size());
  return document;
}

std::string StringOf(const rapidjson::Value& value) {
  return {value.GetString(), value.GetStringLength()};
}

// The texts that were answered, by the simulator's ledger.
std::set<std::string> AnsweredTexts(const std::string& ledger) {
  std::set<std::string> texts;
  for (const std::string& line : WholeLines(ReadText(ledger))) {
    const rapidjson::Document request = ParseLine(line);
    EF_CHECK(!request.HasParseError());
    if (!request["answered"].GetBool()) continue;
    for (const auto& text : request["texts"].GetArray()) texts.insert(StringOf(text));
  }
  return texts;
}

std::set<std::string> Common(const std::set<std::string>& a, const std::set<std::string>& b) {
  std::set<std::string> common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(),
                        std::inserter(common, common.begin()));
  return common;
}

bool SaysThereIsNoCorpus(const ProgramResult& result) {
  return result.exit_code == 1 && result.err.find("there is no corpus") != std::string::npos;
}

}  // namespace

std::string CrashInput::Id(int document) const { return "d" + std::to_string(document); }

std::string CrashInput::Text(int document) const {
  const int number = document % 8 == 7 ? document - 1 : document;
  std::string text = "The text of document number " + std::to_string(number) + ".";
  if (number % 50 != 0) return text;
  for (int sentence = 0; sentence < 60; ++sentence) {
    text += " Sentence " + std::to_string(sentence) + " of document " + std::to_string(number) +
            " makes it longer than a chunk may be.";
  }
  return text;
}

std::string CrashInput::JsonLines() const {
  std::string lines;
  for (int i = 0; i < documents; ++i) {
    lines +=
        "{\"id\":\"" + Id(i) + "\",\"text\":\"" + Text(i) + "\",\"n\":" + std::to_string(i) + "}\n";
  }
  return lines;
}

std::set<std::string> ExportedCorpus::Texts() const {
  std::set<std::string> all;
  for (const auto& [id, text] : texts) all.insert(text);
  return all;
}

CrashRun::CrashRun(std::string folder, const CrashInput& input)
    : folder_(std::move(folder)), input_(input) {
  const std::string path = folder_ + "/in.jsonl";
  if (!std::filesystem::exists(path)) std::ofstream(path) << input.JsonLines();
}

DiskShimOptions CrashRun::Shim(bool with_trace) const {
  DiskShimOptions shim;
  shim.directory = std::filesystem::canonical(folder_).string() + "/corpus";
  shim.state_file = folder_ + "/shim_state";
  if (!with_trace) return shim;
  shim.trace_file = trace();
  shim.also_file = std::filesystem::canonical(folder_).string() + "/ack.jsonl";
  return shim;
}

CrashRun::Ingested CrashRun::Ingest(const DiskShimOptions* shim) const {
  // Not beside the corpus, whose parent the shim watches.
  const std::string summary = folder_ + "/out/summary.json";
  std::filesystem::create_directory(folder_ + "/out");
  SimulatorOptions options;
  options.dimensions = input_.dimensions;
  options.ledger_path = folder_ + "/ledger.jsonl";
  options.ledger_texts = true;
  std::filesystem::remove(options.ledger_path);
  std::filesystem::remove(summary);
  Ingested ingested;
  {
    Result<std::unique_ptr<Simulator>> server = Simulator::Start(options);
    EF_CHECK(server.ok());
    ingested.program = RunProgram(
        EMBEDFLOW_PROGRAM,
        {"ingest",
         folder_ + "/in.jsonl",
         "--into",
         corpus(),
         "--provider",
         "local",
         "--model",
         "test-model",
         "--dimensions",
         std::to_string(input_.dimensions),
         "--base-url",
         (*server)->base_url(),
         "--max-batch-size",
         std::to_string(input_.batch),
         "--max-concurrency",
         std::to_string(input_.concurrency),
         "--index",
         "flat",
         "--progress",
         "none",
         "--ack-log",
         ack_log(),
         "--summary",
         summary},
        "", shim == nullptr ? std::vector<std::string>() : shim->Environment(EMBEDFLOW_DISK_SHIM));
  }
  ingested.bought = AnsweredTexts(options.ledger_path);
  if (shim != nullptr) ingested.shim = ReadDiskShimState(shim->state_file);
  const rapidjson::Document document = ParseLine(ReadText(summary));
  if (!document.HasParseError() && document.IsObject()) {
    ingested.outcome = StringOf(document["outcome"]);
    ingested.bought_twice = document["provider"]["vectors_bought_twice"].GetUint64();
  }
  return ingested;
}

ProgramResult CrashRun::TryExport() const {
  return RunProgram(EMBEDFLOW_PROGRAM, {"export", corpus()});
}

ExportedCorpus CrashRun::Export() const {
  const ProgramResult result = TryExport();
  ExportedCorpus exported;
  if (SaysThereIsNoCorpus(result)) return exported;
  EXPECT_EQ(result.exit_code, 0) << result.err;
  exported.has_corpus = true;
  std::set<std::string> places;
  for (const std::string& line : WholeLines(result.out)) {
    const rapidjson::Document chunk = ParseLine(line);
    EF_CHECK(!chunk.HasParseError());
    const auto id = chunk["chunk_id"].GetInt64();
    const std::string text = StringOf(chunk["text"]);
    const std::string document = StringOf(chunk["document_id"]);
    EXPECT_TRUE(exported.texts.emplace(id, text).second) << "chunk " << id << " is there twice";
    EXPECT_TRUE(places.insert(document + " " + std::to_string(chunk["ordinal"].GetInt())).second)
        << "a chunk of " << document << " is there twice";
    exported.documents.insert(document);
    std::vector<float> vector;
    if (chunk["embedding"].IsArray()) {
      for (const auto& x : chunk["embedding"].GetArray()) {
        vector.push_back(static_cast<float>(x.GetDouble()));
      }
    }
    EXPECT_EQ(vector, SimulatedVector(text, input_.dimensions)) << "wrong vector of " << id;
  }
  return exported;
}

VerifyCounts CrashRun::Verify() const {
  const ProgramResult result = RunProgram(EMBEDFLOW_PROGRAM, {"verify", corpus(), "--json"});
  VerifyCounts counts;
  counts.exit_code = result.exit_code;
  counts.text = result.out + result.err;
  if (SaysThereIsNoCorpus(result)) return counts;
  const rapidjson::Document document = ParseLine(result.out);
  if (document.HasParseError() || !document.IsObject()) {
    ADD_FAILURE() << "verify says no JSON: " << counts.text;
    return counts;
  }
  counts.ok = document["ok"].GetBool();
  counts.missing_vectors = document["missing_vectors"].GetUint64();
  counts.orphan_vectors = document["orphan_vectors"].GetUint64();
  counts.index_missing = document["index_missing"].GetUint64();
  counts.index_extra = document["index_extra"].GetUint64();
  counts.corrupt = document["corrupt"].GetUint64();
  return counts;
}

std::uint64_t CrashRun::StoredVectors() const {
  const ProgramResult result = RunProgram(EMBEDFLOW_PROGRAM, {"status", corpus(), "--json"});
  if (SaysThereIsNoCorpus(result)) return 0;
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const rapidjson::Document document = ParseLine(result.out);
  return document.IsObject() ? document["vectors"].GetUint64() : 0;
}

std::set<ChunkId> CrashRun::Acknowledged(const std::optional<std::string>& content) const {
  std::set<ChunkId> ids;
  for (const std::string& line : WholeLines(content ? *content : ReadText(ack_log()))) {
    const rapidjson::Document document = ParseLine(line);
    // A line that a crash tore, and the next run ended.
    if (document.HasParseError()) continue;
    for (const auto& id : document["committed"].GetArray()) ids.insert(id.GetInt64());
  }
  return ids;
}

ExportedCorpus CrashRun::ExpectKept(const std::set<ChunkId>& acknowledged) const {
  ExportedCorpus exported = Export();
  std::size_t lost = 0;
  for (const ChunkId id : acknowledged) lost += exported.texts.count(id) == 0 ? 1 : 0;
  EXPECT_EQ(lost, 0u) << "of " << acknowledged.size() << " acknowledged chunks";
  const VerifyCounts verify = Verify();
  EXPECT_EQ(verify.corrupt, 0u) << verify.text;
  EXPECT_EQ(verify.missing_vectors, 0u) << verify.text;
  return exported;
}

void CrashRun::ExpectCompletes(const ExportedCorpus& before,
                               const std::optional<std::set<std::string>>& paid) const {
  const std::uint64_t stored = StoredVectors();
  const Ingested last = Ingest();
  ASSERT_EQ(last.program.exit_code, 0) << last.program.err;
  EXPECT_EQ(last.outcome, "complete");
  const ExportedCorpus after = Export();
  EXPECT_EQ(after.documents.size(), static_cast<std::size_t>(input_.documents));
  for (const auto& [id, text] : before.texts) {
    EXPECT_EQ(after.texts.count(id), 1u) << "chunk " << id << " was exported before";
  }
  const std::set<std::string> texts = after.Texts();
  EXPECT_EQ(Common(before.Texts(), last.bought).size(), 0u)
      << "texts were exported before and bought again";
  // All that had no vector is bought, and nothing else.
  EXPECT_EQ(last.bought.size(), texts.size() - stored);
  if (paid) {
    const std::size_t again = Common(*paid, last.bought).size();
    EXPECT_LE(again, paid->size() - std::min<std::size_t>(stored, paid->size()))
        << "more was bought again than was paid for and not stored";
    EXPECT_LE(again, last.bought_twice) << "the summary bounds what was bought again";
  }
  const VerifyCounts verify = Verify();
  EXPECT_EQ(verify.exit_code, 0) << verify.text;
  EXPECT_TRUE(verify.ok) << verify.text;
  EXPECT_EQ(verify.missing_vectors + verify.orphan_vectors + verify.index_missing +
                verify.index_extra + verify.corrupt,
            0u)
      << verify.text;
}

ScratchFolder::ScratchFolder(const std::string& name) {
  // A kill loses nothing of what the kernel has, so the runs need no disk, which would only be
  // slower; a power cut is a replay.
  const char* folder = std::getenv("EMBEDFLOW_DURABILITY_FOLDER");
  std::string pattern = folder != nullptr                      ? folder + std::string("/")
                        : access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm/"
                                                               : testing::TempDir();
  pattern += "embedflow_" + name + "_XXXXXX";
  EF_CHECK(mkdtemp(pattern.data()) != nullptr);
  path_ = std::filesystem::canonical(pattern).string();
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void ForEachOnThreads(std::size_t count, const std::function<void(std::size_t)>& body) {
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < std::min(kThreads, count); ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = next++; i < count; i = next++) body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

bool TriesAll() {
  const char* all = std::getenv("EMBEDFLOW_DURABILITY_ALL");
  return all != nullptr && all[0] == '1';
}

std::size_t AsManyAs(std::size_t wanted) {
#ifdef EMBEDFLOW_SANITIZED
  return wanted / 4 + 1;
#else
  return wanted;
#endif
}

std::vector<std::uint64_t> Sample(std::uint64_t count, std::uint64_t wanted, Rng& rng) {
  wanted = AsManyAs(wanted);
  const std::uint64_t step = TriesAll() ? 1 : std::max<std::uint64_t>(1, count / wanted);
  const std::uint64_t offset = 1 + rng.Below(step);
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t n = offset; n <= count; n += step) numbers.push_back(n);
  std::cout << "  " << numbers.size() << " of " << count << " calls: every " << step
            << "th from call " << offset << "\n";
  return numbers;
}

std::uint64_t DurabilitySeed() {
  static const std::uint64_t kSeed = [] {
    const char* text = std::getenv("EMBEDFLOW_DURABILITY_SEED");
    const std::uint64_t seed = text == nullptr ? 20261123 : std::strtoull(text, nullptr, 10);
    std::cout << "  seed " << seed << "\n";
    return seed;
  }();
  return kSeed;
}

}  // namespace embedflow
