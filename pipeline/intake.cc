#include "pipeline/intake.h"

#include <algorithm>
#include <exception>

#include "base/utf8.h"

namespace embedflow {
namespace {

// What a document and each of its chunks cost besides their bytes: control blocks, hashes, claims,
// commit rows.
constexpr std::size_t kDocumentOverheadBytes = 512;
constexpr std::size_t kChunkOverheadBytes = 384;
// Texts are held once by the document and once more, escaped, by the request.
constexpr std::size_t kCopiesOfText = 2;
// A view of the store holds back its WAL: after this many lookups, about 20 ms, it is taken anew.
constexpr std::size_t kViewLookupsMax = 4096;

// A document that the library's user built may hold anything; files were checked by their source.
std::optional<BadRecord> WhyBad(const Document& document) {
  if (document.id.size() > 1024) return BadRecord{"", "the id is longer than 1024 bytes"};
  if (document.id.find('\0') != std::string::npos) return BadRecord{"", "the id holds a NUL byte"};
  if (!IsValidUtf8(document.id)) return BadRecord{"", "the id is not valid UTF-8"};
  if (const std::size_t at = FindInvalidUtf8(document.text); at != std::string::npos) {
    return BadRecord{document.id, "invalid UTF-8 at byte " + std::to_string(at) + " of the text"};
  }
  return std::nullopt;
}

}  // namespace

Intake::Intake(RunState& run, StoreReader& reader, Graph& graph)
    : run_(run),
      reader_(reader),
      graph_(graph),
      vector_bytes_(static_cast<std::size_t>(run.space.space.dimensions) * sizeof(float)) {}

void Intake::Read(Source& source) {
  try {
    while (!run_.halting()) {
      Record record;
      const Result<bool> more = source.Next(&record);
      if (!more.ok()) {
        run_.Fail(more.status());
        break;
      }
      if (!*more) break;
      Take(source, std::move(record));
    }
  } catch (const std::exception& error) {
    run_.threw = true;
    run_.Fail(Status(Code::kInternal, std::string("the source failed: ") + error.what()));
  } catch (...) {
    run_.threw = true;
    run_.Fail(Status(Code::kInternal, "the source failed"));
  }
  ReleaseView();
  MutexLock lock(mu_);
  PutOpen();
}

void Intake::Read(StoredDocuments& stored) {
  try {
    while (!run_.halting()) {
      Result<DocumentPtr> document = stored.Next();
      if (!document.ok()) {
        run_.Fail(document.status());
        break;
      }
      if (*document == nullptr) break;
      ++run_.counters.read;
      (*document)->sequence = ++sequence_;
      run_.active_ids.Enter((*document)->id_hash);
      Admit(*std::move(document));
    }
  } catch (const std::exception& error) {
    run_.threw = true;
    run_.Fail(Status(Code::kInternal, std::string("reading the corpus failed: ") + error.what()));
  }
  MutexLock lock(mu_);
  PutOpen();
}

void Intake::Examine(AdmittedDocument* document) {
  Record& taken = document->record;
  if (!taken.bad) taken.bad = WhyBad(taken.document);
  if (taken.bad) {
    ++run_.counters.bad_records;
    taken.document = {};
    return;
  }
  // Of white space alone nothing is kept: it is not sent, and not stored.
  if (IsBlank(taken.document.text)) taken.document.text.clear();
  document->text_hash = HashContent(taken.document.text);
  if (taken.document.id.empty()) taken.document.id = document->text_hash.hex();
  document->metadata_hash = HashContent(MetadataJson(taken.document.metadata));
  document->id_hash = HashContent(taken.document.id);
  if (taken.origin.input < run_.sources.size()) {
    document->source = run_.sources[taken.origin.input];
  }
}

void Intake::Take(Source& source, Record record) {
  ++run_.counters.read;
  auto document = std::make_shared<AdmittedDocument>();
  document->record = std::move(record);
  document->sequence = ++sequence_;
  Examine(document.get());
  passed_last_ = !document->record.bad && PassOver(document.get());
  if (passed_last_) {
    source.Committed(std::span(&document->record.token, 1));
    return;
  }
  // Nothing waits with a view in its hands, and where documents are committed one after the other
  // the view would always be one behind and the WAL grow for ever.
  ReleaseView();
  run_.active_ids.Enter(document->id_hash);
  Admit(std::move(document));
}

void Intake::ReleaseView() {
  if (view_lookups_ == 0) return;
  view_lookups_ = 0;
  reader_.ReleaseView();
}

Result<std::optional<DocumentState>> Intake::Find(std::string_view id, std::uint64_t departures) {
  // A document of this id may have been committed since the view was taken.
  if (departures != view_departures_ || view_lookups_ == kViewLookupsMax) ReleaseView();
  if (passed_last_) {
    if (view_lookups_ == 0) EF_RETURN_IF_ERROR(reader_.HoldView());
    if (view_lookups_++ == 0) view_departures_ = departures;
  }
  return reader_.FindDocument(id);
}

bool Intake::PassOver(AdmittedDocument* document) {
  const ActiveIds::Glance glance = run_.active_ids.Look(document->id_hash);
  // A record of the same id is under way: which of the two stays is decided by the store, by their
  // order.
  if (glance.is_inside) return false;
  const Result<std::optional<DocumentState>> state =
      Find(document->record.document.id, glance.departures);
  if (!state.ok()) {
    run_.Fail(state.status());
    return false;
  }
  if (!state->has_value()) {
    if (!document->record.document.text.empty()) return false;
    ++run_.counters.empty;
    return true;
  }
  const DocumentState& stored = **state;
  if (run_.options.sync) seen_.Add(stored.number);
  if (!IsUnchanged(stored, document->text_hash, document->metadata_hash, run_.chunking,
                   run_.space.id)) {
    return false;
  }
  if (stored.run == run_.run) {
    ++run_.counters.replaced;
    return true;
  }
  if (document->source != 0 && stored.source != document->source &&
      stored.source != kSeveralSources) {
    document->moved = stored;
    document->record.document.text = {};
    return false;
  }
  run_.counters.CountUnchanged(stored);
  return true;
}

std::size_t Intake::ChargeMin(std::size_t vector_bytes) {
  return kChunkOverheadBytes + vector_bytes;
}

std::size_t Intake::Charge(const AdmittedDocument& document) const {
  const std::size_t text_bytes = document.record.document.text.size();
  // Chunks are not known yet. English fills about three quarters of a chunk's four bytes a token.
  // Markdown is cut at every heading, whatever the size: sections shorter than this are charged too
  // little.
  constexpr std::size_t kSectionBytes = 256;
  auto chunk_bytes = static_cast<std::size_t>(run_.options.chunker.size_tokens) * 3;
  if (run_.options.chunker.kind == ChunkerOptions::Kind::kMarkdown) {
    chunk_bytes = std::min(chunk_bytes, kSectionBytes);
  }
  std::size_t chunks =
      run_.options.chunker.kind == ChunkerOptions::Kind::kNone ? 1 : text_bytes / chunk_bytes + 1;
  if (document.is_cut) chunks = document.chunks.size();
  return kDocumentOverheadBytes + kCopiesOfText * text_bytes + chunks * ChargeMin(vector_bytes_);
}

void Intake::Admit(DocumentPtr document) {
  const std::size_t bytes = Charge(*document);
  if (run_.budget.used() + bytes > run_.budget.bytes_max()) {
    // Take is going to wait: what it waits for must not wait here.
    MutexLock lock(mu_);
    PutOpen();
  }
  document->charge_bytes = run_.budget.Take(bytes);
  if (document->charge_bytes == 0) {
    run_.active_ids.Leave(document->id_hash);
    ++run_.counters.documents_cancelled;
    return;
  }
  ++run_.counters.admitted;
  MutexLock lock(mu_);
  if (!open_) open_ = std::make_shared<Admission>();
  open_bytes_ += document->record.document.text.size();
  open_->documents.push_back(std::move(document));
  if (open_->documents.size() >= kAdmissionDocuments || open_bytes_ >= kAdmissionBytes) PutOpen();
}

void Intake::PutOpen() {
  if (open_) graph_.Put(open_);
  open_ = nullptr;
  open_bytes_ = 0;
  flushed_size_ = 0;
}

void Intake::FlushOpen() {
  MutexLock lock(mu_);
  if (!open_) return;
  const std::size_t size = open_->documents.size();
  if (size == flushed_size_) {
    PutOpen();
  } else {
    flushed_size_ = size;
  }
}

}  // namespace embedflow
