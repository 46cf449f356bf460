#include "pipeline/stored_documents.h"

#include <memory>
#include <utility>

namespace embedflow {

Result<DocumentPtr> StoredDocuments::Next() {
  if (next_ == slice_.size()) {
    next_ = 0;
    Result<std::vector<StoredDocument>> slice =
        which_ == Which::kDead
            ? reader_.DocumentsWithLetters(space_, after_id_, kSliceDocuments, kSliceBytes)
            : reader_.DocumentsWithout(space_, after_, kSliceDocuments, kSliceBytes);
    EF_ASSIGN_OR_RETURN(slice_, std::move(slice));
    if (slice_.empty()) return DocumentPtr();
    after_ = slice_.back().state.number;
    after_id_ = slice_.back().document.id;
  }
  StoredDocument& stored = slice_[next_++];
  auto document = std::make_shared<AdmittedDocument>();
  document->id_hash = HashContent(stored.document.id);
  document->text_hash = stored.state.text_hash;
  document->metadata_hash = stored.state.metadata_hash;
  document->chunking = stored.state.chunking;
  document->source = stored.state.source;
  document->record.document = std::move(stored.document);
  document->record.origin = std::move(stored.origin);
  document->chunks = std::move(stored.chunks);
  document->is_cut = true;
  return document;
}

}  // namespace embedflow
