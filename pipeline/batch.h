// The messages of the graph. An Admission carries documents from the source to the packer; a Batch
// carries the chunks of one request from the packer to settle. Both travel by shared pointer,
// because TBB copies messages. Threads: whoever holds the message owns what it points to, except
// where a member says otherwise.
#ifndef EMBEDFLOW_PIPELINE_BATCH_H_
#define EMBEDFLOW_PIPELINE_BATCH_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "embedflow/provider.h"
#include "embedflow/source.h"
#include "pipeline/endpoint.h"
#include "store/in_flight.h"
#include "store/store.h"

namespace embedflow {

// A document inside the pipeline, from the source to its commit.
struct AdmittedDocument {
  // Constant once the chunk stage is through.
  Record record;                 // Its document, or why it is none.
  std::uint64_t sequence = 0;    // Order of reading.
  std::size_t charge_bytes = 0;  // What it took from the budget.
  ContentHash id_hash;
  ContentHash text_hash;
  ContentHash metadata_hash;
  ContentHash chunking;
  std::int64_t source = 0;       // See Store::AddSources.
  std::vector<ChunkRow> chunks;  // `dead` is the writer's to set.
  bool is_cut = false;           // It came with its chunks, from the corpus.
  // Set: a stored document that is as it was, but for its place in the input. Only that is written.
  std::optional<DocumentState> moved;

  // Own synchronisation. Chunks whose vector is not durable yet, plus one while the lookup stage
  // holds the document.
  std::atomic<std::uint32_t> waiting{1};

  // Writer's thread only; the chunk stage may set it before.
  bool cancelled = false;
  std::vector<DeadLetter> letters;
  std::uint32_t bought = 0;  // Chunks this document paid for; the others were known or shared.

  std::string_view TextOf(std::size_t chunk) const {
    const ChunkRow& row = chunks[chunk];
    return std::string_view(record.document.text).substr(row.begin, row.end - row.begin);
  }
};
using DocumentPtr = std::shared_ptr<AdmittedDocument>;

// Documents on their way to being packed. At most kAdmissionDocuments, about kAdmissionBytes of
// text.
inline constexpr std::size_t kAdmissionDocuments = 128;
inline constexpr std::size_t kAdmissionBytes = 128u << 10;
struct BatchItem {
  DocumentPtr document;
  std::uint32_t chunk = 0;
  InFlight::Slot slot = InFlight::kNoSlot;  // While its text may be paid for and is not durable.

  std::string_view text() const { return document->TextOf(chunk); }
  const ContentHash& text_hash() const { return document->chunks[chunk].text_hash; }
};

struct Admission {
  std::vector<DocumentPtr> documents;
  std::vector<BatchItem>
      to_buy;          // After the lookup: chunks whose texts this admission has claimed.
  bool flush = false;  // No documents: close the open batch.
};
using AdmissionPtr = std::shared_ptr<Admission>;

struct Batch {
  enum class End { kOpen, kKnown, kCached, kBought, kDead, kCancelled };

  std::uint64_t id = 0;
  std::vector<BatchItem> items;
  std::size_t model_tokens = 0;  // Estimate over the items.

  int attempt = 0;  // Sends so far, over all endpoints.

  // Where it is sent; the dispatcher's to set.
  std::size_t endpoint = 0;
  std::optional<Endpoint::Permit> permit;                 // While an attempt is under way.
  int attempts_here = 0;                                  // At that endpoint.
  std::array<std::uint8_t, kEndpointsMax> attempts_at{};  // At the others.
  TimePoint first_attempt{};  // Anywhere; later by what it waited for gates of our own.
  std::optional<std::uint64_t>
      successes_before;        // Of that endpoint, then; of a part, when it was split.
  std::uint32_t used_up = 0;   // Endpoints that shall not get it again, a bit each.
  bool is_held_by_us = false;  // What it waits for is a gate of our own.
  bool is_given_up = false;    // No endpoint can take it, or its time is over.
  bool is_over_caps = false;   // A cap learnt meanwhile: split before it is sent.
  bool is_part = false;        // Of a batch that was split.
  int judgements = 0;          // How often its one text was refused while no other was accepted.
  bool is_proven = false;  // Others were accepted meanwhile: it is the text, and is not sent again.
  bool is_compression_refused = false;  // The last attempt failed for its compression alone.
  bool goes_first = false;              // Ahead of new work: part of a batch that was sent.
  bool is_split_off = false;            // Of a batch at which the server failed every time.

  TimePoint not_before{};
  HttpRequest request;
  HttpReply reply;
  Duration round_trip{};
  std::shared_ptr<ReplyReader> reader;  // Of the last attempt; fills `vectors`.
  Outcome outcome;
  std::vector<float> vectors;      // Row i for items[i], when the outcome is kOk or end kCached.
  bool sent = false;               // The last attempt left this machine.
  bool maybe_paid_before = false;  // An earlier attempt may have been billed.

  End end = End::kOpen;
  // Documents that are complete with this batch: on the way in those the lookup found complete, on
  // the way out those the writer settled with it.
  std::vector<DocumentPtr> finished;
};
using BatchPtr = std::shared_ptr<Batch>;

}  // namespace embedflow

#endif  // EMBEDFLOW_PIPELINE_BATCH_H_
