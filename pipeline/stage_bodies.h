// What each node of the graph does with its message; no TBB here. The graph (graph.cc) only wires
// these together.
#ifndef EMBEDFLOW_PIPELINE_STAGE_BODIES_H_
#define EMBEDFLOW_PIPELINE_STAGE_BODIES_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/mutex.h"
#include "base/random.h"
#include "pipeline/batch.h"
#include "pipeline/dispatcher.h"
#include "pipeline/probe.h"
#include "pipeline/run.h"
#include "providers/transport.h"
#include "stages/chunker.h"
#include "stages/packer.h"
#include "stages/retry_policy.h"

namespace embedflow {

// Threads: Pack runs in a serial node; everything else may run several times at once. Nothing here
// waits.
class StageBodies {
 public:
  // Refusals that raise the question, while no request was ever accepted, whether it is about the
  // texts: requests that were refused, texts that were refused alone. Bisecting on would send every
  // text again and again. A probe answers it.
  static constexpr std::uint64_t kRefusalsMax = 8;
  static constexpr std::uint64_t kRefusedTextsMax = 3;
  // The same later: texts that were refused alone, one after the other, with nothing accepted in
  // between. It may be the provider that has changed.
  static constexpr std::uint64_t kRefusedTextsInARowMax = 16;
  // Probes in a row that the provider did not answer: then it is unavailable.
  static constexpr std::uint64_t kProbesUnansweredMax = 3;
  // Requests whose reply was unusable twice, while none was ever accepted: not about the texts.
  static constexpr std::uint64_t kBadRepliesMax = 3;

  // `run`, `chunker` and `dispatcher`, which is null for an in-process provider, outlive the
  // bodies.
  StageBodies(RunState& run, const Chunker& chunker, Dispatcher* dispatcher);

  // Fills the documents' chunks and hashes.
  void Chunk(Admission& admission);
  // Claims the texts and asks the store for them, then the cache; leaves in to_buy what must be
  // bought. Appends the documents that need nothing more, of this admission or another, to
  // `finished`, and texts whose vectors the cache has to `cached`, a batch for each part of them.
  void Lookup(Admission& admission, std::vector<DocumentPtr>* finished,
              std::vector<BatchPtr>* cached);
  // Adds to_buy to the open batch, or closes it if the admission is a flush. Appends batches that
  // are closed.
  void Pack(const Admission& admission, std::vector<BatchPtr>* closed);
  // Changes with every text that enters the open batch; 0 while none is open.
  std::uint64_t open_mark() const { return open_mark_.load(std::memory_order_acquire); }
  BatchPtr NewBatch();

  // The job for the transport; nullopt if the batch needs none: computed in process, cancelled,
  // given up, or to be split first.
  std::optional<TransportJob> Write(Batch& batch);
  // Takes over an answer of the transport.
  void TakeAnswer(Batch& batch, TransportAnswer answer);
  // Turns the reply, or the texts themselves, into vectors; leaves the outcome.
  void Decode(Batch& batch);

  struct Judgement {
    Verdict verdict;
    std::vector<BatchPtr> halves;  // For kSplit.
  };
  // Decides what follows and prepares the batch for it.
  Judgement Judge(Batch& batch);
  // Gives back what the batch and its documents hold.
  void Settle(Batch& batch);
  // Gives up a probe that is under way, and waits for its end. Nothing may follow.
  void EndProbe() { probe_.End(); }

 private:
  void TakeCached(std::vector<BatchItem>* to_buy, std::vector<BatchPtr>* cached);
  void CloseOpen(std::vector<BatchPtr>* closed);
  void Embed(const Embedder& embedder, Batch& batch);
  void CountAttempt(const Batch& batch);
  // The batch's texts are in flight from now on; or nothing can have been paid for them.
  void NameInFlight(Batch& batch);
  void ClearInFlight(Batch& batch);
  // Asks the provider when refusals may be of all requests, and ends the run, and the batch, when
  // its replies show that they are.
  void NoteRefusal(Batch& batch, Verdict* verdict);
  // Sends a probe, unless one is under way; the batch is sent again after it.
  void AskProvider(Batch& batch, Verdict* verdict);
  // `why`: the refusal that raised the question.
  void TakeProbe(const Probe::Reply& reply, const Status& why);
  // Of whole batches at most one was refused lately: no spell in which the provider refused all.
  bool IsOneRefusalAlone();
  std::vector<BatchPtr> Split(Batch& batch);
  Verdict DecideFor(Batch& batch);
  // The caps of requests to learn meanwhile, as far as they are below the provider's own.
  bool IsOverCaps(const Batch& batch);
  void Stop(Batch& batch, Verdict* verdict);

  // Constant after construction.
  RunState& run_;
  const Chunker& chunker_;
  Dispatcher* const dispatcher_;
  const std::size_t dimensions_;

  // Pack node only.
  Packer packer_;
  BatchPtr open_;
  std::uint64_t texts_packed_ = 0;

  // Own synchronisation.
  std::atomic<std::uint64_t> open_mark_{0};
  std::atomic<std::uint64_t> batch_id_{0};
  std::atomic<bool> accepted_any_{false};
  std::atomic<std::uint64_t> refusals_{0};
  std::atomic<std::uint64_t> refused_texts_{0};
  std::atomic<std::uint64_t> probes_unanswered_{0};
  Mutex mu_;
  Rng rng_ EF_GUARDED_BY(mu_);
  // When the last two whole batches were refused.
  std::array<TimePoint, 2> refused_at_ EF_GUARDED_BY(mu_){};
  // Its thread uses all of the above.
  Probe probe_;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_STAGE_BODIES_H_
