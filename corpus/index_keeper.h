// Where the index of a space lies, and how it is made to agree with the store.
#ifndef EMBEDFLOW_CORPUS_INDEX_KEEPER_H_
#define EMBEDFLOW_CORPUS_INDEX_KEEPER_H_

#include <memory>
#include <string>

#include "embedflow/options.h"
#include "store/store.h"
#include "vector/index.h"
#include "vector/index_file.h"

namespace embedflow {

std::string IndexPath(const std::string& directory, SpaceId space);

// True if the chunk is to have a vector in the space, and so an entry in its index.
inline bool HasVectorIn(const ChunkScan& chunk, SpaceId space) {
  return ((chunk.spaces & ~chunk.dead_spaces) >> space & 1) != 0;
}

// What an index file of the space must say to be used as it is. The metric belongs to it: vectors
// are normalised on the way in, so an index made for another metric is of no use.
IndexStamp StampOf(const SpaceRecord& space);

// The options a space's index was made with.
IndexOptions IndexOptionsOf(const SpaceRecord& space);

// A new index of everything the store has in the space.
Result<std::unique_ptr<Index>> BuildIndex(StoreReader& reader, const SpaceRecord& space);

// Loads the space's index file and completes it from the store: chunks that are missing are added,
// entries without a chunk removed. A missing or damaged file is made anew from the store. Writes
// nothing. A chunk id stands for one text for ever, so an entry whose id is in the store is right.
// `*completed` (may be null) tells whether the file did not agree.
Result<std::unique_ptr<Index>> OpenIndex(StoreReader& reader, const std::string& directory,
                                         const SpaceRecord& space, bool* completed = nullptr);

// Makes the index file of a space agree with the store, unless it does or the space keeps none.
Status RefreshIndex(StoreReader& reader, const std::string& directory, const SpaceRecord& space);

}  // namespace embedflow

#endif  // EMBEDFLOW_CORPUS_INDEX_KEEPER_H_
