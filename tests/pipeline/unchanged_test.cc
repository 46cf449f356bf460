// What is passed over because the corpus has it already.
#include <gtest/gtest.h>

#include <atomic>

#include "tests/pipeline/harness.h"

namespace embedflow {
namespace {

HttpReply Good(const HttpRequest& request, std::uint64_t) { return GoodReply(request); }

// The store is read in views that outlast a commit: one that shows the state before a commit of
// this run must not be asked about the document that was committed.
TEST(Unchanged, ARecordIsComparedWithWhatItsRunCommitted) {
  ScratchDirectory scratch;
  constexpr std::size_t kOthers = 20;
  std::vector<Record> first = Documents(kOthers);
  first.push_back(DocumentRecord("x", "old"));
  ListSource before(first);
  ASSERT_TRUE(RunOver(scratch.corpus(), before, Good).status.ok());

  std::vector<Record> records = Documents(kOthers);
  records.push_back(DocumentRecord("x", "new"));
  for (Record& record : Documents(kOthers)) records.push_back(std::move(record));
  // Behind the commit of "new" the view is older than it; this one brings back what was.
  records.push_back(DocumentRecord("x", "old"));
  ListSource source(records);
  std::atomic<bool> waits{false}, is_settled{false};
  source.CallAfter([&](std::size_t handed_out) {
    // Well into the second round, so that a view is held when "new" is committed.
    if (handed_out != kOthers + 1 + kOthers / 2) return;
    waits = true;
    is_settled.wait(false);
  });
  PipelineOptions options = TestOptions();
  options.progress_interval = std::chrono::milliseconds(1);
  options.on_progress = [&](const Progress& progress) {
    if (!waits || progress.admitted_bytes > 0) return;
    is_settled = true;
    is_settled.notify_all();
  };
  const TestRun run = RunOver(scratch.corpus(), source, Good, options);
  ASSERT_TRUE(run.status.ok()) << run.status.ToString();
  EXPECT_EQ(run.summary.documents.unchanged, 2 * kOthers);
  EXPECT_EQ(run.summary.documents.ingested, 1u);
  EXPECT_EQ(run.summary.documents.replaced, 1u);
  EXPECT_EQ(run.answered.size(), 1u) << "the old text is bought already";
  EXPECT_EQ(ReadBack(scratch.corpus()).text_of.at("x"), "old");
}

}  // namespace
}  // namespace embedflow
