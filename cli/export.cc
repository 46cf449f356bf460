#include <memory>
#include <optional>
#include <utility>

#include "cli/commands.h"
#include "cli/display.h"
#include "cli/format.h"
#include "cli/npy.h"
#include "cli/output.h"
#include "cli/process.h"
#include "embedflow/corpus.h"
#include "embedflow/text.h"

namespace embedflow::cli {
namespace {

Status ExportJsonLines(Corpus& corpus, const std::string& space, const StopSignals& signals,
                       Output* output) {
  EF_RETURN_IF_ERROR(corpus.ForEachChunk(space, [&](const StoredChunk& chunk) -> Status {
    if (signals.count() > 0) return Status(Code::kCancelled, "stopped before the end");
    return output->Write(ToJson(chunk) + "\n");
  }));
  return output->Commit();
}

template <typename T>
std::string_view BytesOf(const T* values, std::size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}

// The dimensions of the space that an export takes; 0 for a corpus without any.
Result<std::uint64_t> DimensionsOf(Corpus& corpus, const std::string& space) {
  EF_ASSIGN_OR_RETURN(const CorpusStatus status, corpus.Describe());
  if (status.spaces.empty()) return std::uint64_t{0};
  for (const SpaceStatus& one : status.spaces) {
    if (one.space.name() == space) return static_cast<std::uint64_t>(one.space.dimensions);
  }
  // An unknown name is refused by the scan itself.
  return static_cast<std::uint64_t>(status.spaces[status.default_space].space.dimensions);
}

Status ExportNpy(Corpus& corpus, const std::string& space, const StopSignals& signals,
                 const std::string& path) {
  EF_ASSIGN_OR_RETURN(const std::uint64_t dimensions, DimensionsOf(corpus, space));
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Output> matrix, Output::Create(path));
  EF_ASSIGN_OR_RETURN(const std::unique_ptr<Output> ids, Output::Create(path + ".ids.npy"));
  // The number of rows is known at the end.
  EF_RETURN_IF_ERROR(matrix->Write(NpyHeader("f4", 0, dimensions)));
  EF_RETURN_IF_ERROR(ids->Write(NpyHeader("i8", 0, std::nullopt)));
  std::uint64_t rows = 0;
  std::uint64_t without_vector = 0;
  const auto visit = [&](const StoredChunk& chunk) -> Status {
    if (signals.count() > 0) return Status(Code::kCancelled, "stopped before the end");
    if (chunk.embedding.empty()) {
      ++without_vector;
      return {};
    }
    if (chunk.embedding.size() != dimensions) {
      return Status(Code::kCorruption, "the vector of chunk " + std::to_string(chunk.id) + " has " +
                                           std::to_string(chunk.embedding.size()) +
                                           " numbers, its space " + std::to_string(dimensions));
    }
    ++rows;
    EF_RETURN_IF_ERROR(matrix->Write(BytesOf(chunk.embedding.data(), chunk.embedding.size())));
    return ids->Write(BytesOf(&chunk.id, 1));
  };
  EF_RETURN_IF_ERROR(corpus.ForEachChunk(space, visit));
  EF_RETURN_IF_ERROR(matrix->WriteAt(0, NpyHeader("f4", rows, dimensions)));
  EF_RETURN_IF_ERROR(ids->WriteAt(0, NpyHeader("i8", rows, std::nullopt)));
  // The ids first: whoever sees the matrix finds its ids.
  EF_RETURN_IF_ERROR(ids->Commit());
  EF_RETURN_IF_ERROR(matrix->Commit());
  if (without_vector > 0) {
    WriteToStderr("embedflow: " + Count(without_vector, "chunk") +
                  " without a vector left out; embedflow dead says why\n");
  }
  return {};
}

}  // namespace

int Export(const Invocation& call) {
  const std::string format = call.arguments.Text("--format", "jsonl");
  const std::string path = call.arguments.Text("-o");
  if (format == "npy" && path.empty()) {
    return call.End(UsageError("--format npy needs -o FILE: its header is written last"));
  }
  const Status apart = CheckApart("-o", path, call.arguments.positionals()[0], {});
  if (!apart.ok()) return call.End(apart);
  const StopSignals signals([](int, int) {});
  const auto run = [&]() -> Status {
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Corpus> corpus,
                        Corpus::Open(call.arguments.positionals()[0], Corpus::Mode::kRead));
    const std::string space = call.arguments.Text("--space");
    if (format == "npy") return ExportNpy(*corpus, space, signals, path);
    if (path.empty()) return ExportJsonLines(*corpus, space, signals, Output::Standard().get());
    EF_ASSIGN_OR_RETURN(const std::unique_ptr<Output> file, Output::Create(path));
    return ExportJsonLines(*corpus, space, signals, file.get());
  };
  const Status status = run();
  return call.End(status, signals.first());
}

}  // namespace embedflow::cli
