// A corpus in a directory of its own, and documents whose vectors can be told from their texts.
#ifndef EMBEDFLOW_TESTS_STORE_STORE_FIXTURE_H_
#define EMBEDFLOW_TESTS_STORE_STORE_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "store/store.h"

namespace embedflow {

// Removed with its content at the end.
class TemporaryDirectory {
 public:
  // Under `parent`, or the system's temporary directory.
  explicit TemporaryDirectory(const std::string& parent = "") {
    const std::filesystem::path base =
        parent.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(parent);
    std::string name = (base / "embedflow-store-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline Space TestSpace(int dimensions = 8, const std::string& model = "model") {
  Space space;
  space.provider = "test";
  space.model = model;
  space.dimensions = dimensions;
  return space;
}

// The one vector that a text may have in a test.
inline std::vector<float> VectorOf(const ContentHash& text_hash, int dimensions) {
  Rng rng(text_hash.high64());
  std::vector<float> vector(static_cast<std::size_t>(dimensions));
  for (float& value : vector) value = static_cast<float>(rng.Uniform()) + 0.5f;
  return vector;
}

// Documents of one group, with what the commit borrows.
class GroupBuilder {
 public:
  // Cuts `text` into chunks of `chunk_bytes`, the last one shorter; an empty text has none. Chunks
  // whose ordinal is in `dead` have no vector.
  GroupBuilder& Add(const std::string& id, const std::string& text, std::uint64_t sequence,
                    std::size_t chunk_bytes = 16, const std::vector<std::size_t>& dead = {},
                    const Metadata& metadata = {}) {
    Entry& entry = entries_.emplace_back();
    entry.document = {id, text, metadata};
    for (std::size_t begin = 0; begin < text.size(); begin += chunk_bytes) {
      ChunkRow row;
      row.begin = begin;
      row.end = std::min(text.size(), begin + chunk_bytes);
      row.text_hash = HashContent(std::string_view(text).substr(begin, row.end - begin));
      row.key = ChunkKey(id, static_cast<std::uint32_t>(entry.chunks.size()), row.text_hash);
      row.dead = std::find(dead.begin(), dead.end(), entry.chunks.size()) != dead.end();
      entry.chunks.push_back(row);
    }
    DocumentCommit commit;
    commit.text_hash = HashContent(text);
    commit.metadata_hash = HashContent(MetadataJson(metadata));
    commit.chunking = HashContent(std::to_string(chunk_bytes));
    commit.sequence = sequence;
    commit.origin = {"input.jsonl", sequence + 1};
    entry.commit = commit;
    return *this;
  }

  CommitGroup Group(std::int64_t run, SpaceId space) {
    CommitGroup group;
    group.run = run;
    group.space = space;
    for (Entry& entry : entries_) {
      entry.commit.document = &entry.document;
      entry.commit.chunks = &entry.chunks;
      group.documents.push_back(entry.commit);
    }
    group.dead_letters = letters;
    return group;
  }

  // Puts the vectors of all living chunks.
  Result<std::uint64_t> Put(Store* store, SpaceId space, int dimensions) const {
    std::vector<Store::VectorPut> puts;
    std::deque<std::vector<float>> vectors;
    for (const Entry& entry : entries_) {
      for (const ChunkRow& chunk : entry.chunks) {
        if (chunk.dead) continue;
        vectors.push_back(VectorOf(chunk.text_hash, dimensions));
        puts.push_back({chunk.text_hash, vectors.back()});
      }
    }
    return store->PutVectors(space, puts);
  }

  std::vector<ChunkRow>& chunks(std::size_t i) { return entries_[i].chunks; }
  std::vector<DeadLetter> letters;

 private:
  struct Entry {
    Document document;
    std::vector<ChunkRow> chunks;
    DocumentCommit commit;
  };
  std::deque<Entry> entries_;
};

// A store that is open for writing, with one space.
struct Rig {
  explicit Rig(const std::string& at, int vector_dimensions = 8) : dimensions(vector_dimensions) {
    StoreOptions options;
    options.create = true;
    options.map_bytes = 1u << 20;
    auto opened = OpenStore(at, options, SystemClock());
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    if (!opened.ok()) return;
    store = std::move(*opened);
    SpaceRecord wanted;
    wanted.space = TestSpace(dimensions);
    auto added = store->AddSpace(wanted);
    EXPECT_TRUE(added.ok()) << added.status().ToString();
    if (added.ok()) space = added->id;
  }
  std::int64_t Begin() {
    auto begun = store->BeginRun(space, 0);
    EXPECT_TRUE(begun.ok()) << begun.status().ToString();
    return begun.ok() ? begun->run : 0;
  }
  // Vectors, then rows, as the pipeline does it.
  CommitResult Commit(GroupBuilder& builder, std::int64_t run) {
    auto put = builder.Put(store.get(), space, dimensions);
    EXPECT_TRUE(put.ok()) << put.status().ToString();
    auto result = store->Commit(builder.Group(run, space));
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    return result.ok() ? std::move(*result) : CommitResult();
  }
  std::unique_ptr<StoreReader> Reader() {
    auto reader = store->NewReader();
    EXPECT_TRUE(reader.ok()) << reader.status().ToString();
    return reader.ok() ? std::move(*reader) : nullptr;
  }
  StoreCheck Check() {
    auto check = Reader()->Check();
    EXPECT_TRUE(check.ok()) << check.status().ToString();
    return check.ok() ? *check : StoreCheck();
  }

  int dimensions;
  std::unique_ptr<Store> store;
  SpaceId space = 0;
};

// Everything is right and nothing is missing.
inline void ExpectSound(const StoreCheck& check) {
  EXPECT_EQ(check.corrupt, 0u);
  EXPECT_EQ(check.missing_vectors, 0u);
  for (const std::string& fault : check.faults) ADD_FAILURE() << fault;
}

}  // namespace embedflow

#endif  // EMBEDFLOW_TESTS_STORE_STORE_FIXTURE_H_
