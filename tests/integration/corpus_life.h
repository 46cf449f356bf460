// A corpus that is ingested by the built program, killed and ingested again, with everything that
// must be true of it all the while.
#ifndef EMBEDFLOW_TESTS_INTEGRATION_CORPUS_LIFE_H_
#define EMBEDFLOW_TESTS_INTEGRATION_CORPUS_LIFE_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "embedflow/types.h"
#include "tests/fakes/billing_server.h"
#include "tests/fakes/program.h"

namespace embedflow {

inline constexpr int kLifeDimensions = 16;
#ifdef EMBEDFLOW_SANITIZED
inline constexpr std::size_t kLifeDocuments = 4000;
#else
inline constexpr std::size_t kLifeDocuments = 20000;
#endif

// The text of a document of the input.
std::string LifeText(std::size_t document);

// What all runs did to all corpora.
struct KillTotals {
  std::uint64_t kills = 0, runs = 0, completed = 0, stopped = 0;
  std::uint64_t lost = 0, twice_in_store = 0, wrong = 0;
  std::uint64_t bought_again = 0;       // Texts billed in a run and in an earlier one.
  std::uint64_t said_bought_again = 0;  // By the summaries.
  std::uint64_t in_flight_at_kills = 0, in_flight_max = 0;
};

enum class StopKind {
  kKill,
  kPauseThenKill,
  kInterrupt,
  kInterruptTwice,
  kTerminate,
  kHangUp,
  kLeaveAlone
};

// One corpus from its first run to its completion. Whatever is wrong is a failure of the test.
class CorpusLife {
 public:
  CorpusLife(std::string directory, std::string input, KillTotals* totals)
      : directory_(std::move(directory)), input_(std::move(input)), totals_(totals) {
    std::filesystem::create_directory(directory_);
  }
  ~CorpusLife() { std::filesystem::remove_all(directory_); }
  CorpusLife(const CorpusLife&) = delete;
  CorpusLife& operator=(const CorpusLife&) = delete;

  // Runs until `after` and then signals; true if the corpus is complete.
  bool Run(StopKind how, std::chrono::microseconds after, std::uint64_t seed);

 private:
  struct Text {
    bool exported = false;  // Some document with it was seen.
    bool named = false;     // It was in flight when a run ended.
    std::uint32_t billed = 0;
  };

  std::string corpus() const { return directory_ + "/corpus"; }
  std::vector<std::string> Words(const std::string& base_url) const;
  ProgramResult Execute(StopKind how, std::chrono::microseconds after, const std::string& base_url);
  void ReadAcknowledged();
  void Inspect();
  void Reconcile(const BillingServer::Bill& bill, bool has_summary);
  std::size_t NoteInFlight(const BillingServer::Bill& bill, bool is_drained);

  const std::string directory_, input_;
  KillTotals* const totals_;
  std::map<std::size_t, Text> texts_;                           // By number.
  std::vector<bool> seen_ = std::vector<bool>(kLifeDocuments);  // Documents that were exported.
  std::vector<ChunkId> acknowledged_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_INTEGRATION_CORPUS_LIFE_H_
