// The values that flow through embedflow: documents, chunks, spaces, embeddings.
// Threads: plain values without hidden sharing.
#ifndef EMBEDFLOW_TYPES_H_
#define EMBEDFLOW_TYPES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace embedflow {

// One scalar of a document's metadata. Numbers keep the exact text they were written in ("1.10",
// "12345678901234567890"), so that nothing is lost between input and export.
struct MetadataValue {
  enum class Kind { kNull, kBoolean, kNumber, kString };
  Kind kind = Kind::kNull;
  // "true" or "false", the number as JSON writes it, the string itself (UTF-8); empty for null.
  std::string text;

  static MetadataValue Null() { return {}; }
  static MetadataValue Boolean(bool value) { return {Kind::kBoolean, value ? "true" : "false"}; }
  static MetadataValue Number(std::int64_t value) { return {Kind::kNumber, std::to_string(value)}; }
  // `json` must be a JSON number.
  static MetadataValue NumberText(std::string json) { return {Kind::kNumber, std::move(json)}; }
  static MetadataValue String(std::string value) { return {Kind::kString, std::move(value)}; }
  bool operator==(const MetadataValue&) const = default;
};

struct MetadataField {
  std::string key;  // UTF-8.
  MetadataValue value;
  bool operator==(const MetadataField&) const = default;
};

// In the order of the input. Keys are unique; of repeated keys the last wins.
using Metadata = std::vector<MetadataField>;

// One text to embed, under one id. Ids are unique in a corpus: a later document replaces an earlier
// one.
struct Document {
  std::string id;  // UTF-8 without NUL, at most 1,024 bytes. Empty: made from the hash of the text.
  std::string text;  // UTF-8; NUL is data.
  Metadata metadata;
};

// A chunk: the bytes [begin, end) of a document's text.
struct ChunkSpan {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  // The headings above the chunk, outermost first, joined by " > ". Only the markdown chunker fills
  // it.
  std::string heading;
  bool operator==(const ChunkSpan&) const = default;
};

// Identifies a chunk in FAISS files, exports and search results. In [0, 2^63): the top 63 bits of
// the hash of (document id, ordinal, text), so it is the same on every machine.
using ChunkId = std::int64_t;

// What makes two embeddings comparable. Vectors of different spaces never meet in one index.
struct Space {
  std::string provider;    // Profile name: "builtin", "openai", "local", ...
  std::string model;       // The provider's model name, e.g. "text-embedding-3-small".
  std::string revision;    // Empty when the provider has none.
  int dimensions = 0;      // In [1, 65536].
  std::string input_type;  // "document" or the like where the provider tells documents from
                           // queries, else empty.
  std::string digest;      // Digest of the files of an in-process model; else empty.

  // "provider/model/dimensions", with "@revision", "+input_type" and "#digest" where they are not
  // empty.
  std::string name() const;
  bool operator==(const Space&) const = default;
};

}  // namespace embedflow

#endif  // EMBEDFLOW_TYPES_H_
