#include "pipeline/run.h"

#include "base/log.h"
#include "store/records.h"

namespace embedflow {
namespace {

// The ledger has room for so many times what the budget lets in, because a document is charged by
// an estimate of its chunks.
constexpr std::size_t kSlotsPerText = 2;

}  // namespace

Status RunState::OpenInFlight(const std::string& directory, const Store::RunBegin& begin,
                              std::size_t charge_min) {
  maybe_paid.insert(begin.maybe_paid.begin(), begin.maybe_paid.end());
  const std::size_t texts_max = options.flow.admitted_bytes_max / charge_min * kSlotsPerText;
  // What the old file names is in the database by now.
  EF_ASSIGN_OR_RETURN(in_flight, InFlight::Create(directory, SpaceKey(space.space), texts_max,
                                                  begin.maybe_paid_unnamed));
  return {};
}

Status RunState::CloseInFlight(bool is_complete) {
  if (!in_flight) return {};
  if (is_complete) in_flight->TakeOver(UINT64_MAX);
  return in_flight->size() > 0 ? in_flight->Sync() : Status();
}

void RunState::Fail(Status status) {
  {
    MutexLock lock(mu_);
    if (failure_.ok()) {
      Log(LogLevel::kInfo, "the run ends early: " + status.message());
      failure_ = std::move(status);
    }
  }
  Halt();
}

void RunState::Halt() {
  if (halting_.exchange(true)) return;
  budget.Stop();
  if (on_halt) on_halt();
}

Status RunState::failure() {
  MutexLock lock(mu_);
  return failure_;
}

}  // namespace embedflow
