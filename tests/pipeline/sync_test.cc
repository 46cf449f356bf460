// What a run that syncs deletes, and above all what it does not.
#include <gtest/gtest.h>

#include "tests/pipeline/harness.h"

namespace embedflow {
namespace {

// A list whose records come from named inputs.
class NamedSource : public ListSource {
 public:
  NamedSource(std::vector<std::string> names, std::vector<Record> records)
      : ListSource(std::move(records)), names_(std::move(names)) {}
  std::vector<std::string> inputs() const override { return names_; }
  bool is_complete() const override { return is_complete_; }
  void BreakOff() { is_complete_ = false; }

 private:
  const std::vector<std::string> names_;
  bool is_complete_ = true;
};

PipelineOptions SyncOptions() {
  PipelineOptions options = TestOptions();
  options.sync = true;
  return options;
}

// Documents "d<first>" to before "d<last>", of one input.
std::vector<Record> Range(std::size_t first, std::size_t last, std::uint32_t input = 0) {
  std::vector<Record> records = Documents(last);
  records.erase(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(first));
  for (Record& record : records) record.origin.input = input;
  return records;
}

FakeTransport::Server Good() {
  return [](const HttpRequest& request, std::uint64_t) { return GoodReply(request); };
}

TestRun Read(const ScratchDirectory& scratch, std::vector<std::string> names,
             std::vector<Record> records, const PipelineOptions& options = SyncOptions()) {
  NamedSource source(std::move(names), std::move(records));
  TestRun run = RunOver(scratch.corpus(), source, Good(), options);
  EXPECT_TRUE(run.status.ok()) << run.status.ToString();
  return run;
}

TEST(Sync, DeletesWhatItsInputNoLongerHolds) {
  const ScratchDirectory scratch;
  Read(scratch, {"/a"}, Range(0, 30));
  Read(scratch, {"/b"}, Range(100, 110));
  const TestRun run = Read(scratch, {"/a"}, Range(20, 30));
  EXPECT_EQ(run.summary.documents.deleted, 20u);
  EXPECT_EQ(run.summary.documents.unchanged, 10u);
  EXPECT_EQ(run.sends, 0u);
  EXPECT_EQ(ReadBack(scratch.corpus()).chunks, 20u);
}

TEST(Sync, DeletesNothingAfterAScanThatWasNotComplete) {
  const ScratchDirectory scratch;
  Read(scratch, {"/a"}, Range(0, 30));
  NamedSource source({"/a"}, Range(20, 30));
  source.BreakOff();
  const TestRun run = RunOver(scratch.corpus(), source, Good(), SyncOptions());
  EXPECT_TRUE(run.status.ok());
  EXPECT_EQ(run.summary.documents.deleted, 0u);
  EXPECT_EQ(ReadBack(scratch.corpus()).chunks, 30u);
}

TEST(Sync, DeletesNothingIfToldNotTo) {
  const ScratchDirectory scratch;
  Read(scratch, {"/a"}, Range(0, 30));
  PipelineOptions options = SyncOptions();
  std::uint64_t told = 0;
  options.before_deleting = [&](std::uint64_t gone) {
    told = gone;
    return Status(Code::kCancelled, "better not");
  };
  NamedSource source({"/a"}, Range(20, 30));
  const TestRun run = RunOver(scratch.corpus(), source, Good(), options);
  EXPECT_EQ(run.status.message(), "better not");
  EXPECT_EQ(told, 20u);
  EXPECT_EQ(ReadBack(scratch.corpus()).chunks, 30u);
}

TEST(Sync, LeavesDocumentsOfSeveralInputsAndOfNone) {
  const ScratchDirectory scratch;
  PipelineOptions plain = TestOptions();
  Read(scratch, {}, Range(0, 5), plain);        // Of no input.
  Read(scratch, {"/a"}, Range(5, 20), plain);   // Of one.
  Read(scratch, {"/b"}, Range(15, 20), plain);  // Of a second one too.
  const TestRun run = Read(scratch, {"/a"}, Range(5, 6));
  EXPECT_EQ(run.summary.documents.deleted, 9u);
  EXPECT_EQ(ReadBack(scratch.corpus()).chunks, 11u);
  // An input that was never read takes nothing along.
  const TestRun other = Read(scratch, {"/c"}, Range(200, 201));
  EXPECT_EQ(other.summary.documents.deleted, 0u);
}

TEST(Sync, TheSameIdsInTwoInputsSettle) {
  const ScratchDirectory scratch;
  const auto both = [] {
    std::vector<Record> records = Range(0, 4, 0);
    for (Record& record : Range(0, 4, 1)) records.push_back(std::move(record));
    return records;
  };
  Read(scratch, {"/a", "/b"}, both());
  Read(scratch, {"/a", "/b"}, both());
  const TestRun run = Read(scratch, {"/a", "/b"}, both());
  EXPECT_EQ(run.summary.documents.unchanged, 8u);
  EXPECT_EQ(run.summary.documents.ingested, 0u);
  // One of them stops holding a document that the other has.
  EXPECT_EQ(Read(scratch, {"/a"}, Range(0, 3)).summary.documents.deleted, 0u);
}

TEST(Sync, NeedsASourceThatNamesItsInputs) {
  const ScratchDirectory scratch;
  ListSource source(Documents(1));
  const TestRun run = RunOver(scratch.corpus(), source, Good(), SyncOptions());
  EXPECT_EQ(run.status.code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace embedflow
