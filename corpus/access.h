// What the library's own parts may see of a Corpus.
#ifndef EMBEDFLOW_CORPUS_ACCESS_H_
#define EMBEDFLOW_CORPUS_ACCESS_H_

#include <memory>
#include <string>

#include "embedflow/corpus.h"
#include "store/store.h"

namespace embedflow {

struct Corpus::Rep {
  std::string directory;
  std::unique_ptr<Store> store;  // Null when opened for reading.
  std::unique_ptr<StoreReader> reader;
};

class CorpusAccess {
 public:
  // Null when opened for reading.
  static Store* store(Corpus& corpus) { return corpus.rep_->store.get(); }
  static StoreReader& reader(Corpus& corpus) { return *corpus.rep_->reader; }
  static Result<std::unique_ptr<Corpus>> Make(std::unique_ptr<Corpus::Rep> rep) {
    return std::unique_ptr<Corpus>(new Corpus(std::move(rep)));
  }
};

}  // namespace embedflow

#endif  // EMBEDFLOW_CORPUS_ACCESS_H_
