// The public values as text: JSON with the field names of docs/json.md, and text fit for a
// terminal. Threads: pure functions.
#ifndef EMBEDFLOW_TEXT_H_
#define EMBEDFLOW_TEXT_H_

#include <string>
#include <string_view>
#include <vector>

#include "embedflow/corpus.h"
#include "embedflow/pipeline.h"
#include "embedflow/provider.h"
#include "embedflow/search.h"
#include "embedflow/status.h"

namespace embedflow {

// One line of JSON each, without a line end.
std::string ToJson(const RunSummary& summary);
std::string ToJson(const CorpusStatus& status);
std::string ToJson(const VerifyReport& report);
std::string ToJson(const std::vector<SearchHit>& hits, const Space& space);
std::string ToJson(const RemoveReport& report);
std::string ToJson(const std::vector<DeadLetter>& letters);
std::string ToJson(const StoredChunk& chunk);
std::string ToJson(const std::vector<Profile>& profiles);
// {"type":"error","code":...,"exit":...,"message":...,"kept":...,"next":...}
std::string ToJson(const Status& status, int exit_code);
// {"committed":[...]}
std::string CommittedToJson(std::span<const ChunkId> committed);

// Control bytes as \xNN; cut at a code point to `bytes_max` bytes with "..." where something was
// cut.
std::string Printable(std::string_view text, std::size_t bytes_max = std::string_view::npos);

}  // namespace embedflow

#endif  // EMBEDFLOW_TEXT_H_
